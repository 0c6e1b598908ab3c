import hashlib
import json

import numpy as np
import pytest
from conftest import random_events
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from tonic.io import read_mnist_file

from snnq import simulate
from snnq.benchmarks import source
from snnq.formats import EVENTS
from snnq.recordings import Recordings

# Of all files of `python -m snnq.simulate`: the same on every machine, or the camera has changed.
DIGEST = "1cb88bb27d5f2130162aeb444ec8eed484a4a4a34771f6e9b5399f3d73054062"


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    root = tmp_path_factory.mktemp("digits")
    simulate.simulate_digits(root)
    return root


def test_recordings_are_the_same_bytes_everywhere(digits):
    digest = hashlib.sha256()
    for path in sorted(digits.rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(digits)).encode() + path.read_bytes())
    assert digest.hexdigest() == DIGEST


def test_tonic_reads_every_digit_with_its_label_and_writers_are_split(digits):
    labels = load_digits().target
    train, test = (Recordings("nmnist", digits, train) for train in (True, False))
    assert (len(train), len(test)) == (1437, 360)
    for split, numbers in ((train, range(1, 1438)), (test, range(1438, 1798))):
        found = {int(path.stem): label for path, label in zip(split.paths, split.labels)}
        assert found == {number: labels[number - 1] for number in numbers}
    events = train[0]
    assert events["t"].max() <= 3 * simulate.Camera().saccade
    assert (np.diff(events["t"]) >= 0).all()
    assert source("nmnist", digits)["simulated"] is True


def test_another_seed_makes_other_recordings(digits, tmp_path):
    pictures, _ = simulate.digit_pictures()
    ours, others = (
        simulate.record(pictures[:2], simulate.Camera(), np.random.default_rng(seed))
        for seed in (0, 1)
    )
    assert not np.array_equal(ours[0], others[0])


def test_events_add_up_to_the_change_of_log_intensity():
    """Each pixel's events, ON minus OFF, follow its log intensity to within its phase and one threshold."""
    pictures, _ = simulate.digit_pictures()
    camera = simulate.Camera(mismatch=0.0)
    (events,) = simulate.record(pictures[:1], camera, np.random.default_rng(0))
    signed = np.zeros((34, 34))
    first_leg = events[events["t"] < camera.saccade]
    np.add.at(signed, (first_leg["y"], first_leg["x"]), 2 * first_leg["p"] - 1)
    start, end = (log_intensity(pictures[0], corner, camera) for corner in camera.path[:2])
    np.testing.assert_allclose(signed * camera.threshold, end - start, atol=1.51 * camera.threshold)
    assert np.abs(signed).max() > 5


def log_intensity(picture, corner, camera):
    """In floating point, by bilinear interpolation pixel by pixel."""
    found = np.zeros((camera.size, camera.size))
    for (y, x), _ in np.ndenumerate(found):
        u, v = x - corner[0] - camera.offset[0], y - corner[1] - camera.offset[1]
        for i in (int(np.floor(v)), int(np.floor(v)) + 1):
            for j in (int(np.floor(u)), int(np.floor(u)) + 1):
                if 0 <= i < picture.shape[0] and 0 <= j < picture.shape[1]:
                    weight = (1 - abs(v - i)) * (1 - abs(u - j))
                    found[y, x] += weight * picture[i, j] / 255
    return np.log(found + camera.floor)


@given(st.integers(0, 2**31), st.integers(0, 50))
def test_written_files_are_read_back_by_tonic(tmp_path_factory, seed, count):
    events = random_events(np.random.default_rng(seed), count)
    path = tmp_path_factory.getbasetemp() / "events.bin"
    simulate.write_nmnist(events, path)
    np.testing.assert_array_equal(read_mnist_file(path, dtype=EVENTS), events)


def test_real_recordings_are_written_as_they_were(real_data, tmp_path):
    for path in sorted(real_data.glob("NMNIST/*/*/*.bin"))[::40]:
        simulate.write_nmnist(read_mnist_file(path, dtype=EVENTS), tmp_path / "again.bin")
        assert (tmp_path / "again.bin").read_bytes() == path.read_bytes()


def test_recordings_that_may_be_real_are_not_replaced(tmp_path):
    real = tmp_path / "NMNIST" / "Train" / "0" / "00001.bin"
    real.parent.mkdir(parents=True)
    real.write_bytes(bytes(5))
    with pytest.raises(FileExistsError, match="may be real"):
        simulate.simulate_digits(tmp_path)
    assert real.read_bytes() == bytes(5)


def test_source_states_camera_and_seed(digits):
    made = json.loads((digits / "NMNIST" / "SOURCE.json").read_text())
    assert made["seed"] == 0
    assert made["camera"]["threshold"] == simulate.Camera().threshold
