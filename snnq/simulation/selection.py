"""Which pictures are recorded, and under which numbers."""

import difflib
from dataclasses import replace
from pathlib import Path

from snnq.recordings.benchmarks import get_benchmark
from snnq.recordings.layout import no_recordings
from snnq.recordings.splits import is_numbered_test
from snnq.simulation.pictures import Picture


def chosen(
    pictures: list[Picture], limit: int | None, without: Path | None, skip: int = 0
) -> list[Picture]:
    """The first `limit` of each class and split, without those that were recorded for real.

    Training pictures with numbers up to `skip` are left out, too.

    `without` is a data folder with N-MNIST recordings, whose names are the numbers of MNIST's
    pictures. One under Train leaves out the training picture of its number and class. One under
    Test leaves out the test picture, and the training picture too where that has its class: parts
    of N-MNIST's training recordings are handed on with a split of their own.

    Raises
    ------
    FileNotFoundError
        No N-MNIST recordings in `without`.
    ValueError
        One of them has no number for a name.
    """
    recorded = {True: set(), False: set()} if without is None else _recorded(without)
    counts: dict[tuple[str, bool], int] = {}
    chosen = []
    for picture in pictures:
        kind, name = (picture.label, picture.train), (picture.label, picture.number)
        skipped = picture.train and picture.number <= skip
        if skipped or name in recorded[picture.train] or counts.get(kind, 0) == limit:
            continue
        counts[kind] = counts.get(kind, 0) + 1
        chosen.append(picture)
    return chosen


def _recorded(root: Path) -> dict[bool, set[tuple[str, int]]]:
    """Class and number of the training and of the test pictures that N-MNIST recordings are of."""
    benchmark, found = get_benchmark("nmnist"), {}
    for train in (True, False):
        paths = benchmark.recordings_in(root, train)
        for path in paths:
            if not path.stem.isdecimal():
                raise ValueError(f"{path}: expected N-MNIST's names, as 00001.bin")
        found[train] = {(benchmark.class_of(path), int(path.stem)) for path in paths}
    if not any(found.values()):
        raise FileNotFoundError(f"{no_recordings(benchmark, root, train=True)}, to leave out")
    return {True: found[True] | found[False], False: found[False]}


def refuse_other_classes(benchmark: str, pictures: list[Picture], images: str) -> None:
    known = get_benchmark(benchmark).classes
    for label in dict.fromkeys(picture.label for picture in pictures):
        if label not in known:
            close = difflib.get_close_matches(label, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else f": {', '.join(known)}"
            raise ValueError(
                f"{images}: {label!r} is no class of {benchmark}, expected <class>/<picture> with"
                f" its {len(known)} classes{hint}"
            )


def numbered(benchmark: str, pictures: list[Picture]) -> list[Picture]:
    """Pictures with numbers that make a name for each recording.

    Where the benchmark has no official split, the test's are counted on from the training's of
    their class. Pictures without a split are given N-MNIST's: the last of each class are the test.
    """
    counts: dict[str, int] = {}
    for picture in pictures:
        if picture.train:
            counts[picture.label] = max(counts.get(picture.label, 0), picture.number)
    if not get_benchmark(benchmark).has_official_split:
        return [
            picture
            if picture.train
            else replace(picture, number=picture.number + counts.get(picture.label, 0))
            for picture in pictures
        ]
    if not all(picture.train for picture in pictures):
        return pictures
    ranked = enumerate(pictures, start=1)  # N-MNIST's numbers are unique
    return [
        replace(picture, number=n, train=not is_numbered_test(picture.number, counts[picture.label]))
        for n, picture in ranked
    ]


def refuse_same_names(benchmark: str, pictures: list[Picture], images: str) -> None:
    """A recording would be written in the place of another."""
    seen: dict[tuple, Picture] = {}
    for picture in pictures:
        group = picture.train if benchmark == "nmnist" else picture.label
        if (group, picture.number) in seen:
            raise ValueError(
                f"{images}: two pictures {picture.label!r} with number {picture.number}, expected"
                " numbers of their own"
            )
        seen[group, picture.number] = picture
