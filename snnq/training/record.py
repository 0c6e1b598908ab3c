"""What a run leaves in its folder, and its network back from it."""

import json
import math
import platform
import subprocess
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from snnq.networks.models import SpikingNetwork, build_model
from snnq.quantization.methods import QUANTIZERS
from snnq.quantization.network import quantize, quantizers
from snnq.quantization.rules import FULL
from snnq.recordings.benchmarks import folder_of, get_benchmark, source
from snnq.recordings.splits import complete_split, resolved_split
from snnq.storage.faults import read_faults
from snnq.storage.footprint import footprint
from snnq.system.files import first_line, write_atomically
from snnq.training.faults import FAULTS, reach_levels_of
from snnq.training.run import Run

RECORD, WEIGHTS, PACKED = "run.json", "weights.safetensors", "packed.safetensors"
HISTORY, HISTOGRAMS = "history.csv", "histograms.csv"
PREDICTIONS = "predictions.safetensors"
LEFT = (RECORD, HISTORY, HISTOGRAMS, WEIGHTS, PACKED, PREDICTIONS)  # by a training, in its folder
SIGMOID_SETTINGS = ("backward_temperature", "biases", "learned")
CONTENT = ("training_version", "frames", "start_weights", "fault_map")  # beside a run's settings
PACKAGES = ("numpy", "spikingjelly", "tonic", "torch")


def initial_network(run: Run) -> SpikingNetwork:
    """The network that a run starts from: seeded weights, or those of its full-precision run.

    Raises
    ------
    FileNotFoundError, ValueError
        `run.start` holds no finished run, or one of another network or of quantized weights, or
        its weights cannot be read.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.seed)
        model = _network(run, get_benchmark(run.benchmark, run.data).dimensions)
    if run.start is not None:
        load_weights(model, _full_precision(run))
    return _quantized(model, run)


def trained_network(folder: str | Path) -> SpikingNetwork:
    """The network of a finished run, in evaluation mode.

    Raises ValueError for one that was trained by `snnq.train`: it is whoever called it that knows
    how to build it.
    """
    record = read_record(folder)
    if "run" not in record:
        raise ValueError(f"{folder}: a network of one's own: load its {WEIGHTS} into another one")
    run = Run.of(record["run"])
    model = _quantized(_network(run, record.get("dimensions", {})), run)
    reach_known_levels(model, folder)
    load_weights(model, Path(folder) / WEIGHTS)
    return model.eval()


def reach_known_levels(model: nn.Module, folder: str | Path) -> None:
    """Of a training with known faults, have the network's weights take the levels that they reach."""
    for quantizer in quantizers(model).values():
        quantizer.reachable = None  # of a training before this one
    path = Path(folder) / FAULTS
    if path.exists() and quantizers(model):
        reach_levels_of(model, read_faults(path, model))


def read_record(folder: str | Path) -> dict[str, Any]:
    """The `run.json` of a finished training. Raises FileNotFoundError, or ValueError for half of one."""
    path = Path(folder) / RECORD
    if not path.exists():
        raise FileNotFoundError(f"{path}: not there, so no run was finished in this folder")
    try:
        record = json.loads(path.read_text())
    except ValueError:  # UnicodeDecodeError is one, and so is what JSON raises
        record = None
    if not isinstance(record, dict):
        refuse_half(path, "the record of a run")
    return record


def read_history(folder: str | Path) -> pd.DataFrame:
    """The rows of a finished training, as `snnq.fit` or `snnq.train` returned them. Raises as `read_record`."""
    seconds = read_record(folder)["seconds"]
    history = read_rows(Path(folder) / HISTORY)
    if len(history) != len(seconds):
        refuse_half(Path(folder) / HISTORY, f"a row for each of {len(seconds)} epochs")
    return history.assign(seconds=seconds)


def read_rows(path: Path) -> pd.DataFrame:
    """A table that a training left. Raises ValueError for half of one."""
    try:
        if path.read_text().endswith("\n"):  # or its last row was cut
            return pd.read_csv(path)
    except ValueError:  # what pandas and Python raise for what is no table and no text
        pass
    refuse_half(path, "whole rows")


def refuse_half(path: Path, expected: str) -> NoReturn:
    """Raise ValueError for a file of a training that is not all there."""
    raise ValueError(
        f"{path}: half-written or empty, expected {expected}; remove the folder and train that run again"
    )


