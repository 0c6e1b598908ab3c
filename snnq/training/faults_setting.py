"""The setting `faults` as it is written: how training meets the faults of a memory, and which.

Without torch, for which the help of a command would have to wait.
"""

from dataclasses import dataclass, fields
from typing import Any

from snnq.storage.fault_rates import refuse_rates

WAYS = ("known", "epoch", "step")
EXAMPLE = "known, stuck_at_0=0.1, device=3"


@dataclass(frozen=True, kw_only=True)
class Faults:
    """Faults of a memory that a training reckons with; see `snnq.storage.faults`.

    Attributes
    ----------
    way : str
        "known": those of one device, which are known. "epoch" or "step": unknown ones, of another
        device in each epoch, or in each step.
    stuck_at_0, stuck_at_1, variability : float
        See `snnq.draw_faults`.
    device : int
        Which device, or which series of them.
    map : str or None
        Of a known device the file of its fault map, in place of rates and device.

    Raises
    ------
    ValueError
        A value out of range, no fault at all, or a map of faults that are not known.
    """

    way: str
    stuck_at_0: float = 0.0
    stuck_at_1: float = 0.0
    variability: float = 0.0
    device: int = 0
    map: str | None = None

    def __post_init__(self):
        if self.way not in WAYS:
            raise ValueError(f"{self.way!r}: expected one of {', '.join(WAYS)} first")
        refuse_rates(*self.rates)
        if self.device < 0:
            raise ValueError(f"device={self.device}: expected a whole number of at least 0")
        if self.map is None and not any(self.rates):
            raise ValueError("expected stuck_at_0, stuck_at_1 or variability above 0, or a map")
        if self.map is not None and (self.way != "known" or any(self.rates) or self.device):
            expected = "expected known faults, and neither rates nor a device beside it"
            raise ValueError(f"map={self.map}: {expected}")

    @property
    def rates(self) -> tuple[float, float, float]:
        return self.stuck_at_0, self.stuck_at_1, self.variability

    def __str__(self) -> str:
        _, *others = fields(self)
        given = {of.name: getattr(self, of.name) for of in others}
        changed = [f"{of.name}={given[of.name]}" for of in others if given[of.name] != of.default]
        return ", ".join([self.way, *changed])


KINDS = {field.name: field.type for field in fields(Faults)[1:]}


def read_faults_setting(text: Any) -> Faults | None:
    """The setting from its text, such as "known, stuck_at_0=0.1, device=3"; None from None.

    Raises
    ------
    ValueError
        A text that is none, with what was expected.
    """
    if text is None:
        return None
    if not isinstance(text, str):
        raise ValueError(f"faults={text!r}: expected a text, as {EXAMPLE!r}, or none")
    way, *given = [part.strip() for part in text.split(",")]
    try:
        pairs = [[one.strip() for one in part.split("=", 1)] for part in given]
        names = [name for name, *_ in pairs]
        for name, *value in pairs:
            if not value or name not in KINDS or names.count(name) > 1:
                raise ValueError(f"{name!r}: expected {', '.join(KINDS)}, each once, with =")
        return Faults(way=way, **{name: _value(name, value) for name, value in pairs})
    except ValueError as error:
        raise ValueError(f"faults={text!r}: {error}, as in {EXAMPLE!r}") from None


def plain_faults(value: Any) -> Any:
    """One way to write the same faults; anything that is no text as it is, for `check` to refuse."""
    return str(read_faults_setting(value)) if isinstance(value, str) else value


def _value(name: str, text: str) -> Any:
    kind = KINDS[name]
    if kind not in (int, float):
        return text
    try:
        return kind(text)
    except ValueError:
        expected = "a whole number" if kind is int else "a number"
        raise ValueError(f"{name}={text}: expected {expected}") from None
