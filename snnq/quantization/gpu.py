"""The staircase on a GPU: one kernel forward and one backward, whatever the number of levels.

The forward pass reads w and writes y. The backward one reads w, y and ∂loss/∂y, and writes ∂loss/∂w:
six times the weight's bytes in all. Scales, thresholds, levels and temperatures are read where they
lie, on the device, so that nothing waits for the host.

The sigmoids are g_i = 1 / (1 + q_i) with q_i = e^{−T(x − b_i)}. Exponentials take longest, and so
there is one for each weight, q_i = e^{−Tx} e^{Tb_i}, where the thresholds are so near to 0 that
these are finite.

Imported where a weight on such a device asks for it, since it needs Triton.
"""

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from snnq.quantization.table import ARGUMENT_LIMIT

LOG2_E = tl.constexpr(math.log2(math.e))
LARGEST, SMALLEST = (tl.constexpr(math.exp(end)) for end in (ARGUMENT_LIMIT, -ARGUMENT_LIMIT))
MOST = tl.constexpr(125.0)  # 2^±125 are finite, and thresholds up to 110 are out of reach there
NEAR = tl.constexpr(110.0)
BLOCK = 2048  # weights of one program: four loads of 16 bytes for each of its 128 threads
MOST_UNROLLED = 32  # thresholds; more are taken eight at a time, or the code would grow with them


def value(
    weight: Tensor,
    hardened: Tensor | None,
    alpha: Tensor,
    beta: Tensor,
    biases: Tensor,
    levels: Tensor,
    temperature: Tensor,
) -> Tensor:
    """α (Y_0 + Σ s_i g_i), of a float32 weight; α Y_k of those that are `hardened`."""
    output = torch.empty_like(weight)
    weight, hardened = (_laid_out_as(output, one) for one in (weight, hardened))
    with torch.cuda.device_of(weight):
        _value[_programs(weight),](
            weight, hardened, alpha, beta, biases, levels, temperature, output, weight.numel(),
            **_constants(biases),
        )  # fmt: skip
    return output


def gradients(
    weight: Tensor,
    output: Tensor,
    grad: Tensor,
    hardened: Tensor | None,
    alpha: Tensor,
    beta: Tensor,
    biases: Tensor,
    levels: Tensor,
    temperature: Tensor,
) -> tuple[Tensor, ...]:
    """∂loss/∂w, ∂loss/∂α and ∂loss/∂β, of `grad` = ∂loss/∂y, at the backward temperature.

    The two sums are added up program by program and then over the programs, in an order that is the
    same every time.
    """
    by_weight = torch.empty_like(weight)
    read = (_laid_out_as(by_weight, one) for one in (weight, output, grad, hardened))
    sums = weight.new_empty(2, _programs(weight))
    with torch.cuda.device_of(weight):
        _gradients[_programs(weight),](
            *read, alpha, beta, biases, levels, temperature, by_weight, sums, weight.numel(),
            **_constants(biases),
        )  # fmt: skip
    by_output, by_beta = sums.sum(1)
    return by_weight, by_output / alpha, by_beta


def _programs(weight: Tensor) -> int:
    return triton.cdiv(weight.numel(), BLOCK)


def _constants(biases: Tensor) -> dict[str, int]:
    """What a kernel is compiled for."""
    thresholds = len(biases)
    unrolled = thresholds if thresholds <= MOST_UNROLLED else 8
    return {"THRESHOLDS": thresholds, "UNROLLED": unrolled, "BLOCK": BLOCK}


def _laid_out_as(like: Tensor, tensor: Tensor | None) -> Tensor | None:
    """`tensor` in the order of `like`, which is dense: itself, unless it is a view or transposed."""
    if tensor is None or tensor.stride() == like.stride():
        return tensor
    return torch.empty_like(like, dtype=tensor.dtype).copy_(tensor)


