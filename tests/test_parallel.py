"""A run across two processes, which torchrun starts, is that of one process within rounding."""

import os
import shutil
import signal
from pathlib import Path

import pandas as pd
import pytest
import torch
from conftest import at_call, fit, forked, results, write_recordings
from safetensors.torch import load_file, save_file
from torch.distributed.launcher.api import elastic_launch
from torch.distributed.run import config_from_args, parse_args

import snnq
from snnq.quantization.layers import layers_of
from snnq.system.interruption import Stopped
from snnq.training import gradients
from snnq.training.optimizer import Optimizer
from snnq.training.parallel import Processes, joined
from snnq.training.session import refuse_unless_possible
from snnq.training.step import Step

pytestmark = pytest.mark.xdist_group("parallel")  # which share what two processes did
SETTINGS = {"levels": "ternary", "data": "data", "channels": 8, "epochs": 2, "steps": 4}
# Of 40 recordings the last batch has one, so that a process has none.
SETTINGS |= {"batch_size": 13, "validation": 0.0, "learning_rate": 1e-2, "device": "cpu"}



def script():
    """What each of two processes does."""
    with joined() as processes:
        model, sums = steps_in_float64(processes)
        if processes.main:
            save_file(model | sums, "float64.safetensors")
        model = own_network(seed=processes.rank)
        save_file(model.state_dict(), f"own {processes.rank}.safetensors")
        fit(SETTINGS, Path("whole"))
        if not processes.main:  # that one alone hears of it
            stop = at_call(5, lambda: os.kill(os.getpid(), signal.SIGTERM), gradients.loss_of)
            gradients.loss_of = stop
        try:
            fit(SETTINGS, Path("stopped"))
        except Stopped as stopped:
            print(processes.rank, stopped, flush=True)
        if processes.main:
            shutil.copytree("stopped", "by one")
        history = fit(SETTINGS, Path("stopped"))
        assert len(history) == 2, history


def own_network(seed: int) -> torch.nn.Module:
    """One of one's own, trained from other weights in each process, as without a seed."""
    torch.manual_seed(seed)
    model = snnq.quantize(snnq.build_model("nmnist", channels=2), "binary")
    generator = torch.Generator().manual_seed(0)
    data = [(torch.rand(2, 2, 34, 34, generator=generator), number % 3) for number in range(8)]
    settings = snnq.Settings(epochs=2, batch_size=4, learning_rate=1e-2, device="cpu", harden=())
    snnq.train(model, data, None, data, settings, "own", progress=False)
    return model


def steps_in_float64(processes: Processes) -> tuple[dict, dict]:
    """The network after some steps, of which the last two have a recording or two, and the sums.

    In float64, where rounding is too small to make a neuron spike or not.
    """
    torch.manual_seed(0)
    model = snnq.quantize(snnq.build_model("nmnist", channels=4), "2bit").double().train()
    for layer in layers_of(model).values():  # so that every layer spikes
        layer.register_forward_hook(lambda _, __, output: output + 1)
    step = Step(model, Optimizer(model, 5e-3, 10), processes=processes)
    for recordings in (7, 6, 7, 2, 1):
        frames = 3 * torch.rand(3, recordings, 2, 34, 34, dtype=torch.float64)
        step(frames, torch.arange(recordings))
    loss_sum, correct = step.read()
    sums = {"sums": torch.tensor([loss_sum, correct]), "draw": torch.rand(3)}
    return model.state_dict(), sums


def torchrun():
    """As the program does, but that each process is forked, with what is imported."""
    options = ["--nproc-per-node=2", "--start-method=fork", "--rdzv-backend=c10d"]
    options += ["--rdzv-endpoint=localhost:0", "--rdzv-id=test", "function"]
    config, *_ = config_from_args(parse_args(options))
    elastic_launch(config, script)()


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """A folder in which two processes have run the script, and what they said."""
    folder = tmp_path_factory.mktemp("together")
    write_recordings(folder / "data")
    done = forked(folder, torchrun)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout.splitlines()


def test_steps_are_those_of_one_process(together):
    folder, _ = together
    found = load_file(folder / "float64.safetensors")
    model, sums = steps_in_float64(Processes())
    for name, expected in (model | sums).items():
        torch.testing.assert_close(found[name], expected, rtol=1e-6, atol=1e-9, msg=name)


def test_a_network_without_a_seed_is_the_same_in_each_process(together):
    """Its scales' learning rates, too, which are relative to their sizes."""
    folder, _ = together
    one, other = (load_file(folder / f"own {rank}.safetensors") for rank in (0, 1))
    left = load_file(folder / "own" / "weights.safetensors")
    for name, value in one.items():
        assert torch.equal(value, other[name]) and torch.equal(value, left[name]), name


def test_a_run_is_that_of_one_process_as_long_as_rounding_is_small(together, monkeypatch):
    folder, _ = together
    monkeypatch.chdir(folder)
    history, expected = snnq.read_history("whole"), fit(SETTINGS, "one")
    columns = ["epoch", "temperature", "loss", "train_accuracy"]
    pd.testing.assert_frame_equal(history[:1][columns], expected[:1][columns], rtol=1e-4)
    assert history["loss"].iloc[-1] == pytest.approx(expected["loss"].iloc[-1], rel=0.05)
    assert snnq.read_record("whole")["processes"] == 2
    assert snnq.read_record("one")["processes"] == 1


def test_a_run_that_one_process_was_asked_to_stop_goes_on_to_the_same_end(together):
    folder, said = together
    assert sorted(line.split(": ")[0] for line in said) == ["0 stopped", "1 SIGTERM"]
    assert all("saved after step 2 of epoch 2 in stopped" in line for line in said)
    assert results(folder / "stopped") == results(folder / "whole")


def test_a_run_of_two_processes_goes_on_with_one(together, monkeypatch):
    folder, _ = together
    monkeypatch.chdir(folder)
    history, expected = fit(SETTINGS, "by one"), snnq.read_history("whole")
    assert history["loss"][0] == expected["loss"][0]
    assert history["loss"][1] == pytest.approx(expected["loss"][1], rel=1e-2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 1}, "batch_size=1: expected at least 2, a recording for each process"),
        ({"cuda_graph": True}, "cuda_graph=True: expected one process, not 2"),
        ({"arithmetic": "int8"}, "arithmetic=int8: expected one process, not 2"),
    ],
)
def test_what_processes_cannot_do_together_is_refused(tiny, settings, message):
    processes = Processes()
    processes.count = 2
    with pytest.raises(ValueError, match=message):
        refuse_unless_possible(snnq.Run(**tiny, **settings), processes)
