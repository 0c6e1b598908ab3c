"""Files that are either whole or not there, and what is wrong with one, in one line."""

import os
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

from safetensors import SafetensorError

PARTIAL = "partial"  # in the names of files that are being written


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Call `write` with a temporary path in the same folder, then rename it to `path`.

    Raises
    ------
    OSError
        It could not be written, as to a full disk, with its name.
    """
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
    except OSError as error:
        if error.filename is None and error.errno:
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
    finally:
        partial.unlink(missing_ok=True)


def save_tensors(path: Path, save: Callable[[Path], None]) -> None:
    """`write_atomically` for torch and safetensors, which say in other ways that a disk is full.

    Raises
    ------
    OSError
        It could not be written; what was there still is.
    """
    try:
        write_atomically(path, save)
    except (RuntimeError, SafetensorError) as error:
        reason = f"not written, the disk may be full ({first_line(error)})"
        raise OSError(f"{path}: {reason}") from error


def sweep(folder: Path, name: str = "") -> None:
    """Remove what killed processes left half-written in a folder, of files whose names start so.

    For whoever holds the folder's lock, or the file's: a partial file may be somebody's work.
    """
    for path in folder.glob(f".{name}*.{PARTIAL}*"):
        path.unlink(missing_ok=True)


def files_below(folder: Path, suffixes: Collection[str] | None = None) -> list[Path]:
    """Files, or those with one of some suffixes in any case, anywhere below a folder, in order.

    Links are followed as if what they lead to lay in their place, except back into a folder that
    they lie in. Hidden files and folders, which archives and editors leave, are passed over. None
    where there is no such folder.

    Raises
    ------
    OSError
        A folder that cannot be read, or a link that leads nowhere: what is below is unknown.
    """
    if not os.path.lexists(folder):
        return []
    found, places = [], [(folder, {_identity(folder)})]
    while places:
        place, inside = places.pop()
        with os.scandir(place) as entries:
            visible = [entry for entry in entries if entry.name[0] != "."]
        for entry in visible:
            path = place / entry.name
            if entry.is_symlink() or entry.is_dir():
                identity = _identity(path)
            if not entry.is_dir():
                if suffixes is None or path.suffix.lower() in suffixes:
                    found.append(path)
            elif identity not in inside:
                places.append((path, inside | {identity}))
    return sorted(found)


def _identity(path: Path) -> tuple[int, int]:
    """Of a file or folder, whatever links lead to it."""
    try:
        stat = path.stat()
    except OSError:
        if not path.is_symlink():
            raise
        raise FileNotFoundError(
            f"{path}: a link to {os.readlink(path)}, which cannot be reached"
        ) from None
    return stat.st_dev, stat.st_ino


def first_line(error: BaseException) -> str:
    """The first line of what an error says, up to 200 characters; its type if it says nothing."""
    return str(error).strip().split("\n")[0][:200] or type(error).__name__
