"""The epochs of one run: training, evaluation, checkpoints."""

import math
import time
import warnings
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize
from tqdm import tqdm

from snnq.quantization.histograms import weight_histograms
from snnq.quantization.network import set_progress, set_temperature
from snnq.quantization.rules import FULL, label_of
from snnq.quantization.temperature import temperature_at
from snnq.recordings.augmentation import AUGMENTATIONS
from snnq.recordings.resident import resident
from snnq.storage.pack import pack
from snnq.system.files import save_tensors, write_atomically
from snnq.system.interruption import Interruption, Stopped
from snnq.training.batches import batches
from snnq.training.checkpoint import Checkpoint
from snnq.training.device import device_of
from snnq.training.evaluation import evaluate, predict
from snnq.training.failure import fail
from snnq.training.hardening import Hardening
from snnq.training.optimizer import Optimizer
from snnq.training.parallel import Processes
from snnq.training.parts import full_rows, last_part
from snnq.training.precision import products_in
from snnq.training.random_state import forked, mixed_seed, random_state, set_random_state
from snnq.training.record import (
    HISTOGRAMS,
    HISTORY,
    PACKED,
    PREDICTIONS,
    WEIGHTS,
    read_history,
    write_record,
)
from snnq.training.run import Run
from snnq.training.step import NotFinite, Step

CHECKPOINT_SECONDS = 60  # between checkpoints within an epoch
LOG_STEPS = {"cpu": 1, "cuda": 20}  # between looks at the loss: a GPU has to be waited for
PROGRESS_SECONDS = 3  # between updates of the bar, so that a log of them stays readable


