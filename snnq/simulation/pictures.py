"""Pictures to show to the simulated camera, from a file of arrays, a folder or a zip of images."""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from snnq.recordings.splits import is_numbered_test
from snnq.system.files import files_below

MNIST_SIZE = 28
DIGIT = 24  # pixels that one of scikit-learn's digits covers in MNIST's format
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm")


@dataclass(frozen=True)
class Picture:
    """A grey picture uint8 [h, w], its class, its number within its split (from 1), and whether it
    is a training picture."""

    image: np.ndarray
    label: str
    number: int
    train: bool


def digits() -> list[Picture]:
    """scikit-learn's 1,797 handwritten digits, in MNIST's format: [28, 28], white on black."""
    from sklearn.datasets import load_digits  # takes most of a second

    found = load_digits()
    images = np.zeros((len(found.images), MNIST_SIZE, MNIST_SIZE), dtype=np.uint8)
    inside = slice((MNIST_SIZE - DIGIT) // 2, (MNIST_SIZE + DIGIT) // 2)
    for picture, image in zip(images, found.images):
        grey = Image.fromarray((image * (255 / 16)).astype(np.uint8))
        picture[inside, inside] = grey.resize((DIGIT, DIGIT), Image.Resampling.BICUBIC)
    return [
        Picture(image, str(label), number, train=not is_numbered_test(number, len(images)))
        for number, (image, label) in enumerate(zip(images, found.target), start=1)
    ]


def read_pictures(path: str | Path) -> list[Picture]:
    """The pictures of a file or folder.

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
    found = sorted(
        _from_folder(path) if path.is_dir() else _from_zip(path), key=lambda item: item[0]
    )
    if not found:
        raise ValueError(f"{path}: expected <class>/<name> with one of {', '.join(SUFFIXES)}")
    counts: dict[str, int] = {}
    pictures = []
    for name, image in found:
        label = Path(name).parent.name
        counts[label] = counts.get(label, 0) + 1
        pictures.append(Picture(image, label, counts[label], train=True))
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


def _from_folder(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    for path in files_below(folder, SUFFIXES):
        yield path.relative_to(folder).as_posix(), _grey(path.read_bytes(), str(path))


def _from_zip(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                hidden = any(part[0] == "." for part in Path(name).parts)  # a Mac's, say
                if Path(name).suffix.lower() in SUFFIXES and not hidden:
                    yield name, _grey(archive.read(name), f"{path}:{name}")
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path}: expected .npz, .zip or a folder ({error})") from None


def _grey(content: bytes, name: str) -> np.ndarray:
    try:
        return np.asarray(Image.open(BytesIO(content)).convert("L"))
    except (OSError, SyntaxError) as error:
        raise ValueError(f"{name}: no readable picture ({error})") from None


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture as large as it fits within (width, height), with its proportions kept."""
    height, width = image.shape
    scale = min(size[0] / width, size[1] / height)
    if scale == 1:
        return image
    fitted = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(image).resize(fitted, Image.Resampling.BICUBIC))
