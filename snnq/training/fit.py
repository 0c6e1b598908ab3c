"""A run from its settings to its files."""

from functools import partial
from pathlib import Path

import pandas as pd
from torch import nn

from snnq.quantization.rules import label_of
from snnq.system.interruption import memory_advice
from snnq.training.identity import frames_of_run, identity_of, is_finished
from snnq.training.parallel import joined
from snnq.training.parts import FULL_FOLDER, full_part, full_rows, last_part
from snnq.training.record import RECORD, about_run, initial_network, read_history
from snnq.training.run import Run
from snnq.training.session import carry_out, refuse_unless_possible
from snnq.training.splits import splits_of
from snnq.training.task import Row, Task
from snnq.training.tensorboard import TensorBoard


def fit(run: Run, folder: str | Path, progress: bool = True, restart: bool = False) -> pd.DataFrame:
    """Train a run in a folder, or go on with it from where it was stopped.

    `snnq.train` on the recordings and the network that the run's settings name, with its defaults;
    of a quantized run first in full precision, see `Run.full_epochs`. A finished run returns at
    once: it needs no recordings, and nothing is written.

    Parameters
    ----------
    run : Run
    folder : path
        Gets what `snnq.train` leaves. The full-precision part of a quantized run is a run of its
        own in `full`.
    progress, restart
        See `snnq.train`.

    Returns
    -------
    pandas.DataFrame
        A row per epoch, as of `snnq.train`, the full-precision part included, where the temperature
        is NaN.

    Raises
    ------
    ValueError, FileNotFoundError
        A device that is not there, bad recordings, a `start` that is no matching full-precision
        run, or a folder that holds another run, with what differs: settings, recordings, the
        weights to start from, or the version of the training's code. All before training; and what
        `snnq.train` raises.
    """
    folder = Path(folder)
    with (
        joined() as processes,
        memory_advice(f"batch_size={run.batch_size}, channels={run.channels}"),
    ):
        there = (folder / RECORD).exists()  # or no recordings need to be looked at yet
        if there and is_finished(identity_of(run, frames_of_run(run)), folder, restart):
            return read_history(folder)
        refuse_unless_possible(run, processes)
        callbacks = [TensorBoard()] if run.log == "tensorboard" else []
        with processes.main_first():  # who builds the frames
            train, validation, test, frames = splits_of(run)
            model = None if run.epochs_in_full else initial_network(run)
        splits = {"train": train, "validation": validation, "test": test}
        identity = identity_of(run, frames)
        task = Task(
            settings=run,
            splits=splits,
            start=partial(_start, run, folder, model, progress, restart),
            identity=identity,
            about=about_run(run, identity, {name: len(split) for name, split in splits.items()}),
            title=f"{run.recordings} {label_of(run.levels)} seed {run.seed}",
            augmentation=run.augmentation,
            callbacks=callbacks,
        )
        return carry_out(task, folder, processes, progress, restart)


def _start(
    run: Run, folder: Path, model: nn.Module | None, progress: bool, restart: bool
) -> tuple[nn.Module, list[Row]]:
    """The network that is there; or, of a run with a full-precision part, the one that it leaves."""
    if model is not None:
        return model, []
    fit(full_part(run), folder / FULL_FOLDER, progress, restart)
    return initial_network(last_part(run, folder)), full_rows(run, folder)
