import json
import math
import shutil
import struct
from pathlib import Path

import h5py
import matplotlib.pyplot as plt
import numpy as np
import pytest
import tonic
from conftest import mutated, random_events
from expelliarmus import Wizard
from hypothesis import given
from hypothesis import strategies as st

import snnq
from snnq.__main__ import main
from snnq.deployment.stages import stages_of
from snnq.figures.events import event_statistics
from snnq.recordings import own
from snnq.recordings.benchmarks import get_benchmark, source
from snnq.recordings.events import BadRecording
from snnq.recordings.formats import READERS, read_events, sensor_of
from snnq.recordings.frames import names_of_frames
from snnq.recordings.splits import split_by_hash
from snnq.recordings.statistics import statistics
from snnq.recordings.writers import write_aedat4, write_bin
from snnq.study.folders import missing_recordings
from snnq.study.forecast import measure
from snnq.study.gather import gather
from snnq.study.profile import plan

SIZE = 34  # pixels that the events below lie on, each way, and as much as they need
CLASSES = ("left", "middle", "right")


# Each format as somebody else writes it


def structured(events, names="xytp"):
    """As tonic has events in memory, in any order of its fields."""
    return tonic.io.make_structured_array(
        *(events[name] for name in names), dtype=np.dtype([(name, int) for name in names])
    )


def write_npy(events, path):
    np.save(path, structured(events, "typx"))


