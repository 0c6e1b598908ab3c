"""The pixels of the simulated camera, in compiled loops over one recording.

With L the log intensity that a pixel follows, r its reference and θ its threshold, it signals at
each look as long as |L − r| ≥ θ, and each event takes r by θ towards L. An event's time is when the
straight line from L at the last look to L at this one crosses the new r.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from snnq.system.compiled import compiled

SUBPIXEL = 64  # positions per pixel, each way
WHITE = 255 * SUBPIXEL**2  # the grey value of a white pixel between others
LOG_UNIT = 4096  # steps per unit of log intensity
WORD = 8  # flags that are passed over at once
ROOM = 2**15  # for events, at first
DIGIT = 11  # bits of the times that events are sorted by at once


class Circuit(NamedTuple):
    """What all pixels have in common.

    Attributes
    ----------
    step : int
        µs between two looks.
    latency : float
        Time constant of the low-pass in µs.
    brighter : int
        The p of an ON event.
    log : int32 array
        Log intensity of every grey value, in steps.
    least : int32 array
        The least grey value whose log intensity is log[0], log[0] + 1, … or more; WHITE + 1 of none.
    """

    step: int
    latency: float
    brighter: int
    log: np.ndarray
    least: np.ndarray


class Pixels(NamedTuple):
    """The state of each pixel, int32, and which have crossed their threshold."""

    threshold: np.ndarray
    reference: np.ndarray  # in log intensity, as the next two
    before: np.ndarray  # what was followed until the last look; without latency of `crossed` alone
    level: np.ndarray  # and until this one
    dark: np.ndarray  # without latency: grey values below this one cross the threshold
    bright: np.ndarray  # and those from this one on
    flags: np.ndarray  # uint8, in whole words
    crossed: np.ndarray  # and a place for what comes after the last


@lru_cache(maxsize=2)
def intensities(floor: float) -> tuple[np.ndarray, np.ndarray]:
    """`log` and `least` of a circuit."""
    log = np.rint(np.log(np.arange(WHITE + 1) / WHITE + floor) * LOG_UNIT).astype(np.int32)
    least = np.searchsorted(log, np.arange(log[0], log[-1] + 2))
    return log, least.astype(np.int32)


@compiled()
def watch(canvas, places, shape, threshold, phase, circuit):
    """Events, in no order, of a picture seen at places (row, column, and 1/64 pixels further down
    and right) of a canvas; the references start `phase` from the log intensity."""
    grey, last = np.empty(shape, np.int32), np.empty(shape, np.int32)
    _project(canvas, places[0], last)
    pixels = wake(last.ravel(), threshold, phase, circuit)
    events, count = np.empty(ROOM, np.int64), 0
    for look in range(1, len(places)):
        _project(canvas, places[look], grey)
        events, count = see(
            pixels, last.ravel(), grey.ravel(), (look - 1) * circuit.step, circuit, events, count
        )
        last, grey = grey, last
    return events[:count]


@compiled()
def _project(canvas, place, grey):
    """Bilinear, in units of 1/64² grey value."""
    row, column, down, right = place
    height, width = grey.shape
    up, left = SUBPIXEL - down, SUBPIXEL - right
    weights = (
        np.int32(up * left),
        np.int32(up * right),
        np.int32(down * left),
        np.int32(down * right),
    )
    for y in range(height):
        above, below, out = canvas[row + y, column:], canvas[row + y + 1, column:], grey[y]
        for x in range(np.uint64(width)):
            next_x = x + np.uint64(1)
            out[x] = np.int32(
                weights[0] * above[x]
                + weights[1] * above[next_x]
                + weights[2] * below[x]
                + weights[3] * below[next_x]
            )


@compiled()
def wake(grey, threshold, phase, circuit):
    """The pixels' state at the first look."""
    size = grey.size
    state = np.empty((5, size), np.int32)
    reference, before, level, dark, bright = state[0], state[1], state[2], state[3], state[4]
    flags = np.zeros(-(-size // WORD) * WORD, np.uint8)
    crossed = np.empty(size + 1, np.int32)
    pixels = Pixels(threshold, reference, before, level, dark, bright, flags, crossed)
    for i in range(size):
        level[i] = circuit.log[grey[i]]
        reference[i] = level[i] + phase[i]
        _set_bounds(pixels, i, circuit)
    return pixels


@compiled()
def _set_bounds(pixels, i, circuit):
    base, top = circuit.log[0], circuit.least.size - 1
    r, threshold = pixels.reference[i] - base, pixels.threshold[i]
    pixels.dark[i] = circuit.least[min(max(r - threshold + 1, 0), top)]
    pixels.bright[i] = circuit.least[min(max(r + threshold, 0), top)]


@compiled()
def see(pixels, last, grey, time, circuit, events, count):
    """One more look, after the last one at a time; returns the events and how many they are now.

    An event is a word of 64 bits: time, pixel and, in the last one, p.
    """
    if circuit.latency:
        _follow(pixels, grey, circuit)
        size = _list(pixels)
    else:
        _compare(pixels, grey)
        size = _list(pixels)
        for i in pixels.crossed[:size]:
            pixels.before[i], pixels.level[i] = circuit.log[last[i]], circuit.log[grey[i]]
    while size:
        if count + size > events.size:
            more = np.empty(2 * (count + size), np.int64)
            more[:count] = events[:count]
            events = more
        _signal(pixels, size, time, circuit, events[count:])
        count += size
        size = _remaining(pixels, size, circuit)
    return events, count


@compiled()
def _follow(pixels, grey, circuit):
    """A first-order low-pass, and which pixels have crossed their threshold by it."""
    before, level, reference, threshold = (
        pixels.before,
        pixels.level,
        pixels.reference,
        pixels.threshold,
    )
    for i in range(np.uint64(grey.size)):  # on its own, since what follows is then vectorised
        before[i] = circuit.log[np.uint32(grey[i])]
    slower = circuit.step + circuit.latency
    for i in range(np.uint64(grey.size)):
        start = level[i]
        change = np.float64(before[i] - start) * circuit.step / slower
        before[i] = start
        level[i] = start + np.int32(change)
        pixels.flags[i] = abs(level[i] - reference[i]) >= threshold[i]


@compiled()
def _compare(pixels, grey):
    """Which pixels have crossed their threshold, told by their grey values."""
    for i in range(np.uint64(grey.size)):
        pixels.flags[i] = (grey[i] < pixels.dark[i]) | (grey[i] >= pixels.bright[i])


@compiled()
def _list(pixels):
    """Flagged pixels into `crossed`; returns how many."""
    words, size = pixels.flags.view(np.uint64), 0
    for word in range(words.size):
        if words[word]:
            for i in range(word * WORD, (word + 1) * WORD):
                pixels.crossed[size] = i
                size += pixels.flags[i]
    return size


@compiled()
def _signal(pixels, size, time, circuit, events):
    """One event of each pixel that has crossed its threshold."""
    for j in range(size):
        i = np.int64(pixels.crossed[j])
        is_on = pixels.level[i] > pixels.reference[i]
        pixels.reference[i] += pixels.threshold[i] if is_on else -pixels.threshold[i]
        start = pixels.before[i]
        passed = (pixels.reference[i] - start) * circuit.step // (pixels.level[i] - start)
        events[j] = (time + passed) << 32 | i << 1 | (is_on == circuit.brighter)


@compiled()
def _remaining(pixels, size, circuit):
    """Pixels that cross a further threshold, to the front of `crossed`; returns how many."""
    left = 0
    for i in pixels.crossed[:size]:
        pixels.crossed[left] = i
        if abs(pixels.level[i] - pixels.reference[i]) >= pixels.threshold[i]:
            left += 1
        elif circuit.latency == 0:
            _set_bounds(pixels, i, circuit)
    return left


@compiled()
def in_time(events, width, out):
    """Events as `see` makes them into records, by time; those of one time in their order."""
    times = events >> 32
    first = times.min()
    shift, span = 32, times.max() - first
    other = np.empty_like(events)
    while span:
        starts = np.zeros(2**DIGIT + 1, np.int64)
        for event in events:
            starts[(event - (first << 32) >> shift & 2**DIGIT - 1) + 1] += 1
        starts = np.cumsum(starts)
        for event in events:
            digit = event - (first << 32) >> shift & 2**DIGIT - 1
            other[starts[digit]] = event
            starts[digit] += 1
        events, other = other, events
        shift += DIGIT
        span >>= DIGIT
    for i in range(events.size):
        pixel = (events[i] & 2**32 - 1) >> 1
        out[i].x, out[i].y = pixel % width, pixel // width
        out[i].t, out[i].p = events[i] >> 32, events[i] & 1
