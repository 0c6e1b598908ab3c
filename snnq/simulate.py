"""An event camera in software: handwritten digits to recordings in N-MNIST's own files.

    python -m snnq.simulate data/digits

The camera makes three saccades over a still picture, as N-MNIST's did over MNIST on a screen
(Orchard et al., Frontiers in Neuroscience 2015). Each pixel signals when its log intensity has
moved by a threshold since its last event (Lichtsteiner et al., IEEE JSSC 2008). Positions,
intensities, thresholds and times are integers, so the files are the same bytes on every machine.
"""

import argparse
import json
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from tqdm import tqdm

from snnq.benchmarks import SOURCE_FILE, get_benchmark
from snnq.formats import EVENTS

SUBPIXEL = 64  # positions per pixel, each way
LOG_UNIT = 4096  # steps per unit of log intensity
PICTURE = 28  # pixels of a picture, each way: MNIST's format
DIGIT = 24  # pixels that a digit covers in its middle
TEST_SHARE = 0.2  # the last digits were written by other people (scikit-learn's description)
BATCH = 256  # pictures simulated at once


@dataclass(frozen=True)
class Camera:
    """What the simulated sensor does. Lengths in pixels, times in µs, intensities from 0 to 1."""

    size: int = 34
    path: tuple[tuple[float, float], ...] = ((0, 0), (3.5, 5.3), (5.6, 0), (0, 0))
    offset: tuple[float, float] = (-0.4, 1.3)  # of the picture's corner where the path is (0, 0)
    saccade: int = 105_000  # duration of each leg of the path
    step: int = 2_500  # between two looks at the picture; events in between are interpolated
    floor: float = 0.4  # added to the intensity before the logarithm
    threshold: float = 0.2  # change of log intensity that makes an event
    mismatch: float = 0.15  # s.d. of the threshold between pixels, relative

    def positions(self) -> np.ndarray:
        """Corner of the picture at each look, in 1/64 pixels: int [looks, 2]."""
        corners = np.array(self.path) + self.offset
        looks = np.arange(0, self.saccade, self.step) / self.saccade
        eased = looks**2 * (3 - 2 * looks)  # a saccade speeds up and slows down
        legs = [a + eased[:, None] * (b - a) for a, b in zip(corners, corners[1:])]
        return np.rint(np.concatenate([*legs, corners[-1:]]) * SUBPIXEL).astype(int)

    def thresholds(self, rng: np.random.Generator) -> np.ndarray:
        """One threshold per pixel, in steps of log intensity: int32 [size, size]."""
        # The sum of 12 uniform integers is close to normal and, unlike normal(), uses no logarithm.
        deviation = rng.integers(0, 1001, (12, self.size, self.size)).sum(0) / 1000 - 6
        relative = 1 + self.mismatch * deviation.clip(-3, 3)
        return np.rint(self.threshold * LOG_UNIT * relative).astype(np.int32)

    def log_table(self) -> np.ndarray:
        """Log intensity of every interpolated grey value, in steps: int32."""
        grey = np.arange(255 * SUBPIXEL**2 + 1) / (255 * SUBPIXEL**2)
        return np.rint(np.log(grey + self.floor) * LOG_UNIT).astype(np.int32)


def record(pictures: np.ndarray, camera: Camera, rng: np.random.Generator) -> list[np.ndarray]:
    """The events that a camera sees of each picture.

    Parameters
    ----------
    pictures : uint8 array [N, 28, 28]
    camera : Camera
    rng : Generator
        Draws the threshold of each pixel (once: it is one sensor) and where between two events
        each pixel starts.

    Returns
    -------
    list of N structured arrays with fields x, y, t (µs), p (0 or 1), in time order
    """
    thresholds, table = camera.thresholds(rng), camera.log_table()
    recordings = []
    for start in tqdm(range(0, len(pictures), BATCH), desc="simulating", unit="batch"):
        batch = pictures[start : start + BATCH]
        phase = rng.integers(-500, 501, (len(batch), camera.size, camera.size))
        recordings += _record_batch(batch, camera, thresholds, table, phase)
    return recordings


