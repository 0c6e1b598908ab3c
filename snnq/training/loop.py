"""The epochs of one training: batches, steps, checkpoints."""

import math
import time
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from snnq.quantization.network import quantizers, set_progress, set_temperature
from snnq.quantization.temperature import temperature_at
from snnq.recordings.augmentation import AUGMENTATIONS
from snnq.recordings.resident import resident
from snnq.system.bar import bar
from snnq.system.interruption import Interruption, Stopped
from snnq.training.arithmetic import Arithmetic
from snnq.training.batches import batches
from snnq.training.checkpoint import Checkpoint
from snnq.training.device import device_of
from snnq.training.failure import fail
from snnq.training.faults import FaultyMemory
from snnq.training.hardening import Hardening
from snnq.training.optimizer import Optimizer
from snnq.training.outcome import Outcome
from snnq.training.parallel import Processes
from snnq.training.precision import products_in
from snnq.training.random_state import forked, mixed_seed, random_state, set_random_state
from snnq.training.record import read_history
from snnq.training.rounding import round_after_steps
from snnq.training.step import NotFinite, Step
from snnq.training.task import Row, Task

CHECKPOINT_SECONDS = 60  # between checkpoints within an epoch
LOG_STEPS = {"cpu": 1, "cuda": 20}  # between looks at the loss: a GPU has to be waited for
PROGRESS_SECONDS = 1  # between updates of the bar, so that a log of them stays readable


