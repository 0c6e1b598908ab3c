import hashlib
import json
import re
import time
import weakref
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from io import BytesIO

import numpy as np
import pytest
from conftest import random_events
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_digits
from tonic.io import read_mnist_file

import snnq
from snnq.recordings.benchmarks import source
from snnq.recordings.formats import EVENTS
from snnq.recordings.recordings import Recordings
from snnq.recordings.writers import write_bin
from snnq.simulation import gestures, simulate
from snnq.simulation.camera import Camera, record_pictures, record_scene
from snnq.simulation.pictures import digits as digit_pictures
from snnq.simulation.pictures import read_pictures, resized
from snnq.simulation.pixels import WHITE
from snnq.simulation.presets import DIGITS, SETTINGS
from snnq.simulation.selection import chosen

# Of all recordings of `snnq simulate`: the same on every machine, or the camera changed.
DIGEST = "f9d335d77a5502eec8568d39f715cf61dd3d2f2a578f7d7e5a7cd09f623e6195"


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    root = tmp_path_factory.mktemp("digits")
    simulate.simulate_pictures("nmnist", root, digit_pictures(), "digits", setting=DIGITS)
    return root


def recorded(images, camera, seed=0):
    rng = np.random.default_rng(seed)
    return list(record_pictures(np.stack(images), camera, camera.thresholds(rng), rng))


def test_recordings_are_the_same_bytes_everywhere(digits):
    digest = hashlib.sha256()
    for path in sorted(digits.rglob("*.bin")):
        digest.update(str(path.relative_to(digits)).encode() + path.read_bytes())
    assert digest.hexdigest() == DIGEST


def test_tonic_reads_every_digit_with_its_label_and_writers_are_split(digits):
    labels = load_digits().target
    train, test = (Recordings("nmnist", digits, train) for train in (True, False))
    assert (len(train), len(test)) == (900, 897)
    for split, numbers in ((train, range(1, 901)), (test, range(901, 1798))):
        found = {int(path.stem): label for path, label in zip(split.paths, split.labels)}
        assert found == {number: labels[number - 1] for number in numbers}
    events = train[0]
    assert events["t"].max() <= Camera().path[-1][0]
    assert (np.diff(events["t"]) >= 0).all()
    assert source("nmnist", digits)["simulated"] is True


def test_another_seed_makes_other_recordings():
    images = [picture.image for picture in digit_pictures()[:2]]
    assert not np.array_equal(recorded(images, Camera(), 0)[0], recorded(images, Camera(), 1)[0])


def test_events_add_up_to_the_change_of_log_intensity():
    """Each pixel's events, ON minus OFF, follow its log intensity to within its phase and one threshold."""
    image, camera = digit_pictures()[0].image, Camera(mismatch=0.0)
    (events,) = recorded([image], camera)
    signed = np.zeros((34, 34))
    first_leg = events[events["t"] < camera.path[1][0]]
    np.add.at(signed, (first_leg["y"], first_leg["x"]), 2 * first_leg["p"] - 1)
    start, end = (log_intensity(image, corner, camera) for corner in np.array(camera.path)[:2, 1:])
    np.testing.assert_allclose(signed * camera.threshold, end - start, atol=1.51 * camera.threshold)
    assert np.abs(signed).max() > 5


def log_intensity(picture, corner, camera):
    """In floating point, by bilinear interpolation pixel by pixel."""
    found = np.zeros((camera.height, camera.width))
    for (y, x), _ in np.ndenumerate(found):
        u, v = x - corner[0] - camera.offset[0], y - corner[1] - camera.offset[1]
        for i in (int(np.floor(v)), int(np.floor(v)) + 1):
            for j in (int(np.floor(u)), int(np.floor(u)) + 1):
                if 0 <= i < picture.shape[0] and 0 <= j < picture.shape[1]:
                    weight = (1 - abs(v - i)) * (1 - abs(u - j))
                    found[y, x] += weight * picture[i, j] / 255
    return np.log(found + camera.floor)


STILL = ((0, 0, 0), (105_000, 0, 0))


def test_leak_events_are_on_and_come_at_their_rate_from_a_still_scene():
    camera = Camera(path=STILL, leak=20.0, brighter=0)
    (events,) = recorded([np.zeros((28, 28), dtype=np.uint8)], camera)
    assert len(events) == pytest.approx(20 * 0.105 * 34 * 34, rel=0.01)
    assert (np.diff(events["t"]) >= 0).all() and not events["p"].any()


