"""Networks for real N-MNIST recordings, of which there are few, from scratch and from simulated ones.

    python bench/real_nmnist.py ../shared/data

For each of five seeds, trained on the data folder's 700 real training recordings and tested on its 100
real test recordings after the last epoch:

- in two stages: 20 epochs in full precision, and 20 more from there;
- from scratch: one run of 40 epochs, as `snnq train` has it;
- from simulated ones: 20 epochs from a network in full precision for 1,500 simulated recordings, of
  pictures of which the data folder holds no real recording.

All in full precision and binary; the table has the paired differences to the first. Nothing was chosen on
the test recordings. Seeds run side by side, 10 minutes on two cores; goes on where it was.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import joblib
import torch
from compare import report
from safetensors.numpy import load_file

import snnq
from snnq.training.record import PREDICTIONS

SETTINGS = {"channels": 16, "steps": 3, "batch_size": 32, "validation": 0.0}
STAGE = 20  # epochs
SEEDS = range(5)
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
    for data in (arguments.real, arguments.data):  # frames, once for all
        snnq.load("nmnist", data, SETTINGS["steps"])
    processes = joblib.Parallel(n_jobs=1 if torch.cuda.is_available() else -1, verbose=10)
    of_seeds = processes(joblib.delayed(_of_seed)(seed, arguments) for seed in SEEDS)
    ways = {folder.name: way for of_seed in of_seeds for folder, way in of_seed.items()}
    kept = {name: load_file(arguments.results / name / PREDICTIONS) for name in ways}
    correct = {name: classes["hard"] == classes["label"] for name, classes in kept.items()}
    rows = snnq.read_runs(arguments.results, ways).set_index("name").loc[[*ways]].reset_index()
    rows = rows.assign(ablation="ways", change=rows["name"].map(ways))
    table = snnq.ablation_table(rows, correct).drop(columns=["ablation", "validation_mean"])
    report("real_nmnist", table.assign(test_recordings=rows["test_recordings"].max()))


def _of_seed(seed: int, arguments: argparse.Namespace) -> dict[Path, str]:
    """Folders of runs, and what way to a network each is."""

    def trained(way: str, levels: str, epochs: int, data: Path, start: Path | None = None) -> Path:
        folder = arguments.results / f"{way} {levels} seed {seed}".replace(" ", "-")
        settings = SETTINGS | {"levels": levels, "epochs": epochs, "data": str(data), "seed": seed}
        snnq.fit(snnq.Run(start=start and str(start), **settings), folder, progress=False)
        return folder

    ways = {
        "in two stages": (STAGE, trained("first stage", "full", STAGE, arguments.real)),
        "from scratch": (2 * STAGE, None),
        "from simulated ones": (STAGE, trained("simulated alone", "full", STAGE, arguments.data)),
    }
    return {
        trained(way, levels, epochs, arguments.real, start): way
        for levels in ("full", "binary")
        for way, (epochs, start) in ways.items()
    }


def _simulate(arguments: argparse.Namespace) -> None:
    command = [sys.executable, "-m", "snnq", "simulate", arguments.data]
    command += ["--without", arguments.real, "--images", arguments.real / "images/mnist.npz"]
    command += ["--limit", str(PER_CLASS)]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
