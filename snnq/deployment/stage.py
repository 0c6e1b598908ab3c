"""One stage of the C program, `struct layer` in `snnq/deployment/c/net.h`."""

import math
from dataclasses import dataclass, field

import numpy as np

from snnq.deployment.computed import Image


@dataclass
class Stage:
    """A layer with weights, and what follows it.

    Attributes
    ----------
    image : (int, int, int)
        Channels, height and width of the input.
    kernel, stride, padding : (int, int)
        Down and across. A linear layer is a convolution whose kernel covers the image.
    groups : int
    most : int
        The greatest input: 1 where the layer before spikes.
    rows : array [groups · kernel · kernel · channels of a group, neurons of a group]
        Weights as float, or the places of their levels in `bits`.
    bits : array [levels, planes]
        Without planes the weights are float. Else level = base + Σ units · bits.
    scale, shift : arrays [neurons]
    gain, leak, threshold : float
        Of the neurons: h = v + gain (x − leak v). v and the threshold are what lies above the value
        that they are reset to.
    soft : bool
        A spike takes the threshold from v; else v is 0 after it.
    pool : (int, int)
        Height and width of what is pooled after it; (1, 1) for nothing.
    pool_adds : bool
        Spikes are added up, the division is left to the next scale; else one is enough.
    voters : int
        Neurons that stand for one class.
    """

    name: str
    image: Image
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    groups: int
    most: int
    rows: np.ndarray
    scale: np.ndarray
    shift: np.ndarray
    bits: np.ndarray = field(default_factory=lambda: np.empty((0, 0), bool))
    base: float = 0.0
    units: np.ndarray = field(default_factory=lambda: np.empty(0))
    gain: float = 1.0
    leak: float = 0.0
    threshold: float = math.inf
    soft: bool = False
    pool: tuple[int, int] = (1, 1)
    pool_adds: bool = False
    voters: int = 1

    @property
    def neurons(self) -> Image:
        """Channels, height and width of the neurons."""
        sides = zip(self.image[1:], self.kernel, self.stride, self.padding)
        height, width = ((side + 2 * p - k) // stride + 1 for side, k, stride, p in sides)
        return len(self.scale), height, width

    @property
    def output(self) -> Image:
        """Channels, height and width after pooling."""
        channels, height, width = self.neurons
        return channels, height // self.pool[0], width // self.pool[1]

    @property
    def classes(self) -> int:
        return len(self.scale) // self.voters

    @property
    def most_spikes(self) -> int:
        """The greatest output after pooling."""
        return math.prod(self.pool) if self.pool_adds else 1