def write_columns(events, path):
    columns = [events["x"], events["y"], events["p"], events["t"] // 1000]
    np.save(path, np.stack(columns, axis=1))


def write_npz(events, path):
    signs = 2 * events["p"].astype(np.int8) - 1
    np.savez(path, x=events["x"], y=events["y"], timestamps=events["t"], polarity=signs)


def write_h5(events, path):
    """DSEC's layout."""
    with h5py.File(path, "w") as file:
        for name in "xytp":
            file[f"events/{name}"] = events[name].astype(np.uint32)
        file["ms_to_idx"], file["t_offset"] = np.arange(4), 12


def write_compound(events, path):
    with h5py.File(path, "w") as file:
        file["CD/events"] = structured(events)


def write_dat(events, path):
    theirs = np.empty(len(events), dtype=[("t", "i8"), ("x", "i2"), ("y", "i2"), ("p", "u1")])
    for name in "txyp":
        theirs[name] = events[name]
    Wizard(encoding="dat").save(path, theirs)


def write_dvs128(events, path):
    """AEDAT 2, with the addresses of jAER's documentation as tonic takes them."""
    words = np.empty((len(events), 2), dtype=">u4")
    words[:, 0] = events["x"] << 8 | events["y"] << 1 | events["p"]
    words[:, 1] = events["t"]
    path.write_bytes(b"#!AER-DAT2.0\r\n# Timestamps tick is 1 us\r\n" + words.tobytes())


def write_davis346(events, path):
    """AEDAT 2 with a DAVIS346's addresses: the origin at the lower right, a frame's pixel between."""
    words = np.empty((len(events) + 1, 2), dtype=">u4")
    words[1:, 0] = (259 - events["y"]) << 22 | (345 - events["x"]) << 12 | events["p"] << 11
    words[1:, 1] = events["t"]
    words[0] = 2**31, 0
    header = b"#!AER-DAT2.0\r\n# AEChip: eu.seebetter.ini.chips.davis.Davis346blue\r\n"
    path.write_bytes(header + words.tobytes())


def write_aedat3(events, path):
    """AEDAT 3.1, in two packets."""
    content = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#!END-HEADER\r\n"
    for some in np.array_split(events, 2):
        words = np.empty((len(some), 2), dtype="<u4")
        words[:, 0] = some["x"] << 17 | some["y"] << 2 | some["p"] << 1 | 1
        words[:, 1] = some["t"]
        content += struct.pack("<hhiiiiii", 1, 0, 8, 4, 0, *[len(some)] * 3) + words.tobytes()
    path.write_bytes(content)


WRITERS = {  # the file's name, what writes it, the sensor that it states
    "bin": ("one.bin", write_bin, None),
    "npy": ("one.npy", write_npy, None),
    "columns": ("one.npy", write_columns, None),
    "npz": ("one.npz", write_npz, None),
    "h5": ("one.h5", write_h5, None),
    "compound": ("one.hdf5", write_compound, None),
    "aedat2": ("one.aedat", write_dvs128, (128, 128)),
    "davis": ("one.aedat", write_davis346, (346, 260)),
    "aedat3": ("one.aedat", write_aedat3, None),
    "aedat4": ("one.aedat4", write_aedat4, (128, 128)),
    "dat": ("one.dat", write_dat, None),
}


def events_of_class(rng, label, count=120, size=SIZE):
    events = random_events(rng, count, size)
    events["x"][: count // 2] = size // 3 * label + rng.integers(0, 4, count // 2)
    events["x"][-1], events["y"][-1] = size - 1, size - 1
    return events


def write_folder(root, kinds, count=40, sides=("",)):
    """Recordings of three classes, of some formats by turns, below each side."""
    rng = np.random.default_rng(0)
    for number in range(count):
        label = number % len(CLASSES)
        name, write, _ = WRITERS[kinds[number % len(kinds)]]
        side = sides[number // len(CLASSES) % len(sides)]
        path = root / side / CLASSES[label] / f"{number:03}{name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        write(events_of_class(rng, label), path)
    return root


def test_every_reader_is_tested():
    assert {f".{name.split('.')[1]}" for name, _, _ in WRITERS.values()} == set(READERS)


@pytest.mark.parametrize("kind", WRITERS)
def test_events_and_sensor_are_what_was_written(tmp_path, kind):
    name, write, stated = WRITERS[kind]
    written = random_events(np.random.default_rng(0), 300, 30)
    written["x"].sort()  # all of 0 to 29 is there
    write(written, tmp_path / name)
    if kind == "columns":
        written["t"] = written["t"] // 1000 * 1000
    np.testing.assert_array_equal(read_events(tmp_path / name, 346, 260), written)
    assert sensor_of(tmp_path / name) == (stated or (30, written["y"].max() + 1))


@pytest.mark.parametrize("kind", ["npy", "npz", "h5", "compound", "aedat2", "aedat3", "dat"])
def test_mutated_files_are_read_or_refused(tmp_path, kind, pytestconfig):
    name, write, _ = WRITERS[kind]
    path, rng = tmp_path / name, np.random.default_rng(0)
    write(random_events(rng, 40), path)
    content, refused = path.read_bytes(), 0
    for _ in range(pytestconfig.getoption("mutations") // 20):
        path.write_bytes(mutated(content, rng))
        try:
            events = read_events(path, SIZE, SIZE)
        except BadRecording as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error)
            refused += 1
        else:
            assert all(events[axis].max(initial=0) < SIZE for axis in "xy")
            assert set(np.unique(events["p"])) <= {0, 1} and events["t"].min(initial=0) >= 0
    assert refused


def test_a_camera_s_header_states_the_sensor(tmp_path):
    events = random_events(np.random.default_rng(0), 40)
    write_dat(events, tmp_path / "one.dat")
    content = (tmp_path / "one.dat").read_bytes()
    content = content.replace(b"% Version 2 \n", b"% Version 2\n% Height 240\n% Width 304\n")
    (tmp_path / "one.dat").write_bytes(content.replace(b"\n\x00\x08", b"\n\x0c\x08"))  # CD events
    np.testing.assert_array_equal(read_events(tmp_path / "one.dat", 304, 240), events)
    assert sensor_of(tmp_path / "one.dat") == (304, 240)
    write_aedat4(events, tmp_path / "one.aedat4", (346, 260))
    assert sensor_of(tmp_path / "one.aedat4") == (346, 260)


# The order of time


def in_two_classes(root, kind, events):
    """A folder in which one recording holds some events."""
    name, write, _ = WRITERS[kind]
    for label in ("left", "right"):
        (root / label).mkdir()
        write(events, root / label / name)
    return root / "left" / name


@pytest.mark.parametrize("kind", sorted({*WRITERS} - {"aedat4"}))  # which faery refuses to write so
def test_events_in_any_order_are_put_in_that_of_time(tmp_path, kind):
    events = random_events(np.random.default_rng(0), 300, 30)
    events["t"] = np.arange(300) // 2 * 1000  # two at a time, which stay as they are
    by_sign = np.concatenate([events[events["p"] == sign] for sign in (1, 0)])
    path = in_two_classes(tmp_path, kind, by_sign)
    expected = by_sign[np.argsort(by_sign["t"], kind="stable")]
    np.testing.assert_array_equal(get_benchmark("folder:346x260", tmp_path).read(path), expected)


def test_steps_of_recordings_that_are_stored_sign_by_sign(in_tmp):
    events = random_events(np.random.default_rng(0), 1000)
    events["p"] = np.arange(1000) % 2
    events["t"] = np.arange(1000)
    in_two_classes(in_tmp, "npz", np.concatenate([events[1::2], events[::2]]))
    _, test = snnq.load("folder", in_tmp, steps=2, split="50/50")
    assert test.frames.sum(axis=(0, 3, 4), dtype=int).tolist() == [[500, 500], [500, 500]]


@pytest.mark.parametrize(
    ("kind", "bits"), [("bin", 23), ("aedat2", 32), ("davis", 32), ("aedat3", 31), ("dat", 32)]
)
def test_a_clock_that_starts_again_goes_on(tmp_path, kind, bits):
    events = random_events(np.random.default_rng(0), 300, 30)
    events["t"] = 2**bits - 150_000 + 1000 * np.arange(300)
    counted = events.copy()
    counted["t"] %= 2**bits
    path = in_two_classes(tmp_path, kind, counted)
    np.testing.assert_array_equal(read_events(path, 346, 260), events)
    found = get_benchmark("folder:346x260", tmp_path).read(path)
    assert found["t"].tolist() == list(range(0, 300_000, 1000))


# The folder


def test_forty_recordings_of_all_formats_train_from_the_command_line(in_tmp, capsys):
    write_folder(in_tmp / "mine", [kind for kind in WRITERS if WRITERS[kind][2] is None])
    assert main(["frames", "folder", "mine"]) == 0
    out = capsys.readouterr().out
    assert "folder: 31 training recordings" in out and "9 test" in out
    assert "sensor 34 × 34, classes left, middle, right" in out
    run = ["--benchmark", "folder", "--data", "mine", "--channels=2", "--epochs=2", "--steps=2"]
    assert main(["train", *run, "--device=cpu", "--folder=run", "--quiet"]) == 0
    record = snnq.read_record("run")
    assert record["recordings"]["test"] == 9 and record["complete"] == {"train": 31, "test": 9}
    assert record["data"] == {"simulated": False, "name": "mine"}
    assert snnq.recordings_name("folder", record["data"]) == "mine, own"
    (in_tmp / "mine").rename(in_tmp / "elsewhere")  # nothing of it is needed any more
    network = snnq.trained_network("run")
    packed = snnq.unpack("run/packed.safetensors")
    train, test = snnq.load("folder", "elsewhere", steps=2)
    outputs = snnq.predict(packed, test)[0]
    assert outputs.shape == (9, 3) and outputs.equal(snnq.predict(network, test)[0])
    assert main(["train", *run, "--device=cpu", "--folder=run", "--quiet"]) == 0  # it is finished


def test_sides_of_ones_own_are_the_split(in_tmp):
    write_folder(in_tmp / "mine", ["npy"], 30, sides=("Train", "Test"))
    found = get_benchmark("folder", "mine")
    assert found.split == "official" and found.recordings == (15, 15)
    assert found.classes == CLASSES and found.dimensions == {"classes": 3, "sensor": (2, 34, 34)}
    train, test = (snnq.Recordings("folder", "mine", side) for side in (True, False))
    assert {path.parts[1] for path in train.paths} == {"Train"} and len(test) == 15
    assert all(path.parent.name == CLASSES[label] for path, label in zip(test.paths, test.labels))
    with pytest.raises(ValueError, match="split='90/10': expected official, which folder has"):
        snnq.Run(benchmark="folder", data="mine", split="90/10")


def test_what_changes_the_recordings_changes_the_run(in_tmp):
    """Frames are of another shape once one recording needs a larger sensor."""
    root = write_folder(in_tmp / "mine", ["npy"], 30, sides=("train", "test"))
    run = snnq.Run(benchmark="folder", data="mine", channels=2, epochs=1, steps=2, device="cpu")
    snnq.fit(run, in_tmp / "run", progress=False)
    names = [split.name for split in snnq.load("folder", root, steps=2)]
    larger = events_of_class(np.random.default_rng(1), 0, size=50)
    write_npy(larger, root / "test/left/100.npy")
    train, test = snnq.load("folder", root, steps=2)
    assert train.frames.shape[2:] == test.frames.shape[2:] == (2, 50, 50)
    assert train.name != names[0] and test.name != names[1]
    with pytest.raises(ValueError, match="holds another run .*frames is"):
        snnq.fit(run, in_tmp / "run", progress=False)


def test_the_sensor_may_be_given(in_tmp):
    write_folder(in_tmp / "mine", ["npz"], 15)
    train, _ = snnq.load("folder:40x36", "mine", steps=2)
    assert train.frames.shape[1:] == (2, 2, 36, 40) and train.name.startswith("folder-40x36-train-2")
    assert not list((in_tmp / "data/frames").glob("sensors*"))
    with pytest.raises(BadRecording, match="/.*npz: event .* has x=.., expected 0 to 29"):
        snnq.load("folder:30x36", "mine")
    for wrong in ("folder:30", "folder:0x3", "folder:a"):
        with pytest.raises(ValueError, match="expected the sensor as in folder:346x260"):
            snnq.load(wrong, "mine")


def test_time_begins_with_each_recording(in_tmp):
    root = write_folder(in_tmp / "mine", ["npy"], 6)
    events = random_events(np.random.default_rng(0), 50)
    later = structured(events)
    later["t"] += 1_700_000_000_000_000  # as cameras count, from 1970
    np.save(root / "left/late.npy", later)
    sides = [snnq.Recordings("folder", root, side) for side in (True, False)]
    (late,) = (side[i] for side in sides for i, p in enumerate(side.paths) if p.stem == "late")
    assert late["t"][0] == 0 and late["t"][-1] == events["t"][-1] - events["t"][0]


def test_findings_are_kept_until_a_file_changes(in_tmp, monkeypatch):
    root = write_folder(in_tmp / "mine", ["npy"], 6)
    assert get_benchmark("folder", root).width == SIZE
    monkeypatch.setattr("snnq.recordings.own.sensor_of", lambda path: (99, 99))
    assert get_benchmark("folder", root).width == SIZE
    write_npy(random_events(np.random.default_rng(0), 50), root / "left/000one.npy")
    assert get_benchmark("folder", root).width == 99


def test_only_load_keeps_findings_and_in_its_cache(in_tmp, monkeypatch):
    """Neither a run that is made, nor one that is asked for, writes anything; each file is read once."""
    write_folder(in_tmp / "mine", ["npy"], 30)
    files, read = sorted(in_tmp.rglob("*")), []
    monkeypatch.setattr(own, "sensor_of", lambda path: read.append(path) or sensor_of(path))
    run = snnq.Run(benchmark="folder", data="mine", channels=2, steps=2, epochs=1, device="cpu")
    names = names_of_frames("folder", "mine", steps=2, cache="elsewhere")
    assert get_benchmark("folder", "mine").width == SIZE
    assert sorted(in_tmp.rglob("*")) == files and len(read) == 30
    assert names == tuple(split.name for split in snnq.load("folder", "mine", steps=2, cache="elsewhere"))
    (kept,) = (in_tmp / "elsewhere").glob("sensors-*")
    assert len(json.loads(kept.read_text())) == 30 and not (in_tmp / "data").exists()
    snnq.fit(run, in_tmp / "run", progress=False)
    shutil.rmtree(in_tmp / "data/frames")
    snnq.fit(run, in_tmp / "run", progress=False)
    assert not (in_tmp / "data/frames").exists()


@given(st.lists(st.text("abcxyz019", min_size=1), unique=True, min_size=1), st.integers(1, 99))
def test_a_split_has_its_share_and_each_recording_once(names, share):
    paths = sorted(Path("mine/a", name) for name in names)
    train, test = (
        split_by_hash(paths, Path("mine"), side, f"{100 - share}/{share}") for side in (True, False)
    )
    assert sorted(train + test) == paths
    assert abs(len(test) - share * len(paths) / 100) <= 0.5


# What is refused, and in which words


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "mine: no recordings here, expected <class>/\\* with one of .bin, .npy"),
        ({"a/1.csv": b"1"}, "mine: no recordings here"),
        ({"a/1.bin": bytes(5), "a/2.bin": bytes(5)}, "mine: recordings of 'a' alone"),
        ({"a/1.bin": bytes(5), "2.bin": bytes(5)}, "mine/2.bin: expected recordings as mine/\\*/\\*"),
        ({"a/b/1.bin": bytes(5), "c/2.bin": bytes(5)}, "a/b/1.bin: expected recordings as"),
        ({"train/a/1.bin": bytes(5), "b/2.bin": bytes(5)}, "mine: has train alone, expected train and"),
        ({"train/a/1.bin": bytes(5), "test/x": b""}, "mine/test: no recordings here"),
        ({"a/1.bin": bytes(5), "b/2.bin": bytes(7)}, "b/2.bin: 7 bytes, expected events of 5 bytes"),
        ({"a/1.bin": bytes(5), "b/2.npy": b"x"}, "b/2.npy: no NumPy array of numbers"),
        ({"a/1.bin": bytes(5), "b/2.h5": b"x"}, "b/2.h5: no HDF5 file"),
        ({"a/1.bin": bytes(5), "b/2.npz": b"x"}, "b/2.npz: no NumPy array"),
        ({"a/1.bin": bytes(5), "b/2.dat": b"x"}, "b/2.dat: does not start as a file in DAT does"),
        ({"a/1.bin": bytes(5), "b/2.aedat": b"x"}, "b/2.aedat: does not start as a file in AEDAT 2 or"),
        ({"a/1.bin": bytes(5), "b/2.aedat4": b"x"}, "b/2.aedat4: does not start as a file in AEDAT 4"),
    ],
)  # fmt: skip
def test_folders_that_are_none(in_tmp, files, message):
    (in_tmp / "mine").mkdir()
    for name, content in files.items():
        path = in_tmp / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        snnq.load("folder", "mine")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": [1], "y": [1], "t": [1]}, "has x, y, t, expected x, y, t and p"),
        ({"x": [1], "y": [1], "t": [1.5], "p": [1]}, "t is float64 .1., expected whole numbers"),
        ({"x": [1], "y": [1, 2], "t": [1], "p": [1]}, "y is int64 .2., expected whole numbers .1."),
        ({"x": [1], "y": [1], "t": [1], "p": [2]}, "event 0 has p=2, expected 0 to 1"),
        ({"x": [1], "y": [1], "t": [-3], "p": [1]}, "t=-3, expected no time before 0"),
        ({"x": np.array([{}])}, "no NumPy array of numbers"),
    ],
)
def test_arrays_that_are_no_events(tmp_path, arrays, message):
    np.savez(tmp_path / "one.npz", **arrays)
    with pytest.raises(BadRecording, match=f"one.npz: {message}"):
        read_events(tmp_path / "one.npz", 10, 10)


