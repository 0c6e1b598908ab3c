"""Triton kernels of batch norm, spiking neurons and pooling, and of their gradients.

A thread has one channel of one window of 2 × 2 pixels (of one pixel, without pooling), at all time
steps, with its inputs and potentials in registers: tuples, of a number for each pixel, in which a
number stands for the tile [WINDOWS, CHANNELS] of a program. Formulas are those of `kernels`.
"""

import math

import triton
import triton.language as tl

from snnq.networks import kernels

PLIF, LIF = tl.constexpr(kernels.PLIF), tl.constexpr(kernels.LIF)
MAX = tl.constexpr(kernels.MAX)
HALF_PI = tl.constexpr(math.pi / 2)
SIZES = ["recordings", "channels", "height", "width", "size", "pooled"]  # compiled once for all


@triton.jit(do_not_specialize=SIZES[:-1])
def moments(
    x, sums, recordings, channels, height, width, size, STEPS: tl.constexpr, TILES: tl.constexpr,
    LAST: tl.constexpr, WINDOWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Σ (x − pivot) and Σ (x − pivot)² of each channel, of a program's tiles of pixels."""
    channel = _channel(CHANNELS)
    pivot = tl.load(x + _offset(0, channel, 0, 0, channels, height, width, LAST), channel < channels)
    total = tl.zeros([WINDOWS, CHANNELS], tl.float32)
    squares = total
    for i in range(TILES):
        tile = tl.program_id(0) * TILES + i
        here, inside, _, _ = _places(
            tile, recordings, channels, height, width, LAST, 1, WINDOWS, CHANNELS
        )
        for t in tl.static_range(STEPS):
            value = tl.load(x + t * tl.cast(size, tl.int64) + here[0], inside[0], other=0.0)
            away = tl.where(inside[0], value - pivot, 0.0)
            total += away
            squares = tl.fma(away, away, squares)
    _store_sums(sums, 0, total, channel, channels)
    _store_sums(sums, 1, squares, channel, channels)


@triton.jit(do_not_specialize=SIZES)
def forward(
    x, line, k, out, last, recordings, channels, height, width, size, pooled,
    STEPS: tl.constexpr, KIND: tl.constexpr, POOL: tl.constexpr, WINDOW: tl.constexpr,
    LAST: tl.constexpr, WINDOWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Pooled spikes and last potentials of a tile of windows."""
    here, inside, there, whole = _places(
        tl.program_id(0), recordings, channels, height, width, LAST, WINDOW, WINDOWS, CHANNELS
    )
    scale, shift = _line(line, channels, CHANNELS)
    k = tl.load(k)
    v = (tl.zeros([WINDOWS, CHANNELS], tl.float32),) * (WINDOW * WINDOW)
    for t in tl.static_range(STEPS):
        inputs = _loaded(x + t * tl.cast(size, tl.int64), here, inside)
        h = _charged(inputs, scale, shift, k, v, KIND)
        v = _reset(h)
        tl.store(out + t * tl.cast(pooled, tl.int64) + there, _pooled(h, POOL), whole)
    for p in tl.static_range(WINDOW * WINDOW):
        tl.store(last + here[p], v[p], inside[p])


@triton.jit(do_not_specialize=SIZES)
def backward(
    x, grad, by_last, line, mean, k, gains, by_x, sums,
    recordings, channels, height, width, size, pooled, alpha,
    STEPS: tl.constexpr, KIND: tl.constexpr, POOL: tl.constexpr, WINDOW: tl.constexpr,
    LAST: tl.constexpr, WINDOWS: tl.constexpr, CHANNELS: tl.constexpr, TILES: tl.constexpr,
):  # fmt: skip
    """∂loss/∂x where there is `by_x`, and where there is `sums` those of a program's tiles."""
    PIXELS: tl.constexpr = WINDOW * WINDOW
    channel = _channel(CHANNELS)
    scale, shift = _line(line, channels, CHANNELS)
    center = tl.load(mean + channel, channel < channels, other=0.0)
    k = tl.load(k)
    to_y, to_v = _derivatives(k, KIND)
    if gains is not None:
        combined, linear, constant = _gains(gains, to_y, channel, channels)
    by_h_sum = tl.zeros([WINDOWS, CHANNELS], tl.float32)
    products, by_k = by_h_sum, by_h_sum
    for i in range(TILES):
        tile = tl.program_id(0) * TILES + i
        here, inside, there, whole = _places(
            tile, recordings, channels, height, width, LAST, WINDOW, WINDOWS, CHANNELS
        )
        v = (tl.zeros([WINDOWS, CHANNELS], tl.float32),) * PIXELS
        later, inputs, potentials = v, (), ()
        for t in tl.static_range(STEPS):
            inputs = inputs + (_loaded(x + t * tl.cast(size, tl.int64), here, inside),)
            h = _charged(inputs[t], scale, shift, k, v, KIND)
            potentials, v = potentials + (h,), _reset(h)
        if by_last is not None:
            later = _loaded(by_last, here, inside)
        for t in tl.static_range(STEPS - 1, -1, -1):
            h = potentials[t]
            g = tl.load(grad + t * tl.cast(pooled, tl.int64) + there, whole, other=0.0)
            by_h = _through_threshold(_unpooled(g * (alpha / 2), h, POOL), h, alpha, later)
            later = ()
            for p in tl.static_range(PIXELS):
                later = later + (by_h[p] * to_v,)
                if sums is not None:
                    by_h_sum += by_h[p]
                    products = tl.fma(by_h[p], inputs[t][p] - center, products)
                    if KIND == PLIF:
                        before = _reset(potentials[t - 1])[p] if t > 0 else 0.0
                        by_k = tl.fma(by_h[p], h[p] - before, by_k)
                if by_x is not None:
                    if gains is not None:
                        found = tl.fma(by_h[p], combined, tl.fma(inputs[t][p], linear, constant))
                    else:
                        found = by_h[p] * to_y
                    tl.store(by_x + t * tl.cast(size, tl.int64) + here[p], found, inside[p])
    if sums is not None:
        _store_sums(sums, 0, by_h_sum * to_y, channel, channels)
        _store_sums(sums, 1, products * to_y, channel, channels)
        _store_sums(sums, 2, by_k, channel, channels)


@triton.jit
def _channel(CHANNELS: tl.constexpr):
    """Of a program, [1, CHANNELS]."""
    return (tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS))[None, :]


@triton.jit
def _places(
    tile, recordings, channels, height, width, LAST: tl.constexpr, WINDOW: tl.constexpr,
    WINDOWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Where in a time step the pixels of a tile of windows are, and which there are; the same of
    their pooled spikes. Windows at an odd edge are not whole, and not pooled."""
    channel = _channel(CHANNELS)
    down, across = (height + WINDOW - 1) // WINDOW, (width + WINDOW - 1) // WINDOW
    window = (tile * WINDOWS + tl.arange(0, WINDOWS))[:, None]
    recording, row, column = window // (down * across), window // across % down, window % across
    there_is = (recording < recordings) & (channel < channels)
    here, inside = (), ()
    for p in tl.static_range(WINDOW * WINDOW):
        y, x = row * WINDOW + p // WINDOW, column * WINDOW + p % WINDOW
        here = here + (_offset(recording, channel, y, x, channels, height, width, LAST),)
        inside = inside + (there_is & (y < height) & (x < width),)
    height, width = height // WINDOW, width // WINDOW
    there = _offset(recording, channel, row, column, channels, height, width, LAST)
    return here, inside, there, there_is & (row < height) & (column < width)


@triton.jit
def _offset(recording, channel, row, column, channels, height, width, LAST: tl.constexpr):
    if LAST:
        offset = ((recording * height + row) * width + column) * channels + channel
    else:
        offset = ((recording * channels + channel) * height + row) * width + column
    return offset


@triton.jit
def _line(line, channels, CHANNELS: tl.constexpr):
    channel = _channel(CHANNELS)
    scale = tl.load(line + channel, channel < channels, other=0.0)
    return scale, tl.load(line + channels + channel, channel < channels, other=0.0)


@triton.jit
def _store_sums(sums, row, values, channel, channels):
    """Over a program's windows, into its place of [rows, C, programs]."""
    place = (row * channels + channel) * tl.num_programs(0) + tl.program_id(0)
    tl.store(sums + place, tl.sum(values, 0)[None, :], channel < channels)


@triton.jit
def _loaded(x, here, inside):
    """A number for each pixel of the windows."""
    values = ()
    for p in tl.static_range(len(here)):
        values = values + (tl.load(x + here[p], inside[p], other=0.0),)
    return values


@triton.jit
def _charged(inputs, scale, shift, k, v, KIND: tl.constexpr):
    """h_t of v_t−1."""
    h = ()
    for p in tl.static_range(len(inputs)):
        y = tl.fma(inputs[p], scale, shift)
        if KIND == PLIF:
            h = h + (v[p] + (y - v[p]) * k,)
        elif KIND == LIF:
            h = h + (v[p] + tl.div_rn(y - v[p], k),)
        else:
            h = h + (v[p] + y,)
    return h


@triton.jit
def _reset(h):
    """v_t of h_t."""
    v = ()
    for p in tl.static_range(len(h)):
        v = v + (tl.where(h[p] >= 1, 0.0, h[p]),)
    return v


@triton.jit
def _derivatives(k, KIND: tl.constexpr):
    """∂h/∂y and ∂h/∂v."""
    if KIND == PLIF:
        found = k, 1 - k
    elif KIND == LIF:
        found = 1 / k, 1 - 1 / k
    else:
        found = k * 0 + 1, k * 0 + 1
    return found


@triton.jit
def _through_threshold(half, h, alpha, by_v):
    """G_h,t = G_s,t α/2 / (1 + u²) + G_v,t (1 − s_t), u = π/2 α (h_t − 1), of `half` = G_s,t α/2."""
    by_h, slope = (), HALF_PI * alpha
    for p in tl.static_range(len(h)):
        u = tl.fma(h[p], slope, -slope)
        root = tl.rsqrt(tl.fma(u, u, 1.0))  # one instruction, where a division has eight
        kept = tl.where(h[p] >= 1, 0.0, by_v[p])
        by_h = by_h + (tl.fma(half[p] * root, root, kept),)
    return by_h


@triton.jit
def _gains(gains, to_y, channel, channels):
    """∂loss/∂x by ∂loss/∂h and x, and what is added."""
    inside = channel < channels
    scale = tl.load(gains + channel, inside, other=0.0)
    linear = tl.load(gains + channels + channel, inside, other=0.0)
    return scale * to_y, linear, tl.load(gains + 2 * channels + channel, inside, other=0.0)


@triton.jit
def _pooled(h, POOL: tl.constexpr):
    total = (h[0] >= 1).to(tl.float32)
    for p in tl.static_range(1, len(h)):
        total += (h[p] >= 1).to(tl.float32)
    if POOL == MAX:
        pooled = (total > 0).to(tl.float32)
    else:
        pooled = total * (1 / len(h))
    return pooled


@triton.jit
def _unpooled(g, h, POOL: tl.constexpr):
    """From the gradient of a pooled spike to those of its window's: of a maximum that of the first
    spike, or of the first pixel where there is none."""
    if POOL == MAX:
        found = h[0] >= 1
        others = ()
        for p in tl.static_range(1, len(h)):
            spike = h[p] >= 1
            others = others + (tl.where(found, 0.0, tl.where(spike, g, 0.0)),)
            found = found | spike
        by_spike = (tl.where((h[0] >= 1) | (found == 0), g, 0.0),) + others
    else:
        by_spike = (g * (1 / len(h)),) * len(h)
    return by_spike
