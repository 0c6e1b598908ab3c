"""The soft staircase and its gradients, at a cost that does not grow with the number of levels.

    y = α f(βw),  f(x) = Y_0 + Σ s_i σ(T(x − b_i)),  s_i = Y_i − Y_{i−1}

with the sigmoid's argument clamped to ±10. Given temperature and thresholds, f and its slope are
functions of one number. For float32 weights on a CPU they are tabulated as cubic pieces and looked
up in one pass over the weights; elsewhere, and where a table would be too long, the sigmoids are
summed one by one.
"""

import itertools
from functools import lru_cache

import numba
import numpy as np
import torch
from torch import Tensor

ARGUMENT_LIMIT = 10.0  # σ(±10) is within 5e-5 of the step; beyond it the slope is taken as zero
PIECES = 8  # per unit of T·x: a cubic through value and slope at both ends is then within 1e-6
MOST_PIECES = 2**18  # 4 MB
BLOCK = 2**16  # weights that one thread takes at a time


def staircase(
    weight: Tensor,
    alpha: Tensor,
    beta: Tensor,
    biases: Tensor,
    temperature: Tensor,
    backward_temperature: Tensor,
    levels: tuple[float, ...],
) -> Tensor:
    """α f(βw), with the gradients

        ∂/∂w = G αβT'S,   ∂/∂α = Σ G y/α,   ∂/∂β = Σ G αT' w S,   S = Σ s_i g_i (1 − g_i)

    where G = ∂loss/∂y and g_i = σ(T'(βw − b_i)) is taken at the backward temperature T'. What is
    kept for the backward pass is w and y, whatever the number of levels.
    """
    return _Staircase.apply(weight, alpha, beta, biases, temperature, backward_temperature, levels)


