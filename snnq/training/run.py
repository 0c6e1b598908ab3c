"""One training run as plain settings, checked before anything is computed."""

import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from snnq.quantization.rules import FULL, Levels, is_mixed
from snnq.recordings.places import DATA, DIGITS

HARDENING = (0.1, 0.85)  # of the sigmoids: the rest of the time is for what is not quantized


@dataclass(frozen=True, kw_only=True)
class Run:
    """Every setting of a training run.

    Paths, lists, ranges, arrays and NumPy's numbers become text, tuples and Python's own numbers.

    Parameters
    ----------
    benchmark : str
        A name in `snnq.BENCHMARKS`; "folder" (or "folder:346x260", with the sensor's size) for
        recordings of one's own in `data`, a folder with a folder per class; or "tonic:<class>" for
        a dataset class of tonic. See `snnq.load`.
    levels : str, increasing numbers, or a mapping
        A name in `snnq.LEVELS`, the levels themselves (256 at most; "[-1, 0, 3]" too), or "full"
        for full precision. For mixed precision a mapping as `snnq.quantize` takes it, also as pairs
        or as in "<1000=4bit,rest=binary"; it becomes pairs, the most specific first.
    data : str or None
        The data folder that holds the benchmark's recordings, or gets them by download. None:
        "data/digits", the simulated ones, for nmnist, and "data" for the others; recordings of
        one's own need it.
    seed : int
        Of the first weights, the batches' order, augmentation and dropout.
    order : int
        Another number gives the same first weights another order of batches, augmentation and
        dropout.
    epochs, batch_size, learning_rate
        Of Adam, whose learning rate falls to zero along a cosine.
    full_epochs : int or None
        Of a quantized run without a `start`: how many of its epochs come first, in full precision,
        as a run of their own from whose weights the others start. None: half of them; 0: quantized
        from the first step.
    network, channels, neuron
        See `snnq.build_model`.
    steps : int or None
        Time steps; None for the benchmark's own.
    cut : str
        How a recording is cut into time steps: by "number" of events or by "time".
    size : int or None
        Height and width of the frames; None for the sensor's own.
    split : str or None
        Which recordings are the test: "official", or of a benchmark without an official split the
        shares of training and test in per cent, "90/10" say; None for the benchmark's own,
        "official" or "80/20". See `resolved_split`. Of recordings that are none of
        `snnq.BENCHMARKS` None stays None, since only they tell.
    augmentation : str
        A name in `snnq.recordings.augmentation.AUGMENTATIONS`, for the training recordings.
    start : str or None
        Folder of a finished full-precision run whose weights to start from; its recordings may be
        others, simulated ones say. None: from scratch, see `full_epochs`.
    keep : sequence of names
        Layers that stay in full precision, see `snnq.quantize`.
    quantizer : str
        A name in `snnq.QUANTIZERS`: "sigmoid", or a method to compare it with. Temperatures are
        the sigmoids' alone.
    temperature_schedule, temperature_initial, temperature_final
        See `snnq.temperature_at`.
    backward_temperature, biases, learned
        See `snnq.SigmoidQuantizer`; of the sigmoids alone too.
    harden : two numbers, none, or ()
        Shares of the quantized epochs between which the weights become hard one after another, see
        `snnq.training.hardening`; () for never before the end. None: 0.1 and 0.85 for the sigmoids, ()
        for the other methods, as their papers have it.
    validation : float
        Share of the training recordings held out to choose an epoch on, the last of each class;
        0 for none.
    device : str
        "auto" (a GPU where there is one), or a torch device.
    precision : str
        What convolutions and linear layers multiply in training: "float32"; on a GPU "tf32",
        float32 rounded to 10 bits of fraction; or "bf16", bfloat16. Batch norm, membrane
        potentials, quantizers and Adam, and all of evaluation, are in float32.
    cuda_graph : bool
        On a GPU, replay full batches from a CUDA graph: for narrow networks. Not yet tried on one.
    soft_every : int or None
        Epochs between tests with soft weights, which also come after the last; None: after that
        alone. It does not change the network.

    Raises
    ------
    ValueError
        A value out of range or of another type, an unknown name, or settings that do not go
        together, with the parameter and what was expected: all that training would refuse, but
        for what is on disk.
    """

    benchmark: str = "nmnist"
    levels: Levels = "binary"
    data: str | None = None
    seed: int = 0
    order: int = 0
    epochs: int = 28
    full_epochs: int | None = None
    batch_size: int = 16
    learning_rate: float = 2e-3
    network: str = "plif"
    channels: int = 16
    neuron: str = "plif"
    steps: int | None = 3
    cut: str = "number"
    size: int | None = None
    split: str | None = None
    augmentation: str = "affine"
    start: str | None = None
    keep: tuple[str, ...] = ("first",)
    quantizer: str = "sigmoid"
    temperature_schedule: str = "constant"
    temperature_initial: float = 4.0
    temperature_final: float = 4.0
    backward_temperature: float | None = 2.0
    biases: str = "kmeans"
    learned: tuple[str, ...] = ("alpha",)
    harden: tuple[float, ...] | None = None
    validation: float = 0.1
    device: str = "auto"
    precision: str = "float32"
    cuda_graph: bool = False
    soft_every: int | None = 4

    def __post_init__(self):
        if self.data is None:
            object.__setattr__(self, "data", _data_of(self.benchmark))
        # Not above: these need torch, for which the help of `snnq train` would have to wait.
        from snnq.recordings.benchmarks import BENCHMARKS
        from snnq.recordings.splits import resolved_split
        from snnq.training.checks import check
        from snnq.training.plain import plain

        for field in fields(self):
            object.__setattr__(self, field.name, plain(field.name, getattr(self, field.name)))
        check(self)
        if self.benchmark in BENCHMARKS:
            split = resolved_split(BENCHMARKS[self.benchmark], self.split)
            object.__setattr__(self, "split", split)

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Self:
        """A run from named settings. Raises ValueError for a name that is no setting."""
        refuse_unknown("parameter", parameters, [field.name for field in fields(cls)])
        return cls(**parameters)

    @property
    def epochs_in_full(self) -> int:
        """How many of the epochs come first, in full precision, before the quantized ones."""
        if self.levels == FULL or self.start is not None:
            return 0
        return self.epochs // 2 if self.full_epochs is None else self.full_epochs

    def tests_soft(self, epoch: int) -> bool:
        """Whether an epoch, counted from 1, ends with a test with soft weights."""
        every = self.soft_every or self.epochs
        return epoch % every == 0 or epoch == self.epochs

    @property
    def hardens(self) -> tuple[float, ...]:
        """`harden`, or what stands for it where it is not given."""
        if self.harden is not None:
            return self.harden
        return HARDENING if self.quantizer == "sigmoid" else ()

    @property
    def name(self) -> str:
        """For people and folders: benchmark, levels, seed, and a digest of the other settings.

        Of those that differ from the defaults, so that a setting that comes to `Run` renames none.
        """
        levels = self.levels if isinstance(self.levels, str) else f"{len(self.levels)}levels"
        levels = "mixed" if is_mixed(self.levels) else levels
        defaults = default_settings(self.benchmark)
        changed = {name: value for name, value in asdict(self).items() if value != defaults[name]}
        settings = json.dumps(changed, sort_keys=True)
        digest = hashlib.sha256(settings.encode()).hexdigest()[:8]
        return f"{self.benchmark.replace(':', '-')}-{levels}-seed{self.seed}-{digest}"


def default_settings(benchmark: str) -> dict[str, Any]:
    """The value of each setting that is not given, for a benchmark."""
    from snnq.recordings.benchmarks import BENCHMARKS

    split = BENCHMARKS[benchmark].split if benchmark in BENCHMARKS else None
    own = {"data": _data_of(benchmark), "split": split}
    return {field.name: field.default for field in fields(Run)} | own


def _data_of(benchmark: str) -> str:
    return DIGITS if benchmark == "nmnist" else DATA


def refuse_unknown(kind: str, names: Iterable[str], known: Sequence[str]) -> None:
    """Raise ValueError for the first name that is not known, with the one that it resembles."""
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(known)}"
            raise ValueError(f"unknown {kind} {name!r}: {hint}")
