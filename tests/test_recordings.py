import os
import zipfile
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from conftest import random_events

import snnq
from snnq.recordings.formats import BadRecording
from snnq.recordings.layout import has_recordings
from snnq.recordings.recordings import Recordings
from snnq.recordings.splits import complete_split, split_by_hash
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


def test_recordings_are_found_from_another_working_directory(tmp_path, monkeypatch):
    for place, count in (("one", 50), ("other", 30)):
        write(tmp_path / place, "cifar10dvs", NAMES["cifar10dvs"], count)
        monkeypatch.chdir(tmp_path / place)
        assert len(Recordings("cifar10dvs", ".", train=True)[0]) == count


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


@pytest.mark.parametrize(("split", "test"), [("90/10", 2), ("70/30", 6), ("1/99", 20), (None, 4)])
def test_another_split_has_its_share_of_each_class(tmp_path, split, test):
    names = [f"{label}/cifar10_{label}_{n}.aedat4" for label in ("cat", "dog") for n in range(20)]
    names += [f"ship/cifar10_ship_{n}.aedat4" for n in range(5)]  # a tenth of five: half of one
    write(tmp_path, "cifar10dvs", names)
    sides = [Recordings("cifar10dvs", tmp_path, train, split=split) for train in (True, False)]
    of_five = {"90/10": 1, "70/30": 2, "1/99": 5, None: 1}[split]
    assert np.bincount(sides[1].labels)[[3, 5, 8]].tolist() == [test, test, of_five]
    assert sorted(sides[0].paths + sides[1].paths) == sorted((tmp_path / "CIFAR10DVS").glob("*/*"))
    own = Recordings("cifar10dvs", tmp_path, train=False).paths
    assert set(sides[1].paths) <= set(own) or set(own) <= set(sides[1].paths)


def test_frames_of_another_split_are_not_taken_for_each_other(in_tmp):
    """Of so few recordings 90/10 and 80/20 have the same test."""
    write(in_tmp, "ncaltech101", [f"Caltech101/cup/image_{n:04}.bin" for n in range(5)])
    options = {"root": in_tmp, "steps": 2, "size": 8}
    own, named, other = (
        snnq.load("ncaltech101", **options, split=split) for split in (None, "80/20", "90/10")
    )
    for side, same, another in zip(own, named, other):
        assert side.name == same.name != another.name
        np.testing.assert_array_equal(side.frames, another.frames)
    assert own[1].name == "ncaltech101-test-2-number-8-2b5db4af287781c9"  # as before there were others


@pytest.mark.parametrize(
    ("benchmark", "split", "message"),
    [
        ("cifar10dvs", "official", "split='official': expected whole per cents of .*cifar10dvs"),
        ("cifar10dvs", "90/20", "split='90/20': expected .* add up to 100, such as 90/10"),
        ("cifar10dvs", "100/0", "split='100/0': expected whole per cents"),
        ("cifar10dvs", "87.5/12.5", "split='87.5/12.5': expected whole per cents"),
        ("ncaltech101", 0.9, "split=0.9: expected whole per cents"),
        ("nmnist", "90/10", "split='90/10': expected official, which nmnist has"),
        ("dvsgesture", "80/20", "split='80/20': expected official, which dvsgesture has"),
    ],
)
def test_splits_that_a_benchmark_cannot_have(tmp_path, benchmark, split, message):
    for refused in (
        lambda: Recordings(benchmark, tmp_path, train=True, split=split),
        lambda: snnq.load(benchmark, tmp_path, split=split),
        lambda: snnq.Run(benchmark=benchmark, split=split),
    ):
        with pytest.raises(ValueError, match=message):
            refused()


@pytest.mark.parametrize("split", ["80/20", "90/10", "99/1"])
@pytest.mark.parametrize("benchmark", ["cifar10dvs", "ncaltech101"])
def test_complete_downloads_split_into_the_stated_numbers(real_data, benchmark, split):
    found = snnq.BENCHMARKS[benchmark]
    if benchmark == "cifar10dvs":
        counts = dict.fromkeys(found.classes, 1000)
    else:
        with zipfile.ZipFile(real_data / "images/caltech101_gray.zip") as archive:
            labels = [Path(name).parent.name for name in archive.namelist() if name.endswith("jpg")]
        counts = {label: labels.count(label) for label in found.classes}
    paths = [[Path(label, f"{n}") for n in range(count)] for label, count in counts.items()]
    sides = [
        sum(len(split_by_hash(of_class, Path(), train, split)) for of_class in paths)
        for train in (True, False)
    ]
    assert tuple(sides) == complete_split(found, split)
    assert split != found.split or tuple(sides) == found.recordings


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