def test_a_benchmark_s_run_on_ones_own_recordings_says_what_to_do(in_tmp, capsys):
    for kind, root in (("npy", "mine"), ("bin", "Own")):
        write_folder(in_tmp / root, [kind], 12, sides=("Train", "Test") if root == "Own" else ("",))
        assert main(["train", "--data", root]) == 1
        assert "your own, benchmark='folder'" in capsys.readouterr().err
    assert not (in_tmp / "mine/NMNIST").exists()
    with pytest.raises(ValueError, match="data='data': expected the folder of your recordings"):
        snnq.Run(benchmark="folder")
    assert main(["simulate", "x", "--benchmark", "folder"]) == 1
    assert "expected one of nmnist" in capsys.readouterr().err
    with pytest.raises(ValueError, match="benchmark='gestures': expected one of nmnist, .* folder"):
        snnq.Run(benchmark="gestures")


def test_a_run_of_recordings_that_are_not_there_waits_for_them(in_tmp):
    run = snnq.Run(benchmark="folder", data="nowhere", split="90/10")
    assert run.split == "90/10" and snnq.Run(benchmark="folder", data="nowhere").split is None
    with pytest.raises(FileNotFoundError, match="nowhere: no recordings here"):
        snnq.fit(run, in_tmp / "run", progress=False)


