"""How far the simulated camera is from the real one, on the same pictures.

    python bench/camera.py ../shared/data [--search]

Shows the pictures that real N-MNIST recordings were made of to simulated cameras and compares:
the first crude one, and the calibrated one of `snnq.simulation.presets`. `--search` calibrates anew, on
every sixth recording, and prints the camera that it found; the table is of every second, of which
the search has seen none.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from compare import report
from scipy.ndimage import gaussian_filter
from scipy.optimize import minimize
from scipy.stats import spearmanr
from tqdm import tqdm

import snnq
from snnq.recordings.statistics import distances, statistics_of
from snnq.simulation.camera import Camera, record_pictures
from snnq.simulation.pictures import read_pictures
from snnq.simulation.presets import SETTINGS

SENSOR, UNTIL = (34, 34), 0.32
CRUDE = Camera(floor=0.12, threshold=0.45, brighter=0)
SEARCHED, TOLD = slice(0, None, 6), slice(1, None, 2)  # of the real recordings
LOOKS = 900  # cameras that the search tries
REACH = 4  # in units of the scales below, each way
SCALES = {
    "floor": 0.05,
    "threshold": 0.04,
    "mismatch": 0.05,
    "drift": 0.05,
    "blur": 0.2,
    "latency": 3e3,
}
OFFSET, TIME, PLACE = 0.4, 5e3, 0.4  # scales of the path's start, of its knots' times and places


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path, help="holds NMNIST/ and images/mnist.npz")
    parser.add_argument("--search", action="store_true", help="takes a quarter of an hour")
    arguments = parser.parse_args()
    real, pictures = pairs(arguments.data)
    cameras = {"crude": CRUDE, "calibrated": SETTINGS["nmnist"].camera}
    if arguments.search:
        cameras["found"] = search(real[SEARCHED], pictures[SEARCHED], cameras["calibrated"])
        print(cameras["found"])
    rows = []
    for name, camera in cameras.items():
        found = compared(real[TOLD], pictures[TOLD], camera)
        rows.append({"camera": name, "recordings": len(real[TOLD]), **found})
    report("camera", pd.DataFrame(rows))


def pairs(data: Path) -> tuple[list[np.ndarray], np.ndarray]:
    """Real recordings, and the training picture that each was made of: its file's number."""
    images = [p.image for p in read_pictures(data / "images/mnist.npz") if p.train]
    splits = [snnq.Recordings("nmnist", data, train) for train in (True, False)]
    real = [events for split in splits for events in split]
    numbers = [int(path.stem) for split in splits for path in split.paths]
    return real, np.stack([images[number - 1] for number in numbers])


def compared(real: list[np.ndarray], pictures: np.ndarray, camera: Camera) -> dict[str, float]:
    """Distances, and two correlations between the recordings of the same picture: that of the
    numbers of events (of ranks), and that of their frames."""
    rng = np.random.default_rng(0)
    simulated = list(record_pictures(pictures, camera, camera.thresholds(rng), rng))
    ours, theirs = (statistics_of(found, SENSOR, UNTIL) for found in (simulated, real))
    return {
        "mean_events": ours.events.mean(),
        **distances(ours, theirs),
        "numbers": spearmanr(ours.events, theirs.events).statistic,
        "frames": np.corrcoef(_frames(simulated), _frames(real))[0, 1],
    }


def _frames(recordings: list[np.ndarray], bins: int = 9, blur: float = 0.7) -> np.ndarray:
    """Events of each recording, time bin, polarity and pixel, smoothed over pixels; flat."""
    frames = np.zeros((len(recordings), bins, 2, *SENSOR))
    for one, events in zip(frames, recordings):
        time = np.minimum((events["t"] * bins / UNTIL / 1e6).astype(int), bins - 1)
        np.add.at(one, (time, events["p"], events["y"], events["x"]), 1)
    return gaussian_filter(frames, (0, 0, 0, blur, blur)).ravel()


def search(real: list[np.ndarray], pictures: np.ndarray, start: Camera) -> Camera:
    """The camera with the least distance, near a start, by Powell's method."""
    fixed = len(start.path) - 2  # knots between the first, at (0, 0), and the last
    scales = np.array([*SCALES.values(), OFFSET, OFFSET, *[TIME, PLACE, PLACE] * fixed, TIME])
    knots = np.ravel(start.path[1:])[: 3 * fixed + 1]
    first = np.array([*(getattr(start, name) for name in SCALES), *start.offset, *knots]) / scales

    def camera(values: np.ndarray) -> Camera:
        values = (values * scales).tolist()
        named = {name: max(value, 0.0) for name, value in zip(SCALES, values)}
        x, y, *knots = values[len(SCALES) :]
        times = np.maximum.accumulate(np.rint(knots[::3]).astype(int)) + np.arange(fixed + 1)
        places = [*zip(knots[1::3], knots[2::3]), (0, 0)]
        path = ((0, 0, 0), *((int(time), *place) for time, place in zip(times, places)))
        return replace(start, **named, offset=(x, y), path=path)

    def far(values: np.ndarray) -> float:
        bar.update()
        found = compared(real, pictures, camera(values))
        shares = sum(found[name] for name in ("events", "time", "place", "sign"))
        return shares + 0.5 * found["spread"] + 2 * (1 - found["frames"])

    with tqdm(total=LOOKS, unit="camera") as bar:
        bounds = [(value - REACH, value + REACH) for value in first]
        bounds[1] = max(bounds[1][0], 0.1 / scales[1]), bounds[1][1]  # a threshold of 0 never ends
        bounds[0] = max(bounds[0][0], 0.02 / scales[0]), bounds[0][1]
        options = {"maxfev": LOOKS, "xtol": 0.05, "ftol": 1e-3}
        found = minimize(far, first, method="Powell", bounds=bounds, options=options)
    return camera(found.x)


if __name__ == "__main__":
    main()
