"""Figures of a study over the epochs of training."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from snnq.figures import epochs
from snnq.figures.catalogue import draw
from snnq.quantization.histograms import histogram_columns

MIXED = "binary, <1000: 4bit, layers.10: (-2, -1, 0, 1, 2)"


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def rows_of(recordings="N-MNIST, real", **lists) -> pd.DataFrame:
    """A row for each combination."""
    rows = pd.DataFrame(itertools.product(*lists.values()), columns=list(lists))
    return rows.assign(recordings=recordings)


def named(figure) -> dict[tuple[str, str], object]:
    """The panels that are drawn, by what is beside and above them."""
    return {(a.get_ylabel(), a.get_title()): a for a in figure.axes if a.axison}


def legend_of(figure) -> list[str]:
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def lines_of(axis) -> list[np.ndarray]:
    return [line.get_xydata() for line in axis.lines if len(line.get_xdata())]


@pytest.fixture
def histories():
    rows = rows_of(channels=[8, 2], levels=["binary", "4bit"], seed=[0, 1], epoch=[1, 2, 3, 4])
    soft = 0.9 - 0.01 * rows["seed"]
    soft = soft.where(rows["epoch"] % 2 == 0)  # not measured after every epoch
    return rows.assign(
        test_accuracy=0.1 * rows["epoch"] + 0.02 * rows["seed"], test_accuracy_soft=soft
    )


def test_hard_and_soft_have_a_row_of_each_width_and_a_column_of_each_level_set(histories):
    lacking = (histories["channels"] == 8) & (histories["levels"] == "4bit")
    figure = epochs.hard_and_soft(histories[~lacking])
    narrow, wide = (f"N-MNIST, real\n{channels} channels" for channels in (2, 8))
    panels = named(figure)
    assert list(panels) == [(narrow, "4bit"), ("", "binary"), (wide, "")]
    assert panels[wide, ""].yaxis.label.get_visible()
    assert [axis.get_xlabel() for axis in panels.values()] == ["epoch", "", "epoch"]
    assert legend_of(figure) == ["hard weights", "soft weights"]
    for axis in panels.values():
        hard, soft = lines_of(axis)
        np.testing.assert_allclose(hard, [[1, 11], [2, 21], [3, 31], [4, 41]])
        np.testing.assert_allclose(soft, [[2, 89.5], [4, 89.5]])
        low, high = axis.get_ylim()
        assert low < 11 and high > 89.5  # from the first epoch on


def test_one_width_is_not_named(histories):
    one = histories[histories["channels"] == 2]
    for rows in (one, one.drop(columns="channels")):  # as in tables of before there were several
        assert list(named(epochs.hard_and_soft(rows))) == [
            ("N-MNIST, real", "4bit"),
            ("", "binary"),
        ]


def test_several_recordings_have_a_row_each(histories):
    one = histories[histories["channels"] == 2]
    other = one[one["levels"] == "binary"].assign(recordings="gestures, simulated")
    figure = epochs.hard_and_soft(pd.concat([one, other.assign(epoch=10 * other["epoch"])]))
    names = [("N-MNIST, real", "4bit"), ("", "binary"), ("gestures, simulated", "")]
    assert list(named(figure)) == names
    assert named(figure)[names[2]].get_xlim()[1] > 30


@pytest.fixture
def study(tmp_path):
    """Tables of three widths, each of its own share of weights in transition."""
    levels = ["binary", (-2, 0, 1)]
    rows = rows_of(channels=[4, 2, 8], levels=levels, seed=[0, 1], epoch=[0, 1], layer=["a", "b"])
    share = (rows["layer"] == "b") * 0.5 + rows["channels"] / 100 + rows["seed"] / 10
    rows.assign(in_transition=share).to_csv(tmp_path / "transitions.csv", index=False)
    runs = rows.drop_duplicates(["channels", "levels", "seed"])
    known = {"test_recordings": 40, "benchmark": "nmnist", "network": "plif"}
    runs.assign(**known).to_csv(tmp_path / "runs.csv", index=False)
    return tmp_path


def test_weights_in_transition_of_the_narrowest_and_the_widest_networks(study):
    figure = draw("weights_in_transition", study)
    panels = [(axis.get_ylabel(), axis.get_title()) for axis in figure.axes]
    expected = [("2 channels", "(-2, 0, 1)"), ("", "binary"), ("8 channels", ""), ("", "")]
    assert [(row.split("\n")[-1], column) for row, column in panels] == expected
    assert legend_of(figure) == ["a", "b"]
    for axis, channels in zip(figure.axes, (2, 2, 8, 8)):
        means = [5 + channels, 55 + channels]  # per cent, over two seeds
        for line, band, mean in zip(lines_of(axis), axis.collections, means, strict=True):
            np.testing.assert_allclose(line, [[0, mean], [1, mean]])
            heights = band.get_paths()[0].vertices[:, 1]
            np.testing.assert_allclose([heights.min(), heights.max()], [mean - 5, mean + 5])
        assert axis.get_ylim()[0] == 0 and axis.get_ylim() == figure.axes[0].get_ylim()
    assert figure.get_label().endswith(
        " The narrowest and the widest of 3 widths, mean and range over 2 seeds;"
        " N-MNIST, real: 40 test samples."
    )


def test_weights_in_transition_of_no_quantized_runs(study):
    (study / "transitions.csv").write_text("recordings,levels\n")
    with pytest.raises(FileNotFoundError, match="transitions.csv: no rows in it"):
        draw("weights_in_transition", study)


def test_long_names_of_levels_are_within_the_figure_and_apart():
    levels = ["binary", MIXED, MIXED.replace("4bit", "2bit"), "2bit", (-2, 0, 1)]
    rows = rows_of(levels=levels, layer=["a"], epoch=[0, 2])
    shares = pd.DataFrame(1 / 60, rows.index, histogram_columns())
    staircases = rows[rows["epoch"] == 2].assign(layer_levels=[(-1, 2)] * 5, thresholds=[(0.5,)] * 5)
    figure = epochs.weights_in_training(rows.join(shares), staircases)
    for axis in figure.axes:
        assert [line.get_xdata() for line in axis.lines if line.get_linestyle() == ":"] == [[0.25] * 2]
    figure.canvas.draw()
    first = [axis for axis in figure.axes if axis.get_ylabel()]
    assert len(first) == len(levels) and first[1].get_ylabel().count("\n") == 2
    boxes = [axis.yaxis.label.get_window_extent() for axis in first]
    for box in boxes:
        assert figure.bbox.x0 <= box.x0 and figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1
    for above, below in itertools.pairwise(boxes):
        assert below.y1 < above.y0
