"""How far a study is, and how long it will still take on this machine, one run at a time."""

import math
import time
import warnings
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import torch
from snakemake.utils import update_config
from tqdm import tqdm

from snnq.quantization.rules import FULL, label_of
from snnq.recordings.benchmarks import get_benchmark
from snnq.recordings.layout import has_recordings
from snnq.recordings.recordings import Recordings
from snnq.recordings.splits import complete_split
from snnq.study.profile import Study
from snnq.study.sections import read_profile
from snnq.system.interruption import memory_advice
from snnq.training.device import device_of
from snnq.training.evaluation import evaluated_at_once
from snnq.training.optimizer import Optimizer
from snnq.training.parts import full_part
from snnq.training.record import initial_network, read_record
from snnq.training.run import Run
from snnq.training.step import Step

MEASURED = "forecast.csv"  # in the study's folder: seconds per epoch, as measured last
CPU_NUMBERS = 2**26  # of a layer's outputs in a measured step without a GPU: a full batch may not fit
TIMED_STEPS = 3
KIND = ["recordings", "channels", "levels"]


def forecast(study: Study, measured: pd.DataFrame | None = None) -> pd.DataFrame:
    """A row per kind of run: what it is trained on, its width and its level set.

    Those of the pretraining count as full precision.

    Parameters
    ----------
    study : Study
    measured : DataFrame, optional
        As `measure` returns it: for kinds of which no run is finished yet.

    Returns
    -------
    pandas.DataFrame
        recordings (see `Run.recordings`), channels, levels, runs, finished, epochs of all of them,
        done, seconds_per_epoch (median of finished runs; else as measured, else the mean of the
        recordings and width, else NaN), hours_left.
    """
    rows = []
    for kind, runs in kinds_of(study).items():
        seconds = [_seconds(study, name) for name in runs]
        finished = [value for value in seconds if value is not None]
        rows.append(
            dict(zip(KIND, kind))
            | {
                "runs": len(runs),
                "finished": len(finished),
                "epochs": sum(run.epochs for run in runs.values()),
                "done": sum(study.epochs_done(name) for name in runs),
                "seconds_per_epoch": pd.Series(finished, dtype=float).median(),
            }
        )
    table = pd.DataFrame(rows)
    if measured is not None:
        known = table[KIND].merge(measured, "left")["seconds_per_epoch"]
        table["seconds_per_epoch"] = table["seconds_per_epoch"].fillna(known)
    seconds = table["seconds_per_epoch"]
    alike = seconds.groupby([table["recordings"], table["channels"]])
    table["seconds_per_epoch"] = seconds.fillna(alike.transform("mean"))
    left = table["epochs"] - table["done"]
    return table.assign(hours_left=left * table["seconds_per_epoch"] / 3600)


def measure(study: Study) -> pd.DataFrame:
    """Seconds per epoch of each kind of run of which none is finished, from a few steps.

    On random frames, so before the recordings are there; for as many recordings as are there, or
    as the complete benchmark has. Columns recordings, channels, levels, seconds_per_epoch, which is
    NaN for a kind that does not fit into memory: a warning names it.
    """
    waiting = {
        kind: next(iter(runs.values()))
        for kind, runs in kinds_of(study).items()
        if all(_seconds(study, name) is None for name in runs)
    }
    rows, measured = [], {}
    for kind, run in tqdm(waiting.items(), "measuring steps", unit="kind of run", disable=None):
        # One level set costs about as much as another.
        alike = run.recordings, run.channels, run.levels == FULL
        if alike not in measured:
            measured[alike] = _epoch_seconds_if_it_fits(run)
        rows.append((*kind, measured[alike]))
    return pd.DataFrame(rows, columns=[*KIND, "seconds_per_epoch"])


def summary(table: pd.DataFrame) -> str:
    """A forecast in one line."""
    total = table[["runs", "finished", "epochs", "done"]].sum()
    hours = table["hours_left"].sum(skipna=False)
    left = "time left unknown" if pd.isna(hours) else f"about {duration(hours)} left, one by one"
    return (
        f"{total['finished']} of {total['runs']} runs finished,"
        f" {total['done']:,} of {total['epochs']:,} epochs; {left}"
    )


def read_profiles(paths: Iterable[Path]) -> dict:
    """Profiles merged as Snakemake merges them. Raises OSError, or ValueError for what is none."""
    merged: dict = {}
    for path in paths:
        update_config(merged, read_profile(path))
    return merged


