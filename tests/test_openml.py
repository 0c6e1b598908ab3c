"""Pictures from OpenML, by answers that were made here: no test asks the real one."""

import errno
import gzip
import hashlib
import json
from email.message import Message
from io import BytesIO
from pathlib import Path
from urllib.error import URLError
from urllib.request import BaseHandler, build_opener, install_opener
from urllib.response import addinfourl

import numpy as np
import pytest
import sklearn.datasets

import snnq
from snnq.__main__ import main
from snnq.simulation import openml
from snnq.simulation.openml import SOURCES, fetch_pictures
from snnq.simulation.pictures import read_pictures

LOAD = sklearn.datasets.fetch_openml  # before any test replaces it


def made(source):
    """Rows and classes as the loader gives them, each row of one random colour."""
    rng = np.random.default_rng(0)
    count, planes = sum(source.rows), source.values // 1024 or 1
    colours = rng.integers(0, 256, (count, planes), dtype=np.uint8)
    rows = colours.repeat(source.values // planes, axis=1)
    classes = rng.integers(0, 10, count, dtype=np.uint8)
    for first, begin in zip((0, source.rows[0]), source.begins):
        classes[first : first + len(begin)] = [int(text) for text in begin]
    return rows, classes


@pytest.fixture
def answers(monkeypatch):
    """A function that sets what the loader returns or raises; the calls are kept in its list."""

    def answer(what):
        calls = []

        def fetch_openml(name, **options):
            calls.append((name, options))
            (Path(options["data_home"]) / "part").write_bytes(b"of an answer")
            if isinstance(what, Exception):
                raise what
            return what

        monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch_openml)
        return calls

    return answer


def test_mnist_in_its_order(in_tmp, answers):
    rows, classes = made(SOURCES["nmnist"])
    rows[60_001] = np.arange(784) % 251
    calls = answers((rows, classes))
    for _ in range(2):  # what is there is not fetched again
        fetch_pictures(Path("data/pictures/mnist.npz"), "nmnist")
    ((name, options),) = calls
    assert (name, options["version"]) == ("mnist_784", 1)
    assert not Path(options["data_home"]).exists()
    pictures = read_pictures("data/pictures/mnist.npz")
    assert [int(picture.label) for picture in pictures] == classes.tolist()
    assert [picture.train for picture in pictures] == [True] * 60_000 + [False] * 10_000
    for n in (0, 59_999, 60_000, 69_999):
        assert (pictures[n].image == rows[n, 0]).all()
    image = pictures[60_001].image
    assert image.shape == (28, 28) and image[2, 5] == (2 * 28 + 5) % 251
    assert [path.name for path in (in_tmp / "data/pictures").iterdir()] == ["mnist.npz"]


def test_cifar10_in_grey_class_by_class(in_tmp, answers):
    rows, classes = made(SOURCES["cifar10dvs"])
    first_cat = int(np.flatnonzero(classes == 3)[0])
    rows[first_cat] = np.arange(3 * 1024) // 1024 * 40 + np.arange(3 * 1024) % 32
    answers((rows, classes))
    fetch_pictures(Path("cifar10.npz"), "cifar10dvs")
    pictures = read_pictures("cifar10.npz")
    names, at = snnq.BENCHMARKS["cifar10dvs"].classes, 0
    for label, name in enumerate(names):
        found = [n for n in range(50_000) if classes[n] == label][:1_000]
        for n in found:
            assert pictures[at].label == name and pictures[at].image.shape == (32, 32)
            if n != first_cat:
                red, green, blue = rows[n, ::1024].astype(float)
                grey = 0.299 * red + 0.587 * green + 0.114 * blue  # ITU-R BT.601
                assert np.abs(pictures[at].image - grey).max() <= 1
            at += 1
    assert at == len(pictures) == 10_000
    ramp = pictures[3_000].image.astype(int)  # its columns are 0.587·40 + 0.114·80 + x
    assert np.abs(ramp - (32.6 + np.arange(32))).max() <= 1


@pytest.mark.parametrize(
    ("name", "benchmark"),
    [("other.npz", "nmnist"), ("cifar10.npz", "nmnist"), ("caltech101.zip", "ncaltech101")],
)
def test_nothing_else_is_fetched(in_tmp, answers, capsys, name, benchmark):
    calls = answers(URLError("no network"))
    assert main(["simulate", "data", "--benchmark", benchmark, "--images", name]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"snnq simulate: {name}: no such file or folder of pictures"
    assert calls == [] and list(in_tmp.iterdir()) == []


def changed(change):
    def answer(source):
        rows, classes = made(source)
        return change(rows, classes)

    return answer


def swapped(rows, classes):
    """The test's pictures before the training's."""
    return np.roll(rows, 10_000, axis=0), np.roll(classes, 10_000)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda _: URLError("no network"), "<urlopen error no network>"),
        (lambda _: EOFError("ended early"), "ended early"),
        (lambda _: KeyError("data_set_description"), "'data_set_description'"),
        (
            changed(lambda rows, classes: (rows[:-1], classes[:-1])),
            "rows are uint8 [69999, 784], expected uint8 [70000, 784]",
        ),
        (
            changed(lambda rows, classes: (rows.astype(np.int16), classes)),
            "rows are int16 [70000, 784], expected uint8 [70000, 784]",
        ),
        (changed(swapped), "classes from row 0 on are 7210414959, expected 5041921314"),
    ],
)
def test_what_is_no_mnist_leaves_one_clear_error(in_tmp, answers, capsys, answer, reason):
    calls = answers(answer(SOURCES["nmnist"]))
    assert main(["simulate", "data", "--images", "data/pictures/mnist.npz"]) == 1
    said, error = capsys.readouterr().err.splitlines()
    assert said == (
        "data/pictures/mnist.npz is missing: fetching OpenML's mnist_784, version 1, up to 130 MB"
    )
    assert error == (
        "snnq simulate: data/pictures/mnist.npz: no such file, and no pictures from OpenML's"
        f" mnist_784 ({reason}). Put there an .npz with uint8 arrays train_images [60000, 28, 28],"
        " train_labels, test_images [10000, 28, 28] and test_labels; data/README.md describes it"
    )
    assert list(in_tmp.iterdir()) == []
    assert not Path(calls[0][1]["data_home"]).exists()


