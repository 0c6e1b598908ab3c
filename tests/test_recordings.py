import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import random_events

import snnq
from snnq.recordings.recordings import Recordings, _split
from snnq.recordings.writers import write_aedat4, write_bin, write_gesture

WRITERS = {".bin": write_bin, ".npy": write_gesture, ".aedat4": write_aedat4}
NAMES = {  # two recordings of one class
    "nmnist": ["Train/3/00001.bin", "Train/3/00002.bin"],
    "dvsgesture": ["ibmGestureTrain/user01_led/3.npy", "ibmGestureTrain/user02_lab/3.npy"],
    "cifar10dvs": ["cat/cifar10_cat_0.aedat4", "cat/cifar10_cat_1.aedat4"],
    "ncaltech101": ["Caltech101/cup/image_0001.bin", "Caltech101/cup/image_0002.bin"],
}


def write(root: Path, benchmark: str, names: list[str], count: int = 50) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = [snnq.BENCHMARKS[benchmark].folder(root) / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        WRITERS[path.suffix](random_events(rng, count), path)
    return paths


@pytest.mark.parametrize("benchmark", NAMES)
def test_events_are_read_back_from_each_format(tmp_path, benchmark):
    (path,) = write(tmp_path, benchmark, NAMES[benchmark][:1])
    (events,) = Recordings(benchmark, tmp_path, train=True)
    expected = random_events(np.random.default_rng(0), 50)
    if benchmark == "dvsgesture":
        expected["t"] = expected["t"] // 1000 * 1000  # its files count in ms
    if benchmark == "ncaltech101":
        expected["x"] -= expected["x"].min()
        expected["y"] -= expected["y"].min()
    np.testing.assert_array_equal(events, expected)


@pytest.mark.parametrize("benchmark", NAMES)
def test_frames_of_each_benchmark_hold_every_event(in_tmp, benchmark):
    write(in_tmp, benchmark, NAMES[benchmark])
    splits = snnq.load(benchmark, in_tmp, steps=3, size=17)
    assert sum(len(split) for split in splits) == 2
    assert sum(split.frames.sum() for split in splits) == 100
    labels = [label for split in splits for label in split.labels]
    expected = {"cifar10dvs": 3, "ncaltech101": snnq.BENCHMARKS["ncaltech101"].classes.index("cup")}
    assert labels == [expected.get(benchmark, 3)] * 2


def test_real_recordings_become_frames_with_every_event(real_data, in_tmp):
    gestures = snnq.load("dvsgesture", real_data)[1]
    files = sorted((real_data / "DVSGesture").rglob("*.npy"))
    totals = gestures.frames.sum(axis=(1, 2, 3, 4), dtype=int)
    assert totals.tolist() == [len(np.load(path)) for path in files] and len(files) == 6
    assert gestures.labels.tolist() == [int(path.stem) for path in files]
    (face,) = snnq.load("ncaltech101", real_data, size=48)[0].frames
    (file,) = (real_data / "NCALTECH101").rglob("*.bin")
    assert face.sum() == np.count_nonzero(np.fromfile(file, np.uint8)[1::5] != 240)


def test_order_does_not_depend_on_the_order_of_writing(tmp_path):
    names = [f"cat/cifar10_cat_{n}.aedat4" for n in (10, 2, 1)] + [
        "airplane/cifar10_airplane_0.aedat4"
    ]
    write(tmp_path / "one", "cifar10dvs", names)
    write(tmp_path / "other", "cifar10dvs", names[::-1])
    orders = [
        [path.relative_to(root).as_posix() for path in Recordings("cifar10dvs", root, True).paths]
        for root in (tmp_path / "one", tmp_path / "other")
    ]
    assert orders[0] == orders[1] == sorted(orders[0])


def test_a_fifth_of_each_class_is_the_test_and_no_recording_is_in_both(tmp_path):
    names = [f"{label}/cifar10_{label}_{n}.aedat4" for label in ("cat", "dog") for n in range(20)]
    write(tmp_path, "cifar10dvs", names)
    train, test = (Recordings("cifar10dvs", tmp_path, train) for train in (True, False))
    assert np.bincount(train.labels).tolist() == [0, 0, 0, 16, 0, 16]
    assert np.bincount(test.labels).tolist() == [0, 0, 0, 4, 0, 4]
    assert sorted(train.paths + test.paths) == sorted((tmp_path / "CIFAR10DVS").glob("*/*"))
    # The same on every machine, and whatever else is there.
    assert [path.stem for path in test.paths[:4]] == [f"cifar10_cat_{n}" for n in (1, 2, 4, 6)]


@pytest.mark.parametrize("benchmark", ["cifar10dvs", "ncaltech101"])
def test_complete_downloads_split_into_the_stated_numbers(real_data, benchmark):
    found = snnq.BENCHMARKS[benchmark]
    if benchmark == "cifar10dvs":
        counts = dict.fromkeys(found.classes, 1000)
    else:
        with zipfile.ZipFile(real_data / "images/caltech101_gray.zip") as archive:
            labels = [Path(name).parent.name for name in archive.namelist() if name.endswith("jpg")]
        counts = {label: labels.count(label) for label in found.classes}
    paths = [[Path(label, f"{n}") for n in range(count)] for label, count in counts.items()]
    sides = [sum(map(len, _split(paths, Path(), train))) for train in (True, False)]
    assert tuple(sides) == found.recordings


def test_a_part_without_one_split_is_a_part(tmp_path, in_tmp):
    write(tmp_path, "dvsgesture", ["ibmGestureTest/user24_led/0.npy"])
    train, test = snnq.load("dvsgesture", tmp_path)
    assert (len(train), len(test)) == (0, 1)
    with pytest.raises(ValueError, match="dvsgesture-train.*: no recordings of this split in"):
        run = snnq.Run(benchmark="dvsgesture", data=str(tmp_path), levels="full", steps=2)
        snnq.fit(run, in_tmp / "run", progress=False)


@pytest.mark.parametrize(
    ("benchmark", "name", "message"),
    [
        ("nmnist", "Train/cat/00003.bin", "'cat' is no class of nmnist"),
        ("dvsgesture", "ibmGestureTrain/user03_led/11.npy", "'11' is no class of dvsgesture"),
        ("cifar10dvs", "bus/cifar10_bus_0.aedat4", "'bus' is no class of cifar10dvs"),
        ("ncaltech101", "Caltech101/Faces/image_0001.bin", "'Faces' is no class of ncaltech101"),
        ("nmnist", "Train/4/00001.bin", "4/00001.bin: has the same name as .*3/00001.bin"),
        (
            "cifar10dvs",
            "dog/cifar10_cat_0.aedat4",
            "has the same name as .*cat/cifar10_cat_0.aedat4",
        ),
        ("ncaltech101", "Caltech101/a/cup/image_0001.bin", "expected recordings as .*Caltech101"),
    ],
)
def test_misplaced_recordings_are_named(tmp_path, benchmark, name, message):
    write(tmp_path, benchmark, [*NAMES[benchmark], name])
    with pytest.raises(ValueError, match=message):
        for train in (True, False):
            Recordings(benchmark, tmp_path, train)


@pytest.mark.parametrize("benchmark", ["dvsgesture", "cifar10dvs"])
def test_a_valid_recording_without_events_is_zero_frames_and_counted(in_tmp, benchmark):
    write(in_tmp, benchmark, NAMES[benchmark][:1])
    write(in_tmp, benchmark, NAMES[benchmark][1:], count=0)
    with pytest.warns(UserWarning, match="1 recordings hold no event"):
        splits = snnq.load(benchmark, in_tmp, steps=2, size=8)
    assert sum(split.frames.sum() for split in splits) == 50
