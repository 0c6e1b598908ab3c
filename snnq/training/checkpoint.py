"""A run's state as it goes on, from which it is resumed."""

import pickle
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from snnq.system.files import first_line, save_tensors
from snnq.training.identity import refuse_another
from snnq.training.record import versions

UNREADABLE = (RuntimeError, EOFError, KeyError, ValueError, TypeError, pickle.UnpicklingError)


@dataclass
class Progress:
    """How far a run is.

    Attributes
    ----------
    history, histograms : list of dict
        Rows of the epochs that are finished.
    step : int
        Batches of the present epoch that are done.
    loss_sum, correct : float, int
        Over the recordings of those batches.
    seconds : float
        What the present epoch took until it was saved.
    random : list of Tensor, optional
        The generators' states, within an epoch: of the CPU, and of the GPU in use.
    device : str, optional
        Where it was trained until then.
    """

    history: list[dict[str, Any]] = field(default_factory=list)
    histograms: list[dict[str, Any]] = field(default_factory=list)
    step: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    seconds: float = 0.0
    random: list[Tensor] | None = None
    device: str | None = None

    def start_epoch(self) -> None:
        self.step, self.loss_sum, self.correct, self.seconds, self.random = 0, 0.0, 0, 0.0, None


class Checkpoint:
    """The last two checkpoints of one run folder: `checkpoint.pt` and `checkpoint.previous.pt`.

    Written whole or not at all, and read without executing anything. Where the last one is
    unreadable, as a machine's crash may leave it, it is renamed, with a warning, and the one
    before is taken.

    Parameters
    ----------
    folder : Path
    identity : dict
        Of the run, see `identity_of`.
    restart : bool
        Whether to leave aside a checkpoint of another run instead of refusing it.

    Raises
    ------
    ValueError
        The folder's checkpoint is of another run, unless `restart`.
    """

    def __init__(self, folder: Path, identity: dict[str, Any], restart: bool = False):
        self.path = folder / "checkpoint.pt"
        self.previous = folder / "checkpoint.previous.pt"
        self.identity = identity
        self.state = self._read(restart)
        self.start = None  # the network's, until there is a checkpoint

    @contextmanager
    def or_from_the_start(self, model: nn.Module) -> Iterator[None]:
        """A block in which an error before the first checkpoint leaves a network as it was.

        Called again with it, the training begins anew. A checkpoint at the start would do, too, but
        whoever lowers the batch size or mends the loss after an error in the first step would be
        told that the folder holds another run.
        """
        self.start = deepcopy(model.state_dict()) if self.state is None else None
        try:
            yield
        except BaseException:
            if self.start is not None:
                model.load_state_dict(self.start)
            raise

    def restore(self, **parts) -> Progress:
        """Load the saved state, if any, into each part; the progress that was saved with it."""
        if self.state is None:
            return Progress()
        for name, part in parts.items():
            part.load_state_dict(self.state[name])
        return Progress(**self.state["progress"])

    def save(self, progress: Progress, **parts) -> None:
        """Save the state of each part, and how far the run is.

        Raises
        ------
        OSError
            It could not be written; the one before is still there.
        """
        state = {name: part.state_dict() for name, part in parts.items()}
        state |= {"identity": self.identity, "versions": versions(), "progress": asdict(progress)}
        if self.path.exists():
            self.path.replace(self.previous)
        save_tensors(self.path, lambda path: torch.save(state, path))
        self.start = None

    def remove(self) -> None:
        """For a run that is finished."""
        for path in (self.path, self.previous):
            path.unlink(missing_ok=True)

    def _read(self, restart: bool) -> dict | None:
        for path in (self.path, self.previous):
            if path.exists():
                try:
                    state = torch.load(path, map_location="cpu", weights_only=True)
                    there, _ = state["identity"], Progress(**state["progress"])
                except UNREADABLE as error:
                    kept = _set_aside(path)
                    warnings.warn(
                        f"{path}: unreadable ({first_line(error)}), renamed to {kept.name}",
                        stacklevel=4,
                    )
                    continue
                try:
                    refuse_another(path.parent, there, self.identity)
                except ValueError:
                    if not restart:
                        raise
                    return None
                _compare_versions(path, state["versions"])
                return state
        return None


def _set_aside(path: Path) -> Path:
    """Rename a file that cannot be read; the new name is one that none has yet."""
    number = 1
    while (kept := path.with_suffix(f".unreadable{number}.pt")).exists():
        number += 1
    return path.rename(kept)


def _compare_versions(path: Path, there: dict[str, str]) -> None:
    changed = [
        f"{package} {there.get(package)} there and {version} here"
        for package, version in versions().items()
        if there.get(package) != version
    ]
    if changed:
        warnings.warn(f"{path}: going on with other versions: {'; '.join(changed)}", stacklevel=5)
