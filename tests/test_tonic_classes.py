"""Small folders in the files of tonic's datasets, read through its classes."""

import h5py
import numpy as np
import pytest
import tonic
import torch
from conftest import random_events
from expelliarmus import Wizard
from scipy.io import savemat

import snnq
from snnq.__main__ import main
from snnq.recordings.augmentation import affine, changed
from snnq.recordings.benchmarks import get_benchmark
from snnq.recordings.events import BadRecording
from snnq.recordings.tonic_classes import _opened


def write_asl(root, per_class=5):
    """MATLAB's files, columns of which tonic counts y from below."""
    written = {}
    for label in "ab":
        for number in range(per_class):
            events = random_events(np.random.default_rng([ord(label), number]), 40, 180)
            path = root / f"ASLDVS/{label}/{label}_{number:04}.mat"
            path.parent.mkdir(parents=True, exist_ok=True)
            columns = {"x": events["x"], "y": 179 - events["y"], "ts": events["t"], "pol": events["p"]}
            savemat(path, {name: column[:, None] for name, column in columns.items()})
            written[path.stem] = events
    return written


def write_poker(root, train=6, test=3):
    written = {}
    for side, count in (("train", train), ("test", test)):
        for number in range(count):
            events = random_events(np.random.default_rng(number), 40)
            path = root / f"POKERDVS/pips_{side}/{('cl', 'he', 'di', 'sp')[number % 4]}/{number}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, np.stack([events[name] for name in "txyp"], axis=1))
            written[side, number] = events
    return written