def linked(path: Path, place: Path) -> None:
    """Move a file or folder elsewhere, with a link in its place."""
    place.parent.mkdir(parents=True, exist_ok=True)
    path.rename(place)
    path.symlink_to(place)


@pytest.mark.parametrize("benchmark", NAMES)
@pytest.mark.parametrize("what", ["file", "class", "side", "benchmark", "data folder"])
def test_links_are_followed_wherever_they_are(tmp_path, in_tmp, benchmark, what):
    root = tmp_path / "data"
    first, _ = write(root, benchmark, NAMES[benchmark])
    folder = snnq.BENCHMARKS[benchmark].folder(root)
    side = folder / snnq.BENCHMARKS[benchmark].folders[0]
    place = {"file": first, "class": first.parent, "side": side, "benchmark": folder}.get(what, root)
    linked(place, tmp_path / "elsewhere" / place.name)
    linked(tmp_path / "elsewhere" / place.name, tmp_path / "further" / place.name)
    splits = [Recordings(benchmark, root, train) for train in (True, False)]
    assert sum(map(len, splits)) == 2 and has_recordings(snnq.BENCHMARKS[benchmark], root)
    assert sum(split.frames.sum() for split in snnq.load(benchmark, root, steps=2, size=8)) == 100


def test_links_in_a_circle_end(tmp_path):
    write(tmp_path, "nmnist", NAMES["nmnist"])
    folder = tmp_path / "NMNIST/Train"
    for name, target in (("3/up", ".."), ("3/self", "."), ("top", tmp_path)):
        (folder / name).symlink_to(target)
    (folder / "other").mkdir()
    (folder / "other/one").symlink_to(folder / "3", target_is_directory=True)
    with pytest.raises(BadRecording, match="expected recordings as"):  # other/one/00001.bin
        Recordings("nmnist", tmp_path, train=True)
    (folder / "other/one").unlink()
    assert len(Recordings("nmnist", tmp_path, train=True)) == 2


@pytest.mark.parametrize("name", ["Train/4", "Train/3/00003.bin", "Train"])
def test_a_link_that_leads_nowhere_is_named(tmp_path, name):
    write(tmp_path, "nmnist", NAMES["nmnist"] if name != "Train" else ["Test/3/00001.bin"])
    path = tmp_path / "NMNIST" / name
    path.symlink_to(tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match=f"{path}: a link to .*gone, which cannot be reached"):
        Recordings("nmnist", tmp_path, train=True)


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    write(tmp_path, "nmnist", NAMES["nmnist"])
    scan = os.scandir

    def refuse(path):  # permissions do not keep root out
        if Path(path).name == "3":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match="NMNIST/Train/3"):
        Recordings("nmnist", tmp_path, train=True)


def test_what_archives_and_editors_hide_is_passed_over(tmp_path):
    paths = write(tmp_path, "cifar10dvs", NAMES["cifar10dvs"])
    write(tmp_path, "cifar10dvs", [".CIFAR10DVS.zip.partial/cat/cifar10_cat_2.aedat4"])
    (paths[0].parent / "._cifar10_cat_0.aedat4").write_bytes(b"of a Mac")
    (paths[0].parent / ".#cifar10_cat_0.aedat4").symlink_to("user@host.123")
    assert sum(len(Recordings("cifar10dvs", tmp_path, train)) for train in (True, False)) == 2


def test_suffixes_in_capitals_are_those(tmp_path):
    (path,) = write(tmp_path, "nmnist", NAMES["nmnist"][:1])
    path.rename(path.with_suffix(".BIN"))
    assert len(Recordings("nmnist", tmp_path, train=True)[0]) == 50


def test_recordings_that_are_left_out_are_counted(tmp_path):
    paths = write(tmp_path, "cifar10dvs", NAMES["cifar10dvs"])
    for number in (2, 3):
        (paths[0].parent / f"cifar10_cat_{number}.aedat").touch()
    with pytest.warns(UserWarning, match=r"CIFAR10DVS: 2 \.aedat such as .*cat_2.aedat left out"):
        Recordings("cifar10dvs", tmp_path, train=True)


# The folder that somebody names


@pytest.mark.parametrize("benchmark", NAMES)
@pytest.mark.parametrize("name", [None, "renamed"])
def test_the_benchmarks_own_folder_is_a_data_folder(in_tmp, benchmark, name):
    write(in_tmp / "data", benchmark, NAMES[benchmark])
    folder = snnq.BENCHMARKS[benchmark].folder(in_tmp / "data")
    expected = [split.name for split in snnq.load(benchmark, in_tmp / "data", 2, size=8)]
    folder = folder.rename(folder.with_name(name or folder.name))
    assert [split.name for split in snnq.load(benchmark, folder, 2, size=8)] == expected
    assert snnq.source(benchmark, folder) == {"simulated": False}


