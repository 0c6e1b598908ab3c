"""The two parts of a quantized run from scratch: full precision, and quantized from there."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from snnq.quantization.rules import FULL
from snnq.training.record import read_history
from snnq.training.run import OF_FULL_PART, Run

FULL_FOLDER = "full"  # in a run's own folder
NO_FULL_PART = dict.fromkeys(OF_FULL_PART)


def full_part(run: Run) -> Run:
    """The run that trains the full-precision network, of one that has such a part."""
    learning_rate = run.full_learning_rate or run.learning_rate
    return replace(
        run, levels=FULL, epochs=run.epochs_in_full, learning_rate=learning_rate, **NO_FULL_PART
    )


def last_part(run: Run, folder: Path) -> Run:
    """What remains of a run when its full-precision part is done: all of it where it has none."""
    if not run.epochs_in_full:
        return run
    epochs = run.epochs - run.epochs_in_full
    return replace(run, start=str(folder / FULL_FOLDER), epochs=epochs, **NO_FULL_PART)


def full_rows(run: Run, folder: Path) -> list[dict[str, Any]]:
    """The history's rows of the finished full-precision part, which has no temperature."""
    if not run.epochs_in_full:
        return []
    return read_history(folder / FULL_FOLDER).assign(temperature=math.nan).to_dict("records")
