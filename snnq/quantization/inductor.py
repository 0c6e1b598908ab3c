"""The staircase by `torch.compile`, for devices that it compiles for and our own kernel does not.

As in `gpu`, nothing waits for the host, and all thresholds are taken in one pass. Without the
compiler each intermediate result would have a number for each weight and threshold.
"""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from snnq.quantization.table import ARGUMENT_LIMIT


def value(weight: Tensor, *curve: Tensor) -> Tensor:
    """α (Y_0 + Σ s_i g_i), as `gpu.value`."""
    return _compiled(_value)(*_rows(weight, *curve)).view_as(weight)


def gradients(weight: Tensor, grad: Tensor, *curve: Tensor) -> tuple[Tensor, ...]:
    """∂loss/∂w, ∂loss/∂α and ∂loss/∂β, as `gpu.gradients`."""
    by_weight, *by_scales = _compiled(_gradients)(*_rows(weight, grad, *curve))
    return by_weight.view_as(weight), *by_scales


def _rows(*tensors: Tensor) -> list[Tensor]:
    """Without what a function would be compiled for anew: shape, strides, whether it is learned."""
    return [tensor.detach().contiguous().flatten() for tensor in tensors]


@cache
def _compiled(function: Callable) -> Callable:
    return torch.compile(function, dynamic=True)


def _value(weight, alpha, beta, biases, heights, temperature):
    return alpha * _staircase(weight * beta, biases, heights, temperature)


def _gradients(weight, grad, alpha, beta, biases, heights, temperature, backward_temperature):
    argument = _argument(weight * beta, biases, backward_temperature)
    g = argument.sigmoid()
    beyond = argument.abs() >= ARGUMENT_LIMIT
    slope = (heights[1:] * torch.where(beyond, 0, g * (1 - g))).sum(-1)
    chained = grad * alpha * backward_temperature * slope
    by_alpha = (grad * _staircase(weight * beta, biases, heights, temperature)).sum()
    return chained * beta, by_alpha, (chained * weight).sum()


def _staircase(x: Tensor, biases: Tensor, heights: Tensor, temperature: Tensor) -> Tensor:
    argument = _argument(x, biases, temperature).clamp(-ARGUMENT_LIMIT, ARGUMENT_LIMIT)
    return heights[0] + (heights[1:] * argument.sigmoid()).sum(-1)


def _argument(x: Tensor, biases: Tensor, temperature: Tensor) -> Tensor:
    """T(x − b_i), a row of thresholds for each weight."""
    return temperature * (x.unsqueeze(-1) - biases)
