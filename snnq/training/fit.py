"""A run from its settings to its files."""

from contextlib import nullcontext
from pathlib import Path

import pandas as pd

from snnq.networks.models import SpikingNetwork
from snnq.system.files import sweep
from snnq.system.interruption import memory_advice
from snnq.system.lock import only_process_in
from snnq.system.memory import keep_freed_memory
from snnq.training.checkpoint import Checkpoint
from snnq.training.device import device_of
from snnq.training.identity import identity_of, is_finished
from snnq.training.loop import Training
from snnq.training.parallel import Processes, joined
from snnq.training.parts import FULL_FOLDER, full_part, last_part
from snnq.training.record import HISTORY, RECORD, initial_network, read_history
from snnq.training.run import Run
from snnq.training.splits import splits_of


def fit(run: Run, folder: str | Path, progress: bool = True, restart: bool = False) -> pd.DataFrame:
    """Train a run in a folder, or go on with it from where it was stopped.

    Adam with a cosine schedule on the mean-squared error between firing rates and the one-hot
    class; of a quantized run first in full precision, see `Run.full_epochs`. Checkpoints are saved
    after each epoch and each minute, so an interrupted run, called again, ends as if it had not
    been interrupted. A finished one returns at once: it needs no recordings, and nothing is
    written.

    Parameters
    ----------
    run : Run
    folder : path
        Gets after each epoch `history.csv` and `histograms.csv` (see `weight_histograms`; epoch 0
        is before training), and at the end `weights.safetensors`, the same network packed
        (`snnq.pack`) in `packed.safetensors`, `predictions.safetensors` (uint8 [test recordings]:
        the classes that `hard` and `soft` weights predict, and `label`), and `run.json`. Until
        then it holds the last two checkpoints. The full-precision part of a quantized run is a
        run of its own in `full`.
    progress : bool
        Show a progress bar.
    restart : bool
        Where the folder holds another run, finished or not, train this one in its place. The same
        run goes on, or returns, as ever.

    Returns
    -------
    pandas.DataFrame
        A row per epoch: epoch (from 1), temperature (NaN in the full-precision part of a quantized
        run), loss and train_accuracy (in training, with augmentation and dropout),
        validation_accuracy and test_accuracy with hard weights, test_accuracy_soft (NaN where it
        was not measured, see `Run.soft_every`), seconds (which are in `run.json`, not in
        `history.csv`). Accuracies are shares of 1.

    Raises
    ------
    ValueError, FileNotFoundError
        A device that is not there, bad recordings, a `start` that is no matching full-precision
        run, or a folder that holds another run, with what differs: settings, recordings, the
        weights to start from, or the version of the training's code. All before training.
    BlockingIOError
        Another process works in the folder.
    FloatingPointError
        The loss or a gradient is not finite. The batch, and the network with the weights before
        that step, are kept in `failure.pt`. On a GPU it may be noticed some steps later: the
        weights wait, but batch norm's running statistics have gone on.
    MemoryError
        Says which settings to lower.
    OSError
        A file that could not be written; called again, the run goes on from its checkpoint.
    KeyboardInterrupt
        Ctrl-C or SIGTERM, after saving; a single line in a notebook.
    """
    folder = Path(folder)
    with joined() as processes:
        if is_finished(run, folder, restart):
            return read_history(folder)
        keep_freed_memory()
        refuse_unless_possible(run, processes)
        with processes.main_first():  # who builds the frames
            splits = splits_of(run)
            model = None if run.epochs_in_full else initial_network(run)
        with (
            only_process_in(folder) if processes.main else nullcontext(),
            memory_advice(f"batch_size={run.batch_size}, channels={run.channels}"),
        ):
            if processes.main:
                if is_finished(run, folder, restart):  # by another process meanwhile
                    return read_history(folder)
                sweep(folder)
            with processes.main_first():  # who sets aside what cannot be read
                checkpoint = Checkpoint(folder, identity_of(run, splits[-1]), restart)
            if processes.main and checkpoint.state is None:
                for name in (RECORD, HISTORY):  # of another run, which this one replaces
                    (folder / name).unlink(missing_ok=True)
            if model is None:
                model = _from_full_precision(run, folder, progress, restart)
            training = Training(run, folder, splits, model, processes, progress, checkpoint)
            with training.bar, training.interruption.watched():
                for epoch in training.epochs_left():
                    training.epoch(epoch)
            with processes.main_first():
                return training.finish()


def _from_full_precision(run: Run, folder: Path, progress: bool, restart: bool) -> SpikingNetwork:
    """The network that a run's quantized part starts from, once the part before it is trained."""
    fit(full_part(run), folder / FULL_FOLDER, progress, restart)
    return initial_network(last_part(run, folder))


def refuse_unless_possible(run: Run, processes: Processes) -> None:
    """Raises ValueError where a setting does not fit the machine or the number of processes."""
    device_of(run)
    if processes.count > run.batch_size:
        raise ValueError(
            f"batch_size={run.batch_size}: expected at least {processes.count}, a recording for"
            " each process"
        )
    if processes.count > 1 and run.cuda_graph:
        raise ValueError(f"cuda_graph=True: expected one process, not {processes.count}")