@triton.jit
def _value(
    weight, hardened, alpha, beta, biases, levels, temperature, output, numel,
    THRESHOLDS: tl.constexpr, UNROLLED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    here = _here(BLOCK)
    w, scale = tl.load(weight + here, here < numel, other=0), tl.load(beta)
    if _are_near(biases, tl.load(temperature), THRESHOLDS):
        f = _staircase(w, scale, biases, levels, tl.load(temperature), THRESHOLDS, UNROLLED, True)
    else:
        f = _staircase(w, scale, biases, levels, tl.load(temperature), THRESHOLDS, UNROLLED, False)
    if hardened is not None:
        level = tl.load(levels + _passed(w * scale, biases, THRESHOLDS, UNROLLED))
        f = tl.where(tl.load(hardened + here, here < numel, other=0), level, f)
    tl.store(output + here, tl.load(alpha) * f, here < numel)


@triton.jit
def _gradients(
    weight, output, grad, hardened, alpha, beta, biases, levels, temperature, by_weight, sums, numel,
    THRESHOLDS: tl.constexpr, UNROLLED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    here = _here(BLOCK)
    w = tl.load(weight + here, here < numel, other=0)
    y = tl.load(output + here, here < numel, other=0)
    g = tl.load(grad + here, here < numel, other=0)
    scale, T = tl.load(beta), tl.load(temperature)
    if _are_near(biases, T, THRESHOLDS):
        slope = _slope(w, scale, biases, levels, T, THRESHOLDS, UNROLLED, True)
    else:
        slope = _slope(w, scale, biases, levels, T, THRESHOLDS, UNROLLED, False)
    chained = g * tl.load(alpha) * slope
    if hardened is not None:
        chained = tl.where(tl.load(hardened + here, here < numel, other=0), 0.0, chained)
    tl.store(by_weight + here, chained * scale, here < numel)
    program = tl.program_id(0)
    tl.store(sums + program, tl.sum(g * y))
    tl.store(sums + tl.num_programs(0) + program, tl.sum(chained * w))


@triton.jit
def _here(BLOCK: tl.constexpr):
    """Places of a program's weights, as int64: a weight may have more than 2³¹ numbers."""
    return tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)


@triton.jit
def _are_near(biases, temperature, THRESHOLDS: tl.constexpr):
    """Whether e^{Tb} is finite for every threshold, which are in order, and for those in between."""
    farthest = tl.maximum(-tl.load(biases), tl.load(biases + THRESHOLDS - 1))
    return temperature * LOG2_E * farthest <= NEAR


@triton.jit
def _staircase(
    w, beta, biases, levels, temperature,
    THRESHOLDS: tl.constexpr, UNROLLED: tl.constexpr, NEAR: tl.constexpr,
):  # fmt: skip
    """Y_0 + Σ s_i g_i."""
    total = tl.zeros_like(w) + tl.load(levels)
    of_weight = _of_weight(w, beta, temperature)
    for i in tl.range(THRESHOLDS, loop_unroll_factor=UNROLLED):
        q = _odds(of_weight, w, beta, tl.load(biases + i), temperature, NEAR)
        q = tl.clamp(q, SMALLEST, LARGEST, propagate_nan=tl.PropagateNan.ALL)
        total += (tl.load(levels + i + 1) - tl.load(levels + i)) * _sigmoid(q)
    return total


@triton.jit
def _slope(
    w, beta, biases, levels, temperature,
    THRESHOLDS: tl.constexpr, UNROLLED: tl.constexpr, NEAR: tl.constexpr,
):  # fmt: skip
    """T Σ s_i g_i (1 − g_i), over the thresholds that the clamp leaves in reach."""
    total = tl.zeros_like(w)
    of_weight = _of_weight(w, beta, temperature)
    for i in tl.range(THRESHOLDS, loop_unroll_factor=UNROLLED):
        q = _odds(of_weight, w, beta, tl.load(biases + i), temperature, NEAR)
        g = _sigmoid(q)
        step = tl.load(levels + i + 1) - tl.load(levels + i)
        total += step * tl.where((q <= SMALLEST) | (q >= LARGEST), 0.0, tl.fma(-g, g, g))
    return temperature * total


@triton.jit
def _of_weight(w, beta, temperature):
    """e^{−Tβw}, or what is as far beyond every threshold that is near."""
    argument = w * beta * (-LOG2_E * temperature)
    return tl.exp2(tl.clamp(argument, -MOST, MOST, propagate_nan=tl.PropagateNan.ALL))


@triton.jit
def _odds(of_weight, w, beta, bias, temperature, NEAR: tl.constexpr):
    """q = e^{−T(βw − b)}; of thresholds that are not near, rounded once close to them."""
    if NEAR:
        q = of_weight * tl.exp2(bias * (LOG2_E * temperature))
    else:
        q = tl.exp2(tl.fma(w, beta, -bias) * (-LOG2_E * temperature))
    return q


@triton.jit
def _sigmoid(q):
    """1 / (1 + q), with one instruction where a division has eight."""
    root = tl.rsqrt(1 + q)
    return root * root


@triton.jit
def _passed(x, biases, THRESHOLDS: tl.constexpr, UNROLLED: tl.constexpr):
    """How many thresholds lie below."""
    count = tl.zeros_like(x).to(tl.int32)
    for i in tl.range(THRESHOLDS, loop_unroll_factor=UNROLLED):
        count += (x > tl.load(biases + i)).to(tl.int32)
    return count
