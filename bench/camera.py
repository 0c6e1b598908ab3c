"""How far the simulated camera is from the real one, on the same pictures.

    python bench/camera.py ../shared/data [--search]

Shows the pictures that real N-MNIST recordings were made of to simulated cameras and compares:
the first crude one, and the calibrated one of `snnq.simulate`. `--search` calibrates anew, on 150
of every other recording, and prints the camera that it found; the table is of the others.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from compare import report
from scipy.optimize import minimize
from scipy.stats import spearmanr

import snnq
from snnq.camera import Camera, record_pictures
from snnq.events import distances, statistics_of
from snnq.pictures import read_pictures
from snnq.simulate import SETTINGS

SENSOR, UNTIL = (34, 34), 0.32
CRUDE = Camera(floor=0.12, threshold=0.45, brighter=0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path, help="holds NMNIST/ and images/mnist.npz")
    parser.add_argument("--search", action="store_true")
    arguments = parser.parse_args()
    real, pictures = pairs(arguments.data)
    cameras = {"crude": CRUDE, "calibrated": SETTINGS["nmnist"].camera}
    if arguments.search:
        cameras["found"] = search(real[::2], pictures[::2], cameras["calibrated"])
        print(cameras["found"])
    rows = []
    for name, camera in cameras.items():
        found = compared(real[1::2], pictures[1::2], camera)
        rows.append({"camera": name, "recordings": len(real[1::2]), **found})
    report("camera", pd.DataFrame(rows))


def pairs(data: Path) -> tuple[list[np.ndarray], np.ndarray]:
    """Real recordings, and the training picture that each was made of: its file's number."""
    images = [p.image for p in read_pictures(data / "images/mnist.npz") if p.train]
    splits = [snnq.Recordings("nmnist", data, train) for train in (True, False)]
    real = [events for split in splits for events in split]
    numbers = [int(path.stem) for split in splits for path in split.paths]
    return real, np.stack([images[number - 1] for number in numbers])


def compared(real: list[np.ndarray], pictures: np.ndarray, camera: Camera) -> dict[str, float]:
    """Distances, the rank correlation of the numbers of events over recordings, and that of signed
    events over recordings, thirds of the time and pixels."""
    rng = np.random.default_rng(0)
    simulated = list(record_pictures(pictures, camera, camera.thresholds(rng), rng))
    ours, theirs = (statistics_of(found, SENSOR, UNTIL) for found in (simulated, real))
    correlation = spearmanr(ours.events, theirs.events).statistic
    signed = np.corrcoef(*(_signed(found).ravel() for found in (simulated, real)))[0, 1]
    found = distances(ours, theirs)
    return {"mean_events": ours.events.mean(), **found, "correlation": correlation, "signed": signed}


def _signed(recordings: list[np.ndarray]) -> np.ndarray:
    """Events of p = 1 minus those of p = 0, for each recording, third of the time and pixel."""
    maps = np.zeros((len(recordings), 3, *SENSOR))
    for one, events in zip(maps, recordings):
        third = np.minimum((events["t"] * 3 / UNTIL / 1e6).astype(int), 2)
        np.add.at(one, (third, events["y"], events["x"]), 2 * events["p"] - 1)
    return maps


def search(real: list[np.ndarray], pictures: np.ndarray, start: Camera) -> Camera:
    """The camera with the least sum of distances, from a start, by Nelder-Mead."""
    first = np.array([start.floor, start.threshold, start.mismatch, start.noise, *start.offset,
                      *start.path[1], *start.path[2], start.rest / 1e5, start.saccade / 1e5])  # fmt: skip

    def camera(values: np.ndarray) -> Camera:
        floor, threshold, mismatch, noise, x, y, a, b, c, d, rest, saccade = values
        return replace(
            start,
            floor=max(floor, 0.01),
            threshold=max(threshold, 0.05),
            mismatch=float(np.clip(mismatch, 0, 0.33)),
            noise=max(noise, 0.0),
            offset=(x, y),
            path=((0, 0), (a, b), (c, d), (0, 0)),
            rest=int(1e5 * np.clip(rest, 0, 0.6)),
            saccade=int(1e5 * np.clip(saccade, 0.9, 1.1)),
        )

    def far(values: np.ndarray) -> float:
        found = compared(real[:150], pictures[:150], replace(camera(values), step=5_000))
        shares = sum(found[name] for name in ("events", "spread", "time", "place", "sign"))
        return shares + 0.5 * (1 - found["correlation"]) + (1 - found["signed"])

    simplex = np.vstack([first, *(first + np.diag(np.maximum(0.15 * np.abs(first), 0.05)))])
    options = {"maxfev": 400, "initial_simplex": simplex}
    return camera(minimize(far, first, method="Nelder-Mead", options=options).x)


if __name__ == "__main__":
    main()