def test_a_negative_screen_shows_the_negative_picture():
    image = digit_pictures()[0].image
    framed = np.pad(image, 40)  # so that the screen's bright edge stays outside the sensor
    offset = tuple(np.array(Camera().offset) - 40)
    (negative,) = recorded([framed], Camera(negative=True, offset=offset))
    (positive,) = recorded([255 - framed], Camera(offset=offset))
    np.testing.assert_array_equal(negative, positive)


def test_latency_is_a_first_order_low_pass():
    """A step of the light is followed as 1 − exp(−t/τ): the k-th event is due when that crosses k thresholds."""
    camera = Camera(step=100, latency=5_000.0, mismatch=0.0)
    looks = [np.full((34, 34), grey) for grey in [0] + [WHITE] * 600]
    rng = np.random.default_rng(0)
    events = record_scene(looks, camera, camera.thresholds(rng), rng)
    height = np.log(1 + 1 / camera.floor)
    t = events["t"][(events["x"] == 3) & (events["y"] == 4)]
    levels = height * (1 - np.exp(-t / camera.latency))
    np.testing.assert_allclose(np.diff(levels), camera.threshold, rtol=0.06)
    assert len(t) == pytest.approx(height / camera.threshold, abs=1)


def test_drift_makes_recordings_of_one_picture_differ_in_number():
    images = [digit_pictures()[0].image] * 60
    same, drifting = (
        np.array([len(events) for events in recorded(images, Camera(drift=drift))])
        for drift in (0.0, 0.1)
    )
    assert same.std() / same.mean() < 0.02 < 0.06 < drifting.std() / drifting.mean() < 0.16


def test_blur_spreads_an_edge():
    edge = np.repeat([[0] * 14 + [255] * 14], 28, axis=0).astype(np.uint8)
    still = replace(Camera(), path=STILL, offset=(3.0, 3.0), leak=0.0)
    tables = []
    for blur in (0.0, 1.5):
        camera = replace(still, blur=blur, path=((0, 0, 0), (105_000, 1, 0)))
        (events,) = recorded([edge], camera)
        tables.append(np.bincount(events["x"][np.abs(events["y"] - 16) < 5], minlength=34))
    sharp, blurred = tables
    assert (sharp[14:20] > 0).sum() == 1 and (blurred[14:20] > 0).sum() >= 4


def test_ncaltech101_recordings_hold_what_the_picture_always_covers():
    """No edge of a flat picture is ever seen, whatever its proportions; a picture fills 240×180."""
    setting = SETTINGS["ncaltech101"]
    still = replace(setting, camera=replace(setting.camera, leak=0.0))
    rng = np.random.default_rng(0)
    thresholds = still.camera.thresholds(rng)
    for shape, most in (((90, 120), (234, 174)), ((120, 60), (84, 174)), ((40, 120), (234, 74))):
        flat = resized(np.full(shape, 200, dtype=np.uint8), setting.size)
        assert len(next(iter(simulate.recorded([flat], still, thresholds, rng)))) == 0
        noise = resized(rng.integers(0, 256, shape).astype(np.uint8), setting.size)
        (events,) = simulate.recorded([noise], setting, thresholds, rng)
        assert (events["x"].max() + 1, events["y"].max() + 1) == most


@given(st.integers(0, 2**31), st.integers(0, 50))
def test_written_files_are_read_back_by_tonic(tmp_path_factory, seed, count):
    events = random_events(np.random.default_rng(seed), count)
    path = tmp_path_factory.getbasetemp() / "events.bin"
    write_bin(events, path)
    np.testing.assert_array_equal(read_mnist_file(path, dtype=EVENTS), events)


def test_real_recordings_are_written_as_they_were(real_data, tmp_path):
    for path in sorted(real_data.glob("NMNIST/*/*/*.bin"))[::40]:
        write_bin(read_mnist_file(path, dtype=EVENTS), tmp_path / "again.bin")
        assert (tmp_path / "again.bin").read_bytes() == path.read_bytes()


def test_recordings_that_may_be_real_are_not_replaced(tmp_path):
    real = tmp_path / "NMNIST" / "Train" / "0" / "00001.bin"
    real.parent.mkdir(parents=True)
    real.write_bytes(bytes(5))
    with pytest.raises(FileExistsError, match="may be real"):
        simulate.simulate_pictures("nmnist", tmp_path, digit_pictures(), "digits")
    assert real.read_bytes() == bytes(5)


def test_source_states_camera_and_seed(digits):
    made = json.loads((digits / "NMNIST" / "SOURCE.json").read_text())
    assert (made["seed"], made["images"], made["recordings"]) == (0, "digits", 1797)
    assert made["camera"]["threshold"] == Camera().threshold