def write_heidelberg(root, name="SHD", train=12, test=6, units=700):
    rng, written = np.random.default_rng(0), {}
    for side, count in (("train", train), ("test", test)):
        path = root / name / f"{name.lower()}_{side}.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            spikes = file.create_group("spikes")
            times = spikes.create_dataset("times", (count,), h5py.vlen_dtype(np.float32))
            places = spikes.create_dataset("units", (count,), h5py.vlen_dtype(np.uint16))
            for number in range(count):
                times[number] = np.sort(rng.random(50, np.float32))
                places[number] = rng.integers(units // 3 * (number % 3), units // 3 * (number % 3 + 1), 50)
                written[side, number] = times[number], places[number]
            file["labels"] = np.arange(count) % 3
            file["extra/keys"] = np.array([b"null", b"eins", b"zwei"])
            file["extra/speaker"] = np.zeros(count, dtype=int)
    return written


def test_a_class_without_sides_is_split_in_shares(in_tmp):
    written = write_asl(in_tmp / "data")
    train, test = (snnq.Recordings("tonic:ASLDVS", "data", side) for side in (True, False))
    assert train.benchmark.classes == tuple("abcdefghijklmnopqrstuvwxyz")
    assert np.bincount(train.labels).tolist() == [4, 4] and np.bincount(test.labels).tolist() == [1, 1]
    assert (train.complete, test.complete) == (8, 2)
    assert sorted(train.paths + test.paths) == sorted({*train.paths, *test.paths})
    names = sorted(written)
    for side in (train, test):
        for path, events in zip(side.paths, side):
            expected = written[names[int(path.name)]]
            expected["t"] -= expected["t"].min()
            np.testing.assert_array_equal(events, expected)
    halves = snnq.load("tonic:ASLDVS", "data", steps=2, size=20, split="60/40")
    assert [len(half) for half in halves] == [6, 4]
    assert [half.frames.sum() for half in halves] == [240, 160]
    assert halves[0].name.startswith("tonic-ASLDVS-60-40-train-2-number-20-")


def test_a_class_with_an_argument_train(in_tmp):
    written = write_poker(in_tmp / "data")
    train, test = (snnq.Recordings("tonic:POKERDVS", "data", side) for side in (True, False))
    assert train.benchmark.dimensions == {"classes": 4, "sensor": (2, 35, 35)}
    assert (len(train), len(test)) == (6, 3) and train.benchmark.split == "official"
    assert train.labels.tolist() == [0, 0, 1, 1, 2, 3]
    totals = sorted(written["train", number]["x"].sum() for number in range(6))
    assert sorted(events["x"].sum() for events in train) == totals
    own = snnq.load("tonic:POKERDVS", "data/POKERDVS", steps=2)  # its own folder
    assert [split.name for split in own] == [s.name for s in snnq.load("tonic:POKERDVS", "data", steps=2)]
    np.save(in_tmp / "data/POKERDVS/pips_test/cl/0.npy", np.zeros((3, 4), int))
    _opened.cache_clear()  # as in another process
    assert snnq.load("tonic:POKERDVS", "data", steps=2)[1].name != own[1].name


@pytest.mark.parametrize("name", ["SHD", "SSC"])  # with arguments `train` and `split`
def test_spikes_along_one_axis(in_tmp, name):
    written = write_heidelberg(in_tmp / "data", name)
    train, test = snnq.load(f"tonic:{name}", "data", steps=4, cut="time")
    assert train.frames.shape == (12, 4, 1, 1, 700) and test.frames.shape == (6, 4, 1, 1, 700)
    recordings = snnq.Recordings(f"tonic:{name}", "data", train=True)
    assert recordings.benchmark.classes == ("null", "eins", "zwei")
    for path, frames in zip(recordings.paths, train.frames):
        times, units = written["train", int(path.name)]
        microseconds = (times.astype(float) * 1e6).astype(int)
        since = microseconds - microseconds.min()
        expected = np.zeros((4, 1, 1, 700), int)
        np.add.at(expected, (since * 4 // (since.max() + 1), 0, 0, units), 1)
        np.testing.assert_array_equal(frames, expected)


def test_a_run_on_spikes_along_one_axis(in_tmp, capsys):
    write_heidelberg(in_tmp / "data")
    options = ["--benchmark=tonic:SHD", "--data=data", "--channels=4", "--epochs=2", "--steps=3"]
    assert main(["train", *options, "--device=cpu", "--folder=run", "--quiet"]) == 0
    record = snnq.read_record("run")
    assert record["data"] == {"simulated": False, "name": "SHD"} and record["recordings"]["test"] == 6
    assert snnq.recordings_name("tonic:SHD", record["data"]) == "SHD, real"
    network = snnq.trained_network("run")
    assert [name for name in snnq.quantizers(network)] == ["layers.5"]
    test = snnq.load("tonic:SHD", "data", steps=3)[1]
    expected = snnq.predict(network, test)[0]
    assert snnq.predict(snnq.unpack("run/packed.safetensors"), test)[0].equal(expected)
    assert snnq.Run.of(record["run"]).name.startswith("SHD-binary-seed0")


def test_augmentation_moves_one_row_along_itself():
    frames = torch.ones(50, 2, 1, 1, 30, dtype=torch.uint8)
    torch.manual_seed(0)
    assert (changed(frames, affine(50)).sum((1, 2, 3, 4)) >= 2 * 20).all()


def test_what_is_not_there_is_asked_of_tonic_once(in_tmp, monkeypatch):
    (in_tmp / "data").mkdir()
    with pytest.raises(FileNotFoundError, match="SHD: no train recordings .*, and no download .*network"):
        snnq.load("tonic:SHD", "data")
    with pytest.raises(FileNotFoundError, match="POKERDVS: no train .* and no download .*pips_train"):
        snnq.load("tonic:POKERDVS", "data")
    with pytest.raises(FileNotFoundError, match="DVSLip: no train recordings .* and no download"):
        snnq.load("tonic:DVSLip", "data")  # which ends the process
    with pytest.raises(FileNotFoundError, match="nowhere is no folder"):
        snnq.load("tonic:SHD", "nowhere")
    assert snnq.Run(benchmark="tonic:SHD", channels=2).data == "data"

    def fetch(url, folder, filename, md5):
        assert filename == "shd_train.h5.zip" and md5 == tonic.datasets.SHD.train_md5
        write_heidelberg(in_tmp / "data")

    monkeypatch.setattr("tonic.dataset.download_and_extract_archive", fetch)
    assert [len(split) for split in snnq.load("tonic:SHD", "data", steps=2)] == [12, 6]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("NCARS", "expected a dataset class of tonic, one of ASLDVS, .*; recordings in a folder per class"),
        ("MVSEC", "tonic asks for scene, expected a class that asks for nothing but a side"),
        ("EBSSA", "split='labelled' is no side, expected 'train'"),
        ("NCALTECH101", "tonic states no sensor size"),
        ("SMNIST", "tonic states no sensor size"),
        ("", "expected a dataset class of tonic"),
    ],
)
def test_classes_that_are_no_benchmarks(in_tmp, name, message):
    for refused in (
        lambda: snnq.load(f"tonic:{name}", in_tmp),
        lambda: snnq.Run(benchmark=f"tonic:{name}"),
        lambda: get_benchmark(f"tonic:{name}", in_tmp),
    ):
        with pytest.raises(ValueError, match=f"benchmark='tonic:{name}': {message}"):
            refused()


def test_a_file_that_tonic_cannot_read_is_named(in_tmp):
    write_asl(in_tmp / "data")
    (in_tmp / "data/ASLDVS/b/b_0002.mat").write_bytes(b"x" * 200)
    with pytest.raises(BadRecording, match="ASLDVS/.*b_0002.mat: not read by tonic"):
        snnq.load("tonic:ASLDVS", "data", steps=2, size=20)
    off = np.array([[240]])
    savemat(in_tmp / "data/ASLDVS/b/b_0002.mat", {"x": off, "y": off // 2, "ts": off, "pol": off // 240})
    with pytest.raises(BadRecording, match="b_0002.mat: event 0 has x=240, expected 0 to 239"):
        snnq.load("tonic:ASLDVS", "data", steps=2, size=20)


def test_prophesee_s_cars_are_a_folder(in_tmp):
    for side in ("train", "test"):
        for label in ("background", "cars"):
            for number in range(3):
                events = random_events(np.random.default_rng(number), 40, 100)
                theirs = np.empty(40, dtype=[("t", "i8"), ("x", "i2"), ("y", "i2"), ("p", "u1")])
                for name in "txyp":
                    theirs[name] = events[name]
                path = in_tmp / "cars" / side / label / f"obj_{number:06}_td.dat"
                path.parent.mkdir(parents=True, exist_ok=True)
                Wizard(encoding="dat").save(path, theirs)
    train, test = snnq.load("folder:120x100", "cars", steps=2)
    assert train.frames.shape == (6, 2, 2, 100, 120) and train.frames.sum() == 240 == test.frames.sum()
    assert get_benchmark("folder", "cars").classes == ("background", "cars")