def about_run(run: Run, identity: dict[str, Any], recordings: dict[str, int]) -> dict[str, Any]:
    """What the record of a run begins with: what it is, and of which recordings."""
    benchmark = get_benchmark(run.benchmark, run.data)
    complete = complete_split(benchmark, resolved_split(benchmark, run.split))
    return {
        "run": asdict(run),
        **{name: identity[name] for name in CONTENT if name in identity},
        "data": source(run.benchmark, run.data),
        **({"dimensions": benchmark.dimensions} if benchmark.is_found else {}),
        "recordings": recordings,
        "complete": dict(zip(("train", "test"), complete)),
    }


def write_record(
    about: dict[str, Any],
    folder: Path,
    history: pd.DataFrame,
    behind: int,
    model: nn.Module,
    processes: int = 1,
) -> None:
    """Write `run.json`, last of a training's files: where it is, the training is finished.

    Its accuracies are those of the network that is left: without the epochs that were `behind` when
    its training began.
    """
    cost = footprint(model)
    record = about | {
        "accuracy": accuracies(history[behind:]),
        "bytes": int(cost["bytes"].sum()),
        "bytes_float32": int(cost["bytes_float32"].sum()),
        "seconds": history["seconds"].tolist(),
        "device": str(next(model.parameters()).device),
        "threads": torch.get_num_threads(),
        "processes": processes,
        "python": platform.python_version(),
        "versions": versions(),
        "commit": _commit(),
    }
    text = json.dumps(record, indent=2) + "\n"
    write_atomically(folder / RECORD, lambda path: path.write_text(text))


def versions() -> dict[str, str]:
    """Of the packages that a result depends on."""
    return {package: metadata.version(package) for package in PACKAGES}


def accuracies(history: pd.DataFrame) -> dict[str, float | None]:
    """The test accuracy in the three ways that papers report it, and with soft weights.

    "last": after the last epoch. "validation": at the last of the epochs with the best
    accuracy on the validation split. "best": the highest over epochs, chosen on the test set.
    "last_soft": after the last epoch, with the soft staircase. "on_validation" is no test
    accuracy but that on the validation split after the last epoch. What there is no split for is
    None.
    """
    test, validation = history["test_accuracy"], history["validation_accuracy"]
    held_out = validation.notna().all()
    found = {
        "last": test.iloc[-1],
        "validation": test[validation[::-1].idxmax()] if held_out else math.nan,
        "best": test.max(),
        "last_soft": history["test_accuracy_soft"].iloc[-1],
        "on_validation": validation.iloc[-1],
    }
    return {name: None if math.isnan(value) else float(value) for name, value in found.items()}


def _network(run: Run, dimensions: dict[str, Any]) -> SpikingNetwork:
    kind = run.benchmark, run.neuron, run.channels, run.network, run.size
    return build_model(*kind, **dimensions, membrane_bits=run.membrane_bits)


def _quantized(model: SpikingNetwork, run: Run) -> SpikingNetwork:
    if run.levels == FULL:
        return model
    options = {}
    if run.quantizer == "sigmoid":
        options["temperature"] = run.temperature_initial
        options |= {name: getattr(run, name) for name in SIGMOID_SETTINGS}
    return quantize(model, run.levels, run.keep, QUANTIZERS[run.quantizer], **options)


def refuse_start(run: Run, started: Run) -> None:
    """Raise ValueError where a run cannot start from another one's weights."""
    for name, expected in (
        ("levels", FULL),
        ("benchmark", run.benchmark),
        ("network", run.network),
        ("size", run.size),
        ("neuron", run.neuron),
        ("channels", run.channels),
        ("split", run.split),  # or it may have been trained on recordings of this test
    ):
        found = getattr(started, name)
        if found != expected:
            raise ValueError(f"start={run.start!r}: its {name} is {found!r}, expected {expected!r}")
    if started.validation < run.validation and _place(started) == _place(run):
        raise ValueError(
            f"start={run.start!r}: its validation is {started.validation}, expected {run.validation} at"
            " least, or it was trained on recordings that this run holds out"
        )


def _place(run: Run) -> Path:
    """Of its recordings."""
    return folder_of(run.benchmark, run.data).resolve()


def _full_precision(run: Run) -> Path:
    """The weights that a run starts from."""
    refuse_start(run, Run.of(read_record(run.start)["run"]))
    return Path(run.start) / WEIGHTS


def load_weights(model: nn.Module, path: Path) -> None:
    """Raises ValueError for a file that does not hold the network's weights."""
    try:
        model.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(f"{path}: not the weights of this run ({first_line(error)})") from None


def _commit() -> str | None:
    """The project's git commit, with "-dirty" after it where files differ; None outside git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        found = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
