"""Passes over weights that compute α f(βw) and its gradients, for float32 weights on a CPU.

f(x) = Y_0 + Σ s_i σ(clamp(T(x − b_i), ±10)),   f'(x) = T Σ s_i g_i (1 − g_i) within the clamp

A few sigmoids are added up, more are looked up in a table, whose cost does not grow with them. Where
weights are on different staircases, `rows` says for each which of a stacked table's rows its own is.
"""

import math
from typing import NamedTuple

import numba
import numpy as np
from torch import Tensor

from snnq.quantization.table import ARGUMENT_LIMIT, NEAR, Table
from snnq.system.compiled import compiled
from snnq.system.threads import in_blocks

FEW = 2  # sigmoids that are added up faster than they are looked up
SLOPE_AT_LIMIT = 1 / (2 + 2 * math.cosh(ARGUMENT_LIMIT))  # σ'(±10)
BLOCK = 2**17  # weights that a thread takes at a time: half a megabyte
RUN = 2**7  # of them that the kernels take at a time
LONG_RUN = 2**10  # the same of the loops that look nothing up
LOG2E = 1 / math.log(2)
MOST_POWER = np.float32(ARGUMENT_LIMIT * LOG2E)  # of 2 that is e^−a, a = ±10
LEAST, MOST = np.float32(math.exp(-ARGUMENT_LIMIT)), np.float32(math.exp(ARGUMENT_LIMIT))
TO_WHOLE = np.float32(
    1.5 * 2**23
)  # added to a small number leaves the nearest whole one in its last bits
C0, C1, C2, C3, C4, C5, C6 = (np.float32(math.log(2) ** i / math.factorial(i)) for i in range(7))
ONE, ZERO = np.float32(1), np.float32(0)
ONE_ROW = np.empty(0, np.uint8)  # as `rows`: all weights are on the same staircase


class Sigmoids(NamedTuple):
    """f of a few sigmoids: Y_0, b_i, s_i and T; in some rows f is constant instead, NaN in others."""

    lowest: float
    thresholds: np.ndarray
    steps: np.ndarray
    temperature: float
    constants: np.ndarray = np.empty(0)


def flat(tensor: Tensor) -> np.ndarray:
    """A tensor's numbers as these loops take them: shared with it where it is contiguous, as what they
    write to has to be."""
    return tensor.detach().contiguous().view(-1).numpy()


def value(
    weight: np.ndarray,
    alpha: float,
    beta: float,
    curve: Table | Sigmoids,
    out: np.ndarray,
    rows: np.ndarray = ONE_ROW,
) -> None:
    """out = α f(βw)."""
    kernel = _value_summed if isinstance(curve, Sigmoids) else _value_looked_up

    def block(first: int, last: int) -> None:
        kernel(weight[first:last], alpha, beta, curve, out[first:last], rows[first:last])

    in_blocks(block, weight.size, BLOCK)


