"""A sum of clamped sigmoids as a table of cubic pieces, and passes over weights that look it up.

    f(x) = Y_0 + Σ s_i σ(clamp(T(x − b_i), ±10)),   f'(x) = T Σ s_i g_i (1 − g_i) within the clamp
"""

from functools import lru_cache
from typing import NamedTuple

import numba
import numpy as np

from snnq.threads import in_blocks

ARGUMENT_LIMIT = 10.0  # σ(±10) is within 5e-5 of the step; beyond it the slope is taken as zero
PIECES = 8  # per unit of T·x: a cubic through value and slope at both ends is then within 1e-6
MOST_PIECES = 2**20  # 32 MB
BLOCK = 2**17  # weights that a thread takes at a time: half a megabyte
CACHED = 2**10  # of them that the kernels take at a time


class Table(NamedTuple):
    """f, or f', over all x that the clamp does not hold constant, and a constant either side.

    A piece covers 1/per_unit of x; place (x − start)·per_unit lies in piece k = ⌊place⌋ at
    t = place − k. The value is a cubic in t, of the first four coefficients of piece k below
    t = corners[k] and of the other four from there on: where the clamp sets in, f has a corner and f' a jump. In a piece
    with several corners the coefficients are NaN, and the sum itself is computed.
    """

    start: float
    per_unit: float
    pieces: np.ndarray  # float32 [pieces · 2 · 4]
    corners: np.ndarray  # float32 [pieces]
    thresholds: np.ndarray
    steps: np.ndarray
    lowest: float
    temperature: float
    slope: bool


@lru_cache(maxsize=64)
def table(
    thresholds: tuple[float, ...],
    steps: tuple[float, ...],
    lowest: float,
    temperature: float,
    slope: bool,
) -> Table | None:
    """The table of f, or with `slope` of f'; None where it would be longer than MOST_PIECES."""
    reach = ARGUMENT_LIMIT / temperature
    start, end = thresholds[0] - reach, thresholds[-1] + reach
    count = int(np.ceil((end - start) * temperature * PIECES))
    if count > MOST_PIECES:
        return None
    size = (end - start) / count
    start, count = start - size, count + 2  # with the constants on either side
    nodes = start + size * np.arange(count + 1)
    # [before and after a corner, the piece's two ends, value or slope and its derivative, pieces]
    ends = np.zeros((2, 2, 2, count))
    ends[:, :, 0] = 0.0 if slope else lowest
    corners = np.full(count, np.inf)
    for threshold, step in zip(thresholds, steps):
        first = max(int((threshold - reach - start) / size) - 1, 0)
        last = min(int((threshold + reach - start) / size) + 2, count)
        if not slope:
            ends[:, :, 0, :first] += step * _sigmoid(-ARGUMENT_LIMIT)
            ends[:, :, 0, last:] += step * _sigmoid(ARGUMENT_LIMIT)
        arguments = temperature * (nodes[first : last + 1] - threshold)
        argument_at = arguments[:-1], arguments[1:]
        inside_at = [np.abs(argument) < ARGUMENT_LIMIT for argument in argument_at]
        for side in (0, 1):  # what holds at one end of the piece, continued over all of it
            inside, held = inside_at[side], np.copysign(ARGUMENT_LIMIT, argument_at[side])
            for end in (0, 1):
                g = _sigmoid(np.where(inside, argument_at[end], held))
                derivative = temperature * g * (1 - g) * inside
                if slope:
                    both = derivative, temperature * (1 - 2 * g) * derivative
                else:
                    both = g, derivative
                ends[side, end, :, first:last] += step * np.stack(both)
        for k in first + np.flatnonzero(inside_at[0] != inside_at[1]):
            corner = threshold + np.copysign(reach, nodes[k] + size / 2 - threshold)
            place = (corner - nodes[k]) / size
            if np.isfinite(corners[k]) and abs(corners[k] - place) > 1e-6:
                ends[..., k] = np.nan
            corners[k] = place
    pieces = _cubics(*ends[:, 0].swapaxes(0, 1), *ends[:, 1].swapaxes(0, 1), size)
    return Table(
        start,
        1 / size,
        pieces.swapaxes(0, 1).astype(np.float32).reshape(-1),
        corners.astype(np.float32),
        np.array(thresholds),
        np.array(steps),
        float(lowest),
        temperature,
        slope,
    )


def _sigmoid(argument):
    return 1 / (1 + np.exp(-argument))


