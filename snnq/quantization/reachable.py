"""Which levels each weight can reach in a memory whose faults are known, and the staircase of those.

Of a weight that reaches the levels Y_{j_0} < … < Y_{j_m} alone, the staircase has their steps alone:

    soft  y = α ( Y_{j_0} + Σ_{k=1..m} (Y_{j_k} − Y_{j_{k−1}}) σ(T (βw − c_k)) )
    hard  y = α Y_{j_k},  k = #{i : βw > c_i}

with thresholds that lie where those of the steps between two reached levels lie in the mean, each with
the height of its step:

    c_k = Σ s_i b_i / Σ s_i  over i = j_{k−1}+1, …, j_k,  s_i = Y_i − Y_{i−1}

With thresholds half-way between the levels c_k is half-way between Y_{j_{k−1}} and Y_{j_k}, so that the
hard weight is at the nearest level that it reaches. One level alone is a constant, without a gradient.
"""

import math

import torch
from torch import Tensor, nn

from snnq.quantization.table import Row

MOST_ROWS = 256  # that a byte tells apart


class Reachable(nn.Module):
    """The levels that each weight of a layer can reach.

    Parameters
    ----------
    sets : bool Tensor [sets, levels]
        Sets of levels, each with one at least.
    rows : integer Tensor of the weight's shape
        Of each weight the place of its set in `sets`.
    levels : increasing numbers

    Attributes
    ----------
    sets : bool Tensor [sets, levels]
        Those that occur, each once.
    rows : uint8 Tensor of the weight's shape, or int32 for more than 256 sets
    lowest : Tensor [sets]
        Y_{j_0}.
    steps : Tensor [sets, levels − 1]
        Y_{j_k} − Y_{j_{k−1}}, and 0 for k > m.
    indices : int64 Tensor [sets, levels]
        j_k, and j_m for k > m.

    Raises
    ------
    ValueError
        A set without levels.
    """

    def __init__(self, sets: Tensor, rows: Tensor, levels: tuple[float, ...]):
        super().__init__()
        if not sets.any(-1).all():
            raise ValueError("a set of no levels: each weight reaches one at least")
        used, rows = rows.unique(return_inverse=True)
        sets, places = sets[used].unique(dim=0, return_inverse=True)
        kind = torch.uint8 if len(sets) <= MOST_ROWS else torch.int32
        self.register_buffer("sets", sets, persistent=False)
        self.register_buffer("rows", places[rows].to(kind), persistent=False)
        self.known_curves: dict[tuple[float, ...], tuple[Row, ...]] = {}  # by the biases
        values = torch.tensor(levels, dtype=torch.float64)
        heights, steps = values.diff(), torch.zeros(len(sets), len(levels) - 1).double()
        shares = torch.zeros(len(sets), len(levels) - 1, len(levels) - 1).double()
        indices = torch.zeros(len(sets), len(levels), dtype=torch.long)
        for row, reached in enumerate(sets):
            own = reached.nonzero().view(-1)
            indices[row] = own[torch.arange(len(levels)).clamp(max=len(own) - 1)]
            steps[row, : len(own) - 1] = values[own].diff()
            for k, (lower, upper) in enumerate(zip(own[:-1], own[1:])):
                between = heights[lower:upper]
                shares[row, k, lower:upper] = between / between.sum()
        self.register_buffer("indices", indices, persistent=False)
        self.register_buffer("lowest", values[indices[:, 0]], persistent=False)
        self.register_buffer("steps", steps, persistent=False)
        self.register_buffer("shares", shares, persistent=False)

    def thresholds(self, biases: Tensor) -> Tensor:
        """c_k of each set [sets, levels − 1], and infinity for k > m."""
        own = (self.shares.to(biases) * biases).sum(-1)
        return own.masked_fill(self.steps == 0, math.inf)

    def curves(self, biases: Tensor) -> tuple[Row, ...]:
        """Thresholds, steps and lowest level of each set, as `table.stacked` takes them."""
        key = tuple(biases.tolist())
        if key not in self.known_curves:
            self.known_curves = {key: self._curves(biases)}
        return self.known_curves[key]

    def _curves(self, biases: Tensor) -> tuple[Row, ...]:
        rows = zip(self.thresholds(biases).tolist(), self.steps.tolist(), self.lowest.tolist())
        return tuple(
            (
                tuple(c for c in thresholds if c < math.inf),
                tuple(step for step in steps if step > 0),
                lowest,
            )
            for thresholds, steps, lowest in rows
        )

    def level_indices(self, scaled: Tensor, biases: Tensor) -> Tensor:
        """The hard level of each βw, int64 of its shape."""
        rows, passed = self.rows.int(), torch.zeros_like(scaled, dtype=torch.long)
        for threshold in self.thresholds(biases).T:
            passed += scaled > threshold[rows]
        return self.indices[rows, passed]

    def distances(self, scaled: Tensor, biases: Tensor) -> Tensor:
        """Of each βw from the nearest of its thresholds; infinity where it has none."""
        rows, nearest = self.rows.int(), torch.full_like(scaled, math.inf)
        for threshold in self.thresholds(biases).T:
            nearest = torch.minimum(nearest, (scaled - threshold[rows]).abs_())
        return nearest

    def nearest(self, scaled: Tensor, values: Tensor) -> Tensor:
        """The level among those that it reaches whose value is the nearest, int64 of the shape."""
        return self.level_indices(scaled, (values[:-1] + values[1:]) / 2)

    def extra_repr(self) -> str:
        return f"{self.rows.numel()} weights, {len(self.sets)} sets of levels"
