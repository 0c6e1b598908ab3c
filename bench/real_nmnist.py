"""Networks for real N-MNIST recordings, of which there are few, from scratch and from simulated ones.

    python bench/real_nmnist.py ../shared/data

For each of five seeds, trained on the data folder's 700 real training recordings and tested on its 100
real test recordings after the last epoch:

- from scratch: one run of 40 epochs, as `snnq train` has it, full precision beside binary;
- in two stages: 20 epochs in full precision, and 20 binary ones from there;
- from simulated ones: the same 20 epochs from a network in full precision for 1,500 simulated
  recordings, of pictures of which the data folder holds no real recording.

Nothing was chosen on the test recordings. Takes 20 minutes on two cores; goes on where it was.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import pandas as pd
from compare import report

import snnq

SETTINGS = {"channels": 16, "steps": 3, "batch_size": 32, "validation": 0.0}
STAGE = 20  # epochs
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
    rows = [row for seed in range(5) for row in _of_seed(seed, arguments)]
    report("real_nmnist", pd.DataFrame(rows))
    print(pd.DataFrame(rows).groupby(["way", "levels"], sort=False)["accuracy"].agg(["mean", "std"]))


def _of_seed(seed: int, arguments: argparse.Namespace):
    def trained(way: str, levels: str, epochs: int, data: Path, start: Path | None = None):
        run = snnq.Run(
            levels=levels,
            epochs=epochs,
            data=str(data),
            seed=seed,
            start=start and str(start),
            **SETTINGS,
        )
        folder = arguments.results / f"{way} {levels} seed {seed}".replace(" ", "-")
        snnq.fit(run, folder)
        record = snnq.read_record(folder)
        tests, accuracy = record["recordings"]["test"], record["accuracy"]["last"]
        low, high = snnq.wilson(accuracy, tests)
        row = {"way": way, "levels": levels, "seed": seed, "epochs": epochs}
        row |= {"training": record["recordings"]["train"], "test": tests}
        return folder, row | {"accuracy": accuracy, "low": low, "high": high}

    real, simulated = arguments.real, arguments.data
    for levels in ("full", "binary"):
        yield trained("from scratch", levels, 2 * STAGE, real)[1]
    first, _ = trained("first stage", "full", STAGE, real)
    yield trained("in two stages", "binary", STAGE, real, first)[1]
    first, _ = trained("simulated", "full", STAGE, simulated)
    for levels in ("full", "binary"):
        yield trained("from simulated ones", levels, STAGE, real, first)[1]


def _simulate(arguments: argparse.Namespace) -> None:
    command = [sys.executable, "-m", "snnq", "simulate", arguments.data]
    command += ["--without", arguments.real, "--images", arguments.real / "images/mnist.npz"]
    command += ["--limit", str(PER_CLASS)]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