def kind_of(run: Run) -> tuple[str, int, str]:
    """Runs of one kind take about as long, see `KIND`."""
    return run.recordings, run.channels, label_of(run.levels)


def kinds_of(study: Study) -> dict[tuple[str, int, str], dict[str, Run]]:
    kinds: dict[tuple[str, int, str], dict[str, Run]] = {}
    for name, run in study.trained.items():
        kinds.setdefault(kind_of(run), {})[name] = run
    return kinds


def _seconds(study: Study, name: str) -> float | None:
    """Mean seconds per epoch of a finished run."""
    if not study.is_finished(name):
        return None
    seconds = read_record(study.run_folder(name))["seconds"]
    return sum(seconds) / len(seconds)


def _epoch_seconds_if_it_fits(run: Run) -> float:
    try:
        with memory_advice(f"batch_size={run.batch_size}, channels={run.channels}"):
            return _epoch_seconds(run)
    except MemoryError as error:
        warnings.warn(f"{run.recordings}, {label_of(run.levels)}: {error}", stacklevel=3)
        return math.nan


def _epoch_seconds(run: Run) -> float:
    """Mean of a run's epochs, of which some may be in full precision."""
    if not run.epochs_in_full:
        return _seconds_of_an_epoch(run)
    share = run.epochs_in_full / run.epochs
    full, quantized = map(_seconds_of_an_epoch, (full_part(run), run))
    return share * full + (1 - share) * quantized


def _seconds_of_an_epoch(run: Run) -> float:
    device = device_of(run)
    on_gpu = device.type == "cuda"
    train, test = _recordings(run)
    held_out = round(run.validation * train)
    batch = run.batch_size if on_gpu else _cpu_batch(run)
    step = _timed(run, device, batch, training=True) / batch
    batch = evaluated_at_once(math.prod(_frame_shape(run))) if on_gpu else batch
    look = _timed(run, device, batch, training=False) / batch
    epochs = range(run.epochs_in_full + 1, run.epochs + 1)
    soft = sum(map(run.tests_soft, epochs)) / len(epochs)
    evaluated = held_out + (1 if run.levels == FULL else 1 + soft) * test
    return (train - held_out) * step + evaluated * look


def _frame_shape(run: Run) -> tuple[int, int, int, int]:
    """Of one recording: [N_t, C, H, W]."""
    benchmark = get_benchmark(run.benchmark, run.data)
    height, width = (run.size, run.size) if run.size else (benchmark.height, benchmark.width)
    return run.steps or benchmark.steps, benchmark.polarities, height, width


def _cpu_batch(run: Run) -> int:
    steps, _, height, width = _frame_shape(run)
    return max(1, min(run.batch_size, CPU_NUMBERS // (steps * height * width * run.channels)))


def _recordings(run: Run) -> tuple[int, int]:
    """How many training and test recordings there are, or are to be."""
    benchmark = get_benchmark(run.benchmark, run.data)
    if not has_recordings(benchmark, Path(run.data)):
        return complete_split(benchmark, run.split)
    return tuple(
        len(Recordings(run.benchmark, run.data, train, split=run.split)) for train in (True, False)
    )


def _timed(run: Run, device: torch.device, batch: int, training: bool) -> float:
    """Seconds of a step on random frames with an event in every tenth pixel."""
    steps, *shape = _frame_shape(run)
    frames = (torch.rand((steps, batch, *shape), device=device) < 0.1).float()
    labels = torch.zeros(batch, dtype=torch.long, device=device)
    model = initial_network(Run.of(vars(run) | {"start": None})).to(device).train(training)
    step = Step(model, Optimizer(model, run.learning_rate, TIMED_STEPS + 1), run.precision)
    for timed in range(TIMED_STEPS + 1):
        if timed == 1:  # the first is to warm up
            _wait(device)
            start = time.perf_counter()
        if training:
            step(frames, labels)
        else:
            with torch.no_grad():
                model(frames)
    _wait(device)
    return (time.perf_counter() - start) / TIMED_STEPS


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def duration(hours: float) -> str:
    """For people: "40 s", "12 min", "3 h 20 min"."""
    if hours < 1 / 60:
        return f"{round(3600 * hours)} s"
    minutes = round(60 * hours)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"
