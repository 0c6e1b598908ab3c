"""What several tests share: tiny recordings in N-MNIST's own format, the real ones, and runs."""

import gc
import os
import runpy
import signal
import sys
import warnings
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryFile
from urllib.error import URLError

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import settings

import snnq
from snnq.recordings.formats import EVENTS
from snnq.recordings.frames import Frames
from snnq.recordings.writers import write_bin
from snnq.study.forkserver import FORK
from snnq.study.gather import gather, gather_ablations
from snnq.study.profile import Study, Variant
from snnq.training.loop import Training

pytest_plugins = ["browser"]

# Shared machines are slow at times; the same examples every time.
settings.register_profile("snnq", deadline=None, derandomize=True)
settings.load_profile("snnq")


def pytest_addoption(parser):
    parser.addoption("--mutations", type=int, default=1000, help="mutated files for each format")
    parser.addoption("--without-browser", action="store_true", help="skip what needs Chromium")
    parser.addoption(
        "--peers",
        choices=("optional", "required"),
        default="optional",
        help="whether a missing library or compiler to compare with skips a test or fails it",
    )


def pytest_collection_finish():
    gc.freeze()  # what was imported: collecting garbage need not look at it again


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as of what a shell starts in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)
torch.set_num_threads(1)  # of each of the processes that share the cores


PROJECT = Path(__file__).parent.parent
REAL_DATA = PROJECT.parent / "shared" / "data"
# Levels that each quantizer takes, where it does not take any that are even.
LEVELS_OF = {name: "binary" for name in ("sign", "qsnn", "bso", "tbso")}
LEVELS_OF |= {name: "ternary" for name in ("twn", "ttq")}
TINY = {"channels": 2, "epochs": 2, "steps": 2, "device": "cpu"}  # a run of a second or two


@pytest.fixture(scope="session")
def peer(pytestconfig):
    """A function that asks for what results are compared with, a module or a program."""

    def ask(name: str, there: object) -> None:
        if not there:
            missing = pytest.fail if pytestconfig.getoption("peers") == "required" else pytest.skip
            missing(f"{name} is not installed: `make peers` installs what there is to compare with")

    return ask


@pytest.fixture(scope="session")
def real_data() -> Path:
    """A folder of real recordings, where this machine has one."""
    if not (REAL_DATA / "NMNIST").is_dir():
        pytest.skip(f"no real recordings in {REAL_DATA}")
    return REAL_DATA


def random_events(rng: np.random.Generator, count: int, size: int = 34) -> np.ndarray:
    events = np.empty(count, dtype=EVENTS)
    events["x"], events["y"] = rng.integers(0, size, (2, count))
    events["t"] = np.sort(rng.integers(0, 300_000, count))
    events["p"] = rng.integers(0, 2, count)
    return events


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """Bytes changed, cut off, left out or put in at random places."""
    changed = bytearray(content)
    for _ in range(rng.integers(1, 6)):
        place = int(rng.integers(len(changed) + 1))
        kind = rng.integers(5)
        if kind == 0:
            changed = changed[:place]
        elif kind == 1:
            changed[place:place] = rng.bytes(int(rng.integers(1, 9)))
        elif kind == 2:
            del changed[place : place + int(rng.integers(1, 9))]
        else:  # mostly near the start, where the headers are
            place = int(len(changed) * rng.random() ** 2)
            changed[place : place + 1] = rng.bytes(1)
    return bytes(changed)


def write_recordings(root: Path, per_class: int = 4, seed: int = 0) -> Path:
    """Noise with a class-dependent bar, as N-MNIST files: enough to be learned."""
    rng = np.random.default_rng(seed)
    for split in ("Train", "Test"):
        for label in range(10):
            for number in range(per_class):
                events = random_events(rng, 400)
                events["x"][:300] = 3 * label + rng.integers(0, 4, 300)
                path = root / "NMNIST" / split / str(label) / f"{label}{number:04}.bin"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_bin(events, path)
    return root


@pytest.fixture(scope="session")
def recordings(tmp_path_factory) -> Path:
    """A data folder with 40 training and 40 test recordings; not to be changed."""
    return write_recordings(tmp_path_factory.mktemp("data"))


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """No test waits for, or depends on, what a server answers."""

    def refuse(*_, **__):
        raise URLError("no network in tests")

    monkeypatch.setattr("snnq.recordings.download.download_url", refuse)
    monkeypatch.setattr("tonic.dataset.download_and_extract_archive", refuse)
    monkeypatch.setattr("sklearn.datasets.fetch_openml", refuse)


