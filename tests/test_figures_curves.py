"""Figures of accuracy and scales by epoch, and of weights on their levels."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import test_epochs
from matplotlib.container import BarContainer

from snnq.figures import curves, latent
from snnq.quantization.histograms import histogram_columns

rows_of = partial(test_epochs.rows_of, "digits, simulated")
closed = test_epochs.closed  # a fixture of every test


def bands(axis) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Points of each line by its name, and the corners of the band around it."""
    lines = zip(axis.lines, axis.collections, strict=True)
    return {line.get_label(): (line.get_xydata(), band.get_paths()[0].vertices) for line, band in lines}


def test_all_level_sets_are_in_one_panel_of_each_width():
    rows = rows_of(channels=[2, 8], levels=["full", "binary", (-2, 0, 1)], seed=[0, 1, 2], epoch=[1, 2])
    rows = rows[~((rows["channels"] == 8) & (rows["levels"] == "full"))]
    accuracy = 0.5 + 0.04 * rows["channels"] + 0.01 * rows["seed"] + 0.05 * (rows["levels"] == "full")
    figure = curves.accuracy_by_epoch(rows.assign(test_accuracy=accuracy))
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["digits, simulated\n2 channels", "digits, simulated\n8 channels"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["full", "(-2, 0, 1)", "binary"]
    found = [bands(axis) for axis in figure.axes]
    assert [list(of_width) for of_width in found] == [["full", "(-2, 0, 1)", "binary"], ["(-2, 0, 1)", "binary"]]
    line, band = found[0]["full"]
    np.testing.assert_allclose(line, [[1, 0.64], [2, 0.64]])
    np.testing.assert_allclose([band[:, 1].min(), band[:, 1].max()], [0.63, 0.65])  # of a sample
    assert figure.axes[1].get_ylim() == pytest.approx((0.8, 0.9))
    colors = [{line.get_label(): line.get_color() for line in axis.lines} for axis in figure.axes]
    assert colors[1].items() <= colors[0].items()


def test_one_run_and_a_perfect_one_are_drawn():
    rows = rows_of(channels=[2], levels=["binary"], seed=[0], epoch=[1, 2])
    figure = curves.accuracy_by_epoch(rows.assign(test_accuracy=[0.05, 1.0]))
    figure.canvas.draw()
    low, high = figure.axes[0].get_ylim()
    assert 0 < low < 0.1 and 0.999 < high < 1


def test_scales_have_a_line_of_each_layer_with_their_range():
    rows = rows_of(levels=["binary", "ternary"], seed=[0, 1], epoch=[0, 1], layer=["a", "b"])
    alpha = 0.1 + 0.02 * rows["seed"] + 0.1 * (rows["layer"] == "b") + 0.01 * rows["epoch"]
    figure = curves.scales_by_epoch(rows.assign(alpha=alpha, beta=5.0))
    first, second, third, _ = figure.axes
    assert [first.get_title(), second.get_title()] == ["ternary", "binary"]
    assert "α" in first.get_ylabel() and "β" in third.get_ylabel()
    for axis in (first, second):
        line, band = bands(axis)["b"]
        np.testing.assert_allclose(line, [[0, 0.21], [1, 0.22]])
        np.testing.assert_allclose([band[:, 1].min(), band[:, 1].max()], [0.2, 0.23])
    assert set(bands(third)["a"][0][:, 1]) == {5.0}


def test_weights_lie_on_their_levels_after_training_and_between_them_before():
    shares = [0.2, 0.5, 0.3]
    staircases = pd.DataFrame({"levels": ["ternary"], "thresholds": [(-0.1, 0.1)], "shares": [shares]})
    columns = histogram_columns()
    counts = np.zeros((2, len(columns)))
    counts[0, [columns.index("0.275"), columns.index("-0.725")]] = 0.75, 0.25
    counts[1, columns.index("0.575")] = 1
    histograms = pd.DataFrame(counts, columns=columns).assign(levels="ternary", epoch=[3, 9])
    figure = latent.weights_on_levels(staircases, histograms.iloc[::-1], 20.0)
    soft, effective, hard, at_levels = figure.axes[:4]
    curve = {name: axis.lines[-1].get_xydata() for name, axis in (("soft", soft), ("hard", hard))}
    x = curve["soft"][:, 0]
    sigmoids = [1 / (1 + np.exp(-20 * (x - threshold))) for threshold in (-0.1, 0.1)]
    np.testing.assert_allclose(curve["soft"][:, 1], sum(sigmoids) - 1, atol=1e-4)
    np.testing.assert_array_equal(curve["hard"][:, 1], np.select([x > 0.1, x > -0.1], [1, 0], -1))
    # Of 0.275 ± 0.025 the soft staircase makes 0.97 ± 0.02, of −0.725 it makes −1.
    heights, edges, _ = effective.patches[0].get_data()
    middles = (edges[1:] + edges[:-1]) / 2
    assert heights.sum() == pytest.approx(100)
    assert heights[middles > 0.85].sum() == pytest.approx(75) and heights[middles < -0.9].sum() == pytest.approx(25)
    (bars,) = [of for of in at_levels.containers if isinstance(of, BarContainer)]
    assert [bar.get_width() for bar in bars] == pytest.approx([20, 50, 30])
    assert [bar.get_y() + bar.get_height() / 2 for bar in bars] == pytest.approx([-1, 0, 1])
