"""Downloads through tonic, from addresses that answer, and unpacked whole or not at all."""

import shutil
from pathlib import Path
from urllib.error import URLError

from filelock import FileLock
from tonic.download_utils import check_integrity, download_url, extract_archive

from snnq.recordings.benchmark import Benchmark
from snnq.recordings.layout import no_recordings, recordings_beside

# tonic 1.7's figshare addresses of these return an empty answer; figshare's API has the same
# files by the same numbers (https://github.com/neuromorphs/tonic/pull/337).
FIGSHARE_OLD = "https://figshare.com/ndownloader/files/"
FIGSHARE = "https://api.figshare.com/v2/file/download/"


def download(benchmark: Benchmark, root: Path, train: bool) -> list[Path]:
    """Fetch and unpack one split's archive (or the whole benchmark's, where it has no split).

    The archive goes to the benchmark's folder, with a progress bar, and is checked against
    tonic's md5. It is unpacked beside it under a temporary name, which it loses once complete:
    an interrupted unpacking is never taken for a part of the recordings. A process that wants the
    same recordings meanwhile waits and then finds them.

    Returns
    -------
    list of Path
        The recordings of that side, see `Benchmark.recordings_in`.

    Raises
    ------
    FileNotFoundError
        It could not be fetched; says the address, the file, its md5 and where to put it, and which
        other recordings there are. Nothing is left, no folder either.
    """
    url, name, md5 = _archive(benchmark, train)
    archive, lock = benchmark.folder(root) / name, root / f".{benchmark.name}.lock"
    was_there = root.exists()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            if not (paths := benchmark.recordings_in(root, train)):
                _fetch(url, archive, md5)
                _unpack(archive, archive.parent)
                paths = benchmark.recordings_in(root, train)
    except (URLError, OSError, RuntimeError) as error:
        lock.unlink(missing_ok=True)
        _remove_if_empty(archive.parent, *([] if was_there else [root]))
        raise FileNotFoundError(
            f"{no_recordings(benchmark, root, train)}, and no download ({error}). Fetch {url} as"
            f" {archive} (md5 {md5}){recordings_beside(benchmark, root)}"
        ) from None
    return paths


def _archive(benchmark: Benchmark, train: bool) -> tuple[str, str, str]:
    """Address, name and md5 of one split's archive, or of the benchmark's."""
    dataset, side = benchmark.dataset, "train" if train else "test"
    url, name, md5 = (
        getattr(dataset, f"{side}_{what}", None) or getattr(dataset, alone)
        for what, alone in (("url", "url"), ("filename", "filename"), ("md5", "file_md5"))
    )
    return url.replace(FIGSHARE_OLD, FIGSHARE), name, md5


def _fetch(url: str, archive: Path, md5: str) -> None:
    if archive.exists() and not check_integrity(str(archive), md5):
        archive.unlink()  # what an interrupted download left
    try:
        download_url(url, str(archive.parent), archive.name, md5)
    except (URLError, OSError, RuntimeError):
        archive.unlink(missing_ok=True)
        raise


def _remove_if_empty(*folders: Path) -> None:
    for folder in folders:
        if folder.exists() and not any(folder.iterdir()):
            folder.rmdir()


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive, and the archives in it, into a folder."""
    partial = folder / f".{archive.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    extract_archive(str(archive), str(partial))
    inner = [
        path
        for path in partial.rglob("*")
        if path.suffix == ".zip" or path.suffixes[-2:] == [".tar", ".gz"]
    ]
    for path in inner:
        extract_archive(str(path), str(path.parent))
        path.unlink()
    tops = list(partial.iterdir())
    if len(tops) == 1 and tops[0].name == archive.stem:  # a folder named as the archive
        tops = list(tops[0].iterdir())
    for top in tops:
        target = (folder / top.name).resolve()  # a link to another disk stays one
        here = target.with_name(f".{target.name}.partial")
        shutil.rmtree(here, ignore_errors=True)
        shutil.move(top, here)
        shutil.rmtree(target, ignore_errors=True)
        here.rename(target)
    shutil.rmtree(partial)