@pytest.fixture
def in_tmp(tmp_path, monkeypatch) -> Path:
    """A working directory of the test's own, since frames go to ./data/frames."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def paper_quantizer(weight, levels, temperature=1.0, backward=None, biases=None):
    """As the paper has it: the true slope, unless another is asked for, and both scales learned."""
    return snnq.SigmoidQuantizer(weight, levels, temperature, backward, biases, ("alpha", "beta"))


def small_study(folder: Path, recordings: Path) -> Study:
    """A study in `folder/results/quick`: full precision and 2 bits of one seed, trained for an
    epoch, and an ablation of them, gathered."""
    settings = TINY | {"data": str(recordings), "epochs": 1}
    runs = [snnq.Run(levels=levels, **settings) for levels in ("full", "2bit")]
    rows = [Variant("neuron", change, runs[1].name) for change in ("PLIF", "LIF")]
    study = Study(folder / "results/quick", {}, {run.name: run for run in runs}, rows, {})
    with chdir(folder):  # since frames go to ./data/frames
        for run in runs:
            snnq.fit(run, study.folder / "runs" / run.name, progress=False)
    gather(study)
    gather_ablations(study)
    return study


@pytest.fixture
def tiny(recordings) -> dict:
    """Settings of a run that takes a second or two."""
    return TINY | {"data": str(recordings)}


@pytest.fixture
def tiny_run(tiny) -> snnq.Run:
    return snnq.Run(**tiny)


def fit(settings: dict, folder: Path, restart: bool = False) -> pd.DataFrame:
    return snnq.fit(snnq.Run(**settings), folder, progress=False, restart=restart)


def results(folder: Path) -> list:
    """What is the same however often a run was stopped: its history, weights and predictions to the
    bit, its accuracies, and of how many epochs it has the time."""
    names = ("history.csv", "weights.safetensors", "predictions.safetensors")
    files = [(folder / name).read_bytes() for name in names]
    record = snnq.read_record(folder)
    return [*files, record["accuracy"], len(record["seconds"])]


@pytest.fixture
def noise() -> Frames:
    """Thirty recordings of nothing in particular, [2, 2, 8, 8], for `firing_network`."""
    frames = np.random.default_rng(0).poisson(0.5, (30, 2, 2, 8, 8)).astype(np.uint8)
    return Frames("test", frames, np.arange(30) % 10)


def firing_network() -> torch.nn.Module:
    """Untrained, with weights large enough for its neurons to fire."""
    torch.manual_seed(0)
    model = snnq.build_model("nmnist", channels=3, size=8)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data.add_(parameter.abs().mean() / 2).mul_(4)
    return model


def ends_as_one_that_was_not_stopped(settings: dict, folder: Path, monkeypatch, look: int) -> None:
    """Of a run that is stopped at its so-manieth look at the loss, and goes on."""
    fit(settings, folder / "whole")
    real, calls = Training._look, []

    def stopped(self, epoch):
        calls.append(epoch)
        if len(calls) == look:
            self.interruption.asked = "stopped by the test"
        real(self, epoch)

    monkeypatch.setattr(Training, "_look", stopped)
    with pytest.raises(KeyboardInterrupt):
        fit(settings, folder / "stopped")
    fit(settings, folder / "stopped")
    assert results(folder / "stopped") == results(folder / "whole")


def forked(folder: Path, function: Callable, *arguments: object) -> CompletedProcess:
    """What a function says in a folder and whether it fails, in a process of its own: one that is
    forked from this one, and so need not import again what is imported here."""
    with open(os.devnull) as nothing, TemporaryFile("w+") as output, TemporaryFile("w+") as errors:
        files = [file.fileno() for file in (nothing, output, errors)]
        job = FORK.Process(target=_fork, args=(files, folder, function, arguments))
        job.start()
        job.join()
        texts = [os.pread(file, os.fstat(file).st_size, 0).decode() for file in files[1:]]
    return CompletedProcess(function, job.exitcode, *texts)


def _fork(files: list[int], folder: Path, function: Callable, arguments: tuple) -> None:
    for number, file in enumerate(files):
        os.dup2(file, number)
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__  # which pytest has put aside
    warnings.resetwarnings()
    os.chdir(folder)
    function(*arguments)


def python_m(*argv: object) -> None:
    """As `python -m` with these words."""
    sys.argv[1:] = map(str, argv[1:])
    runpy.run_module(argv[0], run_name="__main__", alter_sys=True)


class Killed(BaseException):
    pass


def kill():
    raise Killed


def at_call(number, act, original):
    """`original`, which calls `act` before its so-manieth call."""
    calls = []

    def called(*arguments, **options):
        calls.append(None)
        if len(calls) == number:
            act()
        return original(*arguments, **options)

    return called
