"""Numbers of 8 bits: which ones a format has, and how others are rounded to them.

Values stay float32 tensors that hold numbers of the format alone. `NUMBERS` are

float8_e4m3, float8_e5m2
    4 bits of exponent and 3 of fraction, up to 448; or 5 and 2, up to 57,344 (Micikevicius et al.,
    "FP8 Formats for Deep Learning", 2022, table 1; torch's `float8_e4m3fn` and `float8_e5m2`).
posit8_es0, posit8_es1, posit8_es2
    (−1)^s · 2^(2^es · k + e) · (1 + f): after the sign a run of equal bits says k, es bits e, and what
    is left of the 8 the fraction f, more of it the nearer a number is to 1 (Gustafson and Yonemoto,
    "Beating Floating Point at its Own Game", 2017; the Posit Standard of 2022 has es = 2).
int8
    amax/127 · (−127 … 127), with amax the greatest magnitude of each tensor.

To the nearest, a tie goes to the even code. Posits round their codes, as their standard says: the tie
between two posits is the one of 9 bits between them, and what is not zero does not become zero. What
is larger than a format's largest number becomes that one. What is not finite becomes NaN, which is
a posit's NaR, so that a training that fails is seen to.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import NamedTuple, Self

import torch
from torch import Tensor

from snnq.quantization.loops import flat
from snnq.quantization.number_loops import by_chance, to_nearest

FLOATS = {"float8_e4m3": torch.float8_e4m3fn, "float8_e5m2": torch.float8_e5m2}
POSITS = {f"posit8_es{es}": es for es in range(3)}
INT8 = "int8"
NUMBERS = (*FLOATS, *POSITS, INT8)
STOCHASTIC = ":stochastic"
MOST = 127  # of int8
NOT_ZERO = 2.0**-100  # in place of a tensor's amax of 0
PLACES = 2**16  # of a table, for either sign


@dataclass(frozen=True)
class Rounding:
    """Rounds tensors to the numbers of a format.

    Attributes
    ----------
    numbers : str
        One of `NUMBERS`.
    stochastic : bool
        To the number below or the one above, each with a probability that makes the mean right; the
        draws, on a CPU their keys, are of torch's generator of the tensor's device. Otherwise to the
        nearest.
    """

    numbers: str
    stochastic: bool = False

    @classmethod
    def of(cls, text: str) -> Self:
        """From a format's name, with ":stochastic" after it or not. Raises ValueError for others."""
        name = text.removesuffix(STOCHASTIC)
        if name not in NUMBERS:
            raise ValueError(f"{text!r}: expected one of {', '.join(NUMBERS)}, or with {STOCHASTIC}")
        return cls(name, name != text)

    def __str__(self) -> str:
        return self.numbers + STOCHASTIC * self.stochastic

    def __call__(self, x: Tensor) -> Tensor:
        """float32 of any shape; without a gradient."""
        if self.numbers == INT8:
            return self._on_grid(x)
        tables = _tables(self.numbers, x.device)
        if loops_take(x):
            return self._in_one_pass(x.contiguous(), tables)
        at = _places(x)
        if not self.stochastic:
            return tables.nearest[at]
        low, high = tables.below[at], tables.above[at]
        # 0/0 for one of the numbers, and beyond the last.
        return torch.where(torch.rand_like(x) < (x - low) / (high - low), high, low)

    def _in_one_pass(self, x: Tensor, tables: "_Tables") -> Tensor:
        out = torch.empty_like(x)
        if self.stochastic:
            keys = torch.randint(2**32, (2,)).tolist()
            by_chance(flat(x), tables.below.numpy(), tables.above.numpy(), keys, flat(out))
        else:
            to_nearest(flat(x), tables.nearest.numpy(), flat(out))
        return out

    def least(self, x: Tensor) -> Tensor:
        """The smallest number above 0, of no dimension; of int8 the one with a tensor's own scale."""
        if self.numbers == INT8:
            return _greatest(x) / MOST
        return _tables(self.numbers, x.device).above[1]

    def _on_grid(self, x: Tensor) -> Tensor:
        greatest = _greatest(x)
        steps = x * (MOST / greatest)
        steps = (steps + torch.rand_like(steps)).floor() if self.stochastic else steps.round()
        return steps.clamp(-MOST, MOST) * greatest / MOST


