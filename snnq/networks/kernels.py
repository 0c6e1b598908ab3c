"""Compiled loops of batch norm, spiking neurons and pooling, and of their gradients.

Arrays are float32 and [N_t, planes, places]. With channels last a plane is a recording, and its
places are C channels of each pixel; otherwise a plane is one channel of a recording, and its places
are pixels. Either way a row's next pixel is `step` places on. The loops take a tile of neurons at a
time through all time steps, so that their membrane potentials stay in the cache.

All in one file: numba keeps machine code until the file of a function changes, and does not look at
the functions that it calls. Elementwise loops are functions of their own, of a few arrays that lie
together in memory: of these the compiler makes vector instructions.
"""

import math
from typing import NamedTuple

import numpy as np

from snnq.system.compiled import compiled

TILE = 2**12  # neurons that fit into the fastest cache
MOST = 2**15  # that fit, with all time steps, into the next one
PLIF, LIF, IF = range(3)
NONE, MAX, AVERAGE = range(3)  # pooling, of windows of 2 × 2 pixels
ONE, ZERO, QUARTER = np.float32(1), np.float32(0), np.float32(0.25)
TWO = np.uint64(2)  # numba tests whether a signed index is negative


class Neuron(NamedTuple):
    """A neuron and the pooling behind it: of the constants above, τ of a LIF, α of the ATan
    surrogate."""

    kind: int
    tau: float
    alpha: float
    pool: int

    @property
    def window(self) -> int:
        """Pixels to a side of what is pooled."""
        return 1 if self.pool == NONE else 2


