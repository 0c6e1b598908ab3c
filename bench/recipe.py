"""Which recipe for binary weights? Chosen on pictures that no test of the study holds.

    python bench/recipe.py ../shared/data

Trains on 2,000 simulated recordings of MNIST's training pictures and validates on 6,000 others, for
two seeds; pictures that were recorded for real, and the first 1,000, are left out. Full precision,
then each candidate from it. Takes 20 minutes on one core; goes on where it was.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from compare import report

import snnq
from snnq.simulation.pictures import Picture, read_pictures
from snnq.simulation.selection import chosen
from snnq.simulation.simulate import simulate_pictures

TRAINING, VALIDATION, TESTED = 2000, 6000, 100
FULL = {"levels": "full"}
BINARY = {"epochs": 24, "batch_size": 32}
AT_ONCE = {"harden": (), "backward_temperature": 4.0, "learned": ("alpha", "beta")}
AT_ONCE |= {"temperature_initial": 2.0, "temperature_schedule": "exponential"}
CANDIDATES = {
    "one after another": {},
    "exponential to 1000": AT_ONCE | {"temperature_final": 1000.0},
    "linear to 40": AT_ONCE | {"temperature_schedule": "linear", "temperature_final": 40.0},
    "linear to 100": AT_ONCE | {"temperature_schedule": "linear", "temperature_final": 100.0},
    "sign": {"quantizer": "sign"},
    "LSQ": {"quantizer": "lsq"},
    "DoReFa": {"quantizer": "dorefa"},
    "Q-SNN": {"quantizer": "qsnn"},
    "ReScaW": {"quantizer": "rescaw"},
    "BSO": {"quantizer": "bso"},
    "T-BSO": {"quantizer": "tbso"},
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("real", type=Path, help="holds NMNIST/ and images/mnist.npz")
    parser.add_argument(
        "--data", type=Path, default=Path("data/recipe"), help="of the simulated recordings"
    )
    parser.add_argument("--results", type=Path, default=Path("results/recipe"))
    arguments = parser.parse_args()
    if not arguments.data.exists():
        _simulate(arguments.real, arguments.data)
    rows = []
    for seed in (0, 1):
        settings = {"data": str(arguments.data / "training"), "seed": seed, "validation": 0.0}
        start = arguments.results / f"full-seed{seed}"
        rows.append(_row("full precision", settings | FULL, start, arguments.data))
        for number, (name, changes) in enumerate(CANDIDATES.items()):
            folder = arguments.results / f"{number}-seed{seed}"
            run = settings | BINARY | {"start": str(start)} | changes
            rows.append(_row(name, run, folder, arguments.data))
    table = pd.DataFrame(rows).pivot_table("accuracy", "candidate", "seed", sort=False)
    table.columns = [f"seed_{seed}" for seed in table.columns]
    report("recipe", table.assign(mean=table.mean(axis=1)).reset_index())


def _row(candidate: str, settings: dict, folder: Path, data: Path) -> dict[str, object]:
    run = snnq.Run(**settings)
    snnq.fit(run, folder)
    _, validation = snnq.load("nmnist", data / "validation", run.steps)
    accuracy, _ = snnq.evaluate(snnq.trained_network(folder), validation)
    return {"candidate": candidate, "seed": run.seed, "accuracy": accuracy}


def _simulate(real: Path, data: Path) -> None:
    pictures = [
        picture
        for picture in chosen(read_pictures(real / "images/mnist.npz"), None, real)
        if picture.train and picture.number > 1000
    ]
    count = TRAINING + TESTED + VALIDATION
    drawn = np.random.default_rng(0).choice(len(pictures), count, replace=False)
    found = [pictures[i] for i in drawn]
    training, tested, validation = np.split(
        np.array(found, dtype=object), [TRAINING, TRAINING + TESTED]
    )
    for name, train, test in (("training", training, tested), ("validation", tested, validation)):
        both = [_on_side(picture, True) for picture in train]
        both += [_on_side(picture, False) for picture in test]
        simulate_pictures("nmnist", data / name, both, "MNIST's training pictures")


def _on_side(picture: Picture, train: bool) -> Picture:
    return Picture(picture.image, picture.label, picture.number, train)


if __name__ == "__main__":
    main()
