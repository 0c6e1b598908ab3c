"""What a run's result depends on, and whether a folder's run is the same or another."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from snnq.recordings.frames import names_of_frames
from snnq.training.record import RECORD, WEIGHTS, read_record
from snnq.training.run import Run, default_settings

TRAINING_VERSION = 3  # raise it when the same run comes to give other results
# What stands for the content of a folder, and the setting that is compared where either is unknown:
# the same recordings in another place are the same.
CONTENTS = {"frames": "data", "start_weights": "start"}


def identity_of(run: Run, frames: tuple[str, str] | None) -> dict[str, Any]:
    """All that a run's result depends on but the machine and the libraries.

    Returns
    -------
    dict
        As JSON gives it back: every setting; "training_version"; "frames", the names of both
        splits' frames, which hold a digest of the recordings; and "start_weights", the SHA-256
        of the weights that the run starts from. The last two are None where they are unknown.
    """
    found = asdict(run) | {
        "training_version": TRAINING_VERSION,
        "frames": frames,
        "start_weights": _digest_of_start(run),
    }
    return json.loads(json.dumps(found))


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """What differs between the identities of a folder's run and of another one, in words.

    A setting that one of them lacks, being of before there was such a setting, has its default.
    """
    there, here = (_defaults(identity["benchmark"]) | identity for identity in (there, here))
    compared = set(there) | set(here)
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
    """The identity of a finished run, as far as its record states it.

    Raises FileNotFoundError where no run is finished.
    """
    record = read_record(folder)
    known = {name: record.get(name) for name in CONTENTS}
    # Records from before there was a version are of the first.
    return record["run"] | known | {"training_version": record.get("training_version", 1)}


def frames_of_run(run: Run) -> tuple[str, str] | None:
    """The names of the frames that a run is trained on; None where it has no recordings yet."""
    return names_of_frames(run.benchmark, run.data, run.steps, run.cut, run.size, split=run.split)


def is_finished(run: Run, folder: Path, restart: bool = False) -> bool:
    """Whether a folder holds this run, finished. No frames are loaded, nothing is written.

    Raises
    ------
    ValueError
        It holds another finished run, unless `restart`.
    """
    if not (folder / RECORD).exists():
        return False
    there, here = recorded_identity(folder), identity_of(run, frames_of_run(run))
    if not restart:
        refuse_another(folder, there, here)
    return not differences(there, here)


def _defaults(benchmark: str) -> dict[str, Any]:
    """As JSON gives them back."""
    return json.loads(json.dumps(default_settings(benchmark)))


def _digest_of_start(run: Run) -> str | None:
    weights = Path(run.start or "", WEIGHTS)
    if run.start is None or not weights.exists():
        return None
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
