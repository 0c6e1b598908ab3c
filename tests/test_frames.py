import errno
import hashlib
import json
import os
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import random_events, write_recordings
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

import snnq
from snnq.recordings import binning, frames, store
from snnq.recordings.formats import EVENTS
from snnq.recordings.recordings import Recordings
from snnq.recordings.writers import write_bin


def counted_one_by_one(events, steps, cut, sensor=(34, 34), size=None):
    height, width = sensor if size is None else (size, size)
    found = np.zeros((steps, 2, height, width), dtype=int)
    duration = int(events["t"].max()) - int(events["t"].min()) + 1 if len(events) else 1
    for number, event in enumerate(events):
        if cut == "number":
            step = min(number // max(1, len(events) // steps), steps - 1)
        else:
            step = (int(event["t"]) - int(events["t"].min())) * steps // duration
        x, y = int(event["x"]), int(event["y"])
        if size is not None:  # the pixel whose share of the sensor this one's corner lies in
            x, y = int(Fraction(x * size, sensor[1])), int(Fraction(y * size, sensor[0]))
        found[step, event["p"], y, x] += 1
    return found


@given(
    seed=st.integers(0, 2**31),
    count=st.integers(0, 80),
    steps=st.integers(1, 12),
    cut=st.sampled_from(binning.CUTS),
    size=st.one_of(st.none(), st.integers(1, 34)),
)
def test_every_event_counts_once_in_its_step(seed, count, steps, cut, size):
    events = random_events(np.random.default_rng(seed), count)
    found = binning.frames_of(events, steps, cut, (34, 34), size)
    np.testing.assert_array_equal(found, counted_one_by_one(events, steps, cut, size=size))
    assert found.sum() == count


def test_load_gives_frames_and_labels(recordings, in_tmp):
    train, test = snnq.load("nmnist", recordings)
    assert len(train) == len(test) == 40
    item, label = train[5]
    assert item.shape == (10, 2, 34, 34) and item.dtype == torch.uint8
    events = Recordings("nmnist", recordings, train=True)[5]
    np.testing.assert_array_equal(item, counted_one_by_one(events, 10, "number"))
    assert label == 1
    batch, labels = next(iter(DataLoader(train, 8)))
    assert batch.shape == (8, 10, 2, 34, 34)
    assert torch.equal(batch[5], item) and labels.tolist() == [0] * 4 + [1] * 4


def test_all_real_recordings_become_frames(real_data, in_tmp):
    splits = snnq.load("nmnist", real_data)
    assert [len(split) for split in splits] == [700, 100]
    for split, folder in zip(splits, ("Train", "Test")):
        sizes = [
            np.count_nonzero(np.fromfile(path, np.uint8)[1::5] != 240)  # 240 marks an overflow
            for path in sorted((real_data / "NMNIST" / folder).glob("*/*.bin"))
        ]
        totals = np.asarray(split.frames).sum(axis=(1, 2, 3, 4), dtype=int)
        np.testing.assert_array_equal(totals, sizes)


def test_frames_are_built_once(recordings, in_tmp, monkeypatch):
    snnq.load("nmnist", recordings, steps=3)
    monkeypatch.setattr(store, "frames_of", None)
    train, _ = snnq.load("nmnist", recordings, steps=3)
    assert train[0][0].shape == (3, 2, 34, 34)


@pytest.mark.parametrize(
    "change", ["steps", "cut", "frame size", "version", "size", "content", "fewer"]
)
def test_frames_are_built_again_when_what_determines_them_changes(in_tmp, monkeypatch, change):
    root = write_recordings(in_tmp / "data")
    options = {"steps": 3, "cut": "number"}
    before = snnq.load("nmnist", root, **options)[0].name
    path = root / "NMNIST/Train/0/00000.bin"
    if change == "steps":
        options["steps"] = 4
    elif change == "cut":
        options["cut"] = "time"
    elif change == "frame size":
        options["size"] = 17
    elif change == "version":
        monkeypatch.setattr(frames, "VERSION", frames.VERSION + 1)
    elif change == "size":
        path.write_bytes(path.read_bytes()[:-5])
    elif change == "content":
        stat, content = path.stat(), path.read_bytes()
        path.write_bytes(content[:-5] + bytes(5))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    else:
        path.unlink()
    assert snnq.load("nmnist", root, **options)[0].name != before


def frames_in(folder):
    """Frames, whole or not; locks and fingerprints are of use to the next process."""
    return [path.name for path in folder.glob("**/*") if ".npy" in path.name]


def test_touched_and_copied_recordings_have_the_same_frames(in_tmp, monkeypatch):
    root = write_recordings(in_tmp / "data", per_class=1)
    names = [split.name for split in snnq.load("nmnist", root)]
    (root / "NMNIST/Train/0/00000.bin").touch()
    shutil.copytree(root / "NMNIST", in_tmp / "copy/NMNIST", copy_function=shutil.copyfile)
    monkeypatch.setattr(store, "_build", None)
    for place in (root, in_tmp / "copy"):
        assert [split.name for split in snnq.load("nmnist", place)] == names


def test_folders_of_equal_names_sizes_and_times_have_their_own_frames(in_tmp):
    pixels = []
    for place, x in (("one", 3), ("other", 4)):
        path = in_tmp / place / "NMNIST/Train/0/00001.bin"
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes([x, 0, 0, 0, 0]))
        os.utime(path, ns=(10**18, 10**18))
        train, _ = snnq.load("nmnist", in_tmp / place, steps=1)
        pixels.append(train.frames[0, 0, 0, 0].nonzero()[0].tolist())
    assert pixels == [[3], [4]]