class _Staircase(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weight, alpha, beta, biases, temperature, backward_temperature, levels):
        table = _table_for(weight, biases, levels, temperature, slope=False)
        if table is None:
            output = _value(weight * beta, biases, temperature, levels).mul_(alpha)
        else:
            weight = weight.contiguous()
            output = torch.empty_like(weight)
            with _threads():
                _look_up(_flat(weight), alpha.item(), beta.item(), *table, _flat(output))
        ctx.save_for_backward(weight, alpha, beta, biases, backward_temperature, output)
        ctx.levels = levels
        return output

    @staticmethod
    def backward(ctx, grad):
        weight, alpha, beta, biases, temperature, output = ctx.saved_tensors
        table = _table_for(weight, biases, ctx.levels, temperature, slope=True)
        if table is None:
            slope = _slope(weight * beta, biases, temperature, ctx.levels)
            slope.mul_(grad).mul_(alpha)  # G αT'S
            by_weight, by_alpha = slope * beta, (grad * output).sum() / alpha
            by_beta = (slope * weight).sum()
        else:
            by_weight = torch.empty_like(weight)
            arrays = [_flat(tensor) for tensor in (weight, output, grad.contiguous(), by_weight)]
            sums = np.empty((-(-weight.numel() // BLOCK), 2))
            with _threads():
                _gradients(*arrays, alpha.item(), beta.item(), *table, sums)
            by_output, by_slope = sums.sum(0).tolist()
            by_alpha, by_beta = alpha.new_tensor(by_output) / alpha, beta.new_tensor(by_slope)
        return by_weight, by_alpha, by_beta, None, None, None, None


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


def _table_for(weight, biases, levels, temperature, slope: bool):
    if weight.dtype != torch.float32 or weight.device.type != "cpu" or not weight.numel():
        return None
    return _table(tuple(biases.tolist()), levels, temperature.item(), slope)


@lru_cache(maxsize=64)
def _table(biases: tuple[float, ...], levels: tuple[float, ...], temperature: float, slope: bool):
    """Pieces of f, or with `slope` of f', over all x that the clamp does not hold constant.

    Returns (start, pieces per unit of x, float32 coefficients [pieces + 2, 4] in powers of the
    distance from a piece's start, and for its exceptions: thresholds, steps, T, slope), or None
    for a table that would be too long. The first and last row are the constants on either side.
    A piece in which the clamp sets in, where f has a corner and f' a jump, has NaN as its
    coefficients: it is computed instead.
    """
    thresholds, steps = np.array(biases), np.array(_steps(levels))
    reach = ARGUMENT_LIMIT / temperature
    start, end = thresholds[0] - reach, thresholds[-1] + reach
    count = int(np.ceil((end - start) * temperature * PIECES))
    if count > MOST_PIECES:
        return None
    nodes = np.linspace(start, end, count + 1)
    size = (end - start) / count
    derivatives = np.zeros((3, count + 1))
    for threshold, step in zip(thresholds, steps):
        argument = temperature * (nodes - threshold)
        inside = np.abs(argument) < ARGUMENT_LIMIT
        g = 1 / (1 + np.exp(-np.clip(argument, -ARGUMENT_LIMIT, ARGUMENT_LIMIT)))
        first = temperature * g * (1 - g) * inside
        second = temperature * (1 - 2 * g) * first
        derivatives += step * np.stack([g, first, second])
    derivatives[0] += levels[0]
    values, tangents = derivatives[int(slope)], derivatives[int(slope) + 1] * size
    rise = np.diff(values)
    cubic = np.stack(
        [
            values[:-1],
            tangents[:-1],
            3 * rise - 2 * tangents[:-1] - tangents[1:],
            tangents[:-1] + tangents[1:] - 2 * rise,
        ],
        axis=1,
    )
    corners = np.concatenate([thresholds - reach, thresholds + reach])
    places = (corners - start) / size
    for shift in (-1e-6, 1e-6):  # a corner on a node belongs to both sides, rounding being what it is
        cubic[np.clip((places + shift).astype(int), 0, count - 1)] = np.nan
    outside = np.zeros((2, 4))
    if not slope:
        outside[:, 0] = derivatives[0, [0, -1]]
    pieces = np.vstack([outside[:1], cubic, outside[1:]]).astype(np.float32)
    return start - size, 1 / size, pieces, thresholds, steps, levels[0], temperature, slope


class _threads:
    """As many threads for the kernels as torch uses."""

    def __enter__(self):
        self.before = numba.get_num_threads()
        numba.set_num_threads(min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS))

    def __exit__(self, *_):
        numba.set_num_threads(self.before)


def _flat(tensor: Tensor) -> np.ndarray:
    return tensor.detach().view(-1).numpy()


@numba.njit(inline="always")
def _at(x, start, per_unit, pieces, thresholds, steps, lowest, temperature, slope):
    """f(x) or f'(x) from a table."""
    place = min(max((x - start) * per_unit, 0.0), len(pieces) - 1.0)
    k = np.int32(place)
    t = np.float32(place - k)
    value = pieces[k, 0] + t * (pieces[k, 1] + t * (pieces[k, 2] + t * pieces[k, 3]))
    if value != value:
        value = np.float32(_exact(x, thresholds, steps, lowest, temperature, slope))
    return value


@numba.njit
def _exact(x, thresholds, steps, lowest, temperature, slope):
    """f(x) or f'(x), summed in float64."""
    total = 0.0 if slope else lowest
    for i in range(len(thresholds)):
        argument = temperature * (x - thresholds[i])
        g = 1 / (1 + np.exp(-min(max(argument, -ARGUMENT_LIMIT), ARGUMENT_LIMIT)))
        if not slope:
            total += steps[i] * g
        elif abs(argument) < ARGUMENT_LIMIT:
            total += steps[i] * temperature * g * (1 - g)
    return total


@numba.njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def _look_up(
    weight, alpha, beta, start, per_unit, pieces, thresholds, steps, lowest, temperature, slope, out
):
    """out = α f(βw)."""
    scale = np.float32(alpha)
    for block in numba.prange(-(-weight.size // BLOCK)):
        for i in range(block * BLOCK, min((block + 1) * BLOCK, weight.size)):
            out[i] = scale * _at(
                weight[i] * beta, start, per_unit, pieces, thresholds, steps, lowest, temperature, slope
            )


@numba.njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def _gradients(
    weight, output, grad, by_weight,
    alpha, beta, start, per_unit, pieces, thresholds, steps, lowest, temperature, slope,
    sums,
):  # fmt: skip
    """by_weight = G αβ f'(βw); sums[block] = Σ G y, Σ G α w f'(βw), in blocks of fixed size, so
    that the result does not depend on the number of threads."""
    scale = np.float32(alpha)
    for block in numba.prange(len(sums)):
        by_output, by_slope = 0.0, 0.0
        for i in range(block * BLOCK, min((block + 1) * BLOCK, weight.size)):
            g = scale * grad[i] * _at(
                weight[i] * beta, start, per_unit, pieces, thresholds, steps, lowest, temperature, slope
            )
            by_weight[i] = np.float32(beta) * g
            by_output += grad[i] * output[i]
            by_slope += g * weight[i]
        sums[block, 0], sums[block, 1] = by_output, by_slope