class Training:
    """A training under way: its network, optimizer, checkpoint and progress.

    Parameters
    ----------
    task : Task
    folder : Path
    model : nn.Module
    behind : list of dict
        The history's rows of the epochs before those of this network.
    checkpoint : Checkpoint
    processes : Processes
    progress : bool
        Show a bar.
    """

    def __init__(
        self,
        task: Task,
        folder: Path,
        model: nn.Module,
        behind: list[Row],
        checkpoint: Checkpoint,
        processes: Processes,
        progress: bool,
    ):
        self.task, self.folder, self.settings = task, folder, (settings := task.settings)
        self.processes, self.checkpoint = processes, checkpoint
        self.behind, self.epochs = len(behind), settings.epochs - len(behind)
        self.device = device_of(settings)
        self.train, *others = resident(list(task.splits.values()), self.device)
        self.model = model.to(self.device)
        self.steps = math.ceil(len(self.train) / settings.batch_size)
        self.log_steps = LOG_STEPS[self.device.type]
        self.optimizer = Optimizer(
            self.model, settings.learning_rate, self.epochs * self.steps, task.optimizer
        )
        arithmetic = Arithmetic.of(settings.arithmetic)
        round_after_steps(self.model, self.optimizer.all, arithmetic)
        graphed = settings.cuda_graph and self.device.type == "cuda"
        graph_of = settings.batch_size if graphed else None
        to_save_in = folder if processes.main else None
        self.memory = FaultyMemory(self.model, settings.faults, to_save_in)
        self.hardening = Hardening(self.model, self.optimizer.descent, settings.harden)
        self.step = Step(
            self.model, self.optimizer, settings.precision, graph_of, processes, task.loss
        )
        self.interruption = Interruption()
        self.outcome = Outcome(task, folder, self.model, *others, behind)
        at_start = self.outcome.histograms(self.behind)
        self.progress = self.checkpoint.restore(**self._state())
        self._compare_devices()
        self.progress.histograms = self.progress.histograms or at_start
        self.since = time.perf_counter() - self.progress.seconds
        done = (self.behind + len(self.progress.history)) * self.steps + self.progress.step
        self.bar = bar(
            total=settings.epochs * self.steps,
            initial=done,
            desc=task.title,
            unit="batch",
            mininterval=PROGRESS_SECONDS,
            disable=not (progress and processes.main),
        )
        self.shown: dict[str, Any] = {}  # beside the bar
        if self.progress.history:
            self._show_accuracy(self.progress.history[-1])

    def _state(self) -> dict:
        return {"model": self.model, "hardening": self.hardening, **self.optimizer.parts()}

    def _compare_devices(self) -> None:
        """Say where a training goes on on another kind of device than it was saved on."""
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

    def epochs_left(self) -> range:
        """Those that are not finished, counted from 0, without those behind."""
        return range(len(self.progress.history), self.epochs)

    def epoch(self, epoch: int) -> None:
        """Train, evaluate and save one epoch, see `epochs_left`, or the rest of it."""
        temperature = self._temperature(epoch)
        set_temperature(self.model, temperature)
        set_progress(self.model, epoch / self.epochs)
        if quantizers(self.model):
            self._show(T=f"{temperature:g}")
        with forked(self.device), products_in(self.settings.precision), self.memory.in_training():
            self._pass(epoch)
        if self.processes.main:
            self._add_row(self.behind + epoch + 1, temperature)
        self.progress.start_epoch()
        self.since = time.perf_counter()
        self.save()

    def _temperature(self, epoch: int) -> float:
        settings = self.settings
        ends = settings.temperature_initial, settings.temperature_final
        return temperature_at(epoch, self.epochs, settings.temperature_schedule, *ends)

    def _add_row(self, number: int, temperature: float) -> None:
        """Evaluate, write the tables so far, and tell who wants to know."""
        progress = self.progress
        row = {
            "epoch": number,
            "temperature": temperature,
            "loss": progress.loss_sum / len(self.train),
            "train_accuracy": progress.correct / len(self.train),
            **self.outcome.accuracies(number),
            "seconds": time.perf_counter() - self.since,
        }
        progress.history.append(row)
        progress.histograms += self.outcome.histograms(number)
        self.outcome.write_tables(progress.history, progress.histograms)
        self._show_accuracy(row)
        for callback in self.task.callbacks:
            callback(dict(row), self.folder)

    def _show(self, **values: Any) -> None:
        """Beside the bar, the next time that it is drawn."""
        self.shown |= values
        self.bar.set_postfix(self.shown, refresh=False)

    def _show_accuracy(self, row: Row) -> None:
        """Of the last epoch: on the test samples, or on what there is."""
        names = "test_accuracy", "validation_accuracy", "train_accuracy"
        name = next(name for name in names if not math.isnan(row[name]))
        self._show(**{name.removesuffix("_accuracy"): f"{row[name]:.1%}"})

    def _pass(self, epoch: int) -> None:
        """Every training sample once, in an order and with draws that the epoch determines."""
        settings, progress, augmentation = self.settings, self.progress, self.task.augmentation
        self.model.train()
        torch.manual_seed(mixed_seed(settings.seed, epoch + 1, settings.order))
        order = torch.randperm(len(self.train))[progress.step * settings.batch_size :]
        named = isinstance(augmentation, str)
        changes = AUGMENTATIONS[augmentation](len(self.train)) if named else None
        if progress.random is not None:
            set_random_state(progress.random, self.device)
        self.saved = time.perf_counter()
        self.step.start(progress.loss_sum, progress.correct)
        size = settings.batch_size
        for frames, labels in batches(self.train, size, self.device, order, changes):
            self.memory.draw(self.behind + epoch, progress.step)
            self.step(augmentation(frames) if callable(augmentation) else frames, labels)
            progress.step += 1
            self.hardening((epoch + progress.step / self.steps) / self.epochs)
            self.bar.update()
            if progress.step % self.log_steps == 0 or progress.step == self.steps:
                self._look(epoch)

    def _look(self, epoch: int) -> None:
        """At the loss, the clock, and whether somebody asked to stop."""
        progress, number = self.progress, self.behind + epoch + 1
        try:
            progress.loss_sum, progress.correct = self.step.read()
        except NotFinite as found:
            place = f"epoch {number}, step {progress.step - found.ago}"
            fail(found.taken, self.model, self._state(), self.folder / "failure.pt", place)
        seen = min(progress.step * self.settings.batch_size, len(self.train))
        self._show(epoch=number, loss=f"{progress.loss_sum / seen:.3g}")
        asked, late = self.processes.any(
            self.interruption.asked is not None,
            time.perf_counter() - self.saved > CHECKPOINT_SECONDS,
        )
        if asked or late:
            progress.random = random_state(self.device)
            self.save()
        if asked:
            raise Stopped(
                f"{self.interruption.asked or 'stopped'}: saved after step {progress.step} of epoch"
                f" {number} in {self.folder}; run again to go on from there"
            )

    def finish(self) -> pd.DataFrame:
        """Write the tables, and what is left of the network; the history."""
        if not self.processes.main:
            return read_history(self.folder)
        history = self.outcome.write_tables(self.progress.history, self.progress.histograms)
        self.outcome.finish(history, self.processes.count)
        self.checkpoint.remove()
        return history
