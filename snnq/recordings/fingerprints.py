"""Hashes of recordings' contents, each computed once and kept beside the file's size and times."""

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from snnq.system.files import write_atomically

THREADS = 8  # which wait for the disk more than they compute


def fingerprints(folder: Path, paths: Sequence[Path], cache: Path, keep: bool = True) -> list[str]:
    """SHA-256 of files below a folder.

    A file is read anew where its size or one of its times differs from those that its hash was
    kept with. So a touched file is read again and found the same, and a copy of a folder has the
    hashes of the original.

    Parameters
    ----------
    folder : Path
        Its own hashes are kept apart from those of any other folder, whatever the files' names.
    paths : sequence of Path
    cache : Path
        Where hashes are kept, in a file for each folder.
    keep : bool
        Whether to write those that were computed now, where that is possible.

    Raises
    ------
    OSError
        A file that cannot be read.
    """
    place = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    known_in = cache / f"fingerprints-{place}.json"
    known = _read(known_in)

    def kept_with(path: Path) -> list:
        stat, name = path.stat(), str(path.relative_to(folder))
        seen = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
        if known.get(name, [])[:-1] != seen:
            with path.open("rb") as file:
                return [name, *seen, hashlib.file_digest(file, "sha256").hexdigest()]
        return [name, *known[name]]

    with ThreadPoolExecutor(THREADS) as pool:
        found = {name: kept for name, *kept in pool.map(kept_with, paths)}
    if keep and not found.items() <= known.items():
        text = json.dumps(known | found)
        with suppress(OSError):  # a full or read-only place: they are computed again
            write_atomically(known_in, lambda path: path.write_text(text))
    return [digest for *_, digest in found.values()]


def _read(path: Path) -> dict[str, list]:
    """What of a file is as it was written; the rest, or all of it, can be computed again."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: kept for name, kept in found.items() if isinstance(kept, list) and len(kept) == 4}
