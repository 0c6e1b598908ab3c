"""The pixels of the simulated camera, in compiled loops over one recording.

With L the log intensity that a pixel follows, r its reference and θ its threshold, it signals at
each look as long as |L − r| ≥ θ, and each event takes r by θ towards L. An event's time is when the
straight line from L at the last look to L at this one crosses the new r.

An event is a word of 64 bits: 32 for its time in µs, 15 for y, 16 for x, and one for p.
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


class Crossed(NamedTuple):
    """Pixels that have crossed their threshold since the last look, int32; room for all and one."""

    pixel: np.ndarray
    reference: np.ndarray  # log intensity
    before: np.ndarray  # log intensity at the last look
    after: np.ndarray  # and at this one


class Pixels(NamedTuple):
    """The state of each pixel, int32."""

    threshold: np.ndarray
    reference: np.ndarray  # log intensity
    level: np.ndarray  # the log intensity that is followed; without latency, the last grey value
    dark: np.ndarray  # without latency: grey values below this one cross the threshold
    bright: np.ndarray  # and those from this one on
    place: np.ndarray  # y and x as in an event
    crossed: Crossed


@lru_cache(maxsize=2)
def intensities(floor: float) -> tuple[np.ndarray, np.ndarray]:
    """`log` and `least` of a circuit."""
    log = np.rint(np.log(np.arange(WHITE + 1) / WHITE + floor) * LOG_UNIT).astype(np.int32)
    least = np.searchsorted(log, np.arange(log[0], log[-1] + 2))
    return log, least.astype(np.int32)


@compiled()
def watch(canvas, places, shape, threshold, phase, circuit):
    """Events, look by look, of a picture seen at places (row, column, and 1/64 pixels further down
    and right) of a canvas; the references start `phase` from the log intensity."""
    grey = np.empty(shape, np.int32)
    _project(canvas, places[0], grey)
    pixels = wake(grey, threshold, phase, circuit)
    events, count = np.empty(ROOM, np.int64), 0
    for look in range(1, len(places)):
        _project(canvas, places[look], grey)
        time = (look - 1) * circuit.step
        events, count = see(pixels, grey.ravel(), time, circuit, events, count)
    return events[:count]


@compiled()
def _project(canvas, place, grey):
    """Bilinear, in units of 1/64² grey value."""
    row, column, down, right = place
    up, left = SUBPIXEL - down, SUBPIXEL - right
    a, b = np.int32(up * left), np.int32(up * right)
    c, d = np.int32(down * left), np.int32(down * right)
    for y in range(len(grey)):
        above, below, out = canvas[row + y, column:], canvas[row + y + 1, column:], grey[y]
        for x in range(np.uint64(out.size)):
            then = x + np.uint64(1)
            out[x] = np.int32(a * above[x] + b * above[then] + c * below[x] + d * below[then])


@compiled()
def wake(grey, threshold, phase, circuit):
    """The state of the pixels at the first look, int32 [height, width]."""
    state, room = np.empty((5, grey.size), np.int32), np.empty((4, grey.size + 1), np.int32)
    crossed = Crossed(room[0], room[1], room[2], room[3])
    pixels = Pixels(threshold, state[0], state[1], state[2], state[3], state[4], crossed)
    for y in range(grey.shape[0]):
        for x in range(grey.shape[1]):
            i = y * grey.shape[1] + x
            level = circuit.log[grey[y, x]]
            pixels.reference[i] = level + phase[i]
            pixels.level[i] = level if circuit.latency else grey[y, x]
            pixels.place[i] = y << 16 | x
            _set_bounds(pixels, i, circuit)
    return pixels


@compiled()
def _set_bounds(pixels, i, circuit):
    r, threshold = pixels.reference[i] - circuit.log[0], pixels.threshold[i]
    last = circuit.least.size - 1
    pixels.dark[i] = circuit.least[min(max(r - threshold + 1, 0), last)]
    pixels.bright[i] = circuit.least[min(max(r + threshold, 0), last)]


@compiled()
def see(pixels, grey, time, circuit, events, count):
    """All events from the last look, at a time, to this one: of each pixel that crossed its
    threshold, then another of each that crossed it twice, and so on.

    Returns the events, which may have been moved, and how many they are now.
    """
    if circuit.latency:
        size = _follow(pixels, grey, circuit)
    else:
        size = _compare(pixels, grey, circuit)
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
    """A first-order low-pass of the log intensity. Returns how many pixels crossed by it."""
    level, reference, threshold = pixels.level, pixels.reference, pixels.threshold
    before, flags = np.empty(grey.size, np.int32), _flags(grey.size)
    for i in range(np.uint64(grey.size)):  # on its own, so that the next one is vectorised
        before[i] = circuit.log[np.uint32(grey[i])]
    slower = circuit.step + circuit.latency
    for i in range(np.uint64(grey.size)):
        start = level[i]
        level[i] = start + np.int32(np.float64(before[i] - start) * circuit.step / slower)
        before[i] = start
        flags[i] = abs(level[i] - reference[i]) >= threshold[i]
    crossed, size = pixels.crossed, _list(flags, pixels.crossed.pixel)
    for j in range(size):
        i = crossed.pixel[j]
        crossed.reference[j] = reference[i]
        crossed.before[j], crossed.after[j] = before[i], level[i]
    return size


@compiled()
def _compare(pixels, grey, circuit):
    """Without latency, the grey values say it: logarithms are needed of pixels that crossed alone."""
    last, dark, bright, flags = pixels.level, pixels.dark, pixels.bright, _flags(grey.size)
    for i in range(np.uint64(grey.size)):
        flags[i] = (grey[i] < dark[i]) | (grey[i] >= bright[i])
    crossed, size = pixels.crossed, _list(flags, pixels.crossed.pixel)
    for j in range(size):
        i = crossed.pixel[j]
        crossed.reference[j] = pixels.reference[i]
        crossed.before[j], crossed.after[j] = circuit.log[last[i]], circuit.log[grey[i]]
    for i in range(np.uint64(grey.size)):
        last[i] = grey[i]
    return size


@compiled()
def _flags(size):
    return np.zeros(-(-size // WORD) * WORD, np.uint8)


@compiled()
def _list(flags, found):
    """Where flags are set; returns how many are."""
    words, size = flags.view(np.uint64), 0
    for word in range(words.size):
        if words[word]:
            for i in range(word * WORD, (word + 1) * WORD):
                found[size] = i
                size += flags[i]
    return size


@compiled()
def _signal(pixels, size, time, circuit, events):
    """One event of each pixel that has crossed."""
    crossed = pixels.crossed
    for j in range(np.uint64(size)):
        i, before, after = np.uint32(crossed.pixel[j]), crossed.before[j], crossed.after[j]
        is_on, threshold = after > crossed.reference[j], pixels.threshold[i]
        reference = crossed.reference[j] + (threshold if is_on else -threshold)
        crossed.reference[j] = reference
        # Exact: such whole numbers are too small for a quotient to be rounded up to the next one.
        passed = np.floor(np.float64(reference - before) * circuit.step / (after - before))
        at = time + np.int64(passed if after != before else 0.0)
        events[j] = at << 32 | np.int64(pixels.place[i]) << 1 | (is_on == circuit.brighter)


@compiled()
def _remaining(pixels, size, circuit):
    """Moves pixels that have crossed a further threshold to the front; returns how many."""
    crossed, left = pixels.crossed, 0
    for j in range(size):
        i, reference, after = crossed.pixel[j], crossed.reference[j], crossed.after[j]
        pixels.reference[i] = reference
        crossed.pixel[left], crossed.reference[left] = i, reference
        crossed.before[left], crossed.after[left] = crossed.before[j], after
        if abs(after - reference) >= pixels.threshold[i]:
            left += 1
        elif circuit.latency == 0:
            _set_bounds(pixels, i, circuit)
    return left


@compiled()
def in_time(events, out):
    """Events into records, by time; those of one time in their order."""
    low, high = events[0] >> 32, events[0] >> 32
    for event in events:
        low, high = min(low, event >> 32), max(high, event >> 32)
    shift, span = 32, high - low
    other, mask = np.empty_like(events), 2**DIGIT - 1
    while span:
        starts = np.zeros(2**DIGIT + 1, np.int64)
        for event in events:
            starts[(event - (low << 32) >> shift & mask) + 1] += 1
        starts = np.cumsum(starts)
        for event in events:
            digit = event - (low << 32) >> shift & mask
            other[starts[digit]] = event
            starts[digit] += 1
        events, other = other, events
        shift += DIGIT
        span >>= DIGIT
    for i in range(events.size):
        event = events[i]
        out[i].x, out[i].y = event >> 1 & 0xFFFF, event >> 17 & 0x7FFF
        out[i].t, out[i].p = event >> 32, event & 1
