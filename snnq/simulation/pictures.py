"""Pictures to show to the simulated camera, from a file of arrays, a folder or a zip of images."""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from snnq.system.files import files_below

MNIST_SIZE = 28
DIGITS_TO_TRAIN = 900
DIGIT = 24  # pixels that one of scikit-learn's digits covers in MNIST's format
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm")


@dataclass(frozen=True)
class Picture:
    """A grey picture uint8 [h, w], or what reads it, its class, its number within its split (from
    1), and whether it is a training picture."""

    source: np.ndarray | Callable[[], np.ndarray]
    label: str
    number: int
    train: bool

    @property
    def image(self) -> np.ndarray:
        """Read whenever it is asked for, so that only what is being shown takes memory."""
        return self.source() if callable(self.source) else self.source


def digits() -> list[Picture]:
    """scikit-learn's 1,797 handwritten digits, in MNIST's format: [28, 28], white on black.

    The first 900 are for training, and 897 for the test, most of them by other writers.
    """
    from sklearn.datasets import load_digits  # takes most of a second

    found = load_digits()
    images = np.zeros((len(found.images), MNIST_SIZE, MNIST_SIZE), dtype=np.uint8)
    inside = slice((MNIST_SIZE - DIGIT) // 2, (MNIST_SIZE + DIGIT) // 2)
    for picture, image in zip(images, found.images):
        grey = Image.fromarray((image * (255 / 16)).astype(np.uint8))
        picture[inside, inside] = grey.resize((DIGIT, DIGIT), Image.Resampling.BICUBIC)
    return [
        Picture(image, str(label), number, train=number <= DIGITS_TO_TRAIN)
        for number, (image, label) in enumerate(zip(images, found.target), start=1)
    ]


def read_pictures(path: str | Path) -> list[Picture]:
    """The pictures of a file or folder; those of a zip or folder are read when they are used.

    Parameters
    ----------
    path : path
        `.npz` with `train_images`, `train_labels`, `test_images`, `test_labels`, or with `images`,
        `labels` and perhaps `classes`; or a folder or `.zip` of `<class>/<name>.jpg` (or png, bmp,
        gif, pgm).

    Raises
    ------
    FileNotFoundError
        No such file or folder.
    ValueError
        It holds no pictures, or not in this form.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder of pictures")
    if path.suffix == ".npz":
        return _from_arrays(path)
    found = _in_folder(path) if path.is_dir() else _in_zip(path)
    if not found:
        raise ValueError(f"{path}: expected <class>/<name> with one of {', '.join(SUFFIXES)}")
    counts: dict[str, int] = {}
    pictures = []
    for name in sorted(found):
        label = Path(name).parent.name
        counts[label] = counts.get(label, 0) + 1
        pictures.append(Picture(found[name], label, counts[label], train=True))
    return pictures


def _from_arrays(path: Path) -> list[Picture]:
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    splits = [("train_", True), ("test_", False)] if "train_images" in arrays else [("", True)]
    classes = arrays.get("classes")
    pictures = []
    for prefix, train in splits:
        missing = {f"{prefix}images", f"{prefix}labels"} - arrays.keys()
        if missing:
            raise ValueError(f"{path}: has no {', '.join(sorted(missing))}")
        images, labels = arrays[f"{prefix}images"], arrays[f"{prefix}labels"]
        if images.ndim != 3 or images.dtype != np.uint8 or len(labels) != len(images):
            raise ValueError(
                f"{path}: {prefix}images is {images.dtype} {list(images.shape)} with {len(labels)}"
                " labels, expected uint8 [N, h, w] with N"
            )
        for number, (image, label) in enumerate(zip(images, labels), start=1):
            name = str(label if classes is None else classes[label])
            pictures.append(Picture(image, name, number, train))
    return pictures


def _in_folder(folder: Path) -> dict[str, Callable[[], np.ndarray]]:
    return {
        path.relative_to(folder).as_posix(): partial(_grey, path.read_bytes, str(path))
        for path in files_below(folder, SUFFIXES)
    }


def _in_zip(path: Path) -> dict[str, Callable[[], np.ndarray]]:
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path}: expected .npz, .zip or a folder ({error})") from None
    return {
        name: partial(_grey, partial(archive.read, name), f"{path}:{name}")
        for name in archive.namelist()
        if Path(name).suffix.lower() in SUFFIXES
        and not any(part[0] == "." for part in Path(name).parts)  # a Mac's, say
    }


def _grey(read: Callable[[], bytes], name: str) -> np.ndarray:
    try:
        return np.asarray(Image.open(BytesIO(read())).convert("L"))
    except (OSError, SyntaxError, zipfile.BadZipFile) as error:
        raise ValueError(f"{name}: no readable picture ({error})") from None


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture as large as it fits within (width, height), with its proportions kept."""
    height, width = image.shape
    scale = min(size[0] / width, size[1] / height)
    if scale == 1:
        return image
    fitted = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(image).resize(fitted, Image.Resampling.BICUBIC))
