"""Which recordings are the test and which are for validation, where nobody has decided it yet."""

import hashlib
import re
from pathlib import Path

import numpy as np

from snnq.recordings.benchmark import OFFICIAL, Benchmark

TEST_SHARE = 0.2  # of each class of pictures
KEY = "snnq"


def resolved_split(benchmark: Benchmark, split: str | None) -> str:
    """The name of a benchmark's split; of its own, where None is given.

    "official"; or, of a benchmark that has none, the shares of training and test in whole per cent
    of each class, "90/10" say. An official split is not made anew: its sides are by other people,
    or of other pictures, and a mixture of them would be an easier test under the benchmark's name.

    Raises
    ------
    ValueError
        Any other.
    """
    if split is None:
        return benchmark.split
    if benchmark.has_official_split:
        if split != OFFICIAL:
            raise ValueError(f"split={split!r}: expected {OFFICIAL}, which {benchmark.name} has")
        return split
    shares = isinstance(split, str) and re.fullmatch("([1-9][0-9]?)/([1-9][0-9]?)", split)
    if not shares or sum(map(int, shares.groups())) != 100:
        raise ValueError(
            f"split={split!r}: expected whole per cents of training and test recordings of"
            f" {benchmark.name} that add up to 100, such as 90/10"
        )
    return split


def complete_split(benchmark: Benchmark, split: str) -> tuple[int, int]:
    """How many training and test recordings a complete download has."""
    if benchmark.has_official_split:
        return benchmark.recordings
    test = sum(_test_recordings(count, split) for count in benchmark.sizes)
    return sum(benchmark.sizes) - test, test


def split_by_hash(paths: list[Path], folder: Path, train: bool, split: str) -> list[Path]:
    """The training or the test recordings of one class of a benchmark without an official split.

    The test are those whose paths below the benchmark's folder come first by their SHA-256: the
    same on every machine and file system, and the smaller test of two a part of the larger.
    """

    def place(path: Path) -> str:
        return hashlib.sha256(f"{KEY}/{path.relative_to(folder).as_posix()}".encode()).hexdigest()

    ranked = sorted(paths, key=place)
    test = _test_recordings(len(paths), split)
    return sorted(ranked[test:] if train else ranked[:test])


def _test_recordings(count: int, split: str) -> int:
    """How many of a class are the test, halves rounded up."""
    return (int(split.split("/")[1]) * count + 50) // 100


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
