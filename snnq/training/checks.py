"""What the settings of a run may be, beside those of every training."""

from functools import lru_cache

import torch

from snnq.networks.models import NETWORKS, NEURONS, SpikingNetwork, build_model
from snnq.quantization.levels import BIASES, resolve_levels
from snnq.quantization.methods import QUANTIZERS
from snnq.quantization.mixed import levels_by_layer
from snnq.quantization.network import quantize
from snnq.quantization.rules import FULL, Levels, LevelSet, is_mixed
from snnq.quantization.sigmoid import SCALES, check_learned
from snnq.quantization.temperature import TEMPERATURE_CAP
from snnq.recordings.augmentation import AUGMENTATIONS, MIRRORING
from snnq.recordings.benchmark import Benchmark
from snnq.recordings.benchmarks import FOLDER, found_benchmark
from snnq.recordings.binning import CUTS
from snnq.recordings.places import DATA
from snnq.recordings.splits import resolved_split
from snnq.storage.bits import MOST_LEVELS
from snnq.storage.format import network_without_numbers
from snnq.training.faults_setting import read_faults_setting
from snnq.training.run import OF_FULL_PART, Run
from snnq.training.settings_checks import LARGEST, number, one_of, text, whole

NARROW = 1  # channels of the network that quantizing is tried on
TEXTS = ("benchmark", "data", "network", "neuron", "cut", "augmentation", "quantizer")
LOGS = (None, "tensorboard")


def check(run: Run) -> None:
    """Raise ValueError for the first setting out of range or unknown name, with what was expected."""
    for name in TEXTS:
        text(run, name)
    if not isinstance(run.start, str | None):
        raise ValueError(f"start={run.start!r}: expected the folder of a run, or none")
    if run.benchmark.partition(":")[0] == FOLDER and run.data == DATA:
        raise ValueError(f"data={DATA!r}: expected the folder of your recordings")
    benchmark = found_benchmark(run.benchmark, run.data)
    _names(run, "keep")
    _names(run, "learned")
    whole(run, "channels", least=1)
    _full_part(run)
    for name in ("steps", "size"):
        if getattr(run, name) is not None:
            whole(run, name, least=1)
    one_of(run, "network", NETWORKS)
    one_of(run, "neuron", NEURONS)
    one_of(run, "cut", CUTS)
    one_of(run, "augmentation", AUGMENTATIONS)
    one_of(run, "quantizer", QUANTIZERS)
    if run.biases is not None:
        one_of(run, "biases", BIASES)
    check_learned(run.learned)
    _faults(run)
    if run.backward_temperature is not None:
        number(run, "backward_temperature", above=0, most=TEMPERATURE_CAP)
    number(run, "validation", above=-1e-9, most=0.9)
    if run.log not in LOGS:
        raise ValueError(f"log={run.log!r}: expected tensorboard, or none")
    _levels(run)
    if benchmark is not None:  # else it is not there yet
        _goes_with(run, benchmark)


def _faults(run: Run) -> None:
    faults = read_faults_setting(run.faults)
    if faults is not None and faults.way == "known" and run.levels != FULL:
        takes = [name for name, of in QUANTIZERS.items() if of.takes_reachable]
        if run.quantizer not in takes:
            raise ValueError(
                f"faults={run.faults!r}: known ones go with quantizer {', '.join(takes)}, not with"
                f" {run.quantizer!r}"
            )


def _goes_with(run: Run, benchmark: Benchmark) -> None:
    """What the recordings must allow."""
    resolved_split(benchmark, run.split)
    most = min(benchmark.height, benchmark.width)
    if run.size is not None and run.size > most:
        raise ValueError(f"size={run.size}: expected {most} at most, the sensor's")
    if run.augmentation in MIRRORING and not benchmark.mirrors:
        raise ValueError(
            f"augmentation={run.augmentation!r}: a mirrored recording of {run.benchmark}"
            " may be of another class"
        )
    kind = run.benchmark, run.neuron, run.channels, run.network, run.size
    kind += (("membrane_bits", run.membrane_bits), *benchmark.dimensions.items())
    _network(*kind)
    if run.levels != FULL:
        _quantized(kind, run.levels, run.keep, run.quantizer)


def _full_part(run: Run) -> None:
    for name in OF_FULL_PART:
        if getattr(run, name) is not None and run.start is not None:
            raise ValueError(
                f"{name}={getattr(run, name)}: expected none where a run starts from a full-precision"
                f" one, start={run.start!r}"
            )
    if run.full_learning_rate is not None:
        number(run, "full_learning_rate", above=0, most=LARGEST)
    if run.full_epochs is None:
        return
    whole(run, "full_epochs", least=0)
    if run.levels != FULL and run.full_epochs >= run.epochs:
        raise ValueError(f"full_epochs={run.full_epochs}: expected fewer than epochs={run.epochs}")


def _levels(run: Run) -> None:
    if not is_mixed(run.levels):
        return _level_set(run.levels)
    for key, levels in run.levels:
        _level_set(levels, f"levels: {key!r}: ")


def _level_set(levels: LevelSet, place: str = "") -> None:
    if levels == FULL:
        return
    if not isinstance(levels, str | tuple):
        raise ValueError(f"{place}levels={levels!r}: expected a name or a list of numbers")
    if not isinstance(levels, str):
        if others := [level for level in levels if type(level) not in (int, float)]:
            raise ValueError(f"{place}levels: {others[0]!r} among them, expected numbers")
        if len(levels) > MOST_LEVELS:
            raise ValueError(
                f"{place}levels: {len(levels)} of them, expected {MOST_LEVELS} at most"
            )
    values = torch.tensor(resolve_levels(levels), dtype=torch.float64).float()
    if not (values.isfinite().all() and (values.diff() > 0).all()):
        raise ValueError(f"{place}levels={levels}: expected numbers that float32 tells apart")


@lru_cache
def _network(*kind) -> SpikingNetwork:
    """The network of these arguments of `build_model`, if there is such. It takes no memory."""
    names = "benchmark", "neuron", "channels", "network", "size"
    return network_without_numbers(dict(zip(names, kind)) | dict(kind[len(names) :]))


@lru_cache
def _quantized(kind: tuple, levels: Levels, keep: tuple[str, ...], quantizer: str) -> None:
    """Whether the network has the layers that are named, and a method takes these levels: tried on
    a narrow one, with the levels that its layers have in the wide one."""
    by_layer = levels_by_layer(_network(*kind), levels, keep)
    benchmark, neuron, _, network, size, *dimensions = kind
    options = {"biases": "uniform"} if quantizer == "sigmoid" else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        narrow = build_model(benchmark, neuron, NARROW, network, size, **dict(dimensions))
        quantize(narrow, by_layer, (), QUANTIZERS[quantizer], **options)


def _names(run: Run, name: str) -> None:
    value = getattr(run, name)
    if not isinstance(value, tuple) or not all(isinstance(one, str) for one in value):
        expected = "layer names" if name == "keep" else f"some of {', '.join(SCALES)}"
        raise ValueError(f"{name}={value!r}: expected a list of {expected}")
