"""Files that are either whole or not there, and what is wrong with one, in one line."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

PARTIAL = "partial"  # in the names of files that are being written


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Call `write` with a temporary path in the same folder, then rename it to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{path.name}.{PARTIAL}."
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=path.suffix)
    os.close(handle)
    partial = Path(name)
    try:
        write(partial)
        partial.chmod(0o644)  # mkstemp's files are for their owner alone
        with partial.open("rb") as file:
            # Or a crash of the machine may leave an empty file of that name.
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def sweep(folder: Path, name: str = "") -> None:
    """Remove what killed processes left half-written in a folder, of files whose names start so.

    For whoever holds the folder's lock, or the file's: a partial file may be somebody's work.
    """
    for path in folder.glob(f".{name}*.{PARTIAL}*"):
        path.unlink(missing_ok=True)


def first_line(error: BaseException) -> str:
    """The first line of what an error says, up to 200 characters; its type if it says nothing."""
    return str(error).strip().split("\n")[0][:200] or type(error).__name__
