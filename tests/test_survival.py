"""What stops a run, and that it goes on to the same end."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from conftest import Killed, at_call, fit, kill, results
from IPython.core.interactiveshell import InteractiveShell
from safetensors import SafetensorError

import snnq
from snnq.system.files import write_atomically
from snnq.system.lock import only_process_in
from snnq.training import checkpoint, outcome
from snnq.training import gradients as training_gradients
from snnq.training import loop as training
from snnq.training.random_state import random_state, set_random_state


@pytest.fixture
def undisturbed(tiny, in_tmp):
    """Settings of a run of two epochs of several steps each, and what it leaves."""
    settings = tiny | {"levels": "binary", "full_epochs": 0, "batch_size": 6}
    fit(settings, in_tmp / "undisturbed")
    return settings, results(in_tmp / "undisturbed")


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("loss_of", 1),
        ("loss_of", 3),
        ("loss_of", 8),
        ("predict", 1),
        ("evaluate", 2),
        ("predict", 3),
        ("write_record", 1),
    ],
)
def test_a_run_killed_anywhere_ends_as_if_it_had_not_been(
    undisturbed, in_tmp, monkeypatch, name, call
):
    settings, expected = undisturbed
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0)
    place = training_gradients if name == "loss_of" else outcome
    monkeypatch.setattr(place, name, at_call(call, kill, getattr(place, name)))
    with pytest.raises(Killed):
        fit(settings, in_tmp / "run")
    torch.manual_seed(123)  # whatever state the new process has
    fit(settings, in_tmp / "run")
    assert results(in_tmp / "run") == expected


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_saves_and_says_how_to_go_on(undisturbed, in_tmp, monkeypatch, name):
    settings, expected = undisturbed
    ask = at_call(3, lambda: os.kill(os.getpid(), getattr(signal, name)), training_gradients.loss_of)
    monkeypatch.setattr(training_gradients, "loss_of", ask)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(
        KeyboardInterrupt, match=f"{name}: saved after step 3 of epoch 1 in .*run again to go on"
    ):
        fit(settings, in_tmp / "run")
    assert signal.getsignal(signal.SIGINT) is before
    fit(settings, in_tmp / "run")
    assert results(in_tmp / "run") == expected


@pytest.mark.parametrize(
    "damaged", [("checkpoint.pt",), ("checkpoint.pt", "checkpoint.previous.pt")]
)
def test_a_truncated_checkpoint_costs_an_epoch_and_no_more(
    undisturbed, in_tmp, monkeypatch, damaged
):
    settings, expected = undisturbed
    with monkeypatch.context() as patch:
        patch.setattr(outcome, "write_record", at_call(1, kill, outcome.write_record))
        with pytest.raises(Killed):
            fit(settings, in_tmp / "run")
    halves = []
    for name in damaged:
        content = (in_tmp / "run" / name).read_bytes()
        halves.append(content[: len(content) // 2])
        (in_tmp / "run" / name).write_bytes(halves[-1])
    with pytest.warns(UserWarning, match="unreadable .*renamed to checkpoint"):
        fit(settings, in_tmp / "run")
    assert results(in_tmp / "run") == expected
    kept = [path.read_bytes() for path in (in_tmp / "run").glob("*.unreadable*.pt")]
    assert sorted(kept) == sorted(halves)


def test_going_on_with_another_version_of_torch_is_said(undisturbed, in_tmp, monkeypatch):
    settings, _ = undisturbed
    with monkeypatch.context() as patch:
        patch.setattr(outcome, "write_record", at_call(1, kill, outcome.write_record))
        with pytest.raises(Killed):
            fit(settings, in_tmp / "run")
    monkeypatch.setattr(checkpoint, "versions", lambda: {"torch": "9.0"})
    with pytest.warns(UserWarning, match="with other versions: torch 2.13.* there and 9.0 here"):
        fit(settings, in_tmp / "run")


@pytest.mark.parametrize(
    ("device", "gpus", "message"), [("cuda:1", 1, "cuda:1 there and cpu here"), ("cpu", 0, None)]
)
def test_a_run_goes_on_with_another_kind_of_device_and_says_so(
    undisturbed, in_tmp, monkeypatch, device, gpus, message
):
    settings, expected = undisturbed
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0)
    with monkeypatch.context() as patch:
        patch.setattr(training_gradients, "loss_of", at_call(4, kill, training_gradients.loss_of))
        with pytest.raises(Killed):
            fit(settings, in_tmp / "run")
    path = in_tmp / "run/checkpoint.pt"
    state = torch.load(path, weights_only=True)
    state["progress"]["random"] += [torch.zeros(16, dtype=torch.uint8)] * gpus
    assert state["progress"]["device"] == "cpu"
    state["progress"]["device"] = device
    torch.save(state, path)
    if message:
        with pytest.warns(UserWarning, match=f"run: going on with another device .{message}., not"):
            fit(settings, in_tmp / "run")
    else:
        fit(settings, in_tmp / "run")
    assert results(in_tmp / "run") == expected


def test_only_the_states_of_the_device_in_use_are_saved_and_restored(monkeypatch):
    states = {torch.device("cuda:1"): torch.tensor([3], dtype=torch.uint8)}
    monkeypatch.setattr(torch.cuda, "get_rng_state", states.__getitem__)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda s, d: states.update({d: s}))
    for name in ("get_rng_state_all", "set_rng_state_all"):
        monkeypatch.setattr(torch.cuda, name, None)
    cpu, gpu = torch.device("cpu"), torch.device("cuda:1")
    saved = random_state(gpu)
    drawn = torch.rand(3)
    states[gpu] = torch.tensor([4], dtype=torch.uint8)
    set_random_state(saved, cpu)
    assert states[gpu] == 4 and torch.equal(torch.rand(3), drawn)
    set_random_state(saved, gpu)
    assert states[gpu] == 3 and torch.equal(torch.rand(3), drawn)
    assert len(random_state(cpu)) == 1
    set_random_state(random_state(cpu), gpu)  # of a run that began on the CPU
    assert states[gpu] == 3


def test_a_stopped_training_is_one_line_in_a_notebook(tiny, in_tmp, monkeypatch, capsys):
    monkeypatch.setattr(training_gradients, "loss_of", at_call(3, interrupt, training_gradients.loss_of))
    monkeypatch.setenv("IPYTHONDIR", str(in_tmp))
    shell = InteractiveShell()
    shell.user_ns |= {"snnq": snnq, "tiny": tiny}
    done = shell.run_cell("snnq.fit(snnq.Run(**tiny), 'run', progress=False)")
    assert isinstance(done.error_in_exec, KeyboardInterrupt)  # to papermill it is a failure
    assert capsys.readouterr().out == (
        "Stopped by SIGINT: saved after step 1 of epoch 2 in run; run again to go on from there\n"
    )


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def test_what_a_killed_process_left_is_swept(undisturbed, in_tmp):
    settings, expected = undisturbed
    (in_tmp / "run").mkdir()
    left = in_tmp / "run/.history.csv.partial.x1.csv"
    left.touch()
    fit(settings, in_tmp / "run")
    assert not left.exists() and results(in_tmp / "run") == expected


def test_a_full_disk_leaves_the_checkpoint_before(undisturbed, in_tmp, monkeypatch):
    settings, expected = undisturbed
    saves = []

    def save(state, path):
        saves.append(None)
        path.write_bytes(b"half a checkpoint")
        if len(saves) == 2:
            raise RuntimeError("[enforce fail] . file write failed: No space left on device")
        return torch_save(state, path)

    torch_save = torch.save
    monkeypatch.setattr(checkpoint.torch, "save", save)
    with pytest.raises(OSError, match="checkpoint.pt: not written, the disk may be full .*No space left"):
        fit(settings, in_tmp / "run")
    left = [path.name for path in (in_tmp / "run").glob("*.pt*")]
    assert left == ["checkpoint.previous.pt"]
    fit(settings, in_tmp / "run")
    assert results(in_tmp / "run") == expected


def no_room(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def no_room_for_tensors(*_, **__):
    raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


@pytest.mark.parametrize(
    ("module", "name", "full", "message"),
    [
        (outcome, "save_file", no_room_for_tensors, r"weights.safetensors: not written, the disk may be full .*No sp"),
        (Path, "write_bytes", no_room, "No space left on device: '.*run/packed.safetensors'"),
        (pd.DataFrame, "to_csv", no_room, "No space left on device: '.*run/history.csv'"),
    ],
)
def test_a_full_disk_is_told_with_the_file_and_loses_nothing(
    undisturbed, in_tmp, monkeypatch, module, name, full, message
):
    settings, expected = undisturbed
    with monkeypatch.context() as patch:
        patch.setattr(module, name, full)
        with pytest.raises(OSError, match=message):
            fit(settings, in_tmp / "run")
    fit(settings, in_tmp / "run")
    assert results(in_tmp / "run") == expected


def test_a_second_process_is_refused_and_a_dead_ones_lock_is_not(undisturbed, in_tmp):
    settings, expected = undisturbed
    code = (
        "import time; from pathlib import Path; from snnq.system.lock import only_process_in\n"
        "with only_process_in(Path('run')):\n    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(
            BlockingIOError, match=rf"run: process {other.pid} on \S+ works in this"
        ):
            fit(settings, in_tmp / "run")
        other.kill()
    fit(settings, in_tmp / "run")
    assert results(in_tmp / "run") == expected


def test_too_little_memory_names_settings(tiny, in_tmp, monkeypatch):
    def lack():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(training_gradients, "loss_of", at_call(1, lack, training_gradients.loss_of))
    with pytest.raises(MemoryError, match="out of memory with batch_size=16, channels=2"):
        fit(tiny, in_tmp / "run")


def test_other_errors_stay_what_they_are(tiny, in_tmp, monkeypatch):
    def fail():
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(training_gradients, "loss_of", at_call(1, fail, training_gradients.loss_of))
    with pytest.raises(RuntimeError, match="shapes differ"):
        fit(tiny, in_tmp / "run")


def test_an_unfinished_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("before")

    def half(partial):
        partial.write_text("half")
        raise Killed

    with pytest.raises(Killed):
        write_atomically(path, half)
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"] and path.read_text() == "before"


def test_a_lock_is_free_after_its_holder_failed(tmp_path):
    for _ in range(2):
        with pytest.raises(Killed), only_process_in(tmp_path):
            raise Killed


def test_times_are_in_the_record_and_not_in_the_history_file(undisturbed, in_tmp):
    settings, _ = undisturbed
    assert "seconds" not in pd.read_csv(in_tmp / "undisturbed" / "history.csv")
    history = snnq.read_history(in_tmp / "undisturbed")
    assert len(history["seconds"]) == settings["epochs"] and (history["seconds"] > 0).all()