class Layer(NamedTuple):
    """What the loops need to know of a layer's neurons.

    Attributes
    ----------
    planes : int
        Of all recordings.
    height, width : int
        Of a plane; the width in places.
    step : int
        Places from a pixel to the next: C with channels last, 1 otherwise.
    channel_planes : int
        Planes of a recording: 1 with channels last, C otherwise.
    rows, columns : int
        Of a tile: whole windows of 2 × 2 pixels, but at the far edges.
    neuron, pool : int
        Of the constants above.
    """

    planes: int
    height: int
    width: int
    step: int
    channel_planes: int
    rows: int
    columns: int
    neuron: int
    pool: int

    @property
    def tiles(self) -> int:
        return self.planes * -(-self.height // self.rows) * -(-self.width // self.columns)


def tile_of(height: int, width: int, step: int) -> tuple[int, int]:
    """Rows and columns of a tile: two whole rows at least, since long stretches of memory are read
    faster, but where these are too many."""
    if 2 * width <= MOST:
        return min(height, max(2, TILE // width // 2 * 2)), width
    return min(height, 2), min(width, max(1, MOST // (4 * step)) * 2 * step)


class Tile(NamedTuple):
    """Some neurons of a plane, in `count` stretches of memory of `length` places each.

    `first` is the place of the first, and `pooled` of the first one's window.
    """

    plane: int
    size: int
    rows: int
    columns: int
    count: int
    length: int
    first: int
    pooled: int


@compiled()
def _tile_at(number, layer):
    across = -(-layer.width // layer.columns)
    plane, inside = divmod(number, -(-layer.height // layer.rows) * across)
    top, left = inside // across * layer.rows, inside % across * layer.columns
    rows, columns = min(layer.rows, layer.height - top), min(layer.columns, layer.width - left)
    first, pooled = top * layer.width + left, top // 2 * _pooled_width(layer) + left // 2
    whole = columns == layer.width
    count, length = (1, rows * columns) if whole else (rows, columns)
    return Tile(plane, rows * columns, rows, columns, count, length, first, pooled)


@compiled()
def _memory(count, layer):
    """For so many numbers of each of a tile's neurons."""
    return np.empty((count, layer.rows * layer.columns), np.float32)


@compiled()
def _pooled_width(layer):
    return layer.width // (2 * layer.step) * layer.step


@compiled()
def _values(plane, tile, layer, memory):
    """A tile's values in a plane of all: where they are, if together, or copied."""
    if tile.count == 1:
        return plane[tile.first : tile.first + tile.length]
    for i in range(tile.count):
        first = tile.first + i * layer.width
        memory[i * tile.length : (i + 1) * tile.length] = plane[first : first + tile.length]
    return memory[: tile.size]


@compiled()
def _store(values, plane, tile, layer):
    """What `values` copied, back to where it belongs; nothing where it copied nothing."""
    if tile.count > 1:
        _write(values, plane, tile, layer)


@compiled()
def _write(values, plane, tile, layer):
    for i in range(tile.count):
        first = tile.first + i * layer.width
        plane[first : first + tile.length] = values[i * tile.length : (i + 1) * tile.length]


@compiled()
def _begins(number, first, layer):
    """Whether a tile's neurons are of other channels than those of the tile before."""
    return number == first or layer.channel_planes > 1


@compiled()
def _ends(number, stop, layer):
    return number == stop - 1 or layer.channel_planes > 1


@compiled()
def _spread(values, plane, layer, out):
    """Each neuron's channel's value."""
    if layer.step == 1:
        out[:] = values[plane % layer.channel_planes]
    else:
        for i in range(0, out.size, layer.step):
            out[i : i + layer.step] = values


@compiled()
def _add_to_channels(one, other, plane, layer, sums):
    """Sums over the neurons of each channel, in float64."""
    channel = plane % layer.channel_planes
    for c in range(layer.step):
        sums[channel + c, 0] += _sum(one, c, layer.step)
        sums[channel + c, 1] += _sum(other, c, layer.step)


@compiled(fastmath={"reassoc"})
def _sum(values, first, step):
    total = 0.0
    for i in range(first, values.size, step):
        total += np.float64(values[i])
    return total


@compiled()
def moments(x, pivot, layer, sums, first, stop):
    """Σ (x − pivot) and Σ (x − pivot)² of each channel, over tiles `first` to `stop`, into `sums`.

    A pivot near the mean keeps the sums small.
    """
    memory = _memory(4, layer)
    for number in range(first, stop):
        tile = _tile_at(number, layer)
        if _begins(number, first, layer):
            _spread(pivot, tile.plane, layer, memory[2])
            memory[:2] = ZERO
        n = tile.size
        totals, squares, pivots = memory[0, :n], memory[1, :n], memory[2, :n]
        for t in range(len(x)):
            inputs = _values(x[t, tile.plane], tile, layer, memory[3])
            _add_moments(inputs, pivots, totals, squares)
        if _ends(number, stop, layer):
            _add_to_channels(memory[0], memory[1], tile.plane, layer, sums)


@compiled(fastmath={"contract"})
def _add_moments(x, pivots, totals, squares):
    for i in range(x.size):
        d = x[i] - pivots[i]
        totals[i] += d
        squares[i] += d * d


@compiled()
def combine(by_y, x, gains, layer, first, stop):
    """by_y = gains[0] by_y + gains[1] x + gains[2] of each channel, of tiles `first` to `stop`."""
    memory = _memory(5, layer)
    for number in range(first, stop):
        tile = _tile_at(number, layer)
        if _begins(number, first, layer):
            for i in range(len(gains)):
                _spread(gains[i], tile.plane, layer, memory[i])
        n = tile.size
        a, b, c = memory[0, :n], memory[1, :n], memory[2, :n]
        for t in range(len(x)):
            out = _values(by_y[t, tile.plane], tile, layer, memory[3])
            _combine(out, _values(x[t, tile.plane], tile, layer, memory[4]), a, b, c)
            _store(out, by_y[t, tile.plane], tile, layer)


@compiled(fastmath={"contract"})
def _combine(out, x, a, b, c):
    for i in range(out.size):
        out[i] = a[i] * out[i] + (b[i] * x[i] + c[i])


@compiled()
def forward(x, scale, shift, k, layer, out, last, first, stop):
    """Pooled spikes of tiles `first` to `stop` into `out`, and their last potentials into `last`.

    With y = scale·x + shift of each channel: h_t = v_{t−1} + k (y_t − v_{t−1}) for PLIF, the same
    with a division by k = τ for LIF, v_{t−1} + y_t for IF; s_t = [h_t ≥ 1], v_t = h_t (1 − s_t).
    """
    memory = _memory(5, layer)
    for number in range(first, stop):
        tile = _tile_at(number, layer)
        if _begins(number, first, layer):
            _spread(scale, tile.plane, layer, memory[2])
            _spread(shift, tile.plane, layer, memory[3])
        n = tile.size
        v, s, scales, shifts = memory[0, :n], memory[1, :n], memory[2, :n], memory[3, :n]
        v[:] = ZERO
        for t in range(len(x)):
            inputs = _values(x[t, tile.plane], tile, layer, memory[4])
            _charge(inputs, scales, shifts, v, k, layer.neuron, s)
            for i in range(s.size):
                s[i] = ONE if s[i] >= ONE else ZERO
            _pool(s, out[t, tile.plane], tile, layer)
        _write(v, last[tile.plane], tile, layer)


@compiled(fastmath={"contract"})
def _normalized(x, scale, shift):
    """With one rounding, as torch's batch norm."""
    return x * scale + shift


@compiled()
def _charge(x, scale, shift, v, k, neuron, h):
    """h_t of v_t−1, and v_t in its place."""
    if neuron == PLIF:
        for i in range(h.size):
            h[i] = v[i] + (_normalized(x[i], scale[i], shift[i]) - v[i]) * k
            v[i] = ZERO if h[i] >= ONE else h[i]
    elif neuron == LIF:
        for i in range(h.size):
            h[i] = v[i] + (_normalized(x[i], scale[i], shift[i]) - v[i]) / k
            v[i] = ZERO if h[i] >= ONE else h[i]
    else:
        for i in range(h.size):
            h[i] = v[i] + _normalized(x[i], scale[i], shift[i])
            v[i] = ZERO if h[i] >= ONE else h[i]


@compiled()
def backward(x, grad, by_last, scale, shift, mean, k, alpha, layer, by_y, sums, first, stop):
    """∂loss/∂y of tiles `first` to `stop` into `by_y`, and sums into `sums` [C + 1, 2].

    `grad` is that of the pooled spikes, `by_last` that of the last potentials. With the surrogate
    slope s'(u) = α/2 / (1 + (π/2 αu)²) at u = h_t − 1, and G the gradients:
    G_h,t = G_s,t s'(u) + G_v,t (1 − s_t),  G_y,t = ∂h/∂y G_h,t,  G_v,t−1 = ∂h/∂v G_h,t.
    The sums are Σ G_y and Σ G_y (x − mean) of each channel, and last Σ G_h,t (h_t − v_t−1), which
    is k ∂loss/∂k. The potentials are computed again, not stored.
    """
    half, slope = np.float32(alpha / 2), np.float32(math.pi / 2 * alpha)
    to_y, to_v = _derivatives(layer.neuron, k)
    memory, potentials = _memory(11, layer), _memory(len(x), layer)
    for number in range(first, stop):
        tile = _tile_at(number, layer)
        if _begins(number, first, layer):
            memory[:2] = ZERO
            for row, values in ((2, scale), (3, shift), (4, mean)):
                _spread(values, tile.plane, layer, memory[row])
        n = tile.size
        by_shift, by_scale, scales = memory[0, :n], memory[1, :n], memory[2, :n]
        shifts, means, v, g = memory[3, :n], memory[4, :n], memory[5, :n], memory[6, :n]
        later, rest, copied = memory[7, :n], memory[8, :n], memory[9, :n]
        v[:], rest[:], g[:] = ZERO, ZERO, ZERO
        for t in range(len(x)):
            inputs = _values(x[t, tile.plane], tile, layer, copied)
            _charge(inputs, scales, shifts, v, k, layer.neuron, potentials[t, :n])
        later[:] = _values(by_last[tile.plane], tile, layer, copied)
        by_k = 0.0
        for t in range(len(x) - 1, -1, -1):
            h, before = potentials[t, :n], potentials[t - 1, :n] if t > 0 else rest
            _unpool(grad[t, tile.plane], h, tile, layer, g)
            _through_threshold(g, h, half, slope, later)
            if layer.neuron == PLIF:
                by_k += _change(later, h, before)
            out = _values(by_y[t, tile.plane], tile, layer, memory[10])
            _step_back(later, to_y, to_v, out, by_shift)
            _add_products(out, _values(x[t, tile.plane], tile, layer, copied), means, by_scale)
            _store(out, by_y[t, tile.plane], tile, layer)
        if _ends(number, stop, layer):
            _add_to_channels(memory[0], memory[1], tile.plane, layer, sums)
        sums[-1, 0] += by_k


@compiled()
def _derivatives(neuron, k):
    """∂h/∂y and ∂h/∂v."""
    if neuron == PLIF:
        return k, ONE - k
    if neuron == LIF:
        return ONE / k, ONE - ONE / k
    return ONE, ONE


@compiled()
def _through_threshold(by_spike, h, half, slope, by_v):
    """G_h,t in the place of G_v,t."""
    for i in range(h.size):
        u = (h[i] - ONE) * slope
        kept = ZERO if h[i] >= ONE else by_v[i]
        by_v[i] = by_spike[i] * half / (ONE + u * u) + kept


@compiled(fastmath={"reassoc", "contract"})
def _change(by_h, h, before):
    """Σ G_h,t (h_t − v_t−1) of a tile: of few enough to be added up in float32."""
    total = ZERO
    for i in range(by_h.size):
        total += by_h[i] * (h[i] - (before[i] if before[i] < ONE else ZERO))
    return np.float64(total)


@compiled()
def _step_back(by_h, to_y, to_v, by_y, by_shift):
    """G_y, its sum over time steps, and G_v,t−1 in the place of G_h,t."""
    for i in range(by_h.size):
        by_y[i] = by_h[i] * to_y
        by_shift[i] += by_y[i]
        by_h[i] *= to_v


@compiled(fastmath={"contract"})
def _add_products(by_y, x, means, by_scale):
    for i in range(x.size):
        by_scale[i] += by_y[i] * (x[i] - means[i])


@compiled()
def _pool(spikes, plane, tile, layer):
    """A tile's spikes into a plane of pooled ones."""
    if layer.pool == NONE:
        _write(spikes, plane, tile, layer)
        return
    step, columns = np.uint64(layer.step), tile.columns
    for row in range(tile.rows // 2):
        upper = spikes[2 * row * columns : (2 * row + 1) * columns]
        lower = spikes[(2 * row + 1) * columns : (2 * row + 2) * columns]
        pooled = plane[tile.pooled + row * _pooled_width(layer) :]
        if step == 1:
            for i in range(np.uint64(columns // 2)):
                pooled[i] = _of_window(upper, lower, TWO * i, step, layer.pool)
        else:
            for pixel in range(np.uint64(columns) // (TWO * step)):
                for c in range(step):
                    i = pixel * step
                    pooled[i + c] = _of_window(upper, lower, TWO * i + c, step, layer.pool)


@compiled()
def _of_window(upper, lower, i, step, pool):
    total = upper[i] + upper[i + step] + lower[i] + lower[i + step]
    if pool == AVERAGE:
        return total * QUARTER
    return ONE if total > ZERO else ZERO


@compiled()
def _unpool(plane, h, tile, layer, out):
    """From the gradients of a plane of pooled spikes to those of a tile's spikes.

    The gradient of a maximum is that of the first spike of its window, or its first pixel's.
    """
    if layer.pool == NONE:
        out[:] = _values(plane, tile, layer, out)
        return
    step, columns = np.uint64(layer.step), tile.columns
    for row in range(tile.rows // 2):
        up, down = 2 * row * columns, (2 * row + 1) * columns
        potentials = h[up : up + columns], h[down : down + columns]
        gradients = out[up : up + columns], out[down : down + columns]
        g = plane[tile.pooled + row * _pooled_width(layer) :]
        if step == 1:
            for i in range(np.uint64(columns // 2)):
                _to_window(g[i], potentials, gradients, TWO * i, step, layer.pool)
        else:
            for pixel in range(np.uint64(columns) // (TWO * step)):
                for c in range(step):
                    i = pixel * step
                    _to_window(g[i + c], potentials, gradients, TWO * i + c, step, layer.pool)


@compiled()
def _to_window(g, potentials, gradients, i, step, pool):
    (upper, lower), (by_upper, by_lower), j = potentials, gradients, i + step
    if pool == AVERAGE:
        by_upper[i] = by_upper[j] = by_lower[i] = by_lower[j] = g * QUARTER
        return
    first, second, third = upper[i] >= ONE, upper[j] >= ONE, lower[i] >= ONE
    # Selects one after the other, of which the compiler makes vector instructions.
    by_second = g if second else ZERO
    by_second = ZERO if first else by_second
    by_third = g if third else ZERO
    by_third = ZERO if first | second else by_third
    by_fourth = g if lower[j] >= ONE else ZERO
    by_fourth = ZERO if first | second | third else by_fourth
    by_upper[i] = g - by_second - by_third - by_fourth
    by_upper[j], by_lower[i], by_lower[j] = by_second, by_third, by_fourth
