"""The soft staircase and its gradients, at a cost that does not grow with the number of levels.

    y = α f(βw),  f(x) = Y_0 + Σ s_i σ(T(x − b_i)),  s_i = Y_i − Y_{i−1}

with the sigmoid's argument clamped to ±10. Given temperature and thresholds, f and its slope are
functions of one number. For float32 weights on a CPU they are computed in one pass over the
weights: a sigmoid or two added up, more looked up in a table. On a GPU one kernel adds up the
sigmoids, in one pass as well: where there is Triton our own, on devices that `torch.compile` has
another compiler for, its. Elsewhere (float64, or a GPU without Triton, which `torch.compile` needs
there too) they are summed one by one.
"""

import itertools
from functools import cache
from types import ModuleType

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from snnq.quantization import loops
from snnq.quantization.chain import by_curve, by_slope
from snnq.quantization.hardened import harden
from snnq.quantization.loops import FEW, Sigmoids, flat
from snnq.quantization.table import ARGUMENT_LIMIT, Table, table
from snnq.system.triton import has_triton


def staircase(
    weight: Tensor,
    alpha: Tensor,
    beta: Tensor,
    biases: Tensor,
    temperature: Tensor,
    backward_temperature: Tensor,
    levels: tuple[float, ...],
    hardened: Tensor | None = None,
) -> Tensor:
    """α f(βw), with the gradients

        ∂/∂w = G αβT'S,   ∂/∂α = Σ G y/α,   ∂/∂β = Σ G αT' w S,   S = Σ s_i g_i (1 − g_i)

    where G = ∂loss/∂y and g_i = σ(T'(βw − b_i)) is taken at the backward temperature T'. What is
    kept for the backward pass is w and y, whatever the number of levels.

    Where `hardened`, a bool tensor of the weight's shape, is true, y is the hard α Y_k,
    k = #{i : βw > b_i}, and S is 0.
    """
    temperatures, form = (temperature, backward_temperature), _one_pass_form(weight)
    if form is None:
        return _Staircase.apply(weight, alpha, beta, biases, *temperatures, levels, hardened)
    values = _levels_on(levels, weight.device, weight.dtype)
    return _OnePass.apply(form, weight, hardened, alpha, beta, biases, values, *temperatures)


def _one_pass_form(weight: Tensor) -> ModuleType | None:
    """The module with `value` and `gradients` for weights on this device, if there is one."""
    if weight.dtype != torch.float32:
        return None
    if weight.is_cuda and has_triton():
        from snnq.quantization import gpu as form
    elif weight.is_mps or weight.is_xpu:
        from snnq.quantization import inductor as form
    else:
        return None
    return form


def _hard(weight: Tensor, beta: Tensor, biases: Tensor, levels: tuple[float, ...]) -> Tensor:
    """Y_k of each weight."""
    of_levels = _levels_on(levels, weight.device, weight.dtype)
    return of_levels[torch.bucketize((weight * beta).contiguous(), biases)]


@cache
def _levels_on(levels: tuple[float, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Once for each device, so that no training step waits for a copy."""
    return torch.tensor(levels, dtype=dtype, device=device)


class _OnePass(torch.autograd.Function):
    @staticmethod
    def forward(ctx, form, weight, hardened, *curve_and_slope):
        *curve, temperature, backward_temperature = curve_and_slope
        output = form.value(weight, hardened, *curve, temperature)
        ctx.save_for_backward(weight, output, hardened, *curve, backward_temperature)
        ctx.form = form
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        weight, output, *rest = ctx.saved_tensors
        by_weight, *by_scales = ctx.form.gradients(weight, output, grad, *rest)
        return None, by_weight, None, *by_scales, *[None] * 4


class _Staircase(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx, weight, alpha, beta, biases, temperature, backward_temperature, levels, hardened
    ):
        curve = _curve_for(weight, biases, temperature, levels, slope=False)
        if curve is None:
            output = _value(weight * beta, biases, temperature, levels)
            if hardened is not None:
                output = torch.where(hardened, _hard(weight, beta, biases, levels), output)
            output.mul_(alpha)
        else:
            weight = weight.contiguous()
            output = torch.empty_like(weight)
            loops.value(flat(weight), alpha.item(), beta.item(), curve, flat(output))
            if hardened is not None:
                values = _levels_on(levels, weight.device, weight.dtype) * alpha
                steps = beta.item(), flat(biases), flat(values)
                harden(flat(weight), flat(hardened), *steps, flat(output))
        ctx.save_for_backward(weight, alpha, beta, biases, backward_temperature, output, hardened)
        ctx.levels = levels
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        weight, alpha, beta, biases, temperature, output, hardened = ctx.saved_tensors
        curve = _curve_for(weight, biases, temperature, ctx.levels, slope=True)
        arrays = weight, output, grad, alpha, beta, hardened
        if curve is None:
            slope = _slope(weight * beta, biases, temperature, ctx.levels)
            found = by_slope(slope, *arrays)
        else:
            found = by_curve(curve, *arrays)
        return *found, None, None, None, None, None


def _steps(levels: tuple[float, ...]) -> list[float]:
    return [upper - lower for lower, upper in itertools.pairwise(levels)]


def _value(x: Tensor, biases: Tensor, temperature: Tensor, levels: tuple[float, ...]) -> Tensor:
    """f(x), summed."""
    total = torch.full_like(x, levels[0])
    for bias, step in zip(biases, _steps(levels)):
        total.add_(_sigmoid(x, bias, temperature), alpha=step)
    return total


def _slope(x: Tensor, biases: Tensor, temperature: Tensor, levels: tuple[float, ...]) -> Tensor:
    """f'(x) = T Σ s_i g_i (1 − g_i), summed over the thresholds that the clamp leaves in reach."""
    total = torch.zeros_like(x)
    for bias, step in zip(biases, _steps(levels)):
        g = _sigmoid(x, bias, temperature)
        inside = (x - bias).mul_(temperature).abs_() < ARGUMENT_LIMIT
        total.addcmul_(g.mul_(1 - g), inside, value=step)
    return total.mul_(temperature)


def _sigmoid(x: Tensor, bias: Tensor, temperature: Tensor) -> Tensor:
    argument = (x - bias).mul_(temperature)
    return argument.clamp_(-ARGUMENT_LIMIT, ARGUMENT_LIMIT).sigmoid_()


def _curve_for(weight, biases, temperature, levels, slope: bool) -> Table | Sigmoids | None:
    """f, or with `slope` f', as `loops` take it; None where they are not for such weights."""
    if weight.dtype != torch.float32 or weight.device.type != "cpu" or not weight.numel():
        return None
    thresholds, steps = tuple(biases.tolist()), tuple(_steps(levels))
    if len(steps) <= FEW:
        return Sigmoids(levels[0], np.array(thresholds), np.array(steps), temperature.item())
    return table(thresholds, steps, levels[0], temperature.item(), slope)
