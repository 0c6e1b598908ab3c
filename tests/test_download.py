import hashlib
import io
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import tonic.download_utils

import snnq
from snnq.recordings.recordings import Recordings


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """An address that serves a folder, and that folder."""
    folder = tmp_path / "server"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr("snnq.recordings.download.download_url", tonic.download_utils.download_url)
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    server.server_close()


def zipped(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


@pytest.fixture
def ncaltech101(server, tmp_path, monkeypatch):
    """N-Caltech101's archive with an archive in it, as the real one is built."""
    address, folder = server
    inner = zipped({f"Caltech101/cup/image_{n:04}.bin": bytes(5 * n) for n in range(1, 11)})
    content = zipped({"N-Caltech101-archive/Caltech101.zip": inner})
    (folder / "file").write_bytes(content)
    dataset = snnq.BENCHMARKS["ncaltech101"].dataset
    monkeypatch.setattr(dataset, "url", f"{address}/file")
    monkeypatch.setattr(dataset, "file_md5", hashlib.md5(content).hexdigest())
    (tmp_path / "data").mkdir()
    return folder / "file", content


def test_a_missing_benchmark_is_downloaded_and_unpacked(ncaltech101, tmp_path):
    train, test = (Recordings("ncaltech101", tmp_path / "data", train) for train in (True, False))
    assert (len(train), len(test)) == (8, 2)
    left = sorted(path.name for path in (tmp_path / "data/NCALTECH101").iterdir())
    assert left == ["Caltech101", "N-Caltech101-archive.zip"]


def test_what_is_there_is_not_downloaded_again(ncaltech101, tmp_path):
    Recordings("ncaltech101", tmp_path / "data", train=True)
    ncaltech101[0].unlink()
    assert len(Recordings("ncaltech101", tmp_path / "data", train=False)) == 2


def test_an_interrupted_download_starts_again(ncaltech101, tmp_path):
    folder = tmp_path / "data/NCALTECH101"
    folder.mkdir(parents=True)
    (folder / "N-Caltech101-archive.zip").write_bytes(ncaltech101[1][:100])
    assert len(Recordings("ncaltech101", tmp_path / "data", train=False)) == 2


def test_an_interrupted_unpacking_is_no_part_of_the_recordings(ncaltech101, tmp_path, monkeypatch):
    def interrupted(source, target):
        extract(source, target)
        raise KeyboardInterrupt

    extract = tonic.download_utils.extract_archive
    monkeypatch.setattr("snnq.recordings.download.extract_archive", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Recordings("ncaltech101", tmp_path / "data", train=True)
    monkeypatch.setattr("snnq.recordings.download.extract_archive", extract)
    ncaltech101[0].unlink()  # the archive is there already
    assert len(Recordings("ncaltech101", tmp_path / "data", train=True)) == 8


def test_another_md5_is_refused_and_leaves_nothing(ncaltech101, tmp_path):
    ncaltech101[0].write_bytes(zipped({"Caltech101/cup/image_0001.bin": bytes(5)}))
    with pytest.raises(FileNotFoundError, match="corrupted.*md5"):
        Recordings("ncaltech101", tmp_path / "data", train=True)
    assert not (tmp_path / "data" / "NCALTECH101").exists()


@pytest.mark.parametrize(
    ("benchmark", "file", "md5"),
    [
        ("nmnist", "NMNIST/train.zip", "20959b8e626244a1b502305a9e6e2031"),
        ("dvsgesture", "DVSGesture/ibmGestureTrain.tar.gz", "3a8f0d4120a166bac7591f77409cb105"),
        ("cifar10dvs", "CIFAR10DVS/CIFAR10DVS.zip", "ce3a4a0682dc0943703bd8f749a7701c"),
        ("ncaltech101", "NCALTECH101/N-Caltech101-archive.zip", "66201824eabb0239c7ab992480b50ba3"),
    ],
)
def test_offline_says_what_to_fetch_and_where_to_put_it(tmp_path, benchmark, file, md5):
    message = (
        rf"no recordings of {benchmark} here.*Fetch https://\S+ as {tmp_path}/{file} \(md5 {md5}\)"
    )
    with pytest.raises(FileNotFoundError, match=message):
        snnq.load(benchmark, tmp_path)
    assert not (tmp_path / file).parent.exists()


def test_two_processes_download_once(ncaltech101, tmp_path, monkeypatch):
    """The second waits for the first, and then finds what it unpacked."""
    fetched = []
    fetch = tonic.download_utils.download_url

    def slowly(*of):
        fetched.append(of)
        time.sleep(0.5)
        return fetch(*of)

    monkeypatch.setattr("snnq.recordings.download.download_url", slowly)
    with ThreadPoolExecutor(4) as pool:  # filelock tells threads apart as it does processes
        jobs = [pool.submit(Recordings, "ncaltech101", tmp_path / "data", True) for _ in range(4)]
        assert [len(job.result()) for job in jobs] == [8] * 4
    assert len(fetched) == 1


def test_a_side_that_is_a_link_gets_the_recordings(ncaltech101, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "data/NCALTECH101").mkdir()
    (tmp_path / "data/NCALTECH101/Caltech101").symlink_to(tmp_path / "disk")
    assert len(Recordings("ncaltech101", tmp_path / "data", train=True)) == 8
    assert len(list((tmp_path / "disk").rglob("*.bin"))) == 10
