"""The faults of a device's memory: bits of packed weights that are stuck, values that are off.

A fault map belongs to a device. For each bit of the weights as they are packed (`snnq.storage.bits`) it
says whether the bit is stuck at 0, stuck at 1, or sound; a code c is then read as

    (c and not stuck_at_0) or stuck_at_1

A second kind, as of conductances: the value of each weight has a relative error ε, which is normal with
the `variability` as its standard deviation; w is read as w (1 + ε).

A weight *reaches* the levels that some code is read as, which whoever knows the faults can write. Codes
beyond the last level are read as it, so they count. Of ternary weights five share a byte, and what one of
them reaches depends on the others. Here each has a set of levels of its own: of all five sets whose every
combination some byte is read as, those with the most combinations (of equal ones the first, in the
order of `SUBSETS`, for the byte's last weight first). Bytes may hold other combinations beside these;
they are not used.
"""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import product
from typing import Self

import numpy as np
import torch
from torch import Tensor

from snnq.quantization.reachable import Reachable
from snnq.storage.bits import BYTE, TERNARY_PER_BYTE, code_width, codes_of, levels_of

CODES = 2**BYTE  # that a byte can hold
SUBSETS = np.array([of for of in product((0, 1), repeat=3) if any(of)])  # of three levels


@dataclass(frozen=True, eq=False)
class LayerFaults:
    """The faults of a layer's weights.

    Attributes
    ----------
    levels : tuple of floats
        Of the weights.
    shape : torch.Size
        Of the weight.
    stuck_at_0, stuck_at_1 : uint8 Tensor [codes]
        Which bits of each code are stuck, see `snnq.storage.bits.codes_of`.
    error : float32 Tensor of the weight's shape, or None
        ε of each weight; None: 0.
    """

    levels: tuple[float, ...]
    shape: torch.Size
    stuck_at_0: Tensor
    stuck_at_1: Tensor
    error: Tensor | None = None

    @property
    def bits(self) -> int:
        """How many bits the weights take."""
        return self.stuck_at_0.numel() * code_width(len(self.levels))

    @property
    def stuck(self) -> int:
        """How many of them are stuck."""
        masks = (self.stuck_at_0 | self.stuck_at_1).cpu().numpy()
        return int(np.bitwise_count(masks).sum(dtype=int))

    @cached_property
    def reachable(self) -> Reachable:
        """The levels that each weight reaches, on the CPU."""
        zero, one = self.stuck_at_0.cpu().long(), self.stuck_at_1.cpu().long()
        states, places = (zero + CODES * one).unique(return_inverse=True)
        pairs = [(state % CODES, state // CODES) for state in states.tolist()]
        if len(self.levels) == 3:
            sets = np.concatenate([_sets_of_byte(*pair) for pair in pairs])
            places = places[:, None] * TERNARY_PER_BYTE + torch.arange(TERNARY_PER_BYTE)
        else:
            sets = np.stack([_set_of_code(len(self.levels), *pair) for pair in pairs])
        rows = places.flatten()[: self.shape.numel()].view(self.shape)
        return Reachable(torch.from_numpy(sets), rows, self.levels)

    def to(self, device: torch.device) -> Self:
        """The same on another device."""
        return replace(self, **{name: tensor.to(device) for name, tensor in self._tensors().items()})

    def copy_(self, other: Self) -> None:
        """Take over the faults of another device, in place."""
        for name, tensor in self._tensors().items():
            tensor.copy_(getattr(other, name))

    def _tensors(self) -> dict[str, Tensor]:
        return {name: tensor for name, tensor in vars(self).items() if isinstance(tensor, Tensor)}

    def misread(self, indices: Tensor) -> Tensor:
        """What indices of levels, int64 of the weight's shape, are read as where whoever wrote them
        did not know the faults."""
        codes = codes_of(indices, len(self.levels)) & ~self.stuck_at_0 | self.stuck_at_1
        return levels_of(codes, len(self.levels), indices.numel()).view(indices.shape)


def draw_layer(
    levels: tuple[float, ...],
    shape: torch.Size,
    stuck_at_0: float,
    stuck_at_1: float,
    variability: float,
    generator: torch.Generator,
) -> LayerFaults:
    """Faults of a layer, drawn on the generator's device: of each bit independently of the others."""
    device, width = generator.device, code_width(len(levels))
    codes = -(-shape.numel() // TERNARY_PER_BYTE) if len(levels) == 3 else shape.numel()
    drawn = torch.rand(codes, width, generator=generator, device=device)
    places = torch.arange(width, dtype=torch.uint8, device=device)
    masks = [
        (bits.to(torch.uint8) << places).sum(1, dtype=torch.uint8)
        for bits in (drawn < stuck_at_0, (drawn >= 1 - stuck_at_1) & (drawn >= stuck_at_0))
    ]
    error = None
    if variability:
        error = variability * torch.randn(shape, generator=generator, device=device)
    return LayerFaults(levels, shape, *masks, error)


@lru_cache(maxsize=None)
def _set_of_code(levels: int, zero: int, one: int) -> np.ndarray:
    """The levels that a weight of a code of its own reaches: bool [levels]."""
    codes = np.arange(2 ** code_width(levels)) & ~zero | one
    found = np.zeros(levels, bool)
    found[np.minimum(codes, levels - 1)] = True
    return found


@lru_cache(maxsize=None)
def _sets_of_byte(zero: int, one: int) -> np.ndarray:
    """The sets of levels of the five weights of a byte: bool [5, 3]."""
    read = np.zeros(3**TERNARY_PER_BYTE, int)
    read[(np.arange(CODES) & ~zero | one) % len(read)] = 1
    # Of each choice of five sets, how many combinations are read, and how many there are; the
    # first axis is that of the last weight.
    counts, sizes = read.reshape((3,) * TERNARY_PER_BYTE), np.ones((), int)
    for _ in range(TERNARY_PER_BYTE):
        counts = np.tensordot(counts, SUBSETS, (0, 1))
        sizes = np.multiply.outer(sizes, SUBSETS.sum(1))
    best = np.unravel_index(np.argmax(np.where(counts == sizes, sizes, 0)), sizes.shape)
    return SUBSETS[list(best[::-1])].astype(bool)