def test_so_few_that_a_split_has_none_are_refused(in_tmp):
    write_folder(in_tmp / "mine", ["npy"], 6)
    run = snnq.Run(benchmark="folder", data="mine")
    with pytest.raises(ValueError, match="folder-test-.*: no .* in mine, expected more, or another split"):
        snnq.fit(run, in_tmp / "run", progress=False)
    with pytest.raises(ValueError, match="validation=0.1: holds out all of the 3 training recordings"):
        snnq.fit(snnq.Run(benchmark="folder", data="mine", split="50/50"), in_tmp / "run", progress=False)


def profile_of(**benchmarks):
    settings = {"benchmark": "folder", "channels": 2, "steps": 2, "size": 16, "epochs": 1, "device": "cpu"}
    profile = {"study": "own", "levels": ["full"], "seeds": [0], "settings": settings}
    return profile | {"benchmarks": benchmarks}


def test_a_profile_takes_several_folders_of_ones_own(in_tmp):
    write_folder(in_tmp / "my lab", ["npy"], 12)
    write_folder(in_tmp / "field", ["bin"], 15)
    one, other = ({"settings": {"data": name}} for name in ("my lab", "field"))
    profile = profile_of(one=one, other=other)
    study = plan(profile | {"ablations": {"none": {"benchmark": "other", "levels": ["full"], "changes": {"": {}}}}})
    assert [run.rpartition("-")[0] for run in study.runs] == ["my-lab-full-seed0", "field-full-seed0"]
    assert [row.run for row in study.ablations] == [list(study.runs)[1]]
    assert measure(study)["recordings"].tolist() == ["my-lab", "field"]
    for name, run in study.runs.items():
        snnq.fit(run, study.run_folder(name), progress=False)
    assert study.finished() == set(study.runs)
    gather(study)
    recordings = ["field, own", "my lab, own"]
    assert sorted(snnq.read_gathered("results/own", "table")["recordings"]) == recordings
    packed = snnq.packed_networks("results/own")
    assert packed["recordings"].tolist() == recordings
    for name, run in zip(recordings, reversed(study.runs.values())):
        _, test = snnq.load("folder", run.data, 2, size=16)
        assert snnq.operations_of_runs("results/own", name, test)["recordings"].tolist() == [name]


