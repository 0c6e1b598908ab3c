import os
import signal
import subprocess
import sys
import threading
import time
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from conftest import forked, mutated, random_events
from torch.utils.data import DataLoader

import snnq
from snnq.recordings import cameras
from snnq.recordings.formats import BadRecording, read_events
from snnq.recordings.writers import write_aedat4, write_bin, write_gesture

WRITERS = {"events.bin": write_bin, "events.npy": write_gesture, "events.aedat4": write_aedat4}


@pytest.mark.parametrize("name", WRITERS)
def test_mutated_files_are_read_or_refused(tmp_path, name, pytestconfig):
    mutations = pytestconfig.getoption("mutations")
    path, rng = tmp_path / name, np.random.default_rng(0)
    WRITERS[name](random_events(rng, 40), path)
    content, refused = path.read_bytes(), 0
    for _ in range(mutations):
        path.write_bytes(mutated(content, rng))
        try:
            events = read_events(path, 34, 34)
        except BadRecording as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error)
            refused += 1
        else:
            assert all(events[axis].max(initial=0) < 34 for axis in "xy")
            assert set(np.unique(events["p"])) <= {0, 1} and events["t"].min(initial=0) >= 0
    assert mutations / 10 < refused < mutations


@pytest.mark.parametrize("name", WRITERS)
def test_random_bytes_are_refused(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(np.random.default_rng(1).bytes(503))
    with pytest.raises(BadRecording, match=name):
        read_events(path, 34, 34)


@pytest.mark.parametrize("name", WRITERS)
def test_empty_files_are_refused(tmp_path, name):
    path = tmp_path / name
    path.touch()
    with pytest.raises(BadRecording, match=f"{name}: 0 bytes"):
        read_events(path, 34, 34)


@pytest.mark.parametrize("name", WRITERS)
def test_events_off_the_sensor_are_named(tmp_path, name):
    path, events = tmp_path / name, random_events(np.random.default_rng(0), 40)
    events["y"][7] = 34
    WRITERS[name](events, path)
    with pytest.raises(BadRecording, match=r"event 7 has y=34, expected 0 to 33"):
        read_events(path, 34, 34)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 3), dtype=np.int32), r"int32 \[3, 3\], expected integers \[events, 4\]"),
        (np.zeros(8, dtype=np.int32), r"int32 \[8\]"),
        (np.zeros((3, 4)), r"float64 \[3, 4\]"),
        (np.array([[70_000, 0, 0, 0]], dtype=np.int32), "event 0 has x=70000"),
        (np.array([[0, 0, 2, 0]], dtype=np.int32), "event 0 has p=2, expected 0 to 1"),
        (np.array([[0, 0, 1, -1]], dtype=np.int32), "t=-1000, expected no time before 0"),
        (np.array([[0, -1, 1, 0]], dtype=np.int32), "event 0 has y=-1"),
    ],
)
def test_gesture_arrays_of_another_form(tmp_path, array, message):
    path = tmp_path / "events.npy"
    np.save(path, array)
    with pytest.raises(BadRecording, match=message):
        read_events(path, 128, 128)


def test_a_pickled_object_is_refused_and_not_executed(tmp_path):
    path = tmp_path / "events.npy"
    np.save(path, np.array([{"x": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(BadRecording, match="no NumPy array of numbers"):
        read_events(path, 128, 128)


def test_workers_of_a_loader_read_aedat4(tmp_path):
    """They are daemons, which may have no processes."""
    for count, kind in product((40, 50), "ab"):
        (tmp_path / kind).mkdir(exist_ok=True)
        events = random_events(np.random.default_rng(0), count)
        write_aedat4(events, tmp_path / kind / f"{count}.aedat4")
    recordings = snnq.Recordings("folder", tmp_path, train=True)
    options = {"num_workers": 1, "multiprocessing_context": "fork", "collate_fn": np.copy}
    loaded = DataLoader(recordings, batch_size=None, **options)
    for place, events in enumerate(loaded):
        assert events.tolist() == recordings[place].tolist()


def test_processes_that_read_aedat4_end(tmp_path):
    """The decoder's own process must not keep those waiting that build frames."""
    path, rng = tmp_path / "events.aedat4", np.random.default_rng(0)
    write_aedat4(random_events(rng, 40), path)
    read = (
        "import joblib; from pathlib import Path; from snnq.recordings.formats import read_events\n"
        f"job = joblib.delayed(read_events)(Path({str(path)!r}), 34, 34)\n"
        "print([len(events) for events in joblib.Parallel(2)([job] * 4)])"
    )
    done = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[40, 40, 40, 40]", done.stderr


COUNTS = (10, 20, 30)


@pytest.fixture
def three(tmp_path):
    """A folder with a recording of each of these numbers of events."""
    for count in COUNTS:
        write_aedat4(random_events(np.random.default_rng(0), count), tmp_path / f"{count}.aedat4")
    return tmp_path


def counts():
    return tuple(len(read_events(Path(f"{count}.aedat4"), 34, 34)) for count in COUNTS)


@pytest.mark.parametrize("group", [False, True])
def test_an_interrupted_read_leaves_others_their_own_events(three, group):
    done = forked(three, read_interrupted, group)
    assert (done.returncode, done.stderr) == (0, "")


def read_interrupted(group):
    """SIGINT comes to this process alone, or to its group as from a terminal and from Jupyter."""
    os.setpgrp()
    asked, decoded = Path("asked"), cameras._decoded

    def slow_at_first(path):
        if not asked.exists():
            asked.touch()
            time.sleep(1)
        return decoded(path)

    def interrupt():
        while not asked.exists():
            time.sleep(0.01)
        (os.killpg if group else os.kill)(os.getpid(), signal.SIGINT)

    cameras._decoded = slow_at_first
    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        counts()
    assert counts() == counts() == COUNTS


def test_sigint_between_two_reads_is_nothing_to_the_decoder(three):
    done = forked(three, read_before_and_after_sigint)
    assert (done.returncode, done.stderr) == (0, "")


def read_before_and_after_sigint():
    os.setpgrp()
    counts()
    with pytest.raises(KeyboardInterrupt):
        os.killpg(os.getpid(), signal.SIGINT)
        time.sleep(1)
    assert counts() == COUNTS


def test_forked_processes_have_decoders_of_their_own(three):
    done = forked(three, read_in_forks)
    assert (done.returncode, done.stderr) == (0, "")


def read_in_forks():
    counts()
    jobs = [get_context("fork").Process(target=read_often) for _ in range(3)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert [job.exitcode for job in jobs] == [0, 0, 0]


def read_often():
    for _ in range(30):
        assert counts() == COUNTS
