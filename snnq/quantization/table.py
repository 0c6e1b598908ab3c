"""A sum of clamped sigmoids as a table of pieces, to be looked up by `loops`; or several such sums in one.

f(x) = Y_0 + Σ s_i σ(clamp(T(x − b_i), ±10)),   f'(x) = T Σ s_i g_i (1 − g_i) within the clamp
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

ARGUMENT_LIMIT = 10.0  # σ(±10) is within 5e-5 of the step; beyond it the slope is taken as zero
DENSITY = 16  # pieces per unit of T·x: a parabola is then within 2e-7 of the sigmoid
FEWEST, MOST = 2**10, 2**20  # pieces: for each threshold, so that few hold a jump; 8 MB
COARSE = 2**6  # pieces for each threshold where more than MOST would be needed
MOST_SIGMOIDS = 2**15 - 1
NEAR = 2 / DENSITY  # of the clamp, in units of T·x: more than a piece
MARGIN = 1e-6  # of a piece
NODE = np.sqrt(3) / 4  # where the parabolas meet f, from a piece's middle: Chebyshev's nodes

Row = tuple[tuple[float, ...], tuple[float, ...], float]  # b_i, s_i and Y_0 of one f


class Table(NamedTuple):
    """f, or f', over all x that the clamp does not hold constant, and a constant either side.

    A piece covers 1/per_unit of x; place (x − start)·per_unit lies in piece k = ⌊place⌋, at t from
    its middle, and there f is value + slope·t + curvature·t². One word of 64 bits holds them as
    whole numbers, of 32, 16 and 15 bits, in units of `units`. Its last bit says that sigmoids are
    left out of a piece, to be added one by one. In a table of f' these are those that the clamp sets
    in for, with a jump. (A parabola is near enough to the corner that f has there.) In a coarse
    table they are all that are in reach of the piece: where thresholds lie so many 1/T apart that
    pieces fine enough would be too many, most weights are in reach of none.
    """

    start: float
    per_unit: float
    row: int  # pieces of each f, where several are stacked
    pieces: np.ndarray  # int64
    units: tuple[float, float, float]
    thresholds: np.ndarray
    steps: np.ndarray
    left_out: np.ndarray  # int16 [pieces, 2]: the first of them, and the one after the last
    temperature: float
    slope: bool  # of f'


def table(
    thresholds: tuple[float, ...],
    steps: tuple[float, ...],
    lowest: float,
    temperature: float,
    slope: bool,
) -> Table | None:
    """The table of f, or with `slope` of f'; None of more than MOST_SIGMOIDS."""
    return stacked(((thresholds, steps, lowest),), temperature, slope)


@lru_cache(maxsize=64)
def stacked(rows: tuple[Row, ...], temperature: float, slope: bool) -> Table | None:
    """The tables of several f, or with `slope` of f', one after another on the same pieces.

    None of more than MOST_SIGMOIDS in all. A row without thresholds is constant.
    """
    sigmoids = [len(steps) for _, steps, _ in rows]
    if sum(sigmoids) > MOST_SIGMOIDS:
        return None
    # Where there are several, their pieces would not stay in the cache.
    fewest = FEWEST if len(rows) == 1 else FEWEST // 8
    reach = ARGUMENT_LIMIT / temperature
    places = [place for thresholds, *_ in rows for place in thresholds] or [0.0]
    width = max(places) - min(places) + 2 * reach
    count = max(fewest * max(1, *sigmoids), math.ceil(width * temperature * DENSITY))
    coarse = count * len(rows) > MOST
    if coarse:
        count = COARSE * max(1, *sigmoids)
    size = width / count
    start, count = min(places) - reach - 2 * size, count + 4  # constants on either side
    grid = start, size, count
    parts = [_row(row, grid, temperature, slope, coarse) for row in rows]
    f = np.concatenate([part for part, _ in parts], 1)
    behind = np.cumsum([0, *sigmoids[:-1]])
    left_out = np.concatenate([np.int16(own + before) for (_, own), before in zip(parts, behind)])
    pieces, units = _packed(f)
    pieces |= left_out[:, 0] < left_out[:, 1]
    thresholds, steps = (np.concatenate([row[i] for row in rows]) for i in (0, 1))
    found = start, 1 / size, count, pieces, units, thresholds, steps, left_out
    return Table(*found, temperature, slope)


