"""What the settings of a training may be."""

import sys

import torch

from snnq.quantization.temperature import TEMPERATURE_CAP, TEMPERATURE_SCHEDULES
from snnq.training.arithmetic import Arithmetic
from snnq.training.faults_setting import read_faults_setting
from snnq.training.precision import PRECISIONS
from snnq.training.settings import Settings

LARGEST = sys.float_info.max
MOST_SEED = 2**64 - 1  # torch's


def check_settings(settings: Settings) -> None:
    """Raise ValueError for the first setting out of range or unknown name, with what was expected."""
    for name in ("temperature_schedule", "device", "precision", "arithmetic"):
        text(settings, name)
    for name in ("seed", "order"):
        whole(settings, name, least=0)
    if settings.seed > MOST_SEED:
        raise ValueError(f"seed={settings.seed}: expected {MOST_SEED} at most")
    for name in ("epochs", "batch_size"):
        whole(settings, name, least=1)
    if settings.soft_every is not None:
        whole(settings, "soft_every", least=1)
    one_of(settings, "temperature_schedule", TEMPERATURE_SCHEDULES)
    number(settings, "learning_rate", above=0, most=LARGEST)
    for name in ("temperature_initial", "temperature_final"):
        number(settings, name, above=0, most=TEMPERATURE_CAP)
    _harden(settings)
    read_faults_setting(settings.faults)
    _device(settings.device)
    one_of(settings, "precision", PRECISIONS)
    is_float32 = Arithmetic.of(settings.arithmetic).is_float32
    if settings.precision == "bf16" and not is_float32:
        raise ValueError(
            f"precision='bf16': expected float32 or tf32 with arithmetic={settings.arithmetic!r}"
        )
    if not isinstance(settings.cuda_graph, bool):
        raise ValueError(f"cuda_graph={settings.cuda_graph!r}: expected true or false")


def _device(name: str) -> None:
    if name == "auto":
        return
    try:
        known = torch.device(name).type in ("cpu", "cuda")
    except RuntimeError:
        known = False
    if not known:
        raise ValueError(f"device={name!r}: expected auto, cpu or cuda")


def _harden(settings: Settings) -> None:
    value = settings.harden
    if value is None or value == ():
        return
    pair = isinstance(value, tuple) and [type(one) in (int, float) for one in value] == [True] * 2
    if not (pair and 0 <= value[0] < value[1] <= 1):
        raise ValueError(f"harden={value!r}: expected two increasing shares of 1, or ()")


def text(settings: Settings, name: str) -> None:
    if not isinstance(getattr(settings, name), str):
        raise ValueError(f"{name}={getattr(settings, name)!r}: expected a text")


def whole(settings: Settings, name: str, least: int) -> None:
    value = getattr(settings, name)
    if type(value) is not int or value < least:
        raise ValueError(f"{name}={value!r}: expected a whole number of at least {least}")


def number(settings: Settings, name: str, above: float, most: float) -> None:
    value = getattr(settings, name)
    if type(value) not in (int, float) or not above < value <= most:
        limit = f", {most} at most" if most < LARGEST else ""
        hint = " (a text: in YAML 1e-3 is one, and 1.0e-3 a number)" * isinstance(value, str)
        raise ValueError(f"{name}={value!r}: expected a finite number above {above}{limit}{hint}")


def one_of(settings: Settings, name: str, choices) -> None:
    value = getattr(settings, name)
    if value not in choices:
        raise ValueError(f"{name}={value!r}: expected one of {', '.join(choices)}")
