"""The desk study's networks, which have only seen simulated recordings, tested on real ones.

    snnq study config/desk.yaml --ablations
    python bench/simulated_to_real.py ../shared/data

No training picture is one that a real recording in the data folder is of: the study leaves out MNIST's
first 1,000. Every sixth of the real recordings has calibrated the camera (bench/camera.py); the accuracy on
the others stands in a column of its own. Nothing was chosen on them.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from camera import SEARCHED
from compare import report

import snnq

BENCHMARK = "nmnist"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("real", type=Path, help="holds NMNIST/")
    parser.add_argument("--study", type=Path, default=Path("results/desk"))
    arguments = parser.parse_args()
    correct: dict[str, np.ndarray] = {}
    for gathered, name, tabulate in (
        ("runs", "simulated_to_real", snnq.results_table),
        ("ablations", "simulated_to_real_methods", snnq.ablation_table),
    ):
        runs = snnq.read_gathered(arguments.study, gathered)
        runs = runs[runs["benchmark"] == BENCHMARK]
        for _, run in runs.iterrows():
            if run["name"] not in correct:
                correct[run["name"]] = tested(run, arguments.study, arguments.real)
        report(name, on_real(runs, correct, tabulate))


def on_real(runs: pd.DataFrame, correct: dict[str, np.ndarray], tabulate) -> pd.DataFrame:
    """The study's own table with real recordings as the test, and three columns more."""
    right = [correct[name] for name in runs["name"]]
    unseen = np.ones(len(right[0]), bool)
    unseen[SEARCHED] = False
    runs = runs.assign(
        recordings="N-MNIST, real",
        simulated=False,
        test_recordings=len(unseen),
        simulated_mean=100 * runs["last"],
        uncalibrated_mean=[100 * of_run[unseen].mean() for of_run in right],
        last=[of_run.mean() for of_run in right],
        **dict.fromkeys(("validation", "best", "last_soft"), np.nan),
    )
    table = tabulate(runs, correct).dropna(axis="columns", how="all")
    keys = [name for name in ("ablation", "change", "channels", "levels") if name in table]
    means = runs.groupby(keys, sort=False)[["simulated_mean", "uncalibrated_mean"]].mean()
    return table.merge(means.reset_index(), on=keys)


def tested(run: pd.Series, study: Path, real: Path) -> np.ndarray:
    """Whether a finished run classifies each real recording correctly."""
    model = snnq.trained_network(study / "runs" / run["name"])
    splits = snnq.load(BENCHMARK, real, run["steps"], run["cut"])
    outputs = [snnq.predict(model, split) for split in splits]
    return torch.cat([rates.argmax(1) == labels for rates, labels in outputs]).numpy()


if __name__ == "__main__":
    main()
