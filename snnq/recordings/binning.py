"""Events added up in time steps."""

from typing import NamedTuple

import numpy as np

VERSION = 2  # of what `frames_of` computes: raise it when the frames change
CUTS = ("number", "time")


class Cutting(NamedTuple):
    """How recordings become frames, see `snnq.load`."""

    steps: int
    cut: str
    size: int | None

    def refuse_for(self, sensor: tuple[int, int]) -> None:
        """Raise ValueError for what cannot be done with a sensor (height, width)."""
        if self.cut not in CUTS:
            raise ValueError(f"cut={self.cut!r}: expected one of {', '.join(CUTS)}")
        if self.steps < 1:
            raise ValueError(f"steps={self.steps}: expected at least 1")
        if self.size is not None and not 1 <= self.size <= min(sensor):
            raise ValueError(f"size={self.size}: expected 1 to {min(sensor)}")


def frames_of(
    events: np.ndarray,
    steps: int,
    cut: str,
    sensor: tuple[int, int],
    size: int | None = None,
    polarities: int = 2,
) -> np.ndarray:
    """Events of a sensor (height, width) added up in N_t steps: int64 [N_t, polarities, H, W].

    Every event counts exactly once. With `size`, pixel x goes to column ⌊x·size/width⌋.
    """
    if cut == "number":
        step = np.minimum(np.arange(len(events)) // max(1, len(events) // steps), steps - 1)
    else:
        since = events["t"] - (events["t"].min() if len(events) else 0)
        step = since * steps // (since.max(initial=0) + 1)
    height, width = sensor if size is None else (size, size)
    x = events["x"] if size is None else events["x"] * size // sensor[1]
    y = events["y"] if size is None else events["y"] * size // sensor[0]
    shape = (steps, polarities, height, width)
    place = np.ravel_multi_index((step, events["p"], y, x), shape)
    return np.bincount(place, minlength=np.prod(shape)).reshape(shape)