def test_bits_of_mixed_levels_are_those_of_the_network_of_ones_own_recordings(in_tmp):
    write_folder(in_tmp / "lab", ["npy"], 12)
    mixed = {"<1000000": "4bit", "rest": "binary"}  # so that every layer has 4
    study = plan(profile_of(one={"settings": {"data": "lab"}}) | {"levels": ["full", mixed]})
    for name, run in study.runs.items():
        snnq.fit(run, study.run_folder(name), progress=False)
    gather(study)
    gathered = snnq.read_gathered("results/own", "runs")
    for runs in (snnq.read_runs("results/own/runs"), gathered):
        assert snnq.results_table(runs)["bits"].tolist() == [32, 4]
    assert snnq.read_gathered("results/own", "table")["bits"].tolist() == [32, 4]
    # A table from before it said how large the network is.
    bits = snnq.results_table(gathered.drop(columns=["classes", "sensor"]))["bits"]
    assert bits[0] == 32 and math.isnan(bits[1])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"settings": {"data": "elsewhere/lab"}}, "other: tables call its recordings 'lab', as those of one"),
        ({"settings": {"data": "field"}, "simulate": ""}, "field: recordings of your own are not simulated"),
        ({"settings": {"data": "field", "benchmark": "fold"}}, "benchmark='fold': expected one of nmnist"),
        ({}, "data='data': expected the folder of your recordings"),
    ],
)  # fmt: skip
def test_profiles_of_folders_that_are_refused(in_tmp, other, message):
    with pytest.raises(ValueError, match=message):
        plan(profile_of(one={"settings": {"data": "lab"}}, other=other))