class Training:
    """A run under way: its recordings, network, optimizer, checkpoint and progress."""

    def __init__(
        self,
        run: Run,
        folder: Path,
        splits: tuple,
        model: nn.Module,
        processes: Processes,
        bar: bool,
        checkpoint: Checkpoint,
    ):
        self.run, self.folder, self.processes = run, folder, processes
        self.part, self.before = last_part(run, folder), full_rows(run, folder)
        self.device = device_of(run)
        self.train, self.validation, self.test = resident(splits[:-1], self.device)
        self.checkpoint = checkpoint
        self.model = model.to(self.device)
        self.steps = math.ceil(len(self.train) / run.batch_size)
        self.log_steps = LOG_STEPS[self.device.type]
        self.optimizer = Optimizer(self.model, run.learning_rate, self.part.epochs * self.steps)
        graphed = run.cuda_graph and self.device.type == "cuda"
        graph_of = run.batch_size if graphed else None
        self.hardening = Hardening(self.model, self.optimizer.adam, run.hardens)
        self.step = Step(self.model, self.optimizer, run.precision, graph_of, processes)
        self.interruption = Interruption()
        before = self._histograms(self._number(0))
        self.predictions: dict[str, Tensor | None] = {}  # classes of the test recordings
        self.progress = self.checkpoint.restore(**self._state())
        self._compare_devices()
        self.progress.histograms = self.progress.histograms or before
        self.since = time.perf_counter() - self.progress.seconds
        self.bar = tqdm(
            total=run.epochs * self.steps,
            initial=self._number(len(self.progress.history)) * self.steps + self.progress.step,
            desc=f"{run.benchmark} {label_of(run.levels)} seed {run.seed}",
            unit="batch",
            mininterval=PROGRESS_SECONDS,
            disable=not (bar and processes.main),
        )

    def _state(self) -> dict:
        return {"model": self.model, "hardening": self.hardening, **self.optimizer.parts()}

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

    def epochs_left(self) -> range:
        """Those that are not finished, counted from 0, without those in full precision before."""
        return range(len(self.progress.history), self.part.epochs)

    def _number(self, epoch: int) -> int:
        """Of an epoch, among all of the run."""
        return len(self.before) + epoch

    def epoch(self, epoch: int) -> None:
        """Train, evaluate and save one epoch, see `epochs_left`, or the rest of it."""
        temperature = _temperature(self.part, epoch)
        set_temperature(self.model, temperature)
        set_progress(self.model, epoch / self.part.epochs)
        with forked(self.device), products_in(self.run.precision):
            self._pass(epoch)
        if self.processes.main:
            self._add_row(epoch, temperature)
        self.progress.start_epoch()
        self.since = time.perf_counter()
        self.save()

    def _add_row(self, epoch: int, temperature: float) -> None:
        """Evaluate, and write the tables so far."""
        progress, number = self.progress, self._number(epoch + 1)
        row = {
            "epoch": number,
            "temperature": temperature,
            "loss": progress.loss_sum / len(self.train),
            "train_accuracy": progress.correct / len(self.train),
            **self._accuracies(number),
            "seconds": time.perf_counter() - self.since,
        }
        progress.history.append(row)
        progress.histograms += self._histograms(number)
        self._write_tables()
        self.bar.set_postfix(epoch=number, test=f"{row['test_accuracy']:.1%}", refresh=False)

    def _pass(self, epoch: int) -> None:
        """Every training recording once, in an order and with draws that the epoch determines."""
        run, progress = self.run, self.progress
        self.model.train()
        torch.manual_seed(mixed_seed(run.seed, epoch + 1, run.order))
        order = torch.randperm(len(self.train))[progress.step * run.batch_size :]
        changes = AUGMENTATIONS[run.augmentation](len(self.train))
        if progress.random is not None:
            set_random_state(progress.random, self.device)
        self.saved = time.perf_counter()
        self.step.start(progress.loss_sum, progress.correct)
        for frames, labels in batches(self.train, run.batch_size, self.device, order, changes):
            self.step(frames, labels)
            progress.step += 1
            self.hardening((epoch + progress.step / self.steps) / self.part.epochs)
            self.bar.update()
            if progress.step % self.log_steps == 0 or progress.step == self.steps:
                self._look(epoch)

    def _look(self, epoch: int) -> None:
        """At the loss, the clock, and whether somebody asked to stop."""
        progress = self.progress
        try:
            progress.loss_sum, progress.correct = self.step.read()
        except NotFinite as found:
            place = f"epoch {self._number(epoch + 1)}, step {progress.step - found.ago}"
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
                f"{self.interruption.asked or 'stopped'}: saved after step {progress.step} of epoch"
                f" {self._number(epoch + 1)} in {self.folder}; the same command goes on from there"
            )

    def _accuracies(self, epoch: int) -> dict[str, float]:
        """After an epoch; keeps the predictions that they are of."""
        with parametrize.cached():  # the hard weights are those of both splits
            validation = evaluate(self.model, self.validation)[0] if self.validation else math.nan
            rates, label = predict(self.model, self.test)
        hard = soft = rates.argmax(1)
        if self.run.levels != FULL:
            tests_soft = self.run.tests_soft(epoch)
            soft = predict(self.model, self.test, soft=True)[0].argmax(1) if tests_soft else None
        self.predictions = {"hard": hard, "soft": soft, "label": label}
        return {
            "validation_accuracy": validation,
            "test_accuracy": _share(hard == label),
            "test_accuracy_soft": math.nan if soft is None else _share(soft == label),
        }

    def _histograms(self, epoch: int) -> list[dict]:
        return [{"epoch": epoch, **row} for row in weight_histograms(self.model)]

    def _history(self) -> pd.DataFrame:
        return pd.DataFrame(self.before + self.progress.history)

    def _write_tables(self) -> None:
        # Without the seconds, so that the same run leaves the same file.
        history = self._history().drop(columns="seconds")
        histograms = pd.DataFrame(self.progress.histograms)
        for name, table in ((HISTORY, history), (HISTOGRAMS, histograms)):
            if len(table):
                write_atomically(
                    self.folder / name, lambda path, table=table: table.to_csv(path, index=False)
                )

    def _save_predictions(self) -> None:
        if not self.predictions:  # of a run that was stopped after its last epoch
            self._accuracies(self.run.epochs)
        classes = {name: found.to(torch.uint8) for name, found in self.predictions.items()}
        save_tensors(self.folder / PREDICTIONS, lambda path: save_file(classes, path))

    def finish(self) -> pd.DataFrame:
        """Write the tables, the weights, the packed network, the predictions and, last, the
        record."""
        if not self.processes.main:
            return read_history(self.folder)
        self._write_tables()
        history = self._history()
        weights = self.model.state_dict()
        save_tensors(self.folder / WEIGHTS, lambda path: save_file(weights, path))
        pack(self.model, self.folder / PACKED, asdict(self.run))
        self._save_predictions()
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        recordings = {name: len(split) for name, split in splits.items()}
        write_record(
            self.run, self.folder, history, self.model, recordings, self.checkpoint.identity,
            self.processes.count,
        )  # fmt: skip
        self.checkpoint.remove()
        return history


def _share(right: Tensor) -> float:
    return right.float().mean().item()


def _temperature(run: Run, epoch: int) -> float:
    return temperature_at(
        epoch,
        run.epochs,
        run.temperature_schedule,
        run.temperature_initial,
        run.temperature_final,
    )
