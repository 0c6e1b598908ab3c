"""The staircase of weights that reach different levels, and its gradients, in one pass.

    y = α f_r(βw),  f_r(x) = Y_{j_0} + Σ_k (Y_{j_k} − Y_{j_{k−1}}) σ(T(x − c_k))

with the levels and thresholds of the weight's own set r, see `reachable`. For float32 weights on a CPU
the f of all sets are one table, in which a weight's set says where to look; elsewhere each weight
gathers its thresholds, and the sigmoids are summed.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from snnq.quantization import loops
from snnq.quantization.chain import by_curve, by_slope
from snnq.quantization.hardened import harden
from snnq.quantization.loops import FEW, Sigmoids, flat
from snnq.quantization.reachable import Reachable
from snnq.quantization.table import ARGUMENT_LIMIT, Table, stacked


@dataclass(frozen=True, eq=False)
class Curves:
    """The staircases of a layer, without the weights: what `masked_staircase` needs beside them."""

    reachable: Reachable
    biases: Tensor
    temperature: Tensor
    backward_temperature: Tensor
    levels: Tensor


def masked_staircase(
    weight: Tensor,
    alpha: Tensor,
    beta: Tensor,
    curves: Curves,
    hardened: Tensor | None = None,
) -> Tensor:
    """α f_r(βw) with the gradients of `staircase`, of each weight's own f_r.

    Where `hardened` is true y is hard, and no gradient comes back.
    """
    return _Masked.apply(weight, alpha, beta, curves, hardened)


class _Masked(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weight, alpha, beta, curves, hardened):
        curve = _curve_for(weight, curves, slope=False)
        if curve is None:
            output = alpha * _hard_or_soft(weight * beta, curves, hardened)
        else:
            weight = weight.contiguous()
            output = torch.empty_like(weight)
            rows = flat(curves.reachable.rows)
            scales = alpha.item(), beta.item()
            loops.value(flat(weight), *scales, curve, flat(output), rows)
            if hardened is not None:
                _harden(weight, hardened, alpha, beta, curves, output)
        ctx.save_for_backward(weight, alpha, beta, output, hardened)
        ctx.curves = curves
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        weight, alpha, beta, output, hardened = ctx.saved_tensors
        curve = _curve_for(weight, ctx.curves, slope=True)
        arrays = weight, output, grad, alpha, beta, hardened
        if curve is None:
            found = by_slope(_slope(weight * beta, ctx.curves), *arrays)
        else:
            found = by_curve(curve, *arrays, flat(ctx.curves.reachable.rows))
        return *found, None, None


def _curve_for(weight: Tensor, curves: Curves, slope: bool) -> Table | Sigmoids | None:
    """f of each set, or their slopes, as `loops` take them; None where they are not for such weights."""
    small = curves.reachable.rows.dtype == torch.uint8
    if weight.dtype != torch.float32 or weight.device.type != "cpu" or not small:
        return None
    temperature = (curves.backward_temperature if slope else curves.temperature).item()
    rows = curves.reachable.curves(curves.biases)
    moving = [row for row in rows if row[1]]
    if len(moving) == 1 and len(moving[0][1]) <= FEW:  # as of two levels
        (thresholds, steps, lowest), = moving
        constants = np.array([math.nan if own else value for _, own, value in rows])
        return Sigmoids(lowest, np.array(thresholds), np.array(steps), temperature, constants)
    return stacked(rows, temperature, slope)


def _harden(weight, hardened, alpha, beta, curves, output) -> None:
    reachable = curves.reachable
    thresholds = reachable.thresholds(curves.biases).numpy()
    values = (alpha * curves.levels[reachable.indices]).detach().numpy()
    arrays = map(flat, (weight, hardened))
    harden(*arrays, beta.item(), thresholds, values, flat(output), flat(reachable.rows))


def _hard_or_soft(x: Tensor, curves: Curves, hardened: Tensor | None) -> Tensor:
    found = _value(x, curves)
    if hardened is None:
        return found
    return torch.where(hardened, curves.levels[curves.reachable.level_indices(x, curves.biases)], found)


def _value(x: Tensor, curves: Curves) -> Tensor:
    """f_r(x), summed."""
    rows = curves.reachable.rows.int()
    g = _argument(x, rows, curves, curves.temperature)
    g = g.clamp_(-ARGUMENT_LIMIT, ARGUMENT_LIMIT).sigmoid_()
    steps, lowest = curves.reachable.steps.to(x), curves.reachable.lowest.to(x)
    return g.mul_(steps[rows]).sum(-1).add_(lowest[rows])


def _slope(x: Tensor, curves: Curves) -> Tensor:
    """f_r'(x) over the thresholds that the clamp leaves in reach, at the backward temperature."""
    rows, temperature = curves.reachable.rows.int(), curves.backward_temperature
    argument = _argument(x, rows, curves, temperature)
    g = argument.sigmoid()
    inside = argument.abs_() < ARGUMENT_LIMIT
    g.mul_(1 - g).mul_(inside).mul_(curves.reachable.steps.to(x)[rows])
    return g.sum(-1).mul_(temperature)


def _argument(x: Tensor, rows: Tensor, curves: Curves, temperature: Tensor) -> Tensor:
    """T(x − c_k), a column for each threshold."""
    thresholds = curves.reachable.thresholds(curves.biases)
    return (x.unsqueeze(-1) - thresholds[rows]).mul_(temperature)