def test_what_notebooks_say_of_recordings_that_are_not_there(in_tmp):
    place = "results/own", "folder", "mine"
    assert "mine: no recordings here, expected <class>/* with one of" in missing_recordings(*place)
    (in_tmp / "mine/Train").mkdir(parents=True)
    assert missing_recordings(*place) == "mine: has Train alone, expected train and test"
    (in_tmp / "mine/Train").rmdir()
    write_folder(in_tmp / "mine/a", ["npy"], 6)
    assert "expected recordings as mine/*/*" in missing_recordings(*place)
    assert missing_recordings("results/own", "folder", "mine/a") is None
    (in_tmp / "data/NMNIST").mkdir(parents=True)  # which is no download yet
    assert "no recordings of nmnist in data" in missing_recordings("results/own", "nmnist", "data")
    assert "no train recordings of tonic's here" in missing_recordings("results/own", "tonic:SHD", "data")


def test_signs_of_events_are_counted_whatever_their_shares(in_tmp):
    root = write_folder(in_tmp / "mine", ["npy"], 6)
    for path in root.glob("*/*.npy"):
        events = np.load(path)
        events["p"] = 1
        np.save(path, events)
    found = statistics(snnq.Recordings("folder", root, True), 6)
    figure = event_statistics({"mine, own": found})
    (drawn,) = figure.axes[2].patches
    assert drawn.get_xy()[:, 1].max() > 0
    plt.close(figure)