def test_a_full_disk_leaves_no_file(in_tmp, answers, monkeypatch):
    def full(path, **_):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    answers(made(SOURCES["nmnist"]))
    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="No space left on device: 'mnist.npz'"):
        fetch_pictures(Path("mnist.npz"), "nmnist")
    assert list(in_tmp.iterdir()) == []


def test_recordings_are_simulated_of_what_was_fetched(in_tmp, answers, capsys):
    answers(made(SOURCES["nmnist"]))
    assert main(["simulate", "data", "--images", "mnist.npz", "--limit", "1"]) == 0
    assert capsys.readouterr().out == "simulated recordings in data/NMNIST\n"
    assert len(list(in_tmp.rglob("*.bin"))) == 2 * 10
    assert json.loads(Path("data/NMNIST/SOURCE.json").read_text())["images"] == "mnist.npz"


class Small(BaseHandler):
    """OpenML with one data set of five pictures of four values, as scikit-learn's loader asks."""

    ROWS = [[0, 1, 2, 255], [7, 7, 7, 7], [3, 2, 1, 0], [9, 8, 7, 6], [5, 5, 5, 5]]
    CLASSES = "20110"

    def __init__(self, damage=0):
        names = [*(f"a{n}" for n in range(4)), "class"]
        lines = ["@relation small", *(f"@attribute {name} numeric" for name in names), "@data"]
        lines += [",".join(map(str, row)) + f",{c}" for row, c in zip(self.ROWS, self.CLASSES)]
        arff = "\n".join(lines).encode()
        columns = [
            {
                "name": name,
                "index": str(n),
                "data_type": "nominal" if name == "class" else "numeric",
                "is_target": str(name == "class").lower(),
                "is_ignore": "false",
                "is_row_identifier": "false",
                "number_of_missing_values": "0",
            }
            for n, name in enumerate(names)
        ]
        description = {
            "id": "1",
            "name": "small",
            "version": "1",
            "status": "active",
            "format": "ARFF",
            "url": "https://openml.org/small.arff",
            "md5_checksum": hashlib.md5(arff).hexdigest(),
            "description": "",
        }
        quality = {"name": "NumberOfInstances", "value": "5"}
        self.arff = arff[: len(arff) - damage]
        self.answers = {
            "/data/list/": {"data": {"dataset": [{"did": 1, "version": 1, "status": "active"}]}},
            "/data/features/": {"data_features": {"feature": columns}},
            "/data/qualities/": {"data_qualities": {"quality": [quality]}},
            "/data/1": {"data_set_description": description},
        }

    def default_open(self, request):
        body = self.arff
        for place, answer in self.answers.items():
            if place in request.selector:
                body = json.dumps(answer).encode()
                break
        headers = Message()
        headers["Content-Encoding"] = "gzip"
        found = addinfourl(BytesIO(gzip.compress(body)), headers, request.full_url, 200)
        found.msg = "OK"
        return found


@pytest.fixture
def small(monkeypatch):
    """A data set that scikit-learn's own loader fetches, from a server that the test sets."""

    def arrays(rows, classes, train):
        return {"images": rows.reshape(-1, 2, 2), "labels": classes, "train": train}

    source = openml.Source("small.npz", "small", (3, 2), 4, ("201", "10"), 1, "five", arrays)
    monkeypatch.setattr("sklearn.datasets.fetch_openml", LOAD)
    monkeypatch.setitem(SOURCES, "nmnist", source)
    yield lambda handler: install_opener(build_opener(handler))
    install_opener(None)


def test_scikit_learns_loader_gives_what_is_expected(in_tmp, small):
    small(Small())
    fetch_pictures(Path("small.npz"), "nmnist")
    with np.load("small.npz", allow_pickle=False) as found:
        assert found["images"].dtype == found["labels"].dtype == np.uint8
        np.testing.assert_array_equal(found["images"].reshape(5, 4), Small.ROWS)
        np.testing.assert_array_equal(found["labels"], [2, 0, 1, 1, 0])
        assert found["train"] == 3


def test_a_damaged_answer_is_refused_by_its_checksum(in_tmp, small):
    small(Small(damage=3))
    with pytest.raises(FileNotFoundError, match="small .The md5 checksum .* Put there five"):
        fetch_pictures(Path("small.npz"), "nmnist")
    assert list(in_tmp.iterdir()) == []