def test_a_folder_of_the_same_name_is_not_taken_for_the_benchmarks(in_tmp):
    (in_tmp / "data/Train/pictures").mkdir(parents=True)
    assert snnq.BENCHMARKS["nmnist"].folder("data").as_posix() == "data/NMNIST"


def test_a_home_folder_is_found(in_tmp, monkeypatch):
    monkeypatch.setenv("HOME", str(in_tmp / "home"))
    write(in_tmp / "home/recordings", "nmnist", NAMES["nmnist"])
    assert len(Recordings("nmnist", "~/recordings", train=True)) == 2


@pytest.fixture
def downloads(monkeypatch):
    """Which downloads were asked for."""
    asked = []

    def refuse(url, *_):
        asked.append(url)
        raise URLError("no network in tests")

    monkeypatch.setattr("snnq.recordings.download.download_url", refuse)
    return asked


@pytest.mark.parametrize(
    ("benchmark", "files", "root", "message"),
    [
        ("cifar10dvs", ["CIFAR10DVS/cat/cifar10_cat_0.aedat"], ".", "1 .aedat .*<class>/.*.aedat4"),
        ("nmnist", ["NMNIST/events_np/train/0/1.npz"] * 2, ".", "1 .npz .*NMNIST/Train/<class>/.*bin"),
        ("nmnist", ["NMNIST/Train/0/1.hdf5", "NMNIST/a.h5"], ".", "1 .hdf5, 1 .h5 such as NMNIST"),
        ("nmnist", ["NMNIST/0/00001.bin"], ".", "1 .bin such as NMNIST/0/00001.bin; expected"),
        ("nmnist", ["NMNIST/train/0/00001.bin"], ".", "1 .bin such as NMNIST/train/0/00001.bin"),
        ("nmnist", ["NMNIST/Train.zip"], ".", "1 .zip such as NMNIST/Train.zip"),
        ("dvsgesture", ["DVSGesture/DvsGesture.tar"], ".", "1 .tar such as DVSGesture/DvsGesture.tar"),
        ("nmnist", ["N-MNIST/Train/0/00001.bin"], ".", "but in N-MNIST; .*data='N-MNIST'"),
        ("nmnist", ["mine/x"], "mien", "mien is no folder; did you mean mine"),
        ("nmnist", ["mine"], "mine", "mine is a file, expected a data folder"),
        ("dvsgesture", [], "data/gestures", "`snnq simulate data/gestures --benchmark dvsgesture`"),
        ("nmnist", [], "data/digits", "; `snnq simulate data/digits` makes them"),
        ("nmnist", ["data/digits/x"], "data/digits", "; `snnq simulate data/digits` makes them"),
    ],
)  # fmt: skip
def test_what_is_there_in_place_of_recordings_is_said(
    in_tmp, downloads, benchmark, files, root, message
):
    for name in files:
        (in_tmp / name).parent.mkdir(parents=True, exist_ok=True)
        (in_tmp / name).write_bytes(bytes(5))
    before = sorted(in_tmp.rglob("*"))
    with pytest.raises(FileNotFoundError, match=f"no recordings of {benchmark} here.*{message}"):
        snnq.load(benchmark, root)
    assert not downloads and sorted(in_tmp.rglob("*")) == before


@pytest.mark.parametrize("folder", ["data", "there"])
def test_a_download_goes_to_the_default_or_to_a_folder_that_is_there(in_tmp, downloads, folder):
    if folder == "there":
        (in_tmp / folder).mkdir()
    before = sorted(in_tmp.rglob("*"))
    with pytest.raises(FileNotFoundError, match=f"{folder}/NMNIST/Train: .* and no download"):
        snnq.load("nmnist", folder)
    assert len(downloads) == 1 and sorted(in_tmp.rglob("*")) == before


def test_recordings_in_a_folder_beside_are_offered(in_tmp, downloads):
    write(in_tmp / "data/gestures", "dvsgesture", NAMES["dvsgesture"])
    (in_tmp / "data/gestures/DVSGesture/SOURCE.json").write_text('{"simulated": true}')
    with pytest.raises(FileNotFoundError, match="simulated ones: data='data/gestures'"):
        snnq.load("dvsgesture")
    assert len(downloads) == 1