# Networks


@pytest.mark.parametrize(
    ("sensor", "blocks", "hidden"),
    [((2, 34, 34), 2, 2048), ((2, 128, 128), 4, 512), ((2, 180, 240), 5, 512), ((2, 8, 8), 1, 2048),
     ((1, 1, 700), 0, 2048), ((2, 480, 640), 6, 512)],
)  # fmt: skip
def test_the_plif_network_of_other_recordings(sensor, blocks, hidden):
    model = snnq.build_model("folder", channels=32, classes=7, sensor=sensor, fused=False)
    kinds = [type(module).__name__ for module in model.layers]
    assert kinds.count("MaxPool2d") == blocks
    linear = [module for module in model.layers if type(module).__name__ == "Linear"]
    assert [module.out_features for module in linear] == [hidden, 70]
    _, height, width = sensor
    assert blocks == 0 or min(height, width) >> blocks <= 8


def test_benchmarks_networks_are_those_of_their_recordings():
    """The rule gives what the paper has, but for gestures."""
    for name, found in snnq.BENCHMARKS.items():
        sensor = found.polarities, found.height, found.width
        own = snnq.build_model(name, channels=2, fused=False)
        ruled = snnq.build_model("folder", channels=2, fused=False, classes=len(found.classes), sensor=sensor)
        same = {k: v.shape for k, v in own.state_dict().items()} == {
            k: v.shape for k, v in ruled.state_dict().items()
        }
        assert same == (name != "dvsgesture")


def test_a_network_knows_its_frames():
    given = {"channels": 2, "classes": 3, "sensor": (2, 30, 34)}
    assert snnq.build_model("folder", **given).input_shape == (2, 30, 34)
    assert snnq.build_model("folder", size=20, **given).input_shape == (2, 20, 20)
    assert snnq.build_model("ncaltech101", channels=2).input_shape == (2, 180, 240)
    assert stages_of(snnq.build_model("folder", **given).eval())[0].image == (2, 30, 34)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "benchmark='folder': expected one of nmnist"),
        ({"classes": 0, "sensor": (2, 9, 9)}, "classes=0: expected a whole number"),
        ({"classes": 3, "sensor": (9, 9)}, "sensor=.9, 9.: expected signs of events, height and width"),
        ({"classes": 3, "sensor": (2, 9, 9), "network": "vgg11"}, "frames of 9 × 9: expected at least 16"),
    ],
)
def test_networks_that_there_are_none_of(given, message):
    with pytest.raises(ValueError, match=message):
        snnq.build_model("folder", **given)


# Real recordings


def test_real_recordings_as_ones_own(real_data, in_tmp):
    places = {"digit": "NMNIST/Train/3", "gesture": "DVSGesture/ibmGestureTest/user00_unknown"}
    for label, place in places.items():
        (in_tmp / "mine" / label).mkdir(parents=True)
        for path in sorted((real_data / place).iterdir())[:5]:
            (in_tmp / "mine" / label / path.name).symlink_to(path)
    found = get_benchmark("folder", "mine")
    gestures = [np.load(path) for path in sorted((in_tmp / "mine/gesture").iterdir())]
    assert found.width == max(array[:, 0].max() for array in gestures) + 1 <= 128
    assert source("folder", "mine") == {"simulated": False, "name": "mine"}
    splits = snnq.load("folder", "mine", steps=2, cut="time")
    assert sorted(split.frames.sum(dtype=int) for split in splits)[1] > 10_000
