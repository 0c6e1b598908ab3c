"""What is known of recordings' contents, each found once and kept beside the file's size and times."""

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from snnq.system.bar import bar
from snnq.system.files import write_atomically

THREADS = 8  # which wait for the disk more than they compute
SILENT = 2  # seconds before a bar is shown
_not_kept: dict[str, dict[str, list]] = {}  # by the name of the file that would keep them


def fingerprints(folder: Path, paths: Sequence[Path], cache: Path, keep: bool = True) -> list[str]:
    """SHA-256 of files below a folder, see `known_of`."""
    return known_of("fingerprints", _sha256, folder, paths, cache, keep)


def known_of(
    what: str,
    find: Callable[[Path], Any],
    folder: Path,
    paths: Sequence[Path],
    cache: Path,
    keep: bool = True,
) -> list[Any]:
    """What is found in each of some files below a folder, as JSON gives it back.

    A file is read anew where its size or one of its times differs from those that its finding was
    kept with. So a touched file is read again and found the same, and a copy of a folder has the
    findings of the original.

    Parameters
    ----------
    what : str
        A name for it.
    find : function of a path
    folder : Path
        Its own findings are kept apart from those of any other folder, whatever the files' names.
    paths : sequence of Path
    cache : Path
        Where they are kept, in a file for each folder.
    keep : bool
        Whether to write those that were found now, where that is possible; or else this process
        alone knows them.

    Raises
    ------
    OSError
        A file that cannot be read.
    """
    place = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    known_in = cache / f"{what}-{place}.json"
    known = _read(known_in)
    here = _not_kept.get(known_in.name, {}) | known

    def kept_with(path: Path) -> list:
        stat, name = path.stat(), str(path.relative_to(folder))
        seen = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
        if here.get(name, [])[:-1] != seen:
            return [name, *seen, find(path)]
        return [name, *here[name]]

    options = {"total": len(paths), "desc": f"{what} of {folder}", "unit": "file", "delay": SILENT}
    with ThreadPoolExecutor(THREADS) as pool:
        found = {name: kept for name, *kept in bar(pool.map(kept_with, paths), **options)}
    if not keep:
        _not_kept[known_in.name] = here | found
    elif not found.items() <= known.items():
        text = json.dumps(known | found)
        with suppress(OSError):  # a full or read-only place: they are found again
            write_atomically(known_in, lambda path: path.write_text(text))
    return [one for *_, one in found.values()]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path) -> dict[str, list]:
    """What of a file is as it was written; the rest, or all of it, can be found again."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: kept for name, kept in found.items() if isinstance(kept, list) and len(kept) == 4}
