"""How a network is trained, whatever it is and whatever it is trained on."""

import difflib
import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from snnq.quantization.recipe import TEMPERATURE


@dataclass(frozen=True, kw_only=True, repr=False)
class Settings:
    """What a training needs beside a network and its data.

    Lists, ranges, arrays, devices and NumPy's numbers become text, tuples and Python's own numbers.
    Its `repr` names what differs from the defaults.

    Parameters
    ----------
    seed : int
        Of the batches' order, augmentation and dropout; in a `Run` of the first weights too.
    order : int
        Another number gives another order of batches, augmentation and dropout; in a `Run` with
        the same first weights.
    epochs : int
    batch_size : int
        Recordings in a batch.
    learning_rate : float
        Of the optimizer, at the start; it falls to zero along a cosine.
    temperature_schedule, temperature_initial, temperature_final
        Of every `snnq.SigmoidQuantizer`, see `snnq.temperature_at`. A network of one's own is quantized
        at the same first T, `snnq.quantize(..., temperature=...)`: α fits that one.
    harden : two numbers, none, or ()
        Shares of the epochs between which quantized weights become hard one after another, see
        `snnq.training.hardening`; () for never before the end. None: for the sigmoids 0.1 and 0.85
        in layers of up to three levels, 0.5 and 0.95 in those of more; () for the other methods, as
        their papers have it.
    faults : str or None
        Faults of the memory that the quantized weights will lie in: "known", "epoch" or "step" (those
        of one device, or unknown ones, drawn anew so often), and then which: rates `stuck_at_0` and
        `stuck_at_1` of bits, the `variability` of values, the number of the `device`; or of a known
        device the `map`'s file. "known, stuck_at_0=0.1, device=3" say, see `snnq.draw_faults` and
        `snnq.training.faults`.
    device : str
        "auto" (a GPU where there is one), or a torch device.
    precision : str
        What convolutions and linear layers multiply in training: "float32"; on a GPU "tf32",
        float32 rounded to 10 bits of fraction; or "bf16", bfloat16. Batch norm, membrane
        potentials, quantizers and the optimizer, and all of evaluation, are in float32.
    arithmetic : str, or a mapping
        Which numbers all of a training computes with, emulated: a format of 8 bits, "posit8",
        "float8" or "int8" say, or one for each of some components, as in
        "weights=posit8,rest=float8:stochastic" or a mapping. See `snnq/training/arithmetic.py`.
    cuda_graph : bool
        On a GPU, replay full batches from a CUDA graph: the same run to the bit, and several times
        faster where networks are narrow (bench/gpu.py).
    soft_every : int or None
        Epochs between tests with soft weights, which also come after the last; None: after that
        alone. It does not change the network.

    Raises
    ------
    ValueError
        A value out of range or of another type, or an unknown name, with what was expected.
    """

    seed: int = 0
    order: int = 0
    epochs: int = 28
    batch_size: int = 16
    learning_rate: float = 2e-3
    temperature_schedule: str = "constant"
    temperature_initial: float = TEMPERATURE
    temperature_final: float = TEMPERATURE
    harden: tuple[float, ...] | None = None
    faults: str | None = None
    device: str = "auto"
    precision: str = "float32"
    arithmetic: str = "float32"
    cuda_graph: bool = False
    soft_every: int | None = 4

    def __post_init__(self):
        # Not above: these need torch, for which the help of `snnq train` would have to wait.
        from snnq.training.plain import plain
        from snnq.training.settings_checks import check_settings

        for field in fields(self):
            object.__setattr__(self, field.name, plain(field.name, getattr(self, field.name)))
        check_settings(self)

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Self:
        """From named settings. Raises ValueError for a name that is no setting."""
        refuse_unknown("parameter", parameters, list(inspect.signature(cls).parameters))
        return cls(**parameters)

    def tests_soft(self, epoch: int) -> bool:
        """Whether an epoch, counted from 1, ends with a test with soft weights."""
        every = self.soft_every or self.epochs
        return epoch % every == 0 or epoch == self.epochs

    @property
    def defaults(self) -> dict[str, Any]:
        """The value of each setting that is not given."""
        return {field.name: field.default for field in fields(self)}

    @property
    def changed(self) -> dict[str, Any]:
        """The settings that differ from the defaults."""
        defaults = self.defaults
        return {name: of for name, of in asdict(self).items() if of != defaults[name]}

    def __repr__(self) -> str:
        changed = (f"{name}={value!r}" for name, value in self.changed.items())
        return f"{type(self).__name__}({', '.join(changed)})"


def refuse_unknown(kind: str, names: Iterable[str], known: Sequence[str]) -> None:
    """Raise ValueError for the first name that is not known, with the one that it resembles."""
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(known)}"
            raise ValueError(f"unknown {kind} {name!r}: {hint}")