def _cubics(left, left_slope, right, right_slope, size: float) -> np.ndarray:
    """Coefficients in t from 0 to 1 of the cubics through values and slopes at both ends."""
    left_slope, right_slope, rise = left_slope * size, right_slope * size, right - left
    square = 3 * rise - 2 * left_slope - right_slope
    return np.stack([left, left_slope, square, left_slope + right_slope - 2 * rise], axis=-1)


def value(weight: np.ndarray, alpha: float, beta: float, table: Table, out: np.ndarray) -> None:
    """out = α f(βw)."""

    def block(first: int, last: int) -> None:
        _value(weight[first:last], alpha, beta, table, out[first:last])

    in_blocks(block, weight.size, BLOCK)


def gradients(
    weight: np.ndarray,
    output: np.ndarray,
    grad: np.ndarray,
    by_weight: np.ndarray,
    alpha: float,
    beta: float,
    table: Table,
) -> tuple[float, float]:
    """by_weight = G αβ f'(βw); returns Σ G y and Σ G α w f'(βw), in float64."""
    sums = np.empty((-(-weight.size // BLOCK), 2))

    def block(first: int, last: int) -> None:
        arrays = [array[first:last] for array in (weight, output, grad, by_weight)]
        sums[first // BLOCK] = _gradients(*arrays, alpha, beta, table)

    in_blocks(block, weight.size, BLOCK)
    return tuple(sums.sum(0).tolist())


NONE, ONE, TWO, THREE = (np.uint64(i) for i in range(4))
HALF, COEFFICIENTS = np.uint64(4), np.uint64(8)


# The kernels work in pieces that stay in the fastest cache, one simple loop after another: the
# compiler makes vector instructions of each. Indices are unsigned, since it would test signed ones.


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _value(weight, alpha, beta, table, out):
    for first in range(0, weight.size, CACHED):
        w, y = weight[first : first + CACHED], out[first : first + CACHED]
        _look_up(w, beta, table, y)
        y *= np.float32(alpha)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _gradients(weight, output, grad, by_weight, alpha, beta, table):
    by_output, by_slope = 0.0, 0.0
    for first in range(0, weight.size, CACHED):
        last = first + CACHED
        w, slope = weight[first:last], by_weight[first:last]
        _look_up(w, beta, table, slope)
        slope *= grad[first:last]
        slope *= np.float32(alpha)
        by_output += _product(grad[first:last], output[first:last])
        by_slope += _product(slope, w)
        slope *= np.float32(beta)
    return by_output, by_slope


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _look_up(weight, beta, table, out):
    """out = f(βw), or f'(βw)."""
    places, within = np.empty(weight.size, np.int32), np.empty(weight.size, np.float32)
    scale, shift = beta * table.per_unit, -table.start * table.per_unit
    # The outer pieces are constant but for a corner that rounding may put at their inner ends.
    last = len(table.corners) - 0.5
    for i in range(weight.size):
        place = min(last, max(0.0, weight[i] * scale + shift))
        places[i] = np.int32(place)
        within[i] = np.float32(place - places[i])
    pieces, corners = table.pieces, table.corners
    several_corners = False
    for i in range(out.size):
        k, t = np.uint64(places[i]), within[i]
        j = COEFFICIENTS * k + (HALF if t >= corners[k] else NONE)
        cubic = pieces[j + TWO] + t * pieces[j + THREE]
        out[i] = pieces[j] + t * (pieces[j + ONE] + t * cubic)
        several_corners |= out[i] != out[i]
    if several_corners:
        for i in range(out.size):
            if out[i] != out[i]:
                out[i] = _sum(weight[i] * beta, table)


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc"})
def _product(one, other):
    """Σ one · other, in float64."""
    total = 0.0
    for i in range(one.size):
        total += np.float64(one[i]) * other[i]
    return total


@numba.njit
def _sum(x, table):
    """f(x) or f'(x), summed in float64."""
    total = 0.0 if table.slope else table.lowest
    for i in range(len(table.thresholds)):
        argument = table.temperature * (x - table.thresholds[i])
        g = 1 / (1 + np.exp(-min(max(argument, -ARGUMENT_LIMIT), ARGUMENT_LIMIT)))
        if not table.slope:
            total += table.steps[i] * g
        elif abs(argument) < ARGUMENT_LIMIT:
            total += table.steps[i] * table.temperature * g * (1 - g)
    return np.float32(total)