def _record_batch(pictures, camera, thresholds, table, phase) -> list[np.ndarray]:
    looks = (table[_project(pictures, corner, camera.size)] for corner in camera.positions())
    before = next(looks)
    reference = before + (thresholds * phase // 1000).astype(np.int32)
    events = []
    for look, after in enumerate(looks):
        change = after - reference
        direction = np.sign(change)
        crossings = np.abs(change) // thresholds
        for k in range(1, crossings.max() + 1):
            n, y, x = np.nonzero(crossings >= k)
            level = (reference + k * direction * thresholds)[n, y, x]
            start, end = before[n, y, x], after[n, y, x]
            t = look * camera.step + (level - start) * camera.step // (end - start)
            events.append((n, x, y, t, direction[n, y, x] > 0))
        reference += crossings * direction * thresholds
        before = after
    return _by_recording(events, len(pictures))


def _project(pictures: np.ndarray, corner: np.ndarray, size: int) -> np.ndarray:
    """Pictures [N, h, w] with their corner at (x, y)/64 on the sensor: int [N, size, size].

    Bilinear, in units of 1/64² grey value; black around the picture.
    """
    (x, y), (right, down) = -corner // SUBPIXEL + size, -corner % SUBPIXEL
    padded = np.pad(pictures.astype(np.int32), ((0, 0), (size, size), (size, size)))
    rows = padded[:, y : y + size + 1, x : x + size + 1]
    rows = (SUBPIXEL - down) * rows[:, :-1] + down * rows[:, 1:]
    return (SUBPIXEL - right) * rows[:, :, :-1] + right * rows[:, :, 1:]


def _by_recording(events: list[tuple], recordings: int) -> list[np.ndarray]:
    n, *fields = (np.concatenate(column) for column in zip(*events))
    order = np.lexsort((fields[2], n))
    joined = np.empty(len(n), dtype=EVENTS)
    for name, values in zip(EVENTS.names, fields):
        joined[name] = values[order]
    return np.split(joined, np.cumsum(np.bincount(n, minlength=recordings))[:-1])


def write_nmnist(events: np.ndarray, path: Path) -> None:
    """Events with x, y < 256 and t < 2²³ µs as N-MNIST's 5 bytes each: x, y, then p and t in 24 bits."""
    packed = np.empty((len(events), 5), dtype=np.uint8)
    word = events["p"].astype(np.int64) << 23 | events["t"]
    for column, values in enumerate((events["x"], events["y"], word >> 16, word >> 8, word)):
        packed[:, column] = values & 255
    path.write_bytes(packed.tobytes())


def digit_pictures() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's 1,797 handwritten digits as pictures uint8 [N, 28, 28], and their labels."""
    digits = load_digits()
    pictures = np.zeros((len(digits.images), PICTURE, PICTURE), dtype=np.uint8)
    inside = slice((PICTURE - DIGIT) // 2, (PICTURE + DIGIT) // 2)
    for picture, image in zip(pictures, digits.images):
        grey = Image.fromarray((image * (255 / 16)).astype(np.uint8))
        picture[inside, inside] = grey.resize((DIGIT, DIGIT), Image.Resampling.BICUBIC)
    return pictures, digits.target


def simulate_digits(root: Path, seed: int = 0, camera: Camera = Camera()) -> Path:
    """Write the digits' recordings under `root`, as N-MNIST's are; returns their folder.

    The first 80 % are the training split, the rest, by other writers, the test split.

    Raises
    ------
    FileExistsError
        The folder holds recordings that were not simulated; nothing is touched.
    """
    folder = get_benchmark("nmnist").folder(root)
    if folder.exists() and not (folder / SOURCE_FILE).exists():
        raise FileExistsError(f"{folder}: has no {SOURCE_FILE}, so it may be real; not replaced")
    pictures, labels = digit_pictures()
    recordings = record(pictures, camera, np.random.default_rng(seed))
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    training = int(len(pictures) * (1 - TEST_SHARE))
    for number, (events, label) in enumerate(zip(recordings, labels), start=1):
        split = "Train" if number <= training else "Test"
        path = partial / split / str(label) / f"{number:05}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_nmnist(events, path)
    made = {
        "simulated": True,
        "images": "handwritten digits of scikit-learn (load_digits)",
        "seed": seed,
        "camera": asdict(camera),
    }
    (partial / SOURCE_FILE).write_text(json.dumps(made, indent=2) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    return partial.rename(folder)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m snnq.simulate", description=__doc__.split("\n")[0])
    parser.add_argument("root", type=Path, nargs="?", default=Path("data/digits"))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    try:
        folder = simulate_digits(arguments.root, arguments.seed)
    except FileExistsError as error:
        sys.exit(f"snnq.simulate: {error}")
    print(f"simulated recordings in {folder}")


if __name__ == "__main__":
    main()
