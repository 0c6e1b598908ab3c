"""A run's state as it goes on, from which it is resumed."""

import hashlib
import pickle
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from snnq.system.files import first_line, write_atomically
from snnq.training.run import Run

SOURCES = sorted(Path(__file__).parents[1].rglob("*.py"))  # until the next commit
UNREADABLE = (RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError)


class Checkpoint:
    """The last two checkpoints of one run folder: `checkpoint.pt` and `checkpoint.previous.pt`.

    Written whole or not at all, and read without executing anything. Where the last one is
    unreadable, as a machine's crash may leave it, the one before is taken, with a warning.

    They belong to the run's settings, to the frames it is trained on and to the code. Other
    settings are refused, since the folder holds somebody's other result. Other frames or code
    make the result out of date, so training starts again, with a warning.

    Parameters
    ----------
    folder : Path
    run : Run
    frames : names of the frame files, which stand for their content

    Raises
    ------
    ValueError
        The folder's checkpoint is of other settings.
    """

    def __init__(self, folder: Path, run: Run, frames: tuple[str, ...]):
        self.path = folder / "checkpoint.pt"
        self.previous = folder / "checkpoint.previous.pt"
        self.settings = asdict(run)
        self.basis = {"frames": list(frames), "code": _digest_of_sources()}
        self.state = self._read()

    def restore(self, **parts) -> dict[str, Any] | None:
        """Load the saved state, if any, into each part; the progress that was saved with it."""
        if self.state is None:
            return None
        for name, part in parts.items():
            part.load_state_dict(self.state[name])
        return self.state["progress"]

    def save(self, progress: dict[str, Any], **parts) -> None:
        """Save the state of each part, and how far the run is.

        Raises
        ------
        OSError
            It could not be written; the one before is still there.
        """
        state = {name: part.state_dict() for name, part in parts.items()}
        state |= {"settings": self.settings, "basis": self.basis, "progress": progress}
        if self.path.exists():
            self.path.replace(self.previous)
        try:
            write_atomically(self.path, lambda path: torch.save(state, path))
        except RuntimeError as error:  # torch's way of saying that the disk is full
            raise OSError(f"{self.path}: not written ({first_line(error)})") from error

    def _read(self) -> dict | None:
        for path in (self.path, self.previous):
            if path.exists():
                try:
                    state = torch.load(path, map_location="cpu", weights_only=True)
                    state["settings"], state["basis"], state["progress"]
                except UNREADABLE as error:
                    warnings.warn(f"{path}: unreadable ({first_line(error)})", stacklevel=4)
                    path.unlink()
                else:
                    return self._checked(path, state)
        return None

    def _checked(self, path: Path, state: dict) -> dict | None:
        saved = state["settings"]
        different = [
            f"{name} is {saved.get(name)!r} there and {self.settings.get(name)!r} here"
            for name in sorted(saved.keys() | self.settings.keys())
            if saved.get(name) != self.settings.get(name)
        ]
        if different:
            raise ValueError(f"{path}: of another run ({'; '.join(different)}); use another folder")
        changed = [name for name, value in self.basis.items() if state["basis"][name] != value]
        if changed:
            warnings.warn(
                f"{path}: the {' and '.join(changed)} changed since, training again", stacklevel=5
            )
            return None
        return state


def _digest_of_sources() -> str:
    digest = hashlib.sha256()
    for path in SOURCES:
        digest.update(path.read_bytes())
    return digest.hexdigest()