def _row(
    row: Row, grid: tuple[float, float, int], temperature: float, slope: bool, coarse: bool
) -> tuple[np.ndarray, np.ndarray]:
    """f, or f', of one row at three nodes of each piece [3, count], and its `Table.left_out`."""
    (thresholds, steps, lowest), (start, size, count) = row, grid
    reach = ARGUMENT_LIMIT / temperature
    corners = (np.array(thresholds)[:, None] + [-reach, reach] - start) / size
    if coarse:
        left_out = _left_out_of(count, corners[:, None])
    else:  # the corners alone
        left_out = _left_out_of(count, corners[:, :, None] if slope else ())
    f = np.full((3, count), 0.0 if slope else lowest, float)  # at three nodes of each piece
    nodes = np.array([[0.5 - NODE], [0.5], [0.5 + NODE]])
    for i, (first, last) in enumerate(_beside(corners)):
        reached = np.arange(first, last)
        g = _clamped(temperature * (start + size * (reached + nodes) - thresholds[i]))
        term = steps[i] * (temperature * g * (1 - g) if slope else g)
        begin, end = left_out[reached].T
        f[:, reached] += np.where((begin <= i) & (i < end), 0, term)
        if not slope:
            f[:, :first] += steps[i] * _clamped(-np.inf)
            f[:, last:] += steps[i] * _clamped(np.inf)
    return f, left_out


def _left_out_of(count: int, spans) -> np.ndarray:
    """`Table.left_out`, of so many pieces, where σ_i is left out of the spans of places spans[i]."""
    left_out = np.full((count, 2), (len(spans), 0), np.int16)
    for i, places in enumerate(spans):
        for first, last in _beside(places):
            span = left_out[first:last]
            np.minimum(span[:, 0], i, out=span[:, 0])
            np.maximum(span[:, 1], i + 1, out=span[:, 1])
    return left_out


def _beside(spans) -> np.ndarray:
    """First piece, and the one after the last, of spans from place to place.

    With a margin, since rounding may put the neighbourhood of a place into the next piece.
    """
    return np.int64([(span[0] - MARGIN, span[-1] + MARGIN + 1) for span in spans]).reshape(-1, 2)


def _packed(f: np.ndarray) -> tuple[np.ndarray, tuple[float, ...]]:
    """The words, and the units, of the parabolas through f [3, pieces] at each piece's nodes."""
    left, middle, right = f
    parabolas = np.stack(
        [middle, (right - left) / 2 / NODE, ((right + left) / 2 - middle) / NODE**2]
    )
    units = np.maximum(np.abs(parabolas).max(1), 1e-30) / [2**31 - 1, 2**15 - 1, 2**14 - 1]
    value, slope, curvature = np.rint(parabolas / units[:, None]).astype(np.int64)
    # As 0.5 + 0.25 t − 0.125 t² in units of 2⁻³¹, 2⁻¹⁵ and 2⁻¹⁴: 2³⁰, 2¹³ and −2¹¹, which are the words
    # 0x40000000, 0x2000 and, of 15 bits, 0x7800. Together 0x40000000_2000_F000, its last bit for the
    # sigmoids that are left out.
    return value << 32 | (slope & 0xFFFF) << 16 | (curvature & 0x7FFF) << 1, tuple(units.tolist())


def _clamped(argument):
    """σ(clamp(argument, ±10))."""
    return 1 / (1 + np.exp(-np.clip(argument, -ARGUMENT_LIMIT, ARGUMENT_LIMIT)))
