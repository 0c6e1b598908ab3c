"""What the settings of a run may be."""

import math

import torch

from snnq.networks.models import NETWORKS, NEURONS
from snnq.quantization.levels import BIASES, resolve_levels
from snnq.quantization.methods import QUANTIZERS
from snnq.quantization.sigmoid import check_learned
from snnq.quantization.temperature import TEMPERATURE_CAP, TEMPERATURE_SCHEDULES
from snnq.recordings.augmentation import AUGMENTATIONS, MIRRORING
from snnq.recordings.benchmarks import get_benchmark
from snnq.recordings.frames import CUTS
from snnq.training.run import FULL, Run


def check(run: Run) -> None:
    """Raise ValueError for the first setting out of range or unknown name, with what was expected."""
    benchmark = get_benchmark(run.benchmark)
    if run.levels != FULL:
        resolve_levels(run.levels)
    if not isinstance(run.keep, tuple) or not all(isinstance(n, str) for n in run.keep):
        raise ValueError(f"keep={run.keep!r}: expected a list of layer names")
    _whole(run, "seed", least=0)
    for name in ("epochs", "batch_size", "channels"):
        _whole(run, name, least=1)
    for name in ("steps", "size"):
        if getattr(run, name) is not None:
            _whole(run, name, least=1)
    if run.size is not None and run.size > min(benchmark.height, benchmark.width):
        most = min(benchmark.height, benchmark.width)
        raise ValueError(f"size={run.size}: expected {most} at most, the sensor's")
    _one_of(run, "network", NETWORKS)
    _one_of(run, "neuron", NEURONS)
    _one_of(run, "cut", CUTS)
    _one_of(run, "augmentation", AUGMENTATIONS)
    if run.augmentation in MIRRORING and not benchmark.mirrors:
        raise ValueError(
            f"augmentation={run.augmentation!r}: a mirrored recording of {run.benchmark}"
            " may be of another class"
        )
    _one_of(run, "quantizer", QUANTIZERS)
    _one_of(run, "temperature_schedule", TEMPERATURE_SCHEDULES)
    _one_of(run, "biases", BIASES)
    check_learned(run.learned)
    _number(run, "learning_rate", above=0, most=math.inf)
    for name in ("temperature_initial", "temperature_final"):
        _number(run, name, above=0, most=TEMPERATURE_CAP)
    if run.backward_temperature is not None:
        _number(run, "backward_temperature", above=0, most=TEMPERATURE_CAP)
    _number(run, "validation", above=-1e-9, most=0.9)
    if run.device != "auto":
        try:
            torch.device(run.device)
        except RuntimeError:
            raise ValueError(f"device={run.device!r}: expected auto, cpu or cuda") from None


def _whole(run: Run, name: str, least: int) -> None:
    value = getattr(run, name)
    if type(value) is not int or value < least:
        raise ValueError(f"{name}={value!r}: expected a whole number of at least {least}")


def _number(run: Run, name: str, above: float, most: float) -> None:
    value = getattr(run, name)
    if type(value) not in (int, float) or not above < value <= most:
        raise ValueError(f"{name}={value!r}: expected a number above {above}, {most} at most")


def _one_of(run: Run, name: str, choices) -> None:
    value = getattr(run, name)
    if value not in choices:
        raise ValueError(f"{name}={value!r}: expected one of {', '.join(choices)}")
