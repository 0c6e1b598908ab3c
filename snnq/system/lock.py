"""A folder that one process has to itself."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


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