def png(value: int, size=(12, 9)) -> bytes:
    content = BytesIO()
    Image.new("L", size, value).save(content, "PNG")
    return content.getvalue()


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_pictures_of_a_folder_or_zip(tmp_path, form):
    files = {"cup/b.png": 20, "cup/a.png": 10, "ant/c.png": 30}
    path = tmp_path / "pictures"
    if form == "zip":
        path = tmp_path / "pictures.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, value in files.items():
                archive.writestr(name, png(value))
    else:
        for name, value in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(png(value))
    found = [(p.label, p.number, p.image[0, 0], p.image.shape) for p in read_pictures(path)]
    assert found == [("ant", 1, 30, (9, 12)), ("cup", 1, 10, (9, 12)), ("cup", 2, 20, (9, 12))]


def test_pictures_of_arrays(tmp_path):
    images, labels = np.arange(3 * 4).reshape(3, 2, 2).astype(np.uint8), np.array([1, 0, 1])
    np.savez(tmp_path / "one.npz", images=images, labels=labels, classes=np.array(["cat", "dog"]))
    np.savez(
        tmp_path / "two.npz",
        train_images=images, train_labels=labels, test_images=images[:1], test_labels=labels[:1],
    )  # fmt: skip
    assert [(p.label, p.number) for p in read_pictures(tmp_path / "one.npz")] == [
        ("dog", 1), ("cat", 2), ("dog", 3),
    ]  # fmt: skip
    found = [(p.label, p.number, p.train) for p in read_pictures(tmp_path / "two.npz")]
    assert found == [("1", 1, True), ("0", 2, True), ("1", 3, True), ("1", 1, False)]


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("none.zip", None, FileNotFoundError, "none.zip: no such file"),
        ("bad.zip", b"no zip", ValueError, "bad.zip: expected .npz, .zip or a folder"),
        ("3/b.png", b"no picture", ValueError, "b.png: no readable picture"),
        ("3/b.txt", b"text", ValueError, "expected <class>/<name> with one of .png"),
    ],
)
def test_bad_pictures(tmp_path, name, content, error, message):
    path = tmp_path / name
    if content is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    with pytest.raises(error, match=message):
        pictures = read_pictures(path if path.suffix == ".zip" else tmp_path)
        simulate.simulate_pictures("nmnist", tmp_path, pictures, "bad")


def test_a_damaged_picture_in_a_zip_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        archive.writestr("3/a.png", png(10))
    content = bytearray((tmp_path / "pictures.zip").read_bytes())
    content[60] ^= 1
    (tmp_path / "pictures.zip").write_bytes(content)
    (picture,) = read_pictures(tmp_path / "pictures.zip")
    with pytest.raises(ValueError, match="pictures.zip:3/a.png: no readable picture .*CRC"):
        assert picture.image.any()


@pytest.fixture
def small_jobs(monkeypatch):
    """Three pictures a job; a function that sets how many processes take them."""
    monkeypatch.setattr(simulate, "JOB", 3)
    return lambda workers: monkeypatch.setattr(simulate.joblib, "cpu_count", lambda: workers)


def test_the_number_of_processes_changes_no_byte(tmp_path, small_jobs):
    contents = []
    for workers in (1, 2):
        small_jobs(workers)
        root = tmp_path / str(workers)
        simulate.simulate_pictures("nmnist", root, digit_pictures()[:10], "digits")
        paths = sorted(root.rglob("*.bin"))
        contents.append([(path.relative_to(root), path.read_bytes()) for path in paths])
    assert contents[0] == contents[1] and len(contents[0]) == 10


def test_few_pictures_are_in_memory_at_a_time(tmp_path, small_jobs):
    alive, most = set(), []

    def read(number):
        image = np.full((8, 8), number, dtype=np.uint8).view(Tracked)
        alive.add(number)
        weakref.finalize(image, alive.discard, number)
        most.append(len(alive))
        return image

    small_jobs(1)
    pictures = [simulate.Picture(partial(read, n), "7", n, True) for n in range(1, 61)]
    simulate.simulate_pictures("nmnist", tmp_path, pictures, "made")
    assert len(most) == 2 * 60  # for the digest, and to be shown
    assert max(most) <= 2 * 3 + 1


class Tracked(np.ndarray):
    """An array that can be followed by a weak reference."""