def loops_take(x: Tensor) -> bool:
    return x.device.type == "cpu"


@cache
def numbers_of(name: str) -> list[float]:
    """The finite numbers of a float8 or posit8, in increasing order, 0 once."""
    if name in POSITS:
        above = [float(posit(code, 8, POSITS[name])) for code in range(1, 128)]
    else:
        codes = torch.arange(1, 128, dtype=torch.uint8).view(FLOATS[name]).float()
        above = codes[codes.isfinite()].tolist()
    return [*(-one for one in reversed(above)), 0.0, *above]


def posit(code: int, bits: int, es: int) -> Fraction:
    """The value of a posit above 0, from its code without the sign, 1 to 2^(bits − 1) − 1."""
    digits = f"{code:0{bits - 1}b}"
    run = len(digits) - len(digits.lstrip(digits[0]))
    k = run - 1 if digits[0] == "1" else -run
    e, f = digits[run + 1 :][:es], digits[run + 1 + es :]
    exponent = k * 2**es + int(e.ljust(es, "0") or "0", 2)
    return Fraction(2) ** exponent * (1 + Fraction(int(f or "0", 2), 2 ** len(f)))


class _Tables(NamedTuple):
    """By `_places`: the nearest number, and the ones to its two sides; itself where x is one."""

    nearest: Tensor
    below: Tensor
    above: Tensor


@cache
def _tables(name: str, device: torch.device) -> _Tables:
    """On the device once, so that a training step on a GPU does not wait for them."""
    place = torch.arange(2 * PLACES, dtype=torch.int32)
    place[PLACES:] -= 2 * PLACES  # the end of a table is its part below 0, as in Python
    x = ((place >> 1 << 16) + (place & 1) * 2**15).view(torch.float32)
    values = torch.tensor(numbers_of(name))
    x = torch.where(x.isfinite(), x.clamp(values[0], values[-1]), torch.nan)
    nearest = x.to(FLOATS[name]).float() if name in FLOATS else _nearest_posit(x, POSITS[name])
    last = len(values) - 1
    above = values[torch.bucketize(x, values).clamp(max=last)]
    below = values[torch.bucketize(x, values, right=True) - 1]
    found = (torch.where(x.isfinite(), table, torch.nan) for table in (nearest, below, above))
    return _Tables(*(table.to(device) for table in found))


def _nearest_posit(x: Tensor, es: int) -> Tensor:
    codes = [float(posit(code, 8, es)) for code in range(1, 128)]
    ties = [0.0, *(float(posit(2 * code + 1, 9, es)) for code in range(1, 127))]
    ties, odd = torch.tensor(ties), torch.arange(127) % 2 == 1
    ties = torch.where(odd, ties.nextafter(torch.tensor(-1.0)), ties)  # up, to the even code
    values = torch.tensor([0.0, *codes])
    return values[torch.bucketize(x.abs(), ties)].copysign(x)


def _places(x: Tensor) -> Tensor:
    """Where in a table: ⌊b/2¹⁶⌋ + ⌈b/2¹⁶⌉ of the bits b of x.

    What has at most 7 bits of fraction has a place of its own, as all of a format's numbers do and the
    ties between them; what lies between two such shares one.
    """
    bits = x.view(torch.int32)
    return (bits >> 16) + (bits + (2**16 - 1) >> 16)


def _greatest(x: Tensor) -> Tensor:
    return x.abs().amax().clamp(min=NOT_ZERO)
