"""Networks for real N-MNIST recordings, of which there are few, from networks for simulated ones.

    python bench/real_nmnist.py ../shared/data

For each of three seeds: full precision on 1,500 simulated recordings, of pictures of which the data
folder holds no real recording; from there, on its 700 real training recordings, once in full
precision and once binary, with the quick study's recipe; tested on its 100 real test recordings after
the last epoch. Nothing was chosen on them. Takes 10 minutes on two cores; goes on where it was.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import pandas as pd
from compare import report

import snnq

SETTINGS = {"channels": 16, "steps": 3, "validation": 0.0}
PRETRAINED = {"levels": "full", "epochs": 16, "batch_size": 32}
TRAINED = {
    "full": {"epochs": 24, "batch_size": 32},
    "binary": {"epochs": 24, "batch_size": 32},
}
PER_CLASS = 150  # simulated recordings


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("real", type=Path, help="holds NMNIST/ and images/mnist.npz")
    parser.add_argument(
        "--data", type=Path, default=Path("data/mnist_small"), help="of the simulated recordings"
    )
    parser.add_argument("--results", type=Path, default=Path("results/real_nmnist"))
    arguments = parser.parse_args()
    if not snnq.BENCHMARKS["nmnist"].folder(arguments.data).exists():
        _simulate(arguments)
    rows = []
    for seed in range(3):
        start = arguments.results / f"simulated-seed{seed}"
        run = snnq.Run(data=str(arguments.data), seed=seed, **SETTINGS, **PRETRAINED)
        snnq.fit(run, start)
        for levels, settings in TRAINED.items():
            run = snnq.Run(
                levels=levels,
                data=str(arguments.real),
                seed=seed,
                start=str(start),
                **SETTINGS,
                **settings,
            )
            folder = arguments.results / f"{levels}-seed{seed}"
            snnq.fit(run, folder)
            rows.append(_row(run, folder, start))
    runs = pd.DataFrame(rows)
    report("real_nmnist", runs)
    print(runs.groupby("levels", sort=False)["accuracy"].agg(["mean", "std"]))


def _simulate(arguments: argparse.Namespace) -> None:
    command = [sys.executable, "-m", "snnq", "simulate", arguments.data]
    command += ["--without", arguments.real, "--images", arguments.real / "images/mnist.npz"]
    command += ["--limit", str(PER_CLASS)]
    subprocess.run(command, check=True)


def _row(run: snnq.Run, folder: Path, start: Path) -> dict[str, object]:
    record, before = snnq.read_record(folder), snnq.read_record(start)
    tests, accuracy = record["recordings"]["test"], record["accuracy"]["last"]
    low, high = snnq.wilson(accuracy, tests)
    return {
        "levels": run.levels,
        "seed": run.seed,
        "simulated_training": before["recordings"]["train"],
        "simulated_accuracy": before["accuracy"]["last"],
        "real_training": record["recordings"]["train"],
        "real_test": tests,
        "accuracy": accuracy,
        "low": low,
        "high": high,
        "times_smaller": record["bytes_float32"] / record["bytes"],
    }


if __name__ == "__main__":
    main()
