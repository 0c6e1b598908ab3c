"""Which recordings are the test and which are for validation, where nobody has decided it yet."""

import hashlib
from pathlib import Path

import numpy as np

TEST_SHARE = 0.2  # of each class
KEY = "snnq"


def split_by_hash(paths: list[Path], folder: Path, train: bool) -> list[Path]:
    """The training or the test recordings of one class of a benchmark without an official split.

    The test is the fifth whose path below the benchmark's folder comes first by its SHA-256: the
    same on every machine and file system.
    """

    def place(path: Path) -> str:
        return hashlib.sha256(f"{KEY}/{path.relative_to(folder).as_posix()}".encode()).hexdigest()

    ranked = sorted(paths, key=place)
    test = int(TEST_SHARE * len(paths) + 0.5)
    return sorted(ranked[test:] if train else ranked[:test])


def is_numbered_test(number: int, count: int) -> bool:
    """Whether a picture, numbered from 1 within its class, is among the last fifth of the class."""
    return number > count * (1 - TEST_SHARE)


def last_of_each_class(labels: np.ndarray, share: float) -> np.ndarray:
    """Whether each recording is among the last of its class.

    Files are numbered in the order of their making: the last ones are by writers, or users, whom
    the rest hardly knows, which makes them a harder and a fairer test than a random choice. The
    same for every seed, so that no run meets a recording that its start was trained on.
    """
    chosen = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = max(round(share * len(members)), int(share > 0))
        chosen[members[len(members) - count :]] = True
    return chosen
