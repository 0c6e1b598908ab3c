"""Weights at their levels already while the others are on the staircase: compiled loops.

`hardened`, a bool array, says which. All arrays are float32 and flat.
"""

import numpy as np

from snnq.quantization.loops import BLOCK, LONG_RUN, ZERO
from snnq.system.compiled import compiled
from snnq.system.threads import in_blocks


def harden(
    weight: np.ndarray,
    hardened: np.ndarray,
    beta: float,
    thresholds: np.ndarray,
    values: np.ndarray,
    out: np.ndarray,
    rows: np.ndarray | None = None,
) -> None:
    """Where hardened, the value of the level that βw is on; with `rows` of each weight by its own row
    of thresholds and of values."""
    scale = np.float32(beta)

    def block(first: int, last: int) -> None:
        arrays, to = (weight[first:last], hardened[first:last]), out[first:last]
        if rows is None:
            _harden(*arrays, scale, thresholds, values, to)
        else:
            _harden_reachable(*arrays, rows[first:last], scale, thresholds, values, to)

    in_blocks(block, weight.size, BLOCK)


def stop(weight: np.ndarray, hardened: np.ndarray, by_weight: np.ndarray) -> float:
    """No gradient where hardened; returns Σ by_weight · w over what there was."""
    sums = np.empty(-(-weight.size // BLOCK))

    def block(first: int, last: int) -> None:
        arrays = (array[first:last] for array in (weight, hardened, by_weight))
        sums[first // BLOCK] = _stop(*arrays)

    in_blocks(block, weight.size, BLOCK)
    return sums.sum()


@compiled()
def _harden(weight, hardened, beta, thresholds, values, out):
    reached = np.empty(LONG_RUN, np.float32)
    for first in range(0, weight.size, LONG_RUN):
        run = np.uint64(first), np.uint64(min(LONG_RUN, weight.size - first))
        reached[:] = values[0]
        for level in range(thresholds.size):
            _reach(weight, run, beta, thresholds[level], values[level + 1], reached)
        _choose(reached, run, hardened, out)


@compiled()
def _harden_reachable(weight, hardened, rows, beta, thresholds, values, out):
    for i in range(weight.size):
        if hardened[i]:
            x, row, passed = weight[i] * beta, np.uint64(rows[i]), 0
            for k in range(thresholds.shape[1]):
                passed += x > thresholds[row, k]
            out[i] = values[row, passed]


@compiled()
def _reach(weight, run, beta, threshold, value, reached):
    first, size = run
    for i in range(size):
        reached[i] = value if weight[first + i] * beta > threshold else reached[i]


@compiled()
def _choose(values, run, chosen, out):
    first, size = run
    for i in range(size):
        value, before = values[i], out[first + i]
        out[first + i] = value if chosen[first + i] else before


@compiled(fastmath={"reassoc"})
def _stop(weight, hardened, by_weight):
    total = 0.0
    for i in range(weight.size):
        stopped = by_weight[i] if hardened[i] else ZERO
        total += np.float64(stopped) * np.float64(weight[i])
        by_weight[i] = ZERO if hardened[i] else by_weight[i]
    return total
