import matplotlib.pyplot as plt
import numpy as np
import pytest
from conftest import random_events

import snnq
from snnq.figures import events as event_figures
from snnq.recordings.statistics import distances, examples, statistics, statistics_of
from snnq.simulation.example import example_recording


def test_statistics_are_those_of_a_count(recordings):
    train = snnq.Recordings("nmnist", recordings, train=True)
    found = statistics(train, 40)
    events = [train[i] for i in range(40)]
    assert found.events.tolist() == [len(one) for one in events]
    np.testing.assert_allclose(found.on_share, [np.mean(one["p"]) for one in events])
    np.testing.assert_allclose(found.duration, [one["t"][-1] / 1e6 for one in events])
    assert found.rate.sum() == pytest.approx(400) and found.pixels.sum() == pytest.approx(400)
    pixel = sum(((one["x"] == 5) & (one["y"] == 7)).sum() for one in events) / 40
    assert found.pixels[7, 5] == pytest.approx(pixel)


def test_distances_of_known_recordings():
    one = np.concatenate([random_events(np.random.default_rng(0), 1000)] * 2)
    other = one[:1000].copy()
    other["y"] = 0
    same = distances(*(statistics_of([one, other], (34, 34)) for _ in range(2)))
    assert (same == 0).all()
    pairs = [one, one[:400]], [other, other[:200]]
    far = distances(*(statistics_of(pair, (34, 34), until=0.3) for pair in pairs))
    assert far["events"] == pytest.approx(1) and far["spread"] == pytest.approx(1)
    assert far["time"] < 0.1 and far["sign"] < 0.05
    off_the_row = np.concatenate(pairs[0])["y"] > 0
    assert far["place"] == pytest.approx(off_the_row.mean(), abs=0.05)


def test_examples_are_of_different_classes(recordings):
    train = snnq.Recordings("nmnist", recordings, train=True)
    assert train.labels[examples(train, 4)].tolist() == [0, 3, 6, 9]
    assert len(examples(train, 100)) == 10


def test_figures_show_what_they_are_given(recordings, in_tmp):
    train, test = (snnq.Recordings("nmnist", recordings, train) for train in (True, False))
    frames, _ = snnq.load("nmnist", recordings, steps=3)
    figure = event_figures.frame_strips(frames.frames[[0, 4]], ["0", "1"])
    shown = figure.axes[4].images[0].get_array()
    np.testing.assert_array_equal(
        shown, frames.frames[4, 1, 1].astype(int) - frames.frames[4, 1, 0]
    )
    figure = event_figures.class_counts(train, test)
    assert [bar.get_height() for bar in figure.axes[0].patches] == [4] * 20
    clouds = event_figures.point_clouds(train, [0, 4])
    assert [axis.get_title() for axis in clouds.axes] == ["0", "1"]
    events = train[0]
    counts = [len(points.get_offsets()) for points in clouds.axes[0].collections]
    assert counts == [(events["p"] == 1).sum(), (events["p"] == 0).sum()]
    assert [text.get_text() for text in clouds.legends[0].get_texts()] == ["ON", "OFF"]
    assert all(axis.get_xlabel() and axis.get_ylabel() and axis.get_zlabel() for axis in clouds.axes)
    found = {"one": statistics(train, 10), "other": statistics(test, 10)}
    assert len(event_figures.event_statistics(found).axes[1].lines) == 2
    assert len(event_figures.event_maps(found).axes) == 3  # with the colour bar
    plt.close("all")


def test_frames_of_benchmarks_have_their_own_sides_and_scales():
    rng = np.random.default_rng(0)
    shapes = {"a, simulated": (7, 2, 4, 5), "b, real": (3, 2, 8, 6)}
    found = {name: rng.integers(0, 9, shape) for name, shape in shapes.items()}
    figure = event_figures.frames_of_benchmarks(found)
    pictures = [axis for axis in figure.axes if axis.images]
    assert [axis.get_title() for axis in pictures] == [f"step {n}" for n in (1, 2, 4, 5, 7, 1, 2, 3)]
    second = found["a, simulated"][1]
    np.testing.assert_array_equal(pictures[1].images[0].get_array(), second[1] - second[0])
    for axis, frames in ((pictures[0], found["a, simulated"]), (pictures[5], found["b, real"])):
        most = abs(frames[:, 1] - frames[:, 0]).max()
        assert axis.images[0].get_clim() == (-most, most) and axis.get_xlabel() == "x (pixels)"
        assert axis.get_yticks().tolist() == [0, frames.shape[2] - 1]
    assert [text.get_text() for axis in pictures for text in axis.texts if ", " in text.get_text()] == list(found)
    plt.close(figure)


def test_an_example_of_each_benchmark_is_at_hand_or_simulated(recordings, tmp_path):
    for name, of in snnq.BENCHMARKS.items():
        events, what = example_recording(name, [tmp_path, recordings])
        assert what == "N-MNIST, real" if name == "nmnist" else "simulated" in what
        assert 0 < events["x"].max() < of.width and 0 < events["y"].max() < of.height
        assert (np.diff(events["t"]) >= 0).all() and set(events["p"]) == {0, 1}
    test = snnq.Recordings("nmnist", recordings, train=False)
    np.testing.assert_array_equal(example_recording("nmnist", [recordings])[0], test[0])
    assert example_recording("nmnist")[1] == "digits, simulated"
    with pytest.raises(ValueError, match="benchmark='cifar': expected one of nmnist"):
        example_recording("cifar")
