"""Which numbers a training computes with: the setting `arithmetic`, and what it says.

Emulated: every value is a float32, rounded to a format (see `snnq.quantization.number_formats`)
wherever it would be stored or handed from one operation to the next. Each component has a format:

weights
    Of convolutions and linear layers, with their biases, as they are kept: rounded when training
    starts and after each step of the optimizer. There is no copy of more bits beside them.
    Of quantized layers these are the latent weights; the soft staircase's output is rounded too. A
    hard weight is a scale times a level, and needs no rounding.
activations
    Inputs and outputs of convolutions and linear layers, outputs of batch and other norms, and
    the membrane potential that a neuron keeps from one time step to the next. Spikes are numbers of
    every format. In evaluation as in training, but to the nearest there.
activation_gradients
    The loss's gradients by all of these, as each operation hands them back, membranes included.
weight_gradients
    By the effective weights of quantized layers, and by the weights as they are kept; summed over
    batch and time steps before.
moments
    Of the optimizer, after each step: averages of gradients, and the roots of averages of squares (of
    states called "…sq" or "square…"), which are not rounded to 0 so that nothing is divided by it.

In float32 stay what is summed within an operation; batch norm's parameters and statistics, a neuron's
threshold, time constant and the surrogate's argument within a time step; a quantizer's scales and
its own operations; firing rates, loss, and the steps of the optimizer.

The loss is multiplied by a scale, by which the weights' gradients are divided once they are rounded.
It moves small gradients, and moments of them, to where formats have numbers; int8 has a scale for
each tensor.

Fernandez-Hart, Kalganova and Knight, "Exploring 8-bit Arithmetic for Training Spiking Neural
Networks", COINS 2024, train so with posits and floats of 8 bits.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from snnq.quantization.number_formats import INT8, STOCHASTIC, Rounding

FLOAT32, REST, LOSS_SCALE = "float32", "rest", "loss_scale"
SCALE = 2.0**15  # gradients by activations are then below 16, by weights below 64 (8 channels, digits)
# "float8" as Micikevicius et al. recommend it, sec. 3; "posit8" as in the Posit Standard of 2022.
SHORT = {
    "posit8": dict.fromkeys(("forward", "backward"), "posit8_es2"),
    "float8": {"forward": "float8_e4m3", "backward": "float8_e5m2"},
}


@dataclass(frozen=True)
class Arithmetic:
    """How each component is rounded; None for float32.

    Attributes
    ----------
    loss_scale : float
        2¹⁵ where not given, or 1 where gradients and moments are in float32 or int8.
    """

    weights: Rounding | None = None
    activations: Rounding | None = None
    activation_gradients: Rounding | None = None
    weight_gradients: Rounding | None = None
    moments: Rounding | None = None
    loss_scale: float = 1.0

    @classmethod
    def of(cls, text: str) -> Self:
        """From a format's name, or as in "weights=posit8,rest=float8:stochastic".

        Raises ValueError with what was expected.
        """
        given = _entries(text)
        rest = given.pop(REST, FLOAT32)
        scale = given.pop(LOSS_SCALE, None)
        if unknown := [name for name in given if name not in COMPONENTS]:
            expected = ", ".join((*COMPONENTS, REST, LOSS_SCALE))
            raise ValueError(f"arithmetic={text!r}: {unknown[0]!r}: expected one of {expected}")
        try:
            rounded = {name: _rounding(name, given.get(name, rest)) for name in COMPONENTS}
        except ValueError as error:
            raise ValueError(f"arithmetic={text!r}: {error}") from None
        found = cls(**rounded)
        return replace(found, loss_scale=found.usual_scale if scale is None else _number(text, scale))

    @property
    def usual_scale(self) -> float:
        backward = self.activation_gradients, self.weight_gradients, self.moments
        return SCALE if any(one and one.numbers != INT8 for one in backward) else 1.0

    def __str__(self) -> str:
        """The shortest text that means the same."""
        formats = {name: str(getattr(self, name) or FLOAT32) for name in COMPONENTS}
        short = (*SHORT, *(name + STOCHASTIC for name in SHORT))
        texts = [self._as_others_than(rest) for rest in (FLOAT32, *short, *formats.values())]
        return min(texts, key=lambda text: text.count("="))

    def _as_others_than(self, rest: str) -> str:
        """What differs from one format, and that one for the rest."""
        base = Arithmetic.of(rest)
        different = [name for name in COMPONENTS if getattr(self, name) != getattr(base, name)]
        entries = [f"{name}={getattr(self, name) or FLOAT32}" for name in different]
        if self.loss_scale != self.usual_scale:
            entries.append(f"{LOSS_SCALE}={self.loss_scale:g}")
        if not entries:
            return rest
        return ",".join(entries if rest == FLOAT32 else [*entries, f"{REST}={rest}"])

    @property
    def is_float32(self) -> bool:
        return self == Arithmetic()


COMPONENTS = tuple(field.name for field in fields(Arithmetic))[:-1]


def plain_arithmetic(value: Any) -> Any:
    """The setting as text, the shortest that means the same; what means nothing stays as it is."""
    if isinstance(value, Mapping):
        value = ",".join(f"{name}={of}" for name, of in value.items())
    try:
        return str(Arithmetic.of(value)) if isinstance(value, str) else value
    except ValueError:
        return value


def _entries(text: str) -> dict[str, str]:
    if "=" not in text:
        return {REST: text}
    pairs = [entry.partition("=")[::2] for entry in text.split(",")]
    return {name.strip(): of.strip() for name, of in pairs}


def _rounding(component: str, text: str) -> Rounding | None:
    if text == FLOAT32:
        return None
    name = text.removesuffix(STOCHASTIC)
    if name in SHORT:
        way = "backward" if component.endswith("gradients") else "forward"
        text = text.replace(name, SHORT[name][way])
    return Rounding.of(text)


def _number(text: str, scale: str) -> float:
    try:
        number = float(scale)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf or math.frexp(number)[0] != 0.5:
        raise ValueError(f"arithmetic={text!r}: {LOSS_SCALE}={scale}: expected a power of two")
    return number
