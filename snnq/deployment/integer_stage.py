"""One stage of a network of integers: what C, Verilog and `IntegerNetwork` compute alike."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from snnq.deployment.stage import Stage

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class IntegerStage:
    """A layer's integers; its geometry is that of `place`.

    With S = Σ_j w_j n_j over the counts n_j of its inputs, and membranes of B bits,

        X = 2^f S + b                  where f ≥ 0
        X = ⌊(S + b) / 2^−f⌋           where f < 0
        h = clamp(v − ⌊(m v + 2^(q−1)) / 2^q⌋ + X,  −2^(B−1),  2^(B−1) − 1)
        s = [h ≥ θ],   v = h without a spike, else 0, or h − θ where the reset is soft

    Attributes
    ----------
    place : Stage
        Geometry, soft or hard reset, pooling and voters; and the weights w, whole numbers like its
        base and units.
    shift : int array [neurons]
        f.
    offset : int array [neurons]
        b; for f < 0 with the half that makes ⌊ ⌋ round to the nearest.
    threshold : int array [neurons], or None
        θ. None: it sums up and never spikes.
    leak : (int, int)
        m and q.
    membrane_bits : int
        B.
    """

    place: Stage
    shift: Integers
    offset: Integers
    threshold: Integers | None
    leak: tuple[int, int]
    membrane_bits: int

    @property
    def name(self) -> str:
        return self.place.name

    @cached_property
    def weights(self) -> Integers:
        """w, in the order of `Stage.rows`."""
        place = self.place
        if not len(place.units):
            return place.rows
        return (place.base + place.bits @ place.units).astype(np.int64)[place.rows]

    @property
    def least(self) -> int:
        """Of a membrane."""
        return -(2 ** (self.membrane_bits - 1))

    @property
    def most(self) -> int:
        """Of a membrane."""
        return 2 ** (self.membrane_bits - 1) - 1

    @property
    def sums(self) -> tuple[int, int]:
        """The least and the greatest sum S that any input gives."""
        least, greatest = sums_of(self.place, self.weights)
        return int(least.min(initial=0)), int(greatest.max(initial=0))


def sums_of(place: Stage, weights: Integers) -> tuple[Integers, Integers]:
    """The least and the greatest sum S of each neuron that any input gives."""
    inputs, of_group = place.most * weights, len(weights) // place.groups
    of_signs = np.minimum(inputs, 0), np.maximum(inputs, 0)
    least, greatest = (x.reshape(-1, of_group, x.shape[1]).sum(1).ravel() for x in of_signs)
    return least, greatest
