"""Training and evaluation of one run."""

import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR
from tqdm import tqdm

from snnq.quantization.histograms import weight_histograms
from snnq.quantization.network import quantizers, set_temperature
from snnq.quantization.temperature import temperature_at
from snnq.recordings.augmentation import AUGMENTATIONS
from snnq.storage.pack import pack
from snnq.system.files import write_atomically
from snnq.system.interruption import Interruption, memory_advice
from snnq.system.lock import only_process_in
from snnq.system.memory import keep_freed_memory
from snnq.training.checkpoint import Checkpoint
from snnq.training.evaluation import batches, evaluate, loss_of
from snnq.training.record import HISTOGRAMS, HISTORY, PACKED, WEIGHTS, initial_network, write_record
from snnq.training.run import FULL, Run
from snnq.training.splits import splits_of

GRADIENT_NORM = 5.0  # L2 norm that gradients are clipped at (Yang et al. 2019, sec. 4.1)
CHECKPOINT_SECONDS = 60  # between checkpoints within an epoch
PROGRESS_SECONDS = 3  # between updates of the bar, so that a log of them stays readable


def fit(run: Run, folder: str | Path, progress: bool = True) -> pd.DataFrame:
    """Train a run in a folder, or go on with it from where it was stopped.

    Adam with a cosine schedule on the mean-squared error between firing rates and the one-hot
    class. Checkpoints are saved after each epoch and each minute, so an interrupted run, called
    again, ends as if it had not been interrupted; a finished one returns at once.

    Parameters
    ----------
    run : Run
    folder : path
        Gets `checkpoint.pt` and the one before it, after each epoch `history.csv` and
        `histograms.csv` (see `weight_histograms`; epoch 0 is before training), and at the end
        `weights.safetensors`, the same network packed (`snnq.pack`) in `packed.safetensors`, and
        `run.json`.
    progress : bool
        Show a progress bar.

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
        Bad recordings, a `start` that is no matching full-precision run, or a folder that holds
        a run with other settings; all before training.
    BlockingIOError
        Another process works in the folder.
    FloatingPointError
        The loss or a gradient is not finite; the batch and the network are kept in `failure.pt`.
    MemoryError
        Says which settings to lower.
    KeyboardInterrupt
        Ctrl-C or SIGTERM, after saving.
    """
    folder = Path(folder)
    keep_freed_memory()
    splits, model = splits_of(run), initial_network(run)
    with (
        only_process_in(folder),
        memory_advice(f"batch_size={run.batch_size}, channels={run.channels}"),
    ):
        training = _Training(run, folder, splits, model, progress)
        with training.bar, training.interruption.watched():
            for epoch in range(len(training.history), run.epochs):
                training.epoch(epoch)
        return training.finish()


def device_of(run: Run) -> torch.device:
    """Where a run trains: "auto" is a GPU where there is one."""
    best = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(best if run.device == "auto" else run.device)


def parameter_groups(model: nn.Module, learning_rate: float) -> list[dict[str, Any]]:
    """For an optimizer: every parameter, and each quantizer's own at a rate relative to its size.

    Adam's steps are about as large as its learning rate whatever the gradient. A scale α of 0.02
    would change by a tenth with each of the steps that suit the weights, and no layer behind the
    last ones has batch norm to make up for it.
    """
    scales = [
        parameter
        for quantizer in quantizers(model).values()
        for parameter in quantizer.parameters()
        if parameter.requires_grad
    ]
    known = {id(scale) for scale in scales}
    others = [parameter for parameter in model.parameters() if id(parameter) not in known]
    sizes = [scale.detach().abs().mean().item() for scale in scales]
    return [{"params": others}] + [
        {"params": [scale], "lr": learning_rate * size} for scale, size in zip(scales, sizes)
    ]


def gradients(model: nn.Module, frames: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each parameter's clipped gradient into its `.grad`; rates, loss, and the norm before clipping."""
    rates = model(frames)
    loss = loss_of(rates, labels)
    model.zero_grad()
    loss.backward()
    return rates, loss, nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_NORM)


