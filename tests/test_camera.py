"""The compiled camera against array operations over whole pictures: the same events."""

from dataclasses import replace

import numpy as np
import numpy_camera
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnq.simulation import camera as compiled_camera
from snnq.simulation import gestures
from snnq.simulation.camera import Camera
from snnq.simulation.pixels import WHITE, intensities
from snnq.simulation.presets import SETTINGS


def recorded(module, pictures, camera, seed, batch=256):
    rng = np.random.default_rng(seed)
    thresholds = camera.thresholds(rng)
    with np.errstate(divide="ignore"):  # an event of a pixel that no longer changes
        return list(module.record_pictures(pictures, camera, thresholds, rng, batch))


def assert_same(pictures, camera, seed, batch=256):
    ours = recorded(compiled_camera, pictures, camera, seed, batch)
    theirs = recorded(numpy_camera, pictures, camera, seed, batch)
    assert [len(events) for events in ours] == [len(events) for events in theirs]
    for one, other in zip(ours, theirs):
        assert one.tobytes() == other.tobytes()


@st.composite
def scenes(draw):
    """Pictures, and a camera small enough to be simulated in milliseconds."""
    width, height, w, h = (draw(st.integers(1, 11)) for _ in range(4))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    contrast = draw(st.sampled_from([3, 60, 255]))
    pictures = rng.integers(0, 256, (draw(st.integers(1, 4)), h, w))
    step = draw(st.sampled_from([100, 999, 2500]))
    offset = tuple(rng.uniform(-2, 2, 2).tolist())
    knots, time = [], 0
    for _ in range(draw(st.integers(2, 4))):
        # Anywhere that the picture is seen, or touches the sensor from outside.
        x, y = (
            rng.uniform(0.1, 0.9, 2) * (width + w - 1, height + h - 1) - (w - 1, h - 1)
        ).tolist()
        knots.append((time, x - offset[0], y - offset[1]))
        time += draw(st.integers(1, 20_000))
    camera = Camera(
        width, height, tuple(knots), offset, step,
        negative=draw(st.booleans()),
        blur=draw(st.sampled_from([0.0, 0.46, 1.2])),
        floor=draw(st.sampled_from([0.02, 0.185, 0.4, 1.0])),
        latency=draw(st.sampled_from([0.0, 0, 700, 3_000, 12_345.6])),
        threshold=draw(st.floats(0.03, 0.5)),
        mismatch=draw(st.sampled_from([0.0, 0.15, 0.3])),
        drift=draw(st.sampled_from([0.0, 0.054, 0.25])),
        leak=draw(st.sampled_from([0.0, 0.3, 5_000.0])),
        brighter=draw(st.integers(0, 1)),
    )  # fmt: skip
    return (pictures * contrast // 255).astype(np.uint8), camera, draw(st.integers(1, 3))


@given(scenes(), st.integers(0, 2**31))
def test_small_cameras_see_the_same(scene, seed):
    pictures, camera, batch = scene
    assert_same(pictures, camera, seed, batch)


@pytest.mark.parametrize("name", ["nmnist", "cifar10dvs", "ncaltech101"])
def test_the_benchmarks_cameras_see_the_same(name):
    camera = SETTINGS[name].camera
    size = {"width": min(camera.width, 61), "height": min(camera.height, 50)}
    shape = (2, size["height"] - 3, size["width"] - 2)
    coarse = np.random.default_rng(0).integers(0, 256, (2, 12, 12)).repeat(5, 1).repeat(6, 2)
    assert_same(coarse[:, : shape[1], : shape[2]].astype(np.uint8), replace(camera, **size), 0)


@pytest.mark.parametrize("gesture", range(gestures.GESTURES))
def test_a_drawn_person_is_seen_the_same(gesture):
    camera = replace(SETTINGS["dvsgesture"].camera, step=100_000)
    person = gestures.Person.drawn(np.random.default_rng(gesture))
    drawn = [list(looks(gesture, person, camera)) for looks in (gestures.looks, numpy_camera.looks)]
    np.testing.assert_array_equal(*drawn)
    found = []
    for module in (compiled_camera, numpy_camera):
        rng = np.random.default_rng(1)
        found.append(module.record_scene(drawn[0], camera, camera.thresholds(rng), rng))
    assert len(found[0]) > 1_000 and found[0].tobytes() == found[1].tobytes()


def test_a_picture_that_is_never_before_the_sensor_is_black():
    camera = Camera(5, 7, ((0, 20.0, 0.0), (20_000, 30.0, 90.0)), leak=0.0)
    (events,) = recorded(compiled_camera, np.full((1, 4, 4), 255, np.uint8), camera, 0)
    assert len(events) == 0


@pytest.mark.parametrize("floor", [0.02, 0.4])
def test_the_least_grey_value_of_each_log_intensity(floor):
    log, least = intensities(floor)
    for value in (log[0], log[0] + 1, log[-1] // 2, log[-1]):
        grey = least[value - log[0]]
        assert log[grey] >= value and (grey == 0 or log[grey - 1] < value)
    assert least[-1] == WHITE + 1


def test_a_pixel_without_a_threshold_is_refused():
    with pytest.raises(ValueError, match="mismatch=0.9, .*expected every pixel's threshold"):
        recorded(compiled_camera, np.zeros((1, 5, 5), np.uint8), Camera(mismatch=0.9), 0)
