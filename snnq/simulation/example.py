"""One recording of a benchmark to look at: of those at hand, or of the simulated camera."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from snnq.recordings.benchmarks import BENCHMARKS, recordings_name, source
from snnq.recordings.recordings import Recordings
from snnq.simulation import gestures
from snnq.simulation.camera import record_scene
from snnq.simulation.pictures import digits, resized
from snnq.simulation.presets import DIGITS, SETTINGS
from snnq.simulation.simulate import recorded

PHOTOS = {"cifar10dvs": "flower.jpg", "ncaltech101": "china.jpg"}  # scikit-learn's, both free
SMALL = 32  # pixels of CIFAR-10's pictures
CLAPPING = 0


def example_recording(benchmark: str, folders: Iterable[str | Path] = ()) -> tuple[np.ndarray, str]:
    """The events of one recording of a benchmark, and what they are.

    The first test recording, or training one, below the first of the data folders that has any. Where
    none has, the benchmark's simulated camera sees, for N-MNIST a digit and for DVS128 Gesture a drawn
    person, as in `simulate_pictures` and `simulate_gestures`; for the other two, whose own pictures
    scikit-learn does not have, one of its photographs.

    Returns
    -------
    structured array, str
        Events with the fields x, y, t (µs) and p; and "N-MNIST, real", "digits, simulated" or
        "CIFAR10-DVS, simulated from flower.jpg", say.

    Raises
    ------
    ValueError
        Unknown benchmark.
    """
    if benchmark not in BENCHMARKS:
        raise ValueError(f"benchmark={benchmark!r}: expected one of {', '.join(BENCHMARKS)}")
    for folder in map(Path, folders):
        if BENCHMARKS[benchmark].folder(folder).is_dir():
            for train in (False, True):
                there = Recordings(benchmark, folder, train, fetch=False)
                if len(there):
                    return there[0], recordings_name(benchmark, source(benchmark, folder))
    return _simulated(benchmark)


def _simulated(benchmark: str) -> tuple[np.ndarray, str]:
    rng = np.random.default_rng(0)
    title = f"{BENCHMARKS[benchmark].title}, simulated"
    if benchmark == "dvsgesture":
        camera = SETTINGS[benchmark].camera
        scene = gestures.looks(CLAPPING, gestures.Person.drawn(rng), camera)
        return record_scene(scene, camera, camera.thresholds(rng), rng), "gestures, simulated"
    setting, picture = SETTINGS[benchmark], PHOTOS.get(benchmark)
    if picture is None:
        setting, image, title = DIGITS, digits()[0].image, "digits, simulated"
    else:
        image, title = _photo(picture, setting.size, benchmark), f"{title} from {picture}"
    (events,) = recorded([image], setting, setting.camera.thresholds(rng), rng)
    return events, title


def _photo(name: str, size: tuple[int, int], benchmark: str) -> np.ndarray:
    """As large as the camera's pictures; the middle of it, as small as CIFAR-10's, for CIFAR10-DVS."""
    from sklearn.datasets import load_sample_image  # takes most of a second

    grey = Image.fromarray(load_sample_image(name)).convert("L")
    if benchmark == "cifar10dvs":
        side, (width, height) = min(grey.size), grey.size
        left, top = (width - side) // 2, (height - side) // 2
        grey = grey.resize((SMALL, SMALL), box=(left, top, left + side, top + side))
    return resized(np.asarray(grey), size)
