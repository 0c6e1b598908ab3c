"""float32 arrays on a CPU rounded by tables, each in one pass: compiled loops.

As tensor operations a rounding would be some ten passes, and torch's random numbers, one after another,
take most of its time. Here each place has its own, a hash of its index and of two keys.
"""

import numpy as np

from snnq.system.compiled import compiled
from snnq.system.threads import in_blocks

BLOCK = 2**16  # numbers that a thread takes at a time
SIXTEEN, FIFTEEN, EIGHT = np.uint32(16), np.uint32(15), np.uint32(8)
FIRST, SECOND = np.uint32(0x7FEB352D), np.uint32(0x846CA68B)
UNIT = np.float32(2**-24)  # of what a random number is a whole multiple


def to_nearest(x: np.ndarray, nearest: np.ndarray, out: np.ndarray) -> None:
    """out = nearest[place of x], see `number_formats`."""
    bits = x.view(np.int32)
    in_blocks(lambda first, last: _look_up(bits[first:last], nearest, out[first:last]), x.size, BLOCK)


def by_chance(
    x: np.ndarray, below: np.ndarray, above: np.ndarray, keys: tuple[int, int], out: np.ndarray
) -> None:
    """out = the number above x with probability (x − below)/(above − below), else the one below."""
    keys = tuple(map(np.uint32, keys))

    def block(first: int, last: int) -> None:
        _draw(x[first:last], below, above, keys, np.uint32(first), out[first:last])

    in_blocks(block, x.size, BLOCK)


@compiled()
def _look_up(bits, nearest, out):
    for i in range(bits.size):
        out[i] = nearest[_place(bits[i], nearest)]


@compiled()
def _draw(x, below, above, keys, first, out):
    bits = x.view(np.int32)
    for i in range(x.size):
        place = _place(bits[i], below)
        low, high = below[place], above[place]
        # 0/0 for one of the numbers, and beyond the last.
        up = _uniform(first + np.uint32(i), keys) < (x[i] - low) / (high - low)
        out[i] = high if up else low


@compiled()
def _place(bits, table):
    """`number_formats._places`, where the end of a table is its part below 0."""
    return np.uint64((bits >> 16) + (np.int32(bits + 65535) >> 16)) & np.uint64(table.size - 1)


@compiled()
def _uniform(place, keys):
    """In [0, 1): two rounds of a multiplication and shifts, with the constants of Ellis' "lowbias32"
    (nullprogram.com, "Prospecting for Hash Functions", 2018)."""
    h = np.uint32(place + keys[0])  # numba's products of 32 bits have 64
    h = np.uint32((h ^ (h >> SIXTEEN)) * FIRST) ^ keys[1]
    h = np.uint32((h ^ (h >> FIFTEEN)) * SECOND)
    return np.float32((h ^ (h >> SIXTEEN)) >> EIGHT) * UNIT