def test_each_content_is_read_once(in_tmp, monkeypatch):
    root = write_recordings(in_tmp / "data", per_class=1)
    read = []
    digest = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *of: read.append(of) or digest(*of))
    snnq.load("nmnist", root)
    snnq.load("nmnist", root)
    assert len(read) == 20
    (root / "NMNIST/Train/0/00000.bin").touch()
    snnq.load("nmnist", root)
    assert len(read) == 21


@pytest.fixture
def read_only(monkeypatch):
    """A function that makes a folder refuse to be written to, which permissions do not for root."""

    def make(folder):
        def opened(path, flags, *mode, **options):
            if flags & os.O_CREAT and Path(path).parent == folder:
                raise OSError(errno.EROFS, "Read-only file system", str(path))
            return os_open(path, flags, *mode, **options)

        os_open = os.open
        monkeypatch.setattr(os, "open", opened)

    return make


def test_frames_that_are_there_are_read_from_a_read_only_cache(in_tmp, read_only):
    root = write_recordings(in_tmp / "data", per_class=1)
    cache = in_tmp / "data/frames"
    names = [split.name for split in snnq.load("nmnist", root, cache=cache)]
    read_only(cache)
    (root / "NMNIST").rename(in_tmp / "NMNIST")  # whose fingerprints are not there
    before = sorted(cache.iterdir())
    assert [split.name for split in snnq.load("nmnist", in_tmp, cache=cache)] == names
    assert sorted(cache.iterdir()) == before
    with pytest.raises(OSError, match="Read-only file system, for frames that .*: '.*data/frames'"):
        snnq.load("nmnist", in_tmp, steps=2, cache=cache)


@pytest.mark.parametrize("content", ["", "[]", '{"Test/0/00000.bin": 3}', '{"Train/0/00000.bin": [1]}', "{"])
def test_spoilt_fingerprints_are_computed_anew(in_tmp, content):
    root = write_recordings(in_tmp / "data", per_class=1)
    names = [split.name for split in snnq.load("nmnist", root)]
    (kept,) = (in_tmp / "data/frames").glob("fingerprints-*.json")
    whole = kept.read_text()
    kept.write_text(content)
    assert [split.name for split in snnq.load("nmnist", root)] == names
    assert json.loads(kept.read_text()) == json.loads(whole)


def test_a_recording_that_cannot_be_read_is_named(in_tmp, monkeypatch):
    root = write_recordings(in_tmp / "data", per_class=1)
    opened = Path.open

    def refuse(path, *mode, **options):
        if path.name == "30000.bin":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *mode, **options)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PermissionError, match="Train/3/30000.bin"):
        snnq.load("nmnist", root)
    assert frames_in(in_tmp / "data/frames") == []


