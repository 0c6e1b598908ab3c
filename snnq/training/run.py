"""One training run as plain settings, checked before anything is computed."""

import hashlib
import json
from dataclasses import InitVar, dataclass, fields
from typing import Any

from snnq.quantization.recipe import (
    BACKWARD_TEMPERATURE,
    LEARNED,
    OF_FEW,
    OF_MANY,
    recipe_for,
)
from snnq.quantization.rules import FULL, Levels, is_mixed
from snnq.recordings.places import DATA, DIGITS
from snnq.training.settings import Settings


@dataclass(frozen=True, kw_only=True, repr=False)
class Subject:
    """The network of a run and its recordings, see `Run`; first among its fields, before `Settings`."""

    benchmark: str = "nmnist"
    levels: Levels = "binary"
    data: str | None = None
    full_epochs: int | None = None
    full_learning_rate: float | None = None
    network: str = "plif"
    channels: int = 16
    neuron: str = "plif"
    membrane_bits: int | None = None
    steps: int | None = 3
    cut: str = "number"
    size: int | None = None
    split: str | None = None
    augmentation: str = "affine"
    start: str | None = None
    keep: tuple[str, ...] = ("first",)
    quantizer: str = "sigmoid"
    backward_temperature: float | None = BACKWARD_TEMPERATURE
    biases: str | None = None
    learned: tuple[str, ...] = LEARNED
    validation: float = 0.1


# Settings of a quantized run's first epochs, those in full precision.
OF_FULL_PART = ("full_epochs", "full_learning_rate")


@dataclass(frozen=True, kw_only=True, repr=False)
class Run(Settings, Subject):
    """Every setting of a training run: of the network and its recordings, beside `Settings`.

    Paths become text, and so on as there.

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
    full_epochs : int or None
        Of a quantized run without a `start`: how many of its epochs come first, in full precision,
        as a run of their own from whose weights the others start. None: half of them; 0: quantized
        from the first step.
    full_learning_rate : float or None
        Of those epochs, at their start; None: `learning_rate`.
    network, channels, neuron, membrane_bits
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
        the sigmoids' alone; `harden` is of the quantized epochs.
    backward_temperature, biases, learned
        See `snnq.SigmoidQuantizer`; of the sigmoids alone. `biases` and `harden` that are not given
        become what they stand for, unless layers of both few and many levels each have their own.
    validation : float
        Share of the training recordings held out to choose an epoch on, the last of each class;
        0 for none.
    log : str or None
        "tensorboard" writes each epoch's row for TensorBoard too, into the run's folder. It is no
        part of what the run is: neither its name nor its record has it.

    Raises
    ------
    ValueError
        A value out of range or of another type, an unknown name, or settings that do not go
        together, with the parameter and what was expected: all that training would refuse, but
        for what is on disk.
    """

    log: InitVar[str | None] = None

    def __post_init__(self, log: str | None):
        if self.data is None:
            object.__setattr__(self, "data", _data_of(self.benchmark))
        object.__setattr__(self, "log", log)
        super().__post_init__()
        # Not above, as there.
        from snnq.recordings.benchmarks import BENCHMARKS
        from snnq.recordings.splits import resolved_split
        from snnq.training.checks import check

        check(self)
        for name, value in _recipe_of(self).items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        if self.benchmark in BENCHMARKS:
            split = resolved_split(BENCHMARKS[self.benchmark], self.split)
            object.__setattr__(self, "split", split)

    @property
    def defaults(self) -> dict[str, Any]:
        """The value of each setting that is not given, for this benchmark."""
        return default_settings(self.benchmark)

    @property
    def epochs_in_full(self) -> int:
        """How many of the epochs come first, in full precision, before the quantized ones."""
        if self.levels == FULL or self.start is not None:
            return 0
        return self.epochs // 2 if self.full_epochs is None else self.full_epochs

    @property
    def recordings(self) -> str:
        """What it is trained on, in a word: the benchmark, or the name of one's own folder."""
        from snnq.recordings.benchmarks import word_of

        return word_of(self.benchmark, self.data)

    @property
    def name(self) -> str:
        """For people and folders: recordings, levels, seed, and a digest of the other settings.

        Of those that differ from the defaults, so that a setting that comes to `Run` renames none.
        """
        levels = self.levels if isinstance(self.levels, str) else f"{len(self.levels)}levels"
        levels = "mixed" if is_mixed(self.levels) else levels
        settings = json.dumps(self.changed, sort_keys=True)
        digest = hashlib.sha256(settings.encode()).hexdigest()[:8]
        return f"{self.recordings}-{levels}-seed{self.seed}-{digest}"


def default_settings(benchmark: str) -> dict[str, Any]:
    """The value of each setting that is not given, for a benchmark."""
    from snnq.recordings.benchmarks import BENCHMARKS

    split = BENCHMARKS[benchmark].split if benchmark in BENCHMARKS else None
    own = {"data": _data_of(benchmark), "split": split}
    own["biases"] = OF_FEW.biases  # so that a run by the recipe of many levels has a name of its own
    return {field.name: field.default for field in fields(Run)} | own


def _recipe_of(run: Run) -> dict[str, Any]:
    """What `biases` and `harden` that are not given are for all of a run's layers.

    Nothing where layers of few levels and of many each have their own. `harden` of few stays None,
    as in records of before there were two recipes.
    """
    from snnq.quantization.levels import resolve_levels

    sets = [of for _, of in run.levels] if is_mixed(run.levels) else [run.levels]
    sigmoids = run.quantizer == "sigmoid"
    recipes = {recipe_for(resolve_levels(of)) for of in sets if of != FULL and sigmoids}
    if recipes == {OF_MANY}:
        return OF_MANY._asdict()
    return {} if OF_MANY in recipes else {"biases": OF_FEW.biases}


def _data_of(benchmark: str) -> str:
    return DIGITS if benchmark == "nmnist" else DATA
