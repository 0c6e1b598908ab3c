"""What is known of a network after each epoch of its training, and what is left of it at the end."""

import math
import warnings
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils.data import Dataset

from snnq.quantization.histograms import weight_histograms
from snnq.quantization.network import quantizers
from snnq.storage.pack import pack
from snnq.system.files import save_tensors, write_atomically
from snnq.system.state import reset_state
from snnq.training.evaluation import classes_of, evaluate, predict
from snnq.training.record import HISTOGRAMS, HISTORY, PACKED, PREDICTIONS, WEIGHTS, write_record
from snnq.training.task import Row, Task

MOST_CLASSES = 256  # whose predictions take a byte each


class Outcome:
    """A network's accuracies, tables and files, by the number of an epoch among all of a training.

    Parameters
    ----------
    task : Task
    folder : Path
    model : nn.Module
        On its device.
    validation, test : Dataset, or None
    behind : list of dict
        The history's rows of the epochs before those of this network.
    """

    def __init__(
        self,
        task: Task,
        folder: Path,
        model: nn.Module,
        validation: Dataset | None,
        test: Dataset | None,
        behind: list[Row],
    ):
        self.task, self.folder, self.model, self.behind = task, folder, model, behind
        self.validation, self.test = validation, test
        self.predictions: dict[str, Tensor | None] | None = None  # classes of the test samples

    def accuracies(self, number: int) -> dict[str, float]:
        """On validation and test; keeps the predictions that the latter are of."""
        with parametrize.cached():  # the hard weights are those of both splits
            validation = evaluate(self.model, self.validation)[0] if self.validation else math.nan
            hard, label = self._classes() if self.test else (None, None)
        soft = hard
        if self.test and quantizers(self.model):
            tests_soft = self.task.settings.tests_soft(number)
            soft = self._classes(soft=True)[0] if tests_soft else None
        self.predictions = {"hard": hard, "soft": soft, "label": label} if self.test else {}
        return {
            "validation_accuracy": validation,
            "test_accuracy": _share_right(hard, label),
            "test_accuracy_soft": _share_right(soft, label),
        }

    def histograms(self, number: int) -> list[Row]:
        return [{"epoch": number, **row} for row in weight_histograms(self.model)]

    def write_tables(self, history: list[Row], histograms: list[Row]) -> pd.DataFrame:
        """`history.csv` and `histograms.csv` so far; the history."""
        found = pd.DataFrame(self.behind + history)
        # Without the seconds, so that the same training leaves the same file.
        tables = {HISTORY: found.drop(columns="seconds"), HISTOGRAMS: pd.DataFrame(histograms)}
        for name, table in tables.items():
            if len(table):
                write_atomically(
                    self.folder / name, lambda path, table=table: table.to_csv(path, index=False)
                )
        return found

    def finish(self, history: pd.DataFrame, processes: int) -> None:
        """Write the weights, the packed network, the predictions and, last, the record."""
        reset_state(self.model.eval())
        # Copied, for what is shared or strided: safetensors refuses both.
        weights = {
            name: tensor.clone(memory_format=torch.contiguous_format)
            for name, tensor in self.model.state_dict().items()
        }
        save_tensors(self.folder / WEIGHTS, lambda path: save_file(weights, path))
        self._pack()
        if self.predictions is None:  # of a training that was stopped after its last epoch
            self.accuracies(len(history))
        self._save_predictions()
        behind = len(self.behind)
        write_record(self.task.about, self.folder, history, behind, self.model, processes)

    def _classes(self, soft: bool = False) -> tuple[Tensor, Tensor]:
        """Those that the network says the test samples are of, and those that they are of."""
        rates, label = predict(self.model, self.test, soft)
        return classes_of(rates, label), label

    def _pack(self) -> None:
        """Where the network can be packed; what training has taken hours for is kept anyway."""
        try:
            pack(self.model, self.folder / PACKED, asdict(self.task.settings))
        except ValueError as error:
            warnings.warn(f"not packed: {error}", stacklevel=4)

    def _save_predictions(self) -> None:
        found = self.predictions
        if not found:
            return
        small = max(classes.max().item() for classes in found.values()) < MOST_CLASSES
        kind = torch.uint8 if small else torch.int32
        classes = {name: found[name].to(kind) for name in found}
        save_tensors(self.folder / PREDICTIONS, lambda path: save_file(classes, path))


def _share_right(classes: Tensor | None, label: Tensor | None) -> float:
    return math.nan if classes is None else (classes == label).float().mean().item()