def test_what_a_killed_build_left_is_swept(recordings, in_tmp):
    train, _ = snnq.load("nmnist", recordings)
    path = in_tmp / "data/frames" / f"{train.name}.npy"
    path.unlink()
    left, another = (in_tmp / "data/frames" / f".{name}.npy.partial.x.npy" for name in (train.name, "x"))
    left.touch(), another.touch()
    snnq.load("nmnist", recordings)
    assert path.exists() and not left.exists() and another.exists()


def test_an_interrupted_build_leaves_nothing(recordings, in_tmp, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "frames_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        snnq.load("nmnist", recordings)
    assert frames_in(in_tmp / "data/frames") == []


def test_a_full_disk_is_told_before_the_work_and_leaves_nothing(recordings, in_tmp, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    monkeypatch.setattr(store, "frames_of", None)  # no work is done
    with pytest.raises(
        OSError, match="No space left on device, for 1 MB of frames: '.*data/frames'"
    ):
        snnq.load("nmnist", recordings)
    assert frames_in(in_tmp / "data/frames") == []


def test_frames_of_several_processes_are_those_of_one(recordings, in_tmp, monkeypatch):
    one, _ = snnq.load("nmnist", recordings, steps=3, cache="one")
    monkeypatch.setattr(store, "WORTH_PROCESSES", 0)
    monkeypatch.setattr(store, "CHUNK", 7)
    several, _ = snnq.load("nmnist", recordings, steps=3, cache="several")
    np.testing.assert_array_equal(one.frames, several.frames)


def test_a_bad_recording_is_named_by_another_process_too(in_tmp, monkeypatch):
    root = write_recordings(in_tmp / "data", per_class=1)
    (root / "NMNIST/Train/3/30000.bin").write_bytes(bytes([34, 0, 0, 0, 0]))
    monkeypatch.setattr(store, "WORTH_PROCESSES", 0)
    with pytest.raises(ValueError, match="30000.bin: event 0 has x=34"):
        snnq.load("nmnist", root)
    assert frames_in(in_tmp / "data/frames") == []


def test_counts_beyond_a_byte_saturate_with_a_warning(in_tmp):
    root = write_recordings(in_tmp / "data", per_class=1)
    events = np.zeros(600, dtype=EVENTS)
    write_bin(events, root / "NMNIST/Train/3/30000.bin")
    with pytest.warns(UserWarning, match="2 counts above 255"):
        train, _ = snnq.load("nmnist", root, steps=2)
    assert train[3][0].max() == 255


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"30000.bin: 0 bytes"),
        (bytes(12), r"30000.bin: 12 bytes, expected events of 5 bytes"),
        (bytes([34, 0, 0, 0, 0]), r"30000.bin: event 0 has x=34, expected 0 to 33"),
        (bytes(5) + bytes([0, 77, 0, 0, 0]), r"30000.bin: event 1 has y=77, expected 0 to 33"),
    ],
)
def test_bad_recordings_are_named(in_tmp, content, message):
    root = write_recordings(in_tmp / "data", per_class=1)
    (root / "NMNIST/Train/3/30000.bin").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        snnq.load("nmnist", root)
    assert frames_in(in_tmp / "data/frames") == []


@pytest.mark.parametrize(
    ("benchmark", "options", "error", "message"),
    [
        ("nmnist", {"root": "nowhere"}, FileNotFoundError, "nowhere/NMNIST/Train: no recordings"),
        ("nmnist", {"size": 35}, ValueError, "size=35: expected 1 to 34"),
        ("mnist", {}, ValueError, "benchmark='mnist'"),
        ("nmnist", {"cut": "half"}, ValueError, "cut='half': expected one of number, time"),
        ("nmnist", {"steps": 0}, ValueError, "steps=0"),
    ],
)
def test_bad_arguments(recordings, in_tmp, benchmark, options, error, message):
    with pytest.raises(error, match=message):
        snnq.load(benchmark, **{"root": recordings} | options)
