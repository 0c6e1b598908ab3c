"""Files that are either whole or not there, folders that one process has to itself, and what is
wrong with a file, in one line."""

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Call `write` with a temporary path in the same folder, then rename it to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
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


def first_line(error: BaseException) -> str:
    """The first line of what an error says, up to 200 characters; its type if it says nothing."""
    return str(error).strip().split("\n")[0][:200] or type(error).__name__


@contextmanager
def only_process_in(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, `.lock`, which the system releases however the process ends.

    Raises
    ------
    BlockingIOError
        Another process holds it; says which, on which machine.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, holder = folder / ".lock", folder / ".lock.holder"
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        who = holder.read_text() if holder.exists() else "another process"
        raise BlockingIOError(
            f"{folder}: {who} works in this folder; wait for it, or use another"
        ) from None
    try:
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()}")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
