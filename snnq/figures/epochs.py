"""Figures of a study's networks as training goes on, in the style of `snnq.figures.style`."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from snnq.figures.colors import looks
from snnq.figures.layers import own_levels
from snnq.figures.style import WIDE, grid, in_lines, name_grid, ramp, shared_legend
from snnq.quantization.histograms import histogram_columns
from snnq.study.tables import number_of_levels

PANEL = 1.5, 1.25  # inches
SOFT = {"color": "0.1", "ls": "--", "marker": "o", "ms": 2.5, "lw": 1}


def hard_and_soft(histories: pd.DataFrame) -> Figure:
    """Test accuracy by epoch, from the first one on, with hard weights (solid) and soft ones (dashed,
    a point where they were tested): a row of panels for each recordings and, where there are
    several, width; a column for each level set.

    Mean and s.d. over runs of rows with recordings, channels, levels, epoch, test_accuracy, and
    test_accuracy_soft at the epochs where it was measured.
    """
    figure, axes = _by_epoch(histories, _hard_and_soft, sharey="row")
    lines = Line2D([], [], color="0.5", label="hard weights"), Line2D([], [], **SOFT, label="soft weights")
    figure.legend(handles=lines, ncols=2, loc="outside upper center")
    figure.supylabel("test accuracy (%)")
    return figure


def _hard_and_soft(axis, group: pd.DataFrame) -> None:
    (look,) = looks([group["levels"].iloc[0]]).values()
    for column, style in {
        "test_accuracy": {"color": look["color"]},
        "test_accuracy_soft": SOFT,
    }.items():
        of_epoch = (100 * group[column].dropna()).groupby(group["epoch"])
        mean, sd = of_epoch.mean(), of_epoch.std()
        _line(axis, mean, mean - sd, mean + sd, style)


def weights_in_transition(transitions: pd.DataFrame) -> Figure:
    """Share of each layer's weights that lie between two levels as training sees them, by epoch, a
    line for each layer: mean and range over runs; of lines on each other the narrower is in front.
    A row of panels for each recordings and, where there are several, width; a column for each level
    set.

    Rows as `snnq.study.gather` writes them: recordings, channels, levels, epoch, layer and
    in_transition, see `weight_histograms`.
    """
    colors = ramp("layer", transitions["layer"].unique())
    widths = dict(zip(colors, np.linspace(3.5, 1, len(colors))))

    def draw(axis, group: pd.DataFrame) -> None:
        for layer, rows in group.groupby("layer", sort=False):
            of_epoch = (100 * rows["in_transition"]).groupby(rows["epoch"])
            style = {"color": colors[layer], "lw": widths[layer], "label": layer}
            _line(axis, of_epoch.mean(), of_epoch.min(), of_epoch.max(), style)

    figure, axes = _by_epoch(transitions, draw, sharey=True)
    shared_legend(figure, axes.flat)
    axes[0, 0].set_ylim(0, None)
    figure.supylabel("weights in transition (%)")
    return figure


def weights_in_training(histograms: pd.DataFrame, staircases: pd.DataFrame) -> Figure:
    """How the scaled weights of each layer spread over the staircase, a line for each epoch over those
    before training (grey), and the thresholds (dotted): a row of panels per level set, a panel per
    layer. Of lines on each other the later one is narrower, and in front.

    Parameters
    ----------
    histograms : DataFrame
        Rows as `snnq.study.gather` writes them, of one seed and kind of recordings: levels, layer,
        epoch, and the share of the weights in each bin.
    staircases : DataFrame
        Of the same networks, with levels, layer, layer_levels (see `own_levels`) and thresholds.
    """
    level_sets, layers = _level_sets(histograms)[::-1], list(histograms["layer"].unique())
    size = WIDE, 0.7 + 1.15 * len(level_sets)
    figure, axes = grid(len(level_sets), len(layers), size, sharex=True)
    colors = ramp("temperature", sorted(histograms["epoch"].unique())[1:])
    styles = {
        epoch: {"color": color, "lw": width}
        for (epoch, color), width in zip(colors.items(), np.linspace(1.7, 0.7, len(colors)))
    }
    for (levels, layer), rows in histograms.groupby([histograms["levels"].map(str), "layer"]):
        _draw_histograms(axes[level_sets.index(levels), layers.index(layer)], rows, styles)
    for row, levels in zip(staircases.itertuples(), own_levels(staircases)):
        axis = axes[level_sets.index(str(row.levels)), layers.index(row.layer)]
        for threshold in row.thresholds:
            place = threshold / max(map(abs, levels))
            axis.axvline(place, color="0.2", ls=":", lw=1, label="thresholds")
    shared_legend(figure, axes.flat)
    name_grid(axes, map(in_lines, level_sets), layers, "βw / max|Y|")
    for axis in axes[:, 0]:
        axis.yaxis.label.set(rotation=0, ha="right", va="center")
    figure.supylabel("weights (% per bin)")
    return figure


def _draw_histograms(axis, rows: pd.DataFrame, styles: dict) -> None:
    """Those of the first epoch in the table as an area, and of the others as lines."""
    bins = histogram_columns()
    middles = np.array(bins, dtype=float)
    for epoch, one in rows.groupby("epoch"):
        shares = 100 * one[bins].iloc[0]
        if epoch in styles:
            name = f"after epoch {epoch}"
            axis.step(middles, shares, where="mid", label=name, **styles[epoch])
        else:
            name = f"after epoch {epoch}" if epoch else "before training"
            axis.fill_between(middles, shares, step="mid", color="0.85", lw=0, label=name)
    axis.set_ylim(0, None)


def _by_epoch(rows: pd.DataFrame, draw: Callable, **options) -> tuple[Figure, np.ndarray]:
    """Lines over epochs: a row of panels for each of `_widths`, a column for each level set."""
    widths, level_sets = _widths(rows), _level_sets(rows)
    size = PANEL[0] * len(level_sets) + 0.5, PANEL[1] * len(widths) + 0.7
    figure, axes = grid(len(widths), len(level_sets), size, **options)
    for line, (_, of_width) in zip(axes, widths):
        for levels, group in of_width.groupby(of_width["levels"].map(str)):
            axis = line[level_sets.index(levels)]
            draw(axis, group)
            axis.xaxis.get_major_locator().set_params(integer=True)
    name_grid(axes, [name for name, _ in widths], map(in_lines, level_sets), "epoch")
    return figure, axes


def _line(axis, mean: pd.Series, low: pd.Series, high: pd.Series, style: dict) -> None:
    """By epoch, in a band."""
    axis.plot(mean, **style)
    axis.fill_between(mean.index, low, high, color=style["color"], alpha=0.2, lw=0)


def _level_sets(rows: pd.DataFrame) -> list[str]:
    """Their names, those of most levels first."""
    return sorted(rows["levels"].map(str).unique(), key=number_of_levels, reverse=True)


def _widths(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each recordings and, where there are several, width, narrow ones first, by name."""
    several = "channels" in rows and rows["channels"].nunique() > 1
    return [
        (f"{recordings}\n{channels} channels" if several else recordings, of_width)
        for recordings, study in rows.groupby("recordings", sort=False)
        for channels, of_width in study.groupby("channels" if several else "recordings")
    ]