@pytest.mark.parametrize("benchmark", ["nmnist", "cifar10dvs", "ncaltech101"])
def test_pictures_become_recordings_of_each_benchmark(in_tmp, benchmark):
    label = snnq.BENCHMARKS[benchmark].classes[4]
    rng = np.random.default_rng(0)
    shapes = [(28, 28), (20, 30)] if benchmark == "ncaltech101" else [(28, 28)] * 2
    pictures = [
        simulate.Picture(rng.integers(100, 110, shape).astype(np.uint8), label, number, number == 1)
        for number, shape in enumerate(shapes, start=1)
    ]
    simulate.simulate_pictures(benchmark, in_tmp, pictures, "noise")
    splits = snnq.load(benchmark, in_tmp, steps=2, size=32)
    frames = np.concatenate([split.frames for split in splits])
    assert [label for split in splits for label in split.labels] == [4, 4]
    assert (frames.sum(axis=(2, 3, 4)) > 100).all()
    assert source(benchmark, in_tmp)["benchmark"] == benchmark


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("bus", "'bus' is no class of cifar10dvs, .* its 10 classes: airplane, automobile, bird"),
        ("Cat", "'Cat' is no class of cifar10dvs, .*; did you mean 'cat'?"),
        ("", "'' is no class of cifar10dvs, expected <class>/<picture>"),
    ],
)
def test_a_picture_of_no_class_is_refused(tmp_path, label, expected):
    with pytest.raises(ValueError, match=f"bus.zip: {expected}"):
        simulate.simulate_pictures("cifar10dvs", tmp_path, [plain(label, 1, True)], "bus.zip")
    assert list(tmp_path.iterdir()) == []


def plain(label: str, number: int, train: bool) -> simulate.Picture:
    return simulate.Picture(np.full((8, 8), 40 * number, dtype=np.uint8), label, number, train)


@pytest.mark.parametrize("benchmark", ["nmnist", "cifar10dvs", "ncaltech101"])
def test_each_picture_of_either_split_has_its_recording(tmp_path, benchmark):
    label = snnq.BENCHMARKS[benchmark].classes[3]
    pictures = [plain(label, 1, True), plain(label, 2, True), plain(label, 1, False)]
    simulate.simulate_pictures(benchmark, tmp_path, pictures, "plain")
    assert sum(len(Recordings(benchmark, tmp_path, train)) for train in (True, False)) == 3


def test_pictures_whose_recordings_would_have_one_name_are_refused(tmp_path):
    pictures = [plain("cat", 2, True), plain("cat", 2, True)]
    with pytest.raises(ValueError, match="cats: two pictures 'cat' with number 2"):
        simulate.simulate_pictures("cifar10dvs", tmp_path, pictures, "cats")
    assert list(tmp_path.iterdir()) == []


def with_recordings(root, *names):
    for name in names:
        (root / "NMNIST" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "NMNIST" / name).write_bytes(bytes(5))
    return root


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("Train/5/00001.bin", [("0", 2, True), ("5", 1, False), ("7", 2, False)]),
        ("Test/5/00001.bin", [("0", 2, True), ("7", 2, False)]),  # of either split
        ("Test/7/00002.bin", [("5", 1, True), ("0", 2, True), ("5", 1, False)]),
        ("Train/7/00002.bin", [("5", 1, True), ("0", 2, True), ("5", 1, False), ("7", 2, False)]),
    ],
)
def test_what_was_recorded_is_left_out_of_its_split(tmp_path, name, left):
    names = [("5", 1, True), ("0", 2, True), ("5", 1, False), ("7", 2, False)]
    found = chosen([plain(*one) for one in names], None, with_recordings(tmp_path, name))
    assert [(picture.label, picture.number, picture.train) for picture in found] == left


def test_the_real_recordings_at_hand_are_of_mnists_training_pictures(real_data):
    pictures = read_pictures(real_data / "images/mnist.npz")
    left = chosen(pictures, None, real_data)
    assert sum(picture.train for picture in left) == 60_000 - 800


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        ([], FileNotFoundError, "NMNIST/Train: no recordings of nmnist here, to leave out"),
        (["Train/5/a.bin"], ValueError, "a.bin: expected N-MNIST's names, as 00001.bin"),
    ],
)
def test_nothing_to_leave_out_is_said(tmp_path, names, error, message):
    with pytest.raises(error, match=message):
        chosen([], None, with_recordings(tmp_path, *names))


def test_pictures_are_found_through_links_and_none_that_are_hidden(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a.png").write_bytes(png(10))
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/cup").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/._a.png").write_bytes(b"of a Mac")
    assert [picture.label for picture in read_pictures(tmp_path / "pictures")] == ["cup"]
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        archive.writestr("cup/a.png", png(10))
        archive.writestr("__MACOSX/cup/._a.png", b"of a Mac")
    assert [picture.label for picture in read_pictures(tmp_path / "pictures.zip")] == ["cup"]


