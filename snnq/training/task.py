"""What is to be trained, on what and how."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from torch.utils.data import Dataset

from snnq.training.gradients import Loss
from snnq.training.optimizer import FUSED_ADAM, MakeOptimizer
from snnq.training.samples import Augmentation
from snnq.training.settings import Settings

Row = dict[str, Any]  # of the history
Callback = Callable[[Row, Path], None]


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is to be trained, on what and how, and what its folder says of it.

    Attributes
    ----------
    settings : Settings
        Its epochs are all, those behind included.
    splits : dict
        The data sets "train", "validation" and "test"; the last two may be None or empty.
    start : function
        The network to train, and the history's rows of the epochs that are behind it already.
        Called once the folder is this process's own.
    identity, about : dict
        What the result depends on, and what the record begins with.
    title : str
        Of the progress bar.
    loss, optimizer, augmentation, callbacks
        See `snnq.train`.
    """

    settings: Settings
    splits: dict[str, Dataset | None]
    start: Callable[[], tuple[nn.Module, list[Row]]]
    identity: dict[str, Any]
    about: dict[str, Any]
    title: str
    loss: Loss | None = None
    optimizer: MakeOptimizer = FUSED_ADAM
    augmentation: Augmentation = None
    callbacks: Sequence[Callback] = ()
