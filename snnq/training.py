"""Training and evaluation of one run."""

import math
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import Subset
from tqdm import tqdm

from snnq.augmentation import AUGMENTATIONS
from snnq.checkpoint import Checkpoint
from snnq.evaluation import batches, evaluate, loss_of
from snnq.files import write_atomically
from snnq.frames import Frames, load
from snnq.quantizer import set_temperature
from snnq.record import HISTORY, WEIGHTS, initial_network, write_record
from snnq.run import FULL, Run
from snnq.temperature import temperature_at

GRADIENT_NORM = 5.0  # L2 norm that gradients are clipped at (Yang et al. 2019, sec. 4.1)
PROGRESS_SECONDS = 3  # between updates of the bar, so that a log of them stays readable


def fit(run: Run, folder: str | Path, progress: bool = True) -> pd.DataFrame:
    """Train a run in a folder, or go on with it from its last finished epoch.

    Adam with a cosine schedule on the mean-squared error between firing rates and the one-hot
    class. Each epoch ends with a checkpoint, so an interrupted run, called again, ends as if it
    had not been interrupted; a finished one returns at once.

    Parameters
    ----------
    run : Run
    folder : path
        Gets `checkpoint.pt`, and at the end `history.csv`, `weights.safetensors` and `run.json`.
    progress : bool
        Show a progress bar.

    Returns
    -------
    pandas.DataFrame
        A row per epoch: epoch (from 1), temperature, loss and train_accuracy (in training, with
        augmentation and dropout), validation_accuracy and test_accuracy with hard weights,
        test_accuracy_soft, seconds. Accuracies are shares of 1.

    Raises
    ------
    ValueError, FileNotFoundError
        Bad recordings, a `start` that is no matching full-precision run, or a folder that holds
        a run with other settings; all before training.
    FloatingPointError
        The loss is not finite.
    """
    training = _Training(run, Path(folder), progress)
    with training.bar:
        for epoch in range(len(training.history), run.epochs):
            training.epoch(epoch)
    return training.finish()


class _Training:
    """A run in progress: its recordings, network, optimizer, checkpoint and history."""

    def __init__(self, run: Run, folder: Path, progress: bool):
        self.run, self.folder = run, folder
        self.train, self.validation, self.test, frames = _splits(run)
        self.checkpoint = Checkpoint(folder, run, frames)
        self.device = torch.device(_best_device() if run.device == "auto" else run.device)
        self.model = initial_network(run).to(self.device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), run.learning_rate, fused=True)
        steps = math.ceil(len(self.train) / run.batch_size)
        self.schedule = CosineAnnealingLR(self.optimizer, run.epochs * steps)
        self.history = self.checkpoint.restore(**self._state())
        self.bar = tqdm(
            total=run.epochs * steps,
            initial=len(self.history) * steps,
            desc=f"{run.benchmark} {run.levels} seed {run.seed}",
            unit="batch",
            mininterval=PROGRESS_SECONDS,
            disable=not progress,
        )

    def _state(self) -> dict:
        return {"model": self.model, "optimizer": self.optimizer, "schedule": self.schedule}

    def epoch(self, epoch: int) -> None:
        """Train, evaluate and save one epoch, counted from 0."""
        start = time.perf_counter()
        temperature = _temperature(self.run, epoch)
        set_temperature(self.model, temperature)
        with torch.random.fork_rng():
            # Seeded anew each epoch: after a resumption it draws what it would have drawn.
            torch.manual_seed(_mixed_seed(self.run.seed, epoch + 1))
            loss, train_accuracy = self._pass()
        row = {
            "epoch": epoch + 1,
            "temperature": temperature,
            "loss": loss,
            "train_accuracy": train_accuracy,
            **self._accuracies(),
            "seconds": time.perf_counter() - start,
        }
        self.history.append(row)
        self.checkpoint.save(self.history, **self._state())
        self.bar.set_postfix(epoch=epoch + 1, test=f"{row['test_accuracy']:.1%}", refresh=False)

    def _pass(self) -> tuple[float, float]:
        """Every training recording once: mean loss and accuracy."""
        run, model = self.run, self.model.train()
        total, correct = 0.0, 0
        augment = AUGMENTATIONS[run.augmentation]
        for frames, labels in batches(self.train, run.batch_size, self.device, True, augment):
            rates = model(frames)
            loss = loss_of(rates, labels)
            if not torch.isfinite(loss):
                raise FloatingPointError(f"loss={loss.item()}: try a lower learning_rate")
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_NORM)
            self.optimizer.step()
            self.schedule.step()
            total += loss.item() * len(labels)
            correct += (rates.argmax(1) == labels).sum().item()
            self.bar.update()
        return total / len(self.train), correct / len(self.train)

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

    def finish(self) -> pd.DataFrame:
        """Write the history, the weights and, last, the record."""
        history = pd.DataFrame(self.history)
        write_atomically(self.folder / HISTORY, lambda path: history.to_csv(path, index=False))
        weights = self.model.state_dict()
        write_atomically(self.folder / WEIGHTS, lambda path: save_file(weights, path))
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        recordings = {name: len(split) for name, split in splits.items()}
        write_record(self.run, self.folder, history, self.model, recordings)
        return history


def _splits(run: Run) -> tuple[Subset, Subset, Frames, tuple[str, str]]:
    """Training, validation and test recordings, and the names of the frames that they are from."""
    recordings, test = load(run.benchmark, run.data, run.steps, run.cut, run.size)
    for split in (recordings, test):
        if not len(split):
            raise ValueError(f"{split.name}: no recordings of this split in {run.data}")
    held_out = _last_of_each_class(recordings.labels, run.validation)
    train, validation = (
        Subset(recordings, np.flatnonzero(chosen).tolist()) for chosen in (~held_out, held_out)
    )
    return train, validation, test, (recordings.name, test.name)


def _last_of_each_class(labels: np.ndarray, share: float) -> np.ndarray:
    """Whether each recording is among the last of its class.

    Files are numbered in the order of their making: the last ones are by writers, or users, whom
    the rest hardly knows, which makes them a harder and a fairer test than a random choice. The
    same for every seed, so that no run meets a recording that its start was trained on.
    """
    chosen = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = max(round(share * len(members)), int(share > 0))
        chosen[members[len(members) - count :]] = True
    return chosen


def _temperature(run: Run, epoch: int) -> float:
    return temperature_at(
        epoch,
        run.epochs,
        run.temperature_schedule,
        run.temperature_initial,
        run.temperature_final,
    )


def _mixed_seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def _best_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
