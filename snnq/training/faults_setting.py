"""The setting `faults` as it is written: how training meets the faults of a memory, and which.

Without torch, for which the help of a command would have to wait.
"""

import math
from dataclasses import dataclass, fields
from typing import Any

WAYS = ("known", "epoch", "step")
NAMES = ("stuck_at_0", "stuck_at_1", "variability", "device", "map")
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
    device : int
        Which device, or which series of them.
    map : str or None
        Of a known device, its fault map's file, in place of rates and device.

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
            self._refuse(f"{self.way!r}: expected one of {', '.join(WAYS)} first")
        for name in ("stuck_at_0", "stuck_at_1"):
            if not 0 <= getattr(self, name) <= 1:
                self._refuse(f"{name}={getattr(self, name)}: expected a number from 0 to 1")
        if self.stuck_at_0 + self.stuck_at_1 > 1:
            self._refuse("expected stuck_at_0 and stuck_at_1 with a sum of at most 1")
        if not 0 <= self.variability < math.inf:
            self._refuse(f"variability={self.variability}: expected a finite number of at least 0")
        if self.device < 0:
            self._refuse(f"device={self.device}: expected a whole number of at least 0")
        rates = self.stuck_at_0 or self.stuck_at_1 or self.variability
        if self.map is not None and (self.way != "known" or rates or self.device):
            self._refuse(f"map={self.map}: expected no rates and no device beside it, and known faults")
        if self.map is None and not rates:
            self._refuse("expected stuck_at_0, stuck_at_1 or variability above 0, or a map")

    def _refuse(self, problem: str) -> None:
        raise ValueError(f"faults: {problem}, as in {EXAMPLE!r}")

    def __str__(self) -> str:
        given = {f.name: getattr(self, f.name) for f in fields(self)[1:] if getattr(self, f.name) != f.default}
        return ", ".join([self.way, *(f"{name}={value}" for name, value in given.items())])


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
    values: dict[str, Any] = {}
    for part in given:
        name, _, value = (one.strip() for one in part.partition("="))
        if name not in NAMES or name in values:
            expected = f"expected {', '.join(NAMES)}, each once"
            raise ValueError(f"faults: {part!r}: {expected}, as in {EXAMPLE!r}")
        values[name] = _value(name, value)
    return Faults(way=way, **values)


def plain_faults(value: Any) -> Any:
    """One way to write the same faults; anything that is no text as it is, for `check` to refuse."""
    return str(read_faults_setting(value)) if isinstance(value, str) else value


def _value(name: str, text: str) -> Any:
    if name == "map":
        return text
    kind, expected = (int, "a whole number") if name == "device" else (float, "a number")
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"faults: {name}={text}: expected {expected}, as in {EXAMPLE!r}") from None
