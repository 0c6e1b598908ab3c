"""Downloads through tonic, from addresses that answer, and unpacked whole or not at all."""

import shutil
from pathlib import Path
from urllib.error import URLError

from tonic.download_utils import check_integrity, download_url, extract_archive

from snnq.recordings.benchmarks import Benchmark

# tonic 1.7's figshare addresses of these return an empty answer; figshare's API has the same
# files by the same numbers (https://github.com/neuromorphs/tonic/pull/337).
FIGSHARE_OLD = "https://figshare.com/ndownloader/files/"
FIGSHARE = "https://api.figshare.com/v2/file/download/"


def download(benchmark: Benchmark, root: str | Path, train: bool) -> None:
    """Fetch and unpack one split's archive (or the whole benchmark's, where it has no split).

    The archive goes to the benchmark's folder, with a progress bar, and is checked against
    tonic's md5. It is unpacked beside it under a temporary name, which it loses once complete:
    an interrupted unpacking is never taken for a part of the recordings.

    Raises
    ------
    FileNotFoundError
        It could not be fetched; says the address, the file, its md5 and where to put it.
    """
    dataset = benchmark.dataset
    side = "train" if train else "test"
    url, name, md5 = (
        getattr(dataset, f"{side}_{what}", None) or getattr(dataset, alone)
        for what, alone in (("url", "url"), ("filename", "filename"), ("md5", "file_md5"))
    )
    url = url.replace(FIGSHARE_OLD, FIGSHARE)
    folder = benchmark.folder(root)
    archive = folder / name
    if archive.exists() and not check_integrity(str(archive), md5):
        archive.unlink()  # what an interrupted download left
    try:
        download_url(url, str(folder), name, md5)
    except (URLError, OSError, RuntimeError) as error:
        archive.unlink(missing_ok=True)
        if folder.exists() and not any(folder.iterdir()):
            folder.rmdir()
        raise FileNotFoundError(
            f"{folder / benchmark.folders[0 if train else 1]}: no recordings of {benchmark.name}"
            f" here, and no download ({error}). Fetch {url} as {archive} (md5 {md5})"
        ) from None
    _unpack(archive, folder)


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
        shutil.rmtree(folder / top.name, ignore_errors=True)
        top.rename(folder / top.name)
    shutil.rmtree(partial)