class _Training:
    """A run in progress: its recordings, network, optimizer, checkpoint and history.

    `step`, `loss_sum` and `correct` are of the present epoch, `seconds` too: those that it took
    before the process began, and the moment when it went on.
    """

    def __init__(self, run: Run, folder: Path, splits: tuple, model: nn.Module, progress: bool):
        self.run, self.folder = run, folder
        self.train, self.validation, self.test, frames = splits
        self.checkpoint = Checkpoint(folder, run, frames)
        self.device = device_of(run)
        self.model = model.to(self.device)
        groups = parameter_groups(self.model, run.learning_rate)
        self.optimizer = torch.optim.Adam(groups, run.learning_rate, fused=True)
        self.steps = math.ceil(len(self.train) / run.batch_size)
        self.schedule = CosineAnnealingLR(self.optimizer, run.epochs * self.steps)
        self.interruption = Interruption()
        self.history: list[dict] = []
        self.histograms = self._histograms()
        self._start_epoch()
        self._resume(self.checkpoint.restore(**self._state()))
        self.bar = tqdm(
            total=run.epochs * self.steps,
            initial=len(self.history) * self.steps + self.step,
            desc=f"{run.benchmark} {run.levels} seed {run.seed}",
            unit="batch",
            mininterval=PROGRESS_SECONDS,
            disable=not progress,
        )

    def _state(self) -> dict:
        return {"model": self.model, "optimizer": self.optimizer, "schedule": self.schedule}

    def _start_epoch(self) -> None:
        self.step, self.loss_sum, self.correct, self.seconds = 0, 0.0, 0, 0.0
        self.random: list[Tensor] | None = None

    def _resume(self, progress: dict[str, Any] | None) -> None:
        if progress is not None:
            for name, value in progress.items():
                setattr(self, name, value)
        self.since = time.perf_counter() - self.seconds

    def save(self) -> None:
        self.seconds = time.perf_counter() - self.since
        names = ("history", "histograms", "step", "loss_sum", "correct", "seconds", "random")
        self.checkpoint.save({name: getattr(self, name) for name in names}, **self._state())
        self.saved = time.perf_counter()

    def epoch(self, epoch: int) -> None:
        """Train, evaluate and save one epoch, counted from 0, or the rest of it."""
        temperature = _temperature(self.run, epoch)
        set_temperature(self.model, temperature)
        with torch.random.fork_rng():
            self._pass(epoch)
        row = {
            "epoch": epoch + 1,
            "temperature": temperature,
            "loss": self.loss_sum / len(self.train),
            "train_accuracy": self.correct / len(self.train),
            **self._accuracies(),
            "seconds": time.perf_counter() - self.since,
        }
        self.history.append(row)
        self.histograms += self._histograms()
        self._start_epoch()
        self.since = time.perf_counter()
        self.save()
        self._write_tables()
        self.bar.set_postfix(epoch=epoch + 1, test=f"{row['test_accuracy']:.1%}", refresh=False)

    def _pass(self, epoch: int) -> None:
        """Every training recording once, in an order and with draws that the epoch determines."""
        run, model = self.run, self.model.train()
        torch.manual_seed(_mixed_seed(run.seed, epoch + 1))
        order = torch.randperm(len(self.train)).tolist()[self.step * run.batch_size :]
        if self.random is not None:
            _set_random_state(self.random)
        self.saved = time.perf_counter()
        augment = AUGMENTATIONS[run.augmentation]
        for frames, labels in batches(self.train, run.batch_size, self.device, order, augment):
            rates, loss, norm = gradients(model, frames, labels)
            if not torch.isfinite(loss + norm):
                self._fail(epoch, loss, frames, labels)
            self.optimizer.step()
            self.schedule.step()
            self.step += 1
            self.loss_sum += loss.item() * len(labels)
            self.correct += (rates.argmax(1) == labels).sum().item()
            self.bar.update()
            asked = self.interruption.asked
            if asked or time.perf_counter() - self.saved > CHECKPOINT_SECONDS:
                self.random = _random_state()
                self.save()
            if asked:
                raise KeyboardInterrupt(
                    f"{asked}: saved after step {self.step} of epoch {epoch + 1} in {self.folder};"
                    " the same command goes on from there"
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
        write_atomically(path, lambda partial: torch.save(kept, partial))
        raise FloatingPointError(
            f"epoch {epoch + 1}, step {self.step + 1}: loss={loss.item()}, gradients that are not finite:"
            f" {', '.join(bad) or 'none'}; batch and network are in {path}; try a lower learning_rate"
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

    def _histograms(self) -> list[dict]:
        return [{"epoch": len(self.history), **row} for row in weight_histograms(self.model)]

    def _write_tables(self) -> None:
        # Without the seconds, so that the same run leaves the same file.
        history = pd.DataFrame(self.history).drop(columns="seconds")
        for name, table in ((HISTORY, history), (HISTOGRAMS, pd.DataFrame(self.histograms))):
            if len(table):
                write_atomically(
                    self.folder / name, lambda path, table=table: table.to_csv(path, index=False)
                )

    def finish(self) -> pd.DataFrame:
        """Write the tables, the weights, the packed network and, last, the record."""
        self._write_tables()
        history = pd.DataFrame(self.history)
        weights = self.model.state_dict()
        write_atomically(self.folder / WEIGHTS, lambda path: save_file(weights, path))
        pack(self.model, self.folder / PACKED, asdict(self.run))
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        recordings = {name: len(split) for name, split in splits.items()}
        write_record(self.run, self.folder, history, self.model, recordings)
        return history


def _temperature(run: Run, epoch: int) -> float:
    return temperature_at(
        epoch,
        run.epochs,
        run.temperature_schedule,
        run.temperature_initial,
        run.temperature_final,
    )


def _random_state() -> list[Tensor]:
    """Of the CPU, and of every GPU."""
    return [torch.get_rng_state(), *torch.cuda.get_rng_state_all()]


def _set_random_state(states: list[Tensor]) -> None:
    torch.set_rng_state(states[0])
    torch.cuda.set_rng_state_all(states[1:])


def _mixed_seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
