"""Training and evaluation of one run."""

import math
import time
import warnings
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import save_file
from torch import nn
from tqdm import tqdm

from snnq.quantization.histograms import weight_histograms
from snnq.quantization.network import set_temperature
from snnq.quantization.temperature import temperature_at
from snnq.recordings.augmentation import AUGMENTATIONS
from snnq.storage.pack import pack
from snnq.system.files import save_tensors, sweep, write_atomically
from snnq.system.interruption import Interruption, Stopped, memory_advice
from snnq.system.lock import only_process_in
from snnq.system.memory import keep_freed_memory
from snnq.training.checkpoint import Checkpoint
from snnq.training.evaluation import batches, evaluate
from snnq.training.failure import fail
from snnq.training.identity import identity_of, is_finished
from snnq.training.optimizer import Optimizer
from snnq.training.parallel import Processes, joined, local_gpu
from snnq.training.precision import products_in
from snnq.training.random_state import forked, mixed_seed, random_state, set_random_state
from snnq.training.record import (
    HISTOGRAMS,
    HISTORY,
    PACKED,
    RECORD,
    WEIGHTS,
    initial_network,
    read_history,
    write_record,
)
from snnq.training.run import FULL, Run
from snnq.training.splits import splits_of
from snnq.training.step import NotFinite, Step

CHECKPOINT_SECONDS = 60  # between checkpoints within an epoch
LOG_STEPS = {"cpu": 1, "cuda": 20}  # between looks at the loss: a GPU has to be waited for
PROGRESS_SECONDS = 3  # between updates of the bar, so that a log of them stays readable


