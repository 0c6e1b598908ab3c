"""A network that has only seen simulated recordings, tested on real ones.

    python bench/simulated_to_real.py ../shared/data

Simulates N-MNIST from the MNIST pictures of which the data folder holds no real recording, trains
in full precision and then binary, and tests both on all the real recordings, and on those that
the calibration of the camera has not seen either. The epoch is the last one. Of the network's
settings one has seen the real recordings: 32 channels, after 16 gave 96.8 % in full precision.
Takes an hour on two cores; goes on where it was.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import pandas as pd
import torch
from camera import SEARCHED
from compare import report
from scipy.stats import binomtest

import snnq

SETTINGS = {"channels": 32, "steps": 3, "batch_size": 32, "learning_rate": 2e-3, "validation": 0.0}
EPOCHS = {"full": 8, "binary": 6}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("real", type=Path, help="holds NMNIST/ and images/mnist.npz")
    parser.add_argument(
        "--data", type=Path, default=Path("data/mnist"), help="of the simulated recordings"
    )
    parser.add_argument("--results", type=Path, default=Path("results/simulated_to_real"))
    arguments = parser.parse_args()
    if not snnq.BENCHMARKS["nmnist"].folder(arguments.data).exists():
        simulate = [
            sys.executable,
            "-m",
            "snnq",
            "simulate",
            arguments.data,
            "--without",
            arguments.real,
        ]
        subprocess.run([*simulate, "--images", arguments.real / "images/mnist.npz"], check=True)
    rows, start = [], None
    for levels, epochs in EPOCHS.items():
        run = snnq.Run(
            levels=levels, epochs=epochs, data=str(arguments.data), start=start, **SETTINGS
        )
        folder = arguments.results / levels
        snnq.fit(run, folder)
        rows.append(tested(run, folder, arguments.real))
        start = str(folder)
    report("simulated_to_real", pd.DataFrame(rows))


def tested(run: snnq.Run, folder: Path, real: Path) -> dict[str, object]:
    """Accuracies of a finished run, with 95 % Wilson intervals for the real recordings."""
    record, model = snnq.read_record(folder), snnq.trained_network(folder)
    splits = snnq.load("nmnist", real, run.steps, run.cut)
    outputs = [snnq.predict(model, split) for split in splits]
    right = torch.cat([rates.argmax(1) == labels for rates, labels in outputs])
    unseen = right.new_ones(len(right))
    unseen[SEARCHED] = False
    trial = binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    return {
        "levels": run.levels,
        "trained_on": record["recordings"]["train"],
        "epochs": run.epochs,
        "channels": run.channels,
        "steps": run.steps,
        "minutes": sum(record["seconds"]) / 60,
        "simulated_accuracy": record["accuracy"]["last"],
        "real_recordings": len(right),
        "real_accuracy": right.float().mean().item(),
        "low": trial.low,
        "high": trial.high,
        "uncalibrated_recordings": int(unseen.sum()),
        "uncalibrated_accuracy": right[unseen].float().mean().item(),
    }


if __name__ == "__main__":
    main()
