"""A run's state after each epoch, from which it goes on."""

import hashlib
import warnings
from dataclasses import asdict
from pathlib import Path

import torch

from snnq.files import write_atomically
from snnq.run import Run

PACKAGE = Path(__file__).parent
# The code that a run's result depends on.
SOURCES = [
    PACKAGE / f"{name}.py"
    for name in "augmentation benchmarks checkpoint evaluation formats frames levels lookup models plif"
    " quantizer record recordings run staircase temperature threads training".split()
]


class Checkpoint:
    """The checkpoint of one run folder.

    It belongs to the run's settings, to the frames it is trained on and to the code. Other
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
        self.settings = asdict(run)
        self.basis = {"frames": list(frames), "code": _digest_of_sources()}
        self.state = self._read()

    def restore(self, **parts) -> list[dict]:
        """Load the saved state, if any, into each part; the history so far, empty at the start."""
        if self.state is None:
            return []
        for name, part in parts.items():
            part.load_state_dict(self.state[name])
        return self.state["history"]

    def save(self, history: list[dict], **parts) -> None:
        state = {name: part.state_dict() for name, part in parts.items()}
        state |= {"settings": self.settings, "basis": self.basis, "history": history}
        write_atomically(self.path, lambda path: torch.save(state, path))

    def _read(self) -> dict | None:
        if not self.path.exists():
            return None
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        saved = state["settings"]
        different = [
            f"{name} is {saved.get(name)!r} there and {self.settings.get(name)!r} here"
            for name in sorted(saved.keys() | self.settings.keys())
            if saved.get(name) != self.settings.get(name)
        ]
        if different:
            raise ValueError(f"{self.path}: of another run ({'; '.join(different)}); use another folder")
        changed = [name for name, value in self.basis.items() if state["basis"][name] != value]
        if changed:
            warnings.warn(f"{self.path}: the {' and '.join(changed)} changed since, training again", stacklevel=4)
            return None
        return state


def _digest_of_sources() -> str:
    digest = hashlib.sha256()
    for path in SOURCES:
        digest.update(path.read_bytes())
    return digest.hexdigest()