def fit(run: Run, folder: str | Path, progress: bool = True, restart: bool = False) -> pd.DataFrame:
    """Train a run in a folder, or go on with it from where it was stopped.

    Adam with a cosine schedule on the mean-squared error between firing rates and the one-hot
    class. Checkpoints are saved after each epoch and each minute, so an interrupted run, called
    again, ends as if it had not been interrupted. A finished one returns at once: it needs no
    recordings, and nothing is written.

    Parameters
    ----------
    run : Run
    folder : path
        Gets after each epoch `history.csv` and `histograms.csv` (see `weight_histograms`; epoch 0
        is before training), and at the end `weights.safetensors`, the same network packed
        (`snnq.pack`) in `packed.safetensors`, and `run.json`. Until then it holds the last two
        checkpoints.
    progress : bool
        Show a progress bar.
    restart : bool
        Where the folder holds another run, finished or not, train this one in its place. The same
        run goes on, or returns, as ever.

    Returns
    -------
    pandas.DataFrame
        A row per epoch: epoch (from 1), temperature, loss and train_accuracy (in training, with
        augmentation and dropout), validation_accuracy and test_accuracy with hard weights,
        test_accuracy_soft, seconds (which are in `run.json`, not in `history.csv`). Accuracies
        are shares of 1.

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
        _refuse_unless_possible(run, processes)
        with processes.main_first():  # who builds the frames
            splits, model = splits_of(run), initial_network(run)
        with (
            only_process_in(folder) if processes.main else nullcontext(),
            memory_advice(f"batch_size={run.batch_size}, channels={run.channels}"),
        ):
            if processes.main:
                if is_finished(run, folder, restart):  # by another process meanwhile
                    return read_history(folder)
                sweep(folder)
            training = _Training(run, folder, splits, model, processes, progress, restart)
            with training.bar, training.interruption.watched():
                for epoch in range(len(training.progress.history), run.epochs):
                    training.epoch(epoch)
            with processes.main_first():
                return training.finish()


def device_of(run: Run) -> torch.device:
    """Where a run trains: "auto" is a GPU where there is one, and of several processes each has
    its own. Raises ValueError for one that is not there."""
    best = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(best if run.device == "auto" else run.device)
    if device.type == "cuda":
        device = torch.device("cuda", device.index if device.index is not None else local_gpu())
        if device.index >= (count := torch.cuda.device_count()):
            raise ValueError(
                f"device={run.device!r}: this machine has {count} GPUs that torch can use"
            )
    return device


def _refuse_unless_possible(run: Run, processes: Processes) -> None:
    """Raises ValueError where a setting does not fit the machine or the number of processes."""
    device_of(run)
    if processes.count > run.batch_size:
        raise ValueError(
            f"batch_size={run.batch_size}: expected at least {processes.count}, a recording for"
            " each process"
        )
    if processes.count > 1 and run.cuda_graph:
        raise ValueError(f"cuda_graph=True: expected one process, not {processes.count}")


class _Training:
    """A run under way: its recordings, network, optimizer, checkpoint and progress."""

    def __init__(
        self,
        run: Run,
        folder: Path,
        splits: tuple,
        model: nn.Module,
        processes: Processes,
        bar: bool,
        restart: bool,
    ):
        self.run, self.folder, self.processes = run, folder, processes
        self.train, self.validation, self.test, frames = splits
        self.identity = identity_of(run, frames)
        with processes.main_first():  # who sets aside what cannot be read
            self.checkpoint = Checkpoint(folder, self.identity, restart)
        self.device = device_of(run)
        self.model = model.to(self.device)
        self.steps = math.ceil(len(self.train) / run.batch_size)
        self.log_steps = LOG_STEPS[self.device.type]
        self.optimizer = Optimizer(self.model, run.learning_rate, run.epochs * self.steps)
        graphed = run.cuda_graph and self.device.type == "cuda"
        graph_of = run.batch_size if graphed else None
        self.step = Step(self.model, self.optimizer, run.precision, graph_of, processes)
        self.interruption = Interruption()
        before = self._histograms(0)
        self.progress = self.checkpoint.restore(**self._state())
        self._compare_devices()
        self.progress.histograms = self.progress.histograms or before
        self.since = time.perf_counter() - self.progress.seconds
        if processes.main:  # of another run: this one begins in its place
            (folder / RECORD).unlink(missing_ok=True)
        self.bar = tqdm(
            total=run.epochs * self.steps,
            initial=len(self.progress.history) * self.steps + self.progress.step,
            desc=f"{run.benchmark} {run.levels} seed {run.seed}",
            unit="batch",
            mininterval=PROGRESS_SECONDS,
            disable=not (bar and processes.main),
        )

    def _state(self) -> dict:
        optimizer = self.optimizer
        return {
            "model": self.model,
            "optimizer": optimizer.adam,
            "schedule": optimizer.schedule,
        }

    def _compare_devices(self) -> None:
        """Say where a run goes on on another kind of device than it was saved on."""
        there, here = self.progress.device, str(self.device)
        if there and torch.device(there).type != self.device.type:
            warnings.warn(
                f"{self.folder}: going on with another device ({there} there and {here} here),"
                " not to the same end as if it had not been stopped",
                stacklevel=4,
            )

    def save(self) -> None:
        self.saved = time.perf_counter()
        if not self.processes.main:
            return
        self.progress.device = str(self.device)
        self.progress.seconds = time.perf_counter() - self.since
        self.checkpoint.save(self.progress, **self._state())

    def epoch(self, epoch: int) -> None:
        """Train, evaluate and save one epoch, counted from 0, or the rest of it."""
        temperature = _temperature(self.run, epoch)
        set_temperature(self.model, temperature)
        with forked(self.device), products_in(self.run.precision):
            self._pass(epoch)
        if self.processes.main:
            self._add_row(epoch, temperature)
        self.progress.start_epoch()
        self.since = time.perf_counter()
        self.save()

    def _add_row(self, epoch: int, temperature: float) -> None:
        """Evaluate, and write the tables so far."""
        progress = self.progress
        row = {
            "epoch": epoch + 1,
            "temperature": temperature,
            "loss": progress.loss_sum / len(self.train),
            "train_accuracy": progress.correct / len(self.train),
            **self._accuracies(),
            "seconds": time.perf_counter() - self.since,
        }
        progress.history.append(row)
        progress.histograms += self._histograms(epoch + 1)
        self._write_tables()
        self.bar.set_postfix(epoch=epoch + 1, test=f"{row['test_accuracy']:.1%}", refresh=False)

    def _pass(self, epoch: int) -> None:
        """Every training recording once, in an order and with draws that the epoch determines."""
        run, progress = self.run, self.progress
        self.model.train()
        torch.manual_seed(mixed_seed(run.seed, epoch + 1))
        order = torch.randperm(len(self.train)).tolist()[progress.step * run.batch_size :]
        if progress.random is not None:
            set_random_state(progress.random, self.device)
        self.saved = time.perf_counter()
        self.step.start(progress.loss_sum, progress.correct)
        augment = AUGMENTATIONS[run.augmentation]
        for frames, labels in batches(self.train, run.batch_size, self.device, order, augment):
            self.step(frames, labels)
            progress.step += 1
            self.bar.update()
            if progress.step % self.log_steps == 0 or progress.step == self.steps:
                self._look(epoch)

    def _look(self, epoch: int) -> None:
        """At the loss, the clock, and whether somebody asked to stop."""
        progress = self.progress
        try:
            progress.loss_sum, progress.correct = self.step.read()
        except NotFinite as found:
            place = f"epoch {epoch + 1}, step {progress.step - found.ago}"
            fail(found.taken, self.model, self._state(), self.folder / "failure.pt", place)
        asked, late = self.processes.any(
            self.interruption.asked is not None,
            time.perf_counter() - self.saved > CHECKPOINT_SECONDS,
        )
        if asked or late:
            progress.random = random_state(self.device)
            self.save()
        if asked:
            raise Stopped(
                f"{self.interruption.asked or 'stopped'}: saved after step {progress.step} of epoch {epoch + 1} in"
                f" {self.folder}; the same command goes on from there"
            )

    def _accuracies(self) -> dict[str, float]:
        validation = evaluate(self.model, self.validation)[0] if self.validation else math.nan
        hard = evaluate(self.model, self.test)[0]
        full = self.run.levels == FULL
        soft = hard if full else evaluate(self.model, self.test, soft=True)[0]
        return {
            "validation_accuracy": validation,
            "test_accuracy": hard,
            "test_accuracy_soft": soft,
        }

    def _histograms(self, epoch: int) -> list[dict]:
        return [{"epoch": epoch, **row} for row in weight_histograms(self.model)]

    def _write_tables(self) -> None:
        # Without the seconds, so that the same run leaves the same file.
        history = pd.DataFrame(self.progress.history).drop(columns="seconds")
        histograms = pd.DataFrame(self.progress.histograms)
        for name, table in ((HISTORY, history), (HISTOGRAMS, histograms)):
            if len(table):
                write_atomically(
                    self.folder / name, lambda path, table=table: table.to_csv(path, index=False)
                )

    def finish(self) -> pd.DataFrame:
        """Write the tables, the weights, the packed network and, last, the record."""
        if not self.processes.main:
            return read_history(self.folder)
        self._write_tables()
        history = pd.DataFrame(self.progress.history)
        weights = self.model.state_dict()
        save_tensors(self.folder / WEIGHTS, lambda path: save_file(weights, path))
        pack(self.model, self.folder / PACKED, asdict(self.run))
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        recordings = {name: len(split) for name, split in splits.items()}
        write_record(
            self.run, self.folder, history, self.model, recordings, self.identity,
            self.processes.count,
        )  # fmt: skip
        self.checkpoint.remove()
        return history


def _temperature(run: Run, epoch: int) -> float:
    return temperature_at(
        epoch,
        run.epochs,
        run.temperature_schedule,
        run.temperature_initial,
        run.temperature_final,
    )
