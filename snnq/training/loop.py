"""Training and evaluation of one run."""

import math
import time
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

import pandas as pd
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.optim.lr_scheduler import CosineAnnealingLR
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
from snnq.training.identity import identity_of, is_finished
from snnq.training.random_state import mixed_seed, random_state, set_random_state
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
from snnq.training.step import gradients, parameter_groups

CHECKPOINT_SECONDS = 60  # between checkpoints within an epoch
PROGRESS_SECONDS = 3  # between updates of the bar, so that a log of them stays readable


def fit(
    run: Run, folder: str | Path, progress: bool = True, restart: bool = False
) -> pd.DataFrame:
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
        test_accuracy_soft (NaN where it was not measured, see `Run.soft_every`), seconds (which are in `run.json`, not in `history.csv`). Accuracies
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
        The loss or a gradient is not finite; the batch and the network are kept in `failure.pt`.
    MemoryError
        Says which settings to lower.
    OSError
        A file that could not be written; called again, the run goes on from its checkpoint.
    KeyboardInterrupt
        Ctrl-C or SIGTERM, after saving; a single line in a notebook.
    """
    folder = Path(folder)
    if is_finished(run, folder, restart):
        return read_history(folder)
    keep_freed_memory()
    device_of(run)  # which may not be there
    splits, model = splits_of(run), initial_network(run)
    with (
        only_process_in(folder),
        memory_advice(f"batch_size={run.batch_size}, channels={run.channels}"),
    ):
        if is_finished(run, folder, restart):  # by another process meanwhile
            return read_history(folder)
        sweep(folder)
        training = _Training(run, folder, splits, model, progress, restart)
        with training.bar, training.interruption.watched():
            for epoch in range(len(training.progress.history), run.epochs):
                training.epoch(epoch)
        return training.finish()


def device_of(run: Run) -> torch.device:
    """Where a run trains: "auto" is a GPU where there is one. Raises ValueError for one that is not
    there."""
    best = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(best if run.device == "auto" else run.device)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise ValueError(f"device={run.device!r}: this machine has {count} GPUs that torch can use")
    return device


class _Training:
    """A run under way: its recordings, network, optimizer, checkpoint and progress."""

    def __init__(
        self, run: Run, folder: Path, splits: tuple, model: nn.Module, bar: bool, restart: bool
    ):
        self.run, self.folder = run, folder
        self.train, self.validation, self.test, frames = splits
        self.identity = identity_of(run, frames)
        self.checkpoint = Checkpoint(folder, self.identity, restart)
        self.device = device_of(run)
        self.model = model.to(self.device)
        groups = parameter_groups(self.model, run.learning_rate)
        self.optimizer = torch.optim.Adam(groups, run.learning_rate, fused=True)
        self.steps = math.ceil(len(self.train) / run.batch_size)
        self.schedule = CosineAnnealingLR(self.optimizer, run.epochs * self.steps)
        self.interruption = Interruption()
        before = self._histograms(0)
        self.progress = self.checkpoint.restore(**self._state())
        self._compare_devices()
        self.progress.histograms = self.progress.histograms or before
        self.since = time.perf_counter() - self.progress.seconds
        (folder / RECORD).unlink(missing_ok=True)  # of another run: this one begins in its place
        self.bar = tqdm(
            total=run.epochs * self.steps,
            initial=len(self.progress.history) * self.steps + self.progress.step,
            desc=f"{run.benchmark} {run.levels} seed {run.seed}",
            unit="batch",
            mininterval=PROGRESS_SECONDS,
            disable=not bar,
        )

    def _state(self) -> dict:
        return {"model": self.model, "optimizer": self.optimizer, "schedule": self.schedule}

    def _compare_devices(self) -> None:
        """Say where a run goes on on other devices than those that it was saved on."""
        there, here = self.progress.device, str(self.device)
        gpus, gpus_here = len(self.progress.random or [None]) - 1, torch.cuda.device_count()
        if there and there.split(":")[0] != self.device.type:
            changed = f"{there} there and {here} here"
        elif gpus > gpus_here:
            changed = f"{gpus} GPUs there and {gpus_here} here"
        else:
            return
        warnings.warn(
            f"{self.folder}: going on with other devices ({changed}), not to the same end as if it"
            " had not been stopped",
            stacklevel=4,
        )

    def save(self) -> None:
        self.progress.device = str(self.device)
        self.progress.seconds = time.perf_counter() - self.since
        self.checkpoint.save(self.progress, **self._state())
        self.saved = time.perf_counter()

    def epoch(self, epoch: int) -> None:
        """Train, evaluate and save one epoch, counted from 0, or the rest of it."""
        temperature = _temperature(self.run, epoch)
        set_temperature(self.model, temperature)
        with torch.random.fork_rng():
            self._pass(epoch)
        progress = self.progress
        row = {
            "epoch": epoch + 1,
            "temperature": temperature,
            "loss": progress.loss_sum / len(self.train),
            "train_accuracy": progress.correct / len(self.train),
            **self._accuracies(epoch + 1),
            "seconds": time.perf_counter() - self.since,
        }
        progress.history.append(row)
        progress.histograms += self._histograms(epoch + 1)
        progress.start_epoch()
        self.since = time.perf_counter()
        self.save()
        self._write_tables()
        self.bar.set_postfix(epoch=epoch + 1, test=f"{row['test_accuracy']:.1%}", refresh=False)

    def _pass(self, epoch: int) -> None:
        """Every training recording once, in an order and with draws that the epoch determines."""
        run, model, progress = self.run, self.model.train(), self.progress
        torch.manual_seed(mixed_seed(run.seed, epoch + 1))
        order = torch.randperm(len(self.train)).tolist()[progress.step * run.batch_size :]
        if progress.random is not None:
            set_random_state(progress.random)
        self.saved = time.perf_counter()
        augment = AUGMENTATIONS[run.augmentation]
        for frames, labels in batches(self.train, run.batch_size, self.device, order, augment):
            rates, loss, norm = gradients(model, frames, labels)
            if not torch.isfinite(loss + norm):
                self._fail(epoch, loss, frames, labels)
            self.optimizer.step()
            self.schedule.step()
            progress.step += 1
            progress.loss_sum += loss.item() * len(labels)
            progress.correct += (rates.argmax(1) == labels).sum().item()
            self.bar.update()
            asked = self.interruption.asked
            if asked or time.perf_counter() - self.saved > CHECKPOINT_SECONDS:
                progress.random = random_state()
                self.save()
            if asked:
                raise Stopped(
                    f"{asked}: saved after step {progress.step} of epoch {epoch + 1} in"
                    f" {self.folder}; the same command goes on from there"
                )

    def _fail(self, epoch: int, loss: Tensor, frames: Tensor, labels: Tensor) -> NoReturn:
        bad = [
            name
            for name, parameter in self.model.named_parameters()
            if parameter.grad is not None and not torch.isfinite(parameter.grad).all()
        ]
        path = self.folder / "failure.pt"
        kept = {
            "frames": frames,
            "labels": labels,
            **{k: v.state_dict() for k, v in self._state().items()},
        }
        save_tensors(path, lambda partial: torch.save(kept, partial))
        raise FloatingPointError(
            f"epoch {epoch + 1}, step {self.progress.step + 1}: loss={loss.item()}, gradients that are not finite:"
            f" {', '.join(bad) or 'none'}; batch and network are in {path}; try a lower learning_rate"
        )

    def _accuracies(self, epoch: int) -> dict[str, float]:
        with parametrize.cached():  # the hard weights are those of both splits
            validation = evaluate(self.model, self.validation)[0] if self.validation else math.nan
            hard = evaluate(self.model, self.test)[0]
        if self.run.levels == FULL:
            soft = hard
        elif self.run.tests_soft(epoch):
            soft = evaluate(self.model, self.test, soft=True)[0]
        else:
            soft = math.nan
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
        self._write_tables()
        history = pd.DataFrame(self.progress.history)
        weights = self.model.state_dict()
        save_tensors(self.folder / WEIGHTS, lambda path: save_file(weights, path))
        pack(self.model, self.folder / PACKED, asdict(self.run))
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        recordings = {name: len(split) for name, split in splits.items()}
        write_record(self.run, self.folder, history, self.model, recordings, self.identity)
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
