"""A run in a few lines: before training what it is, after it what came of it."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor, nn

from snnq.quantization.rules import FULL, label_of
from snnq.recordings.benchmarks import recordings_name, source
from snnq.storage.footprint import footprint
from snnq.training.device import device_of
from snnq.training.record import PACKED, RECORD, initial_network, read_record
from snnq.training.run import Run
from snnq.training.splits import splits_of

FULL_BITS = 32
FEW_BATCHES = 200  # of which a network from scratch hardly learns


@dataclass(frozen=True, repr=False)
class Lines:
    """Sentences and a table below them, as text or, in a notebook, as HTML."""

    text: str
    table: pd.DataFrame

    def __repr__(self) -> str:
        return f"{self.text}\n\n{self.table.to_string(index_names=False)}\n"

    def _repr_html_(self) -> str:
        return f"<p>{self.text}</p>{self.table.to_html(index_names=False)}"


def summary(run: Run) -> Lines:
    """What a run trains, on what: its recordings, its device, and its network layer by layer.

    Builds the frames of the recordings where they are not there yet.

    Returns
    -------
    Lines
        To be shown. Its table has a row per layer that holds numbers: kind, shape (of the weight),
        parameters (with batch norm's running mean and variance), bits (of a weight: log₂ of the
        number of levels) and bytes of the packed network.

    Raises
    ------
    ValueError, FileNotFoundError
        What `snnq.fit` refuses before training.
    """
    device, (*splits, _) = device_of(run), splits_of(run)
    model = initial_network(run)
    layers = footprint(model)
    names = "training", "validation", "test"
    counts = ", ".join(f"{len(split):,} {name}" for split, name in zip(splits, names))
    text = (
        f"{recordings_name(run.benchmark, source(run.benchmark, run.data))}: {counts} samples of"
        f" frames {_shape(splits[0][0][0])} (time steps × polarities × height × width)."
        f" {layers['numbers'].sum():,} parameters in"
        f" {_size(layers['bytes'].sum(), layers['bytes_float32'].sum())}. Trains on {device}."
    )
    return Lines(text, _layers(model, layers))


def short_record(folder: str | Path) -> Lines:
    """What came of a finished training: accuracies, size, time, and where its files are.

    Raises FileNotFoundError where there is no `run.json`, which says more.
    """
    record, folder = read_record(folder), Path(folder)
    accuracy, whole = record["accuracy"], record.get("run", {}).get("levels") == FULL
    ways = {
        "after the last epoch": accuracy["last"],
        "the same with soft weights": None if whole else accuracy["last_soft"],
        "at the epoch chosen on validation": accuracy["validation"],
        "best over epochs, chosen on the test": accuracy["best"],
    }
    rows = {way: f"{share:.2%}" for way, share in ways.items() if share is not None}
    rows["network"] = _size(record["bytes"], record["bytes_float32"])
    rows["training"] = f"{sum(record['seconds']):.0f} s on {record['device']}"
    files = {"record": folder / RECORD, "packed network": folder / PACKED}
    rows |= {name: str(path) for name, path in files.items() if path.exists()}
    return Lines(_tested_on(record), pd.Series(rows).to_frame(""))


def _layers(model: nn.Module, layers: pd.DataFrame) -> pd.DataFrame:
    """A row per layer of `footprint`, for people."""
    weights = [getattr(model.get_submodule(name), "weight", None) for name in layers["layer"]]
    levels = layers["levels"].fillna(2.0**FULL_BITS).astype(float)
    return pd.DataFrame(
        {
            "layer": layers["layer"],
            "kind": layers["kind"],
            "shape": ["" if weight is None else _shape(weight) for weight in weights],
            "parameters": layers["numbers"].map("{:,}".format),
            "bits": levels.map(math.log2).map("{:.3g}".format),
            "bytes": layers["bytes"].map("{:,}".format),
        }
    ).set_index("layer")


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape))


def _size(packed: int, in_float32: int) -> str:
    return f"{packed / 1e3:,.1f} kB, {in_float32 / packed:.1f} times smaller than in float32"


def _tested_on(record: dict[str, Any]) -> str:
    samples = f"accuracy on {record['recordings']['test']:,} test samples"
    if "run" not in record:  # a network of one's own
        return samples
    run = Run.of(record["run"])
    recordings = recordings_name(run.benchmark, record["data"])
    batches = run.epochs * math.ceil(record["recordings"]["train"] / run.batch_size)
    few = (
        f", after {batches} batches in all, which are few: a smaller batch size or more epochs make more"
        if batches < FEW_BATCHES and run.start is None
        else ""
    )
    return f"{recordings}, {label_of(run.levels)}, seed {run.seed}: {samples}{few}"
