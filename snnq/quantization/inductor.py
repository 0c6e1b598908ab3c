"""The staircase by `torch.compile`, for devices that it compiles for and our own kernel does not.

As in `gpu`, nothing waits for the host, and all thresholds are taken in one pass. Without the
compiler each intermediate result would have a number for each weight and threshold.
"""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from snnq.quantization.table import ARGUMENT_LIMIT


def value(weight: Tensor, *others: Tensor | None) -> Tensor:
    """α (Y_0 + Σ s_i g_i), as `gpu.value`."""
    return _compiled(_value)(*_rows(weight, *others)).view_as(weight)


def gradients(weight: Tensor, *others: Tensor | None) -> tuple[Tensor, ...]:
    """∂loss/∂w, ∂loss/∂α and ∂loss/∂β, as `gpu.gradients`."""
    by_weight, *by_scales = _compiled(_gradients)(*_rows(weight, *others))
    return by_weight.view_as(weight), *by_scales


def _rows(*tensors: Tensor | None) -> list[Tensor | None]:
    """Without what a function would be compiled for anew: shape, strides, whether it is learned."""
    return [None if one is None else one.detach().contiguous().flatten() for one in tensors]


@cache
def _compiled(function: Callable) -> Callable:
    return torch.compile(function, dynamic=True)


def _value(weight, hardened, alpha, beta, biases, levels, temperature):
    x = weight * beta
    argument = _argument(x, biases, temperature).clamp(-ARGUMENT_LIMIT, ARGUMENT_LIMIT)
    y = levels[0] + (levels.diff() * argument.sigmoid()).sum(-1)
    if hardened is not None:
        y = torch.where(hardened, levels[torch.bucketize(x, biases)], y)
    return alpha * y


def _gradients(weight, output, grad, hardened, alpha, beta, biases, levels, temperature):
    argument = _argument(weight * beta, biases, temperature)
    g = argument.sigmoid()
    beyond = argument.abs() >= ARGUMENT_LIMIT
    slope = (levels.diff() * torch.where(beyond, 0, g * (1 - g))).sum(-1)
    chained = grad * alpha * temperature * slope
    if hardened is not None:
        chained = torch.where(hardened, 0, chained)
    return chained * beta, (grad * output).sum() / alpha, (chained * weight).sum()


def _argument(x: Tensor, biases: Tensor, temperature: Tensor) -> Tensor:
    """T(x − b_i), a row of thresholds for each weight."""
    return temperature * (x.unsqueeze(-1) - biases)
