"""Which recordings a run trains on, chooses an epoch on, and is tested on."""

import numpy as np
from torch.utils.data import Subset

from snnq.recordings.benchmark import OFFICIAL
from snnq.recordings.frames import Frames, load
from snnq.recordings.splits import last_of_each_class
from snnq.training.run import Run


def splits_of(run: Run) -> tuple[Subset, Subset, Frames, tuple[str, str]]:
    """Training, validation and test recordings, and the names of the frames that they are from.

    Raises
    ------
    ValueError, FileNotFoundError
        As `load` does, for a split without recordings, and where none is left to train on.
    """
    recordings, test = load(run.benchmark, run.data, run.steps, run.cut, run.size, split=run.split)
    for split in (recordings, test):
        if not len(split):
            other = "" if run.split == OFFICIAL else ", or another split, such as 50/50"
            raise ValueError(
                f"{split.name}: no recordings of this split in {run.data}, expected more{other}"
            )
    held_out = last_of_each_class(recordings.labels, run.validation)
    train, validation = (
        Subset(recordings, np.flatnonzero(chosen).tolist()) for chosen in (~held_out, held_out)
    )
    if not len(train):
        raise ValueError(
            f"validation={run.validation}: holds out all of the {len(recordings)} training recordings"
            f" in {run.data}, at least one of each class; expected 0 for so few"
        )
    return train, validation, test, (recordings.name, test.name)
