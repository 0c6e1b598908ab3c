"""The staircase on a GPU: one kernel forward and one backward, whatever the number of levels.

The forward pass reads w and writes y. The backward one reads w and ∂loss/∂y, computes y/α again
rather than reading it, and writes ∂loss/∂w: five times the weight's bytes in all. Scales, thresholds
and temperatures are read where they lie, on the device, so that nothing waits for the host.

Imported where a weight on such a device asks for it, since it needs Triton.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from snnq.quantization.table import ARGUMENT_LIMIT

LIMIT = tl.constexpr(ARGUMENT_LIMIT)
BLOCK = 2048  # weights of one program: four loads of 16 bytes for each of its 128 threads
MOST_UNROLLED = 32  # thresholds; more are taken eight at a time, or the code would grow with them


def value(
    weight: Tensor,
    alpha: Tensor,
    beta: Tensor,
    biases: Tensor,
    heights: Tensor,
    temperature: Tensor,
) -> Tensor:
    """α (Y_0 + Σ s_i g_i), of a float32 weight; `heights` is Y_0, s_1, …, s_n on its device."""
    output = torch.empty_like(weight)
    weight = _laid_out_as(output, weight)
    with torch.cuda.device_of(weight):
        _value[_programs(weight),](
            weight, alpha, beta, biases, heights, temperature, output, weight.numel(),
            **_constants(biases),
        )  # fmt: skip
    return output


def gradients(
    weight: Tensor,
    grad: Tensor,
    alpha: Tensor,
    beta: Tensor,
    biases: Tensor,
    heights: Tensor,
    temperature: Tensor,
    backward_temperature: Tensor,
) -> tuple[Tensor, ...]:
    """∂loss/∂w, ∂loss/∂α and ∂loss/∂β, of `grad` = ∂loss/∂y.

    The two sums are added up program by program and then over the programs, in an order that is the
    same every time.
    """
    by_weight = torch.empty_like(weight)
    weight, grad = _laid_out_as(by_weight, weight), _laid_out_as(by_weight, grad)
    sums = weight.new_empty(2, _programs(weight))
    with torch.cuda.device_of(weight):
        _gradients[_programs(weight),](
            weight, grad, alpha, beta, biases, heights, temperature, backward_temperature,
            by_weight, sums, weight.numel(), **_constants(biases),
        )  # fmt: skip
    by_alpha, by_beta = sums.sum(1)
    return by_weight, by_alpha, by_beta


def _programs(weight: Tensor) -> int:
    return triton.cdiv(weight.numel(), BLOCK)


def _constants(biases: Tensor) -> dict[str, int]:
    """What a kernel is compiled for."""
    thresholds = len(biases)
    unrolled = thresholds if thresholds <= MOST_UNROLLED else 8
    return {"THRESHOLDS": thresholds, "UNROLLED": unrolled, "BLOCK": BLOCK}


def _laid_out_as(like: Tensor, tensor: Tensor) -> Tensor:
    """`tensor` in the order of `like`, which is dense: itself, unless it is a view or transposed."""
    if tensor.stride() == like.stride():
        return tensor
    return torch.empty_like(like).copy_(tensor)


@triton.jit
def _value(
    weight, alpha, beta, biases, heights, temperature, output, numel,
    THRESHOLDS: tl.constexpr, UNROLLED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    here = _here(BLOCK)
    w = tl.load(weight + here, here < numel)
    f = _staircase(w, tl.load(beta), biases, heights, tl.load(temperature), THRESHOLDS, UNROLLED)
    tl.store(output + here, tl.load(alpha) * f, here < numel)


@triton.jit
def _gradients(
    weight, grad, alpha, beta, biases, heights, temperature, backward_temperature,
    by_weight, sums, numel,
    THRESHOLDS: tl.constexpr, UNROLLED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    here = _here(BLOCK)
    w = tl.load(weight + here, here < numel, other=0)
    g = tl.load(grad + here, here < numel, other=0)
    scale = tl.load(beta)
    slope = _slope(w, scale, biases, heights, tl.load(backward_temperature), THRESHOLDS, UNROLLED)
    chained = g * tl.load(alpha) * slope
    tl.store(by_weight + here, chained * scale, here < numel)
    f = _staircase(w, scale, biases, heights, tl.load(temperature), THRESHOLDS, UNROLLED)
    program = tl.program_id(0)
    tl.store(sums + program, tl.sum(g * f))
    tl.store(sums + tl.num_programs(0) + program, tl.sum(chained * w))


@triton.jit
def _here(BLOCK: tl.constexpr):
    """Places of a program's weights, as int64: a weight may have more than 2³¹ numbers."""
    return tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)


@triton.jit
def _staircase(
    w, beta, biases, heights, temperature, THRESHOLDS: tl.constexpr, UNROLLED: tl.constexpr
):
    """Y_0 + Σ s_i g_i."""
    total = tl.zeros_like(w) + tl.load(heights)
    for i in tl.range(THRESHOLDS, loop_unroll_factor=UNROLLED):
        argument = _argument(w, beta, tl.load(biases + i), temperature)
        total += tl.load(heights + i + 1) * _sigmoid(argument)
    return total


@triton.jit
def _slope(w, beta, biases, heights, temperature, THRESHOLDS: tl.constexpr, UNROLLED: tl.constexpr):
    """T Σ s_i g_i (1 − g_i), over the thresholds that the clamp leaves in reach."""
    total = tl.zeros_like(w)
    for i in tl.range(THRESHOLDS, loop_unroll_factor=UNROLLED):
        argument = _argument(w, beta, tl.load(biases + i), temperature)
        g = _sigmoid(argument)
        total += tl.where(tl.abs(argument) >= LIMIT, 0.0, tl.load(heights + i + 1) * g * (1 - g))
    return temperature * total


@triton.jit
def _argument(w, beta, bias, temperature):
    """T(βw − b), rounded once where a weight lies near its threshold."""
    return temperature * tl.fma(w, beta, -bias)


@triton.jit
def _sigmoid(argument):
    """σ(clamp(argument, ±10)); not a number of what is none."""
    return tl.sigmoid(tl.clamp(argument, -LIMIT, LIMIT, propagate_nan=tl.PropagateNan.ALL))