def gradients(
    weight: np.ndarray,
    output: np.ndarray,
    grad: np.ndarray,
    by_weight: np.ndarray,
    slope: float,
    beta: float,
    curve: Table | Sigmoids,
    rows: np.ndarray = ONE_ROW,
) -> tuple[float, float]:
    """by_weight = G · slope · f'(βw); returns Σ G y and Σ by_weight · w. A table is of f'."""
    kernel = _gradients_summed if isinstance(curve, Sigmoids) else _gradients_looked_up
    sums = np.empty((-(-weight.size // BLOCK), 2))

    def block(first: int, last: int) -> None:
        arrays = [array[first:last] for array in (weight, output, grad, by_weight)]
        sums[first // BLOCK] = kernel(*arrays, slope, beta, curve, rows[first:last])

    in_blocks(block, weight.size, BLOCK)
    return tuple(sums.sum(0).tolist())


# The kernels work in runs that stay in the fastest cache, one simple loop after another: the
# compiler makes vector instructions of each, but for the one that reads the table. Indices are
# unsigned, since it would test signed ones, and arrays are not sliced, since numba counts slices.


@compiled()
def _value_looked_up(weight, alpha, beta, table, out, rows):
    scratch = _scratch()
    for first in range(0, weight.size, RUN):
        run = np.uint64(first), np.uint64(min(RUN, weight.size - first))
        _look_up(weight, run, alpha, beta, table, out, rows, scratch)


@compiled()
def _gradients_looked_up(weight, output, grad, by_weight, slope, beta, table, rows):
    scratch = _scratch()
    by_output, by_slope = 0.0, 0.0
    for first in range(0, weight.size, RUN):
        run = np.uint64(first), np.uint64(min(RUN, weight.size - first))
        _look_up(weight, run, slope, beta, table, by_weight, rows, scratch)
        sums = _chain(weight, run, output, grad, by_weight)
        by_output += sums[0]
        by_slope += sums[1]
    return by_output, by_slope


@numba.njit
def _scratch():
    return np.empty(RUN, np.int32), np.empty(RUN, np.float32), np.empty(RUN, np.int64)


@compiled(fastmath={"contract"})
def _look_up(weight, run, gain, beta, table, out, rows, scratch):
    """out = gain · f(βw), or gain · f'(βw), of one run: its first weight, and how many."""
    first, size = run
    places, within, found = scratch
    scale, shift = beta * table.per_unit, -table.start * table.per_unit
    last = table.row - 0.5
    for i in range(size):
        place = min(last, max(0.0, weight[first + i] * scale + shift))
        places[i] = np.int32(place)
        within[i] = np.float32(place - places[i] - 0.5)
    if rows.size:
        for i in range(size):
            places[i] += np.int32(rows[first + i]) * np.int32(table.row)
    for i in range(size):
        found[i] = table.pieces[np.uint64(places[i])]
    value_unit, slope_unit, curvature_unit = table.units
    a, b, c = (
        np.float32(gain * value_unit),
        np.float32(gain * slope_unit),
        np.float32(gain * curvature_unit),
    )
    incomplete = 0
    for i in range(size):
        piece, t = found[i], within[i]
        rise = np.float32((piece << 32) >> 48) * b
        bend = np.float32((piece << 48) >> 49) * c
        out[first + i] = np.float32(piece >> 32) * a + t * (rise + t * bend)
        incomplete |= piece & 1
    if incomplete:
        for i in range(size):
            if found[i] & 1:
                out[first + i] += gain * _left_out(weight[first + i] * beta, places[i], table)


@compiled()
def _value_summed(weight, alpha, beta, curve, out, rows):
    exponentials, rounded = np.empty(LONG_RUN, np.float32), np.empty(LONG_RUN, np.float32)
    for first in range(0, weight.size, LONG_RUN):
        last = min(first + LONG_RUN, weight.size)
        w, y = weight[first:last], out[first:last]
        y[:] = np.float32(alpha * curve.lowest)
        for i in range(len(curve.steps)):
            e = exponentials[: w.size]
            _exponentials(w, beta, curve.thresholds[i], curve.temperature, e, rounded)
            _add_sigmoids(e, np.float32(alpha * curve.steps[i]), y)
        for row in range(rows.size and curve.constants.size):
            if curve.constants[row] == curve.constants[row]:
                _fix(rows[first:last], np.uint8(row), np.float32(alpha * curve.constants[row]), y)


@compiled()
def _gradients_summed(weight, output, grad, by_weight, slope, beta, curve, rows):
    exponentials, rounded = np.empty(LONG_RUN, np.float32), np.empty(LONG_RUN, np.float32)
    by_output, by_slope = 0.0, 0.0
    for first in range(0, weight.size, LONG_RUN):
        last = min(first + LONG_RUN, weight.size)
        w, out = weight[first:last], by_weight[first:last]
        out[:] = np.float32(0)
        for i in range(len(curve.steps)):
            e = exponentials[: w.size]
            _exponentials(w, beta, curve.thresholds[i], curve.temperature, e, rounded)
            _add_slopes(e, np.float32(slope * curve.temperature * curve.steps[i]), out)
        for row in range(rows.size and curve.constants.size):
            if curve.constants[row] == curve.constants[row]:
                _fix(rows[first:last], np.uint8(row), ZERO, out)
        sums = _chain(weight, (np.uint64(first), np.uint64(w.size)), output, grad, by_weight)
        by_output += sums[0]
        by_slope += sums[1]
    return by_output, by_slope


@compiled()
def _exponentials(weight, beta, threshold, temperature, out, rounded):
    """e^−a of a = T(βw − b), clamped: 2^n · 2^p with a whole n and |p| ≤ ½."""
    scale, shift = -temperature * beta * LOG2E, temperature * threshold * LOG2E
    _powers(weight, scale, shift, out, rounded)
    bits = rounded.view(np.int32)
    for i in range(out.size):
        bits[i] = (bits[i] + 127) << 23  # 2^n, as float32 has it in memory
    for i in range(out.size):
        out[i] *= rounded[i]


@compiled(fastmath={"contract"})
def _powers(weight, scale, shift, out, rounded):
    """2^p by a polynomial, and n in the last bits of a float32.

    Scale and shift have a second, small part, since near a threshold they almost cancel.
    """
    scale_, shift_ = np.float32(scale), np.float32(shift)
    scale_rest, shift_rest = np.float32(scale - scale_), np.float32(shift - shift_)
    for i in range(out.size):
        a = (weight[i] * scale_ + shift_) + (weight[i] * scale_rest + shift_rest)
        a = min(max(a, -MOST_POWER), MOST_POWER)
        rounded[i] = a + TO_WHOLE
        p = a - (rounded[i] - TO_WHOLE)
        out[i] = C0 + p * (C1 + p * (C2 + p * (C3 + p * (C4 + p * (C5 + p * C6)))))


@compiled(fastmath={"contract"})
def _add_sigmoids(exponentials, step, out):
    for i in range(out.size):
        out[i] += step / (ONE + exponentials[i])


@compiled(fastmath={"contract"})
def _add_slopes(exponentials, step, out):
    """σ' = e^−a / (1 + e^−a)², and nothing at the clamp."""
    for i in range(out.size):
        e = exponentials[i]
        slope = step * e / ((ONE + e) * (ONE + e))
        out[i] += slope if LEAST < e < MOST else ZERO


@compiled()
def _fix(rows, row, value, out):
    for i in range(out.size):
        out[i] = value if rows[i] == row else out[i]


@compiled(fastmath={"reassoc", "contract"})
def _chain(weight, run, output, grad, by_weight):
    """by_weight · G, and the two sums of a run: of few enough to be added up in float32."""
    first, size = run
    by_output, by_slope = np.float32(0), np.float32(0)
    for i in range(first, first + size):
        by_weight[i] *= grad[i]
        by_output += grad[i] * output[i]
        by_slope += by_weight[i] * weight[i]
    return np.float64(by_output), np.float64(by_slope)


@numba.njit
def _left_out(x, piece, table):
    """What the sigmoids that are left out of a piece add to f or f' at x.

    Of f' these may be more than those that the clamp sets in for: all between two of them.
    """
    total = 0.0
    for i in range(table.left_out[piece, 0], table.left_out[piece, 1]):
        argument = table.temperature * (x - table.thresholds[i])
        total += table.steps[i] * _sigmoid(argument, table.temperature, table.slope)
    return total


@numba.njit
def _sigmoid(argument, temperature, slope):
    """g = σ(clamp(argument, ±10)), or T g (1 − g) within the clamp.

    Near the clamp g (1 − g) falls like e^−a, which there is as good as a straight line.
    """
    within = ARGUMENT_LIMIT - abs(argument)
    if slope and within < NEAR:
        return temperature * SLOPE_AT_LIMIT * (1 + within) if within > 0 else 0.0
    g = 1 / (1 + math.exp(-min(max(argument, -ARGUMENT_LIMIT), ARGUMENT_LIMIT)))
    return temperature * g * (1 - g) if slope else g