def test_a_folder_that_is_a_link_stays_one(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data/NMNIST").symlink_to(tmp_path / "disk")
    for number in (1, 2):  # made, and made anew
        simulate.simulate_pictures("nmnist", tmp_path / "data", [plain("1", number, False)], "plain")
        assert (tmp_path / "data/NMNIST").is_symlink()
        assert [path.name for path in (tmp_path / "disk").rglob("*.bin")] == [f"0000{number}.bin"]


def test_two_processes_simulate_once(tmp_path, small_jobs, monkeypatch, capsys):
    """The second waits for the first, and then finds what it made."""
    runs, run = [], simulate._run

    def slowly(*of):
        runs.append(of)
        time.sleep(0.5)
        run(*of)

    small_jobs(1)
    monkeypatch.setattr(simulate, "_run", slowly)
    pictures = [plain("1", number, False) for number in range(1, 5)]
    with ThreadPoolExecutor(2) as pool:  # filelock tells threads apart as it does processes
        of = "nmnist", tmp_path, pictures, "plain"
        jobs = [pool.submit(simulate.simulate_pictures, *of) for _ in range(2)]
        folders = [job.result() for job in jobs]
    assert [len(list(folder.rglob("*.bin"))) for folder in folders] == [4, 4] and len(runs) == 1
    said = [line for line in re.split("[\r\n]", capsys.readouterr().err) if "waiting" in line]
    assert said == [f"{tmp_path}/NMNIST: waiting for another process, which simulates recordings there"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".NMNIST.lock", "NMNIST"]


def test_others_in_the_folder_are_simulated_one_after_the_other(tmp_path, small_jobs):
    small_jobs(1)
    pictures = [plain("1", number, False) for number in range(1, 5)]
    with ThreadPoolExecutor(4) as pool:
        of = [("nmnist", tmp_path, pictures[:count], "plain") for count in (1, 2, 3, 4)]
        for job in [pool.submit(simulate.simulate_pictures, *one) for one in of]:
            assert job.result() == tmp_path / "NMNIST"
    made = source("nmnist", tmp_path)["recordings"]
    assert len(list((tmp_path / "NMNIST").rglob("*.bin"))) == made


def test_recordings_that_came_while_waiting_are_not_replaced(tmp_path):
    with ThreadPoolExecutor(1) as pool, FileLock(tmp_path / ".NMNIST.lock"):
        job = pool.submit(simulate.simulate_pictures, "nmnist", tmp_path, [plain("1", 1, True)], "plain")
        time.sleep(0.2)
        with_recordings(tmp_path, "Train/0/00001.bin")
    with pytest.raises(FileExistsError, match="may be real"):
        job.result()
    assert (tmp_path / "NMNIST/Train/0/00001.bin").exists()


def test_only_time_tells_a_turn_from_its_reverse():
    person = gestures.Person.drawn(np.random.default_rng(0))
    period = np.linspace(0, 1, 24, endpoint=False) - 2 * person.phase
    for one, other in ((3, 4), (5, 6)):
        paths = [
            [gestures.hands(g, cycle, person) for cycle in cycles]
            for g, cycles in ((one, period), (other, -period - 2 * person.phase))
        ]
        np.testing.assert_allclose(paths[0], paths[1], atol=1e-9)  # the same, run backwards
        forward = [gestures.hands(one, cycle, person) for cycle in period[:6]]
        assert not np.allclose(
            forward, [gestures.hands(other, cycle, person) for cycle in period[:6]]
        )


def test_gestures_are_drawn_within_white_and_move(tmp_path):
    person, camera = gestures.Person.drawn(np.random.default_rng(1)), Camera(128, 128, step=300_000)
    for gesture in range(gestures.GESTURES):
        scenes = np.stack(list(gestures.looks(gesture, person, camera)))
        assert scenes.shape == (6, 128, 128) and 0 <= scenes.min() and scenes.max() <= WHITE
        assert (np.ptp(scenes, axis=0) > 0).sum() > 50


def test_gestures_of_the_test_are_as_many_and_by_other_people(tmp_path):
    simulate.simulate_gestures(tmp_path, per_class=1)
    train, test = snnq.load("dvsgesture", tmp_path, 2)
    assert sorted(train.labels) == sorted(test.labels) == list(range(11))
    users = [
        {path.parent.name for path in (tmp_path / "DVSGesture" / side).rglob("*.npy")}
        for side in ("ibmGestureTrain", "ibmGestureTest")
    ]
    assert users == [{"user01_fluorescent"}, {"user24_fluorescent"}]
