"""Neurons whose membrane potential has few bits, as in hardware, and that train so.

h = v + k (x − v) is rounded to a multiple of ϑ 2^(r−B+2), from −2^(r+1) ϑ to just below 2^(r+1) ϑ,
and k is the nearest sum of at most two powers of two, or their difference. Both let the gradient
through as if they were not there (Bengio et al., 2013, sec. 4). Half of the bits beyond six widen the
range, r = ⌊(B − 6) / 2⌋ from 0 to 3: potentials far below rest keep neurons silent for longer, and
ends at ±2ϑ would wake them (bench/membranes.py). See `snnq.to_integer` for the network of integers
that such a one becomes; Yin et al., MINT, ASP-DAC 2024, train membranes of 2 bits and more.
"""

from fractions import Fraction
from functools import cache

import torch
from spikingjelly.activation_based import base, neuron
from torch import Tensor, nn

MEMBRANE_BITS = range(2, 21)
LEAK_BITS = 8  # the greatest power of two in a leak is 2^−8
MOST_RANGE_BITS = 3


def range_bits(membrane_bits: int) -> int:
    """r: a membrane of so many bits reaches from −2^(r+1) thresholds to just below 2^(r+1)."""
    return min(max(membrane_bits - 6, 0) // 2, MOST_RANGE_BITS)


@cache
def _leaks() -> tuple[Fraction, ...]:
    powers = [Fraction(1, 2**q) for q in range(LEAK_BITS + 1)]
    pairs = {a + sign * b for a in powers for b in powers for sign in (-1, 0, 1)}
    return tuple(sorted(k for k in pairs if 0 <= k <= 1))


@cache
def _leaks_on(device: torch.device) -> Tensor:
    """So that a training step on a GPU does not wait for k."""
    return torch.tensor([float(leak) for leak in _leaks()], device=device)


def nearest_leak(k: float) -> Fraction:
    """The nearest sum, or difference, of at most two powers of two to k, between 0 and 1."""
    return min(_leaks(), key=lambda leak: abs(leak - Fraction(k)))


def rounded(h: Tensor, bits: int, threshold: float) -> Tensor:
    """h on the grid of a membrane of so many bits; the gradient is that of h."""
    unit, end = threshold / 2 ** (bits - 2 - range_bits(bits)), 2 ** (bits - 1)
    fixed = h.detach()
    return (fixed / unit).round().clamp(-end, end - 1) * unit + (h - fixed)


class RoundedNode(neuron.BaseNode):
    """What SpikingJelly's neurons are with `membrane_bits`; reset to 0, or by the threshold.

    Attributes
    ----------
    membrane_bits : int
        B, 2 to 20.
    """

    leak = 1.0  # k

    def __init__(self, *arguments, membrane_bits: int, **options):
        if membrane_bits not in MEMBRANE_BITS:
            least, most = MEMBRANE_BITS[0], MEMBRANE_BITS[-1]
            raise ValueError(f"membrane_bits={membrane_bits!r}: expected {least} to {most}")
        super().__init__(*arguments, **options)
        if self.v_reset not in (0, None):
            raise ValueError(f"v_reset={self.v_reset}: expected 0 or None with membrane_bits")
        self.membrane_bits = membrane_bits

    def charged(self, x: Tensor, v: Tensor) -> Tensor:
        """h before it is rounded."""
        return v + (x - v) * self.leak if self.decay_input else v + x - v * self.leak

    def single_step_functional_forward(self, inputs, states, **_):
        v, *others = states
        h = rounded(self.charged(inputs[0], v), self.membrane_bits, self.v_threshold)
        spike = self.surrogate_function(h - self.v_threshold)
        by = spike.detach() if self.detach_reset else spike
        after = h - by * (self.v_threshold if self.v_reset is None else h)
        return (spike,), (after, *others)

    multi_step_functional_forward = base.MemoryModule.multi_step_functional_forward

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, membrane_bits={self.membrane_bits}"


class RoundedIFNode(RoundedNode, neuron.IFNode):
    def charged(self, x: Tensor, v: Tensor) -> Tensor:
        return v + x


class RoundedLIFNode(RoundedNode, neuron.LIFNode):
    @property
    def leak(self) -> float:
        return float(nearest_leak(1 / self.tau))


class RoundedPLIFNode(RoundedNode, neuron.ParametricLIFNode):
    @property
    def leak(self) -> Tensor:
        k, leaks = self.w.sigmoid(), _leaks_on(self.w.device)
        nearest = (leaks - k.detach()).abs().argmin()
        return leaks.take(nearest) + (k - k.detach())  # leaks[nearest] would wait for a GPU


def membrane_bits_of(model: nn.Module) -> int | None:
    """With how many bits a network's membranes are; None for floating point.

    Raises ValueError where its neurons differ in it.
    """
    bits = {m.membrane_bits for m in model.modules() if isinstance(m, RoundedNode)}
    if len(bits) > 1:
        raise ValueError(f"membrane_bits={sorted(bits)}: expected the same for all neurons")
    return bits.pop() if bits else None
