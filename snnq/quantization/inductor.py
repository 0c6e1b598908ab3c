"""The staircase by `torch.compile`, for devices that it compiles for and our own kernel does not.

As in `gpu`, nothing waits for the host, and all thresholds are taken in one pass. Without the
compiler each intermediate result would have a number for each weight and threshold.
"""

import torch
from torch import Tensor

from snnq.quantization.table import ARGUMENT_LIMIT


def value(weight: Tensor, *curve: Tensor) -> Tensor:
    """α (Y_0 + Σ s_i g_i), as `gpu.value`."""
    return _value(weight.flatten(), *curve).view_as(weight)


def gradients(weight: Tensor, grad: Tensor, *curve: Tensor) -> tuple[Tensor, ...]:
    """∂loss/∂w, ∂loss/∂α and ∂loss/∂β, as `gpu.gradients`."""
    by_weight, *by_scales = _gradients(weight.flatten(), grad.flatten(), *curve)
    return by_weight.view_as(weight), *by_scales


# Compiled for one dimension of any size: not again for the shape of each layer.
@torch.compile(dynamic=True, fullgraph=True)
def _value(weight, alpha, beta, biases, heights, temperature):
    return alpha * _staircase(weight * beta, biases, heights, temperature)


@torch.compile(dynamic=True, fullgraph=True)
def _gradients(weight, grad, alpha, beta, biases, heights, temperature, backward_temperature):
    argument = _argument(weight * beta, biases, backward_temperature)
    g = argument.sigmoid()
    inside = argument.abs() < ARGUMENT_LIMIT
    slope = (heights[1:] * torch.where(inside, g * (1 - g), 0)).sum(-1)
    chained = grad * alpha * backward_temperature * slope
    by_alpha = (grad * _staircase(weight * beta, biases, heights, temperature)).sum()
    return chained * beta, by_alpha, (chained * weight).sum()


def _staircase(x: Tensor, biases: Tensor, heights: Tensor, temperature: Tensor) -> Tensor:
    argument = _argument(x, biases, temperature).clamp(-ARGUMENT_LIMIT, ARGUMENT_LIMIT)
    return heights[0] + (heights[1:] * argument.sigmoid()).sum(-1)


def _argument(x: Tensor, biases: Tensor, temperature: Tensor) -> Tensor:
    """T(x − b_i), a row of thresholds for each weight."""
    return temperature * (x.unsqueeze(-1) - biases)
