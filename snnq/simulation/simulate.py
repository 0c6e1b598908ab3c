"""Recordings of a simulated camera in each benchmark's own files.

N-MNIST's camera makes three saccades over a still picture, as the real one did over MNIST on a
screen, N-Caltech101's likewise (Orchard et al., Frontiers in Neuroscience 2015); before
CIFAR10-DVS's the picture moves around a closed loop (Li et al., Frontiers in Neuroscience 2017);
DVS128 Gesture's sees a drawn person (`snnq.simulation.gestures`).
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import joblib
import numpy as np

from snnq.recordings.benchmarks import get_benchmark
from snnq.recordings.writers import write_aedat4, write_bin, write_gesture
from snnq.simulation import gestures
from snnq.simulation.camera import Camera, record_pictures, record_scene
from snnq.simulation.folder import Folder
from snnq.simulation.pictures import Picture, resized
from snnq.simulation.presets import SETTINGS, Setting
from snnq.simulation.selection import numbered, refuse_other_classes, refuse_same_names
from snnq.system.bar import bar

VERSION = 2  # of what is simulated: raise it when the same pictures come to give other events
JOB = 2048  # pictures of one size that a process simulates at a time
LIGHTS = ("fluorescent", "fluorescent_led", "lab", "led", "natural")  # DVS128 Gesture's folders


def simulate_pictures(
    benchmark: str,
    root: str | Path,
    pictures: Iterable[Picture],
    images: str,
    seed: int = 0,
    setting: Setting | None = None,
) -> Path:
    """Write recordings of pictures under `root`, in the benchmark's files; returns their folder.

    Where the folder already holds just these, nothing is written. A process that wants the same
    recordings meanwhile waits and then finds them.

    Parameters
    ----------
    benchmark : str
        "nmnist", "cifar10dvs" or "ncaltech101".
    root : path
        The data folder.
    pictures : Picture
        Their labels are the benchmark's class names.
    images : str
        What the pictures are, for `SOURCE.json`.
    seed : int
        Of the pixels' thresholds and the noise.
    setting : Setting, optional
        The benchmark's in `snnq.simulation.presets.SETTINGS` where not given.

    Raises
    ------
    FileExistsError
        The folder holds recordings that were not simulated; nothing is touched.
    ValueError
        A picture of no class of the benchmark.
    """
    setting = setting or SETTINGS[benchmark]
    pictures = list(pictures)
    refuse_other_classes(benchmark, pictures, images)
    to_record = numbered(benchmark, pictures)
    refuse_same_names(benchmark, to_record, images)
    made = {
        "images": images,
        "recordings": len(pictures),
        "content": _digest(pictures),
        "seed": seed,
        **asdict(setting),
    }

    def fill(folder: Path) -> None:
        size = JOB if max(setting.size) < 64 else 32
        firsts = range(0, len(to_record), size)
        jobs = (
            joblib.delayed(_write_pictures)(
                benchmark, folder, _read(to_record[first : first + size]), first, seed, setting
            )
            for first in firsts
        )
        _run(jobs, len(firsts), len(pictures))

    return _filled(benchmark, root, made, fill)


def simulate_gestures(root: str | Path, seed: int = 0, per_class: int | None = None) -> Path:
    """Write recordings of drawn gestures under `root`, as DVS128 Gesture's; returns their folder.

    As many as the real ones, 1,077 and 264, or at most `per_class` of each gesture and split; those
    of the test are by other people.

    Raises
    ------
    FileExistsError
        The folder holds recordings that were not simulated; nothing is touched.
    """
    found, setting = get_benchmark("dvsgesture"), SETTINGS["dvsgesture"]
    counts = found.recordings
    if per_class is not None:
        counts = tuple(min(count, gestures.GESTURES * per_class) for count in counts)
    made = {
        "images": "drawn gestures (snnq.simulation.gestures)",
        "seed": seed,
        "recordings": sum(counts),
        "camera": asdict(setting.camera),
    }

    def fill(folder: Path) -> None:
        jobs = (
            joblib.delayed(_write_gesture)(folder / side, place, user, seed, setting.camera)
            for side, count, user in zip(found.folders, counts, (1, 24))  # users 24 to 29 test
            for place in range(count)
        )
        _run(jobs, sum(counts), sum(counts))

    return _filled("dvsgesture", root, made, fill)


def _filled(benchmark: str, root: str | Path, made: dict, fill: Callable[[Path], None]) -> Path:
    made = {"simulated": True, "version": VERSION, "benchmark": benchmark, **made}
    return Folder(get_benchmark(benchmark), root, made).filled(fill)


def _digest(pictures: list[Picture]) -> str:
    """SHA-256 of pictures with their labels and places."""
    digest = hashlib.sha256()
    for picture in pictures:
        image = picture.image
        digest.update(repr((picture.label, picture.number, picture.train)).encode())
        digest.update(repr(image.shape).encode() + image.tobytes())
    return digest.hexdigest()


def _run(jobs: Iterator, count: int, recordings: int) -> None:
    """Jobs in processes that take them as they go, so that few are in memory at a time."""
    workers = min(count, joblib.cpu_count())
    with bar(total=recordings, desc="simulating", unit="recording") as progress:
        for done in joblib.Parallel(workers, return_as="generator_unordered")(jobs):
            progress.update(done)


def _read(pictures: list[Picture]) -> list[Picture]:
    return [replace(picture, source=picture.image) for picture in pictures]


def _write_pictures(
    benchmark: str, folder: Path, pictures: list[Picture], first: int, seed: int, setting: Setting
) -> int:
    path_of, write = LAYOUTS[benchmark]
    images = [resized(picture.image, setting.size) for picture in pictures]
    rng = np.random.default_rng(seed)
    thresholds = setting.camera.thresholds(rng)
    if first:
        rng = np.random.default_rng([seed, first])
    for picture, events in zip(pictures, recorded(images, setting, thresholds, rng)):
        path = folder / path_of(picture)
        path.parent.mkdir(parents=True, exist_ok=True)
        write(events, path)
    return len(pictures)


def recorded(
    images: list[np.ndarray], setting: Setting, thresholds: np.ndarray, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """The events of each of some pictures, which already have their size, before the camera of a
    setting with such thresholds."""
    camera = setting.camera
    if not setting.cropped and len({image.shape for image in images}) == 1:
        batch = 256 if camera.width * camera.height < 2_000 else 4
        yield from record_pictures(np.stack(images), camera, thresholds, rng, batch)
        return
    for image in images:
        view = _view(camera, image.shape, setting.cropped)
        some = thresholds[: view.height, : view.width]
        yield from record_pictures(image[None], view, some, rng)


def _view(camera: Camera, shape: tuple[int, int], cropped: bool) -> Camera:
    """The camera before a picture [height, width]: all of it in the middle of the sensor, or what
    the picture covers all along the path."""
    height, width = shape
    if cropped:
        _, right, down = np.ceil(np.max(camera.path, axis=0)).astype(int).tolist()
        size = {"width": max(1, width - right), "height": max(1, height - down)}
        return replace(camera, offset=(-right, -down), **size)
    x, y = (camera.width - width) / 2, (camera.height - height) / 2
    return replace(camera, offset=(camera.offset[0] + x, camera.offset[1] + y))


def _write_gesture(folder: Path, place: int, first_user: int, seed: int, camera: Camera) -> int:
    session, gesture = divmod(place, gestures.GESTURES)
    number, light = divmod(session, len(LIGHTS))
    rng = np.random.default_rng([seed, first_user, place])
    thresholds = camera.thresholds(np.random.default_rng(seed))
    person = gestures.Person.drawn(rng)
    events = record_scene(gestures.looks(gesture, person, camera), camera, thresholds, rng)
    path = folder / f"user{first_user + number:02}_{LIGHTS[light]}" / f"{gesture}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_gesture(events, path)
    return 1


# Where a picture's recording lies below the benchmark's folder, and what writes it.
LAYOUTS: dict[str, tuple[Callable[[Picture], Path], Callable[[np.ndarray, Path], None]]] = {
    "nmnist": (
        lambda p: Path("Train" if p.train else "Test", p.label, f"{p.number:05}.bin"),
        write_bin,
    ),
    "cifar10dvs": (
        lambda p: Path(p.label, f"cifar10_{p.label}_{p.number - 1}.aedat4"),
        write_aedat4,
    ),
    "ncaltech101": (
        lambda p: Path("Caltech101", p.label, f"image_{p.number:04}.bin"),
        write_bin,
    ),
}
