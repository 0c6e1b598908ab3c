"""Figures of a study's networks as training goes on, in the style of `snnq.figures.style`."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from snnq.figures.style import WIDTH, grid, in_lines, name_grid, shared_legend
from snnq.quantization.histograms import histogram_columns
from snnq.study.tables import number_of_levels

PANEL = 1.8, 1.5  # inches


def hard_and_soft(histories: pd.DataFrame) -> Figure:
    """Test accuracy by epoch with hard (solid) and soft (dashed) weights: a row of panels for each
    recordings and, where there are several, width; a column for each level set.

    Mean and s.d. over runs of rows with recordings, channels, levels, epoch, test_accuracy, and
    test_accuracy_soft at the epochs where it was measured.
    """
    names = {"test_accuracy": "hard", "test_accuracy_soft": "soft"}
    kept = [name for name in histories if name not in names]
    rows = histories.melt(kept, list(names), "weights", "accuracy").dropna(subset="accuracy")
    rows = rows.assign(weights=rows["weights"].map(names), accuracy=100 * rows["accuracy"])
    look = {"y": "accuracy", "hue": "weights", "style": "weights", "errorbar": "sd"}
    figure, axes = _by_epoch(rows, look, sharey="row")
    for line, (_, of_row) in zip(axes, _widths(rows)):
        late = of_row["epoch"] > of_row["epoch"].max() / 4  # earlier epochs would squeeze the rest
        settled = of_row.loc[late, "accuracy"]
        line[0].set_ylim(settled.min() - 2, min(101, settled.max() + 2))
    figure.supylabel("test accuracy (%)", fontsize="small")
    return figure


def weights_in_transition(transitions: pd.DataFrame) -> Figure:
    """Share of each layer's weights that lie between two levels as training sees them, by epoch, a
    line for each layer: mean and range over runs. A row of panels for each recordings and, where
    there are several, width; a column for each level set.

    Rows as `snnq.study.gather` writes them: recordings, channels, levels, epoch, layer and
    in_transition, see `weight_histograms`.
    """
    rows = transitions.assign(share=100 * transitions["in_transition"])
    layers = rows["layer"].unique()
    look = {"y": "share", "hue": "layer", "hue_order": layers, "errorbar": ("pi", 100)}
    figure, axes = _by_epoch(rows, look, sharey=True)
    axes[0, 0].set_ylim(0, None)
    figure.supylabel("weights in transition (%)", fontsize="small")
    return figure


def weights_in_training(histograms: pd.DataFrame) -> Figure:
    """How the scaled weights of a layer spread over the staircase, a row of panels per level set, a
    panel per epoch.

    Rows as `snnq.study.gather` writes them, of one layer, seed and kind of recordings: levels,
    epoch, and the share of the weights in each bin.
    """
    bins = histogram_columns()
    middles = np.array(bins, dtype=float)
    level_sets = _level_sets(histograms)[::-1]
    columns = histograms.groupby("levels")["epoch"].nunique().max()
    figure, axes = plt.subplots(
        len(level_sets),
        columns,
        figsize=(2 * WIDTH, 1.2 * len(level_sets)),
        layout="constrained",
        sharex=True,
        squeeze=False,
    )
    groups = dict(iter(histograms.groupby(histograms["levels"].map(str))))
    for row, levels in zip(axes, level_sets):
        for axis, (epoch, one) in zip(row, groups[levels].groupby("epoch")):
            axis.fill_between(middles, 100 * one[bins].iloc[0], step="mid", color="C0", lw=0)
            axis.set_title(f"after epoch {epoch}" if epoch else "before training")
            axis.set(yticks=[])
        row[0].set_ylabel(in_lines(levels), rotation=0, ha="right", va="center")
    figure.supylabel("share of weights", fontsize="small")
    axes[-1, 0].set_xlabel("βw / max|Y|")
    return figure


def _by_epoch(rows: pd.DataFrame, look: dict, **options) -> tuple[Figure, np.ndarray]:
    """Lines over epochs: a row of panels for each of `_widths`, a column for each level set."""
    widths, level_sets = _widths(rows), _level_sets(rows)
    size = PANEL[0] * len(level_sets) + 1, PANEL[1] * len(widths) + 0.6
    figure, axes = grid(len(widths), len(level_sets), size, **options)
    for line, (_, of_width) in zip(axes, widths):
        for levels, group in of_width.groupby(of_width["levels"].map(str)):
            _draw(line[level_sets.index(levels)], group, look)
    shared_legend(figure, axes.flat, look["hue"])
    name_grid(axes, [name for name, _ in widths], map(in_lines, level_sets), "epoch")
    return figure, axes


def _draw(axis, group: pd.DataFrame, look: dict) -> None:
    sns.lineplot(group, x="epoch", **look, legend="full", ax=axis)
    axis.set(xlabel="", ylabel="")
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.get_legend().remove()


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
