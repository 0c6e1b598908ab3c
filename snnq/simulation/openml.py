"""The pictures that two benchmarks were made from, fetched from OpenML where they are missing.

OpenML is a public store of data sets (Vanschoren et al., SIGKDD Explorations 2013) that
scikit-learn has a loader for; a picture is a row there.
"""

import sys
import tempfile
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path

import numpy as np
from PIL import Image

from snnq.recordings.benchmarks import CIFAR10_CLASSES
from snnq.simulation.pictures import MNIST_SIZE
from snnq.system.files import first_line, write_atomically

CIFAR10_SIZE = 32
CIFAR10_DVS = 1_000  # pictures of each class that the benchmark was made from
# What a loader says of no network, a full disk, and an answer that is not what it should be.
NO_ANSWER = (OSError, HTTPException, ValueError, LookupError, TypeError, EOFError, zlib.error)


@dataclass(frozen=True)
class Source:
    """A data set of pictures on OpenML, and the file that they are kept in.

    Attributes
    ----------
    file : str
        The file's name.
    name : str
        Of the data set on OpenML, in version 1.
    rows : (int, int)
        How many training pictures it has, and after them how many of the test.
    values : int
        Of a picture, one a column, 0 to 255; in one more column its class from 0.
    begins : (str, str)
        The first ten classes of either part, by which its order is known.
    megabytes : int
        Of the data set as text.
    holds : str
        What the file holds, as an error states it.
    arrays : callable
        Makes that of the rows uint8 [N, values], their classes uint8 [N] and the number of training
        pictures.
    """

    file: str
    name: str
    rows: tuple[int, int]
    values: int
    begins: tuple[str, str]
    megabytes: int
    holds: str
    arrays: Callable[[np.ndarray, np.ndarray, int], dict[str, np.ndarray]]


def fetch_pictures(path: Path, benchmark: str) -> None:
    """Make the file of a benchmark's own pictures from OpenML's data set, where it is missing.

    N-MNIST's `mnist.npz` holds MNIST's 60,000 and 10,000 pictures in their order, CIFAR10-DVS's
    `cifar10.npz` the first 1,000 training pictures of each class of CIFAR-10 in grey, class by
    class. Nothing is done for a file of another name. The data set passes through a temporary
    folder, and the file is written whole or not at all.

    Raises
    ------
    FileNotFoundError
        It could not be fetched, or is not the data set it should be; says what the file must hold.
    OSError
        It could not be written.
    """
    source = SOURCES.get(benchmark)
    if source is None or path.name != source.file or path.exists():
        return
    what = f"OpenML's {source.name}, version 1, up to {source.megabytes} MB"
    print(f"{path} is missing: fetching {what}", file=sys.stderr, flush=True)
    try:
        rows, classes = _fetched(source)
    except NO_ANSWER as error:
        raise FileNotFoundError(
            f"{path}: no such file, and no pictures from OpenML's {source.name}"
            f" ({first_line(error)}). Put there {source.holds}; data/README.md describes it"
        ) from error
    arrays = source.arrays(rows, classes, source.rows[0])
    write_atomically(path, partial(np.savez_compressed, **arrays))


def _fetched(source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Rows uint8 [N, values] and classes uint8 [N] of a data set that is just what is expected."""
    from sklearn.datasets import fetch_openml  # most of a second

    with tempfile.TemporaryDirectory() as cache, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says so whenever it tries again
        rows, classes = fetch_openml(
            source.name,
            version=1,
            data_home=cache,
            return_X_y=True,
            as_frame=False,
            parser="pandas",
            # An eighth of the memory, and no categories of numbers, on which scikit-learn 1.9.1
            # fails with pandas 3.1 (https://github.com/scikit-learn/scikit-learn/issues/34892).
            read_csv_kwargs={"dtype": "uint8"},
        )
    shape = (sum(source.rows), source.values)
    if rows.shape != shape or rows.dtype != np.uint8:
        raise ValueError(f"rows are {rows.dtype} {[*rows.shape]}, expected uint8 {[*shape]}")
    for first, begin in zip((0, source.rows[0]), source.begins):
        found = "".join(map(str, classes[first : first + len(begin)]))
        if found != begin:
            raise ValueError(f"classes from row {first} on are {found}, expected {begin}")
    return rows, classes


def _mnist(rows: np.ndarray, classes: np.ndarray, train: int) -> dict[str, np.ndarray]:
    images = rows.reshape(-1, MNIST_SIZE, MNIST_SIZE)
    return {
        "train_images": images[:train],
        "train_labels": classes[:train],
        "test_images": images[train:],
        "test_labels": classes[train:],
    }


def _cifar10(rows: np.ndarray, classes: np.ndarray, train: int) -> dict[str, np.ndarray]:
    labels = range(len(CIFAR10_CLASSES))
    firsts = [np.flatnonzero(classes[:train] == label)[:CIFAR10_DVS] for label in labels]
    chosen = np.concatenate(firsts)
    planes = rows[chosen].reshape(-1, 3, CIFAR10_SIZE, CIFAR10_SIZE)  # red, green, blue
    column = planes.transpose(0, 2, 3, 1).reshape(-1, CIFAR10_SIZE, 3)  # all as one picture
    grey = np.asarray(Image.fromarray(column).convert("L"))
    return {
        "images": grey.reshape(-1, CIFAR10_SIZE, CIFAR10_SIZE),
        "labels": classes[chosen],
        "classes": np.array(CIFAR10_CLASSES),
    }


SOURCES = {  # of which benchmark the pictures are
    "nmnist": Source(
        file="mnist.npz",
        name="mnist_784",
        rows=(60_000, 10_000),
        values=MNIST_SIZE**2,
        begins=("5041921314", "7210414959"),
        megabytes=130,
        holds="an .npz with uint8 arrays train_images [60000, 28, 28], train_labels, test_images"
        " [10000, 28, 28] and test_labels",
        arrays=_mnist,
    ),
    "cifar10dvs": Source(
        file="cifar10.npz",
        name="CIFAR_10",
        rows=(50_000, 10_000),
        values=3 * CIFAR10_SIZE**2,
        begins=("6994112783", "3880661631"),
        megabytes=660,
        holds="an .npz with uint8 arrays images [10000, 32, 32] in grey and labels, and the names"
        " classes",
        arrays=_cifar10,
    ),
}
