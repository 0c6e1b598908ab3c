"""What a training's result depends on, and whether a folder's is the same or another."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from snnq.quantization.network import quantizers
from snnq.recordings.frames import names_of_frames
from snnq.training.described import ADDRESS, described, settings_of
from snnq.training.faults_setting import read_faults_setting
from snnq.training.record import RECORD, WEIGHTS, read_record
from snnq.training.run import Run, default_settings
from snnq.training.settings import Settings

TRAINING_VERSION = 4  # raise it when the same run comes to give other results
# What stands for the content of a folder, and the setting that is compared where either is unknown:
# the same recordings in another place are the same.
CONTENTS = {"frames": "data", "start_weights": "start", "fault_map": "faults"}
# How the names end of what functions and layers hold, which identities of before have none of.
OF_PARTS = (" settings", ".settings")


def identity_of(run: Run, frames: tuple[str, str] | None) -> dict[str, Any]:
    """All that a run's result depends on but the machine and the libraries.

    Returns
    -------
    dict
        As JSON gives it back: every setting; "training_version"; "frames", the names of both
        splits' frames, which hold a digest of the recordings; and "start_weights", the SHA-256
        of the weights that the run starts from. The last two are None where they are unknown. Where
        known faults are in a file, "fault_map", its SHA-256.
    """
    found = asdict(run) | {
        "training_version": TRAINING_VERSION,
        "frames": frames,
        "start_weights": _digest_of_start(run),
    } | _of_fault_map(run)
    return json.loads(json.dumps(found))


def identity_of_network(
    model: nn.Module, settings: Settings, samples: Mapping[str, int], **functions: Any
) -> dict[str, Any]:
    """All that is known of what the result of training a network of one's own depends on.

    Parameters
    ----------
    model : nn.Module
        Before training: its parameters' names and shapes count, its layers' classes and plain
        settings (τ, say), and its quantizers and their levels, not its weights.
    settings : Settings
    samples : mapping
        How many each data set has, by its name.
    functions
        The loss, say: their names count, what is bound by `functools.partial`, and what they hold,
        see `described`.

    Returns
    -------
    dict
        As JSON gives it back, without anything nested: each difference is then told by its name.
    """
    found = asdict(settings) | {"training_version": TRAINING_VERSION} | _of_fault_map(settings)
    found |= {f"{name} samples": count for name, count in samples.items()}
    found |= {name: _name_of(function) for name, function in functions.items()}
    found |= {f"{name} settings": described(function) for name, function in functions.items()}
    found |= {
        f"{name or 'the network'}.settings": settings_of(module)
        for name, module in model.named_modules()
        if "parametrizations" not in name and not isinstance(module, nn.Sequential)
    }
    found |= {f"{name}.shape": parameter.shape for name, parameter in model.named_parameters()}
    for name, quantizer in quantizers(model).items():
        kind, options = getattr(quantizer, "recipe", (type(quantizer), {}))
        found[f"{name}.levels"] = quantizer.levels
        found[f"{name}.quantizer"] = _name_of(partial(kind, **options))
    return json.loads(json.dumps(found))


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """What differs between the identities of a folder's training and of another one, in words.

    A setting that one of them lacks, being of before there was such a setting, has its default.
    What functions and layers hold is compared where both state it.
    """
    both = _with_parts(there) and _with_parts(here)
    there, here = (_defaults(identity) | identity for identity in (there, here))
    compared = {name for name in {*there, *here} if both or not name.endswith(OF_PARTS)}
    for content, place in CONTENTS.items():
        compared.discard(place if there.get(content) and here.get(content) else content)
    return [
        f"{name} is {there.get(name)!r} there and {here.get(name)!r} here"
        for name in sorted(compared)
        if there.get(name) != here.get(name)
    ]


def refuse_another(folder: Path, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Raise ValueError with what differs, where a folder's run is another one."""
    if different := differences(there, here):
        raise ValueError(
            f"{folder}: holds another run ({'; '.join(different)}); use another folder, or"
            " restart=True to train in this one anew"
        )


def recorded_identity(folder: Path) -> dict[str, Any]:
    """The identity of a finished training, as far as its record states it.

    Raises FileNotFoundError where none is finished.
    """
    record = read_record(folder)
    if "run" not in record:
        return record["identity"]
    known = {name: record.get(name) for name in CONTENTS}
    # Records from before there was a version are of the first.
    return record["run"] | known | {"training_version": record.get("training_version", 1)}


def frames_of_run(run: Run) -> tuple[str, str] | None:
    """The names of the frames that a run is trained on; None where it has no recordings yet."""
    return names_of_frames(run.benchmark, run.data, run.steps, run.cut, run.size, split=run.split)


def is_finished(identity: Mapping[str, Any], folder: Path, restart: bool = False) -> bool:
    """Whether a folder holds the finished training of an identity. Nothing is written.

    Raises
    ------
    ValueError
        It holds another finished one, unless `restart`.
    """
    if not (folder / RECORD).exists():
        return False
    there = recorded_identity(folder)
    if not restart:
        refuse_another(folder, there, identity)
    return not differences(there, identity)


def _defaults(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Of its settings, as JSON gives them back."""
    benchmark = identity.get("benchmark")
    known = asdict(Settings()) if benchmark is None else default_settings(benchmark)
    return json.loads(json.dumps(known))


def _with_parts(identity: Mapping[str, Any]) -> bool:
    return any(name.endswith(OF_PARTS) for name in identity)


def _name_of(function: Any) -> str | None:
    """Of a function, a class or an object, with what `functools.partial` has bound."""
    if isinstance(function, partial):
        named = ((n, _bound(v)) for n, v in function.keywords.items())
        bound = [*map(_bound, function.args), *(f"{n}={v}" for n, v in named)]
        return f"{_name_of(function.func)}({', '.join(bound)})"
    if function is None or isinstance(function, str):
        return function
    return getattr(function, "__qualname__", None) or type(function).__qualname__


def _bound(value: Any) -> str:
    text = str(value)
    return str(_name_of(value)) if ADDRESS in text else text


def _digest_of_start(run: Run) -> str | None:
    weights = Path(run.start or "", WEIGHTS)
    return None if run.start is None else _digest(weights)


def _of_fault_map(settings: Settings) -> dict[str, str | None]:
    faults = read_faults_setting(settings.faults)
    return {} if faults is None or faults.map is None else {"fault_map": _digest(Path(faults.map))}


def _digest(path: Path) -> str | None:
    """SHA-256 of a file; None where there is none."""
    if not path.exists():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
