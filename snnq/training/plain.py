"""Settings as people give them, as the plain ones that JSON and YAML hold."""

import numbers
import os
from typing import Any

import torch

from snnq.quantization.rules import in_order, is_mixed, read_levels, simplest
from snnq.training.arithmetic import plain_arithmetic
from snnq.training.faults_setting import plain_faults


def plain(name: str, value: Any) -> Any:
    """A setting's value as text, number, tuple or None.

    Paths and devices become text; numbers of NumPy, torch and others Python's own; lists, ranges,
    arrays and tensors tuples; and levels that are written out, as JSON or `str` write them, too. Faults
    and an arithmetic become the one text for them.
    Anything else stays as it is, for `check` to refuse.
    """
    return WRITTEN_OUT.get(name, _plain)(value)


def plain_levels(value: Any) -> Any:
    """Levels as `Run` holds them: rules as pairs in order, see `snnq.quantization.rules`."""
    if isinstance(value, str):
        return read_levels(value)
    if is_mixed(value):
        return simplest(tuple((key, plain_levels(of)) for key, of in in_order(value)))
    return _plain(value)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # of NumPy, torch, pandas and `array`
        value = value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, torch.device):
        return str(value)
    if isinstance(value, (list, tuple, range)):
        return tuple(map(_plain, value))
    if isinstance(value, bool):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    return str(value) if isinstance(value, str) else value


WRITTEN_OUT = {
    "levels": plain_levels,
    "faults": plain_faults,
    "arithmetic": plain_arithmetic,
}
