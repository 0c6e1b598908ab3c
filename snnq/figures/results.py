"""Figures of what a study's networks reach, in the style of `snnq.figures.style`."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from snnq.figures.colors import looks
from snnq.figures.style import beside, grid, in_lines, panels, ramp, shared_legend
from snnq.study.frontier import ahead_from
from snnq.study.tables import number_of_levels

LINE, PANEL = 0.36, 3.4  # inches for a level set, and for recordings


def frontier(table: pd.DataFrame) -> Figure:
    """Accuracy after the last epoch against the bytes of the network, mean and 95 % confidence
    interval, a line over widths for each level set, a panel for each recordings.

    Where the binary networks are better than full precision at equal bytes from some width on, that
    network has a ring (see `snnq.ahead_from`). Rows of `snnq.frontier_table`.
    """
    groups = list(table.groupby("recordings", sort=False))
    styles = looks(table["levels"])
    figure, axes = panels(len(groups), "test accuracy (%)", "network (kB)")
    for axis, (recordings, rows) in zip(axes, groups):
        _lines_over_widths(axis, rows, rows["bytes"] / 1000, styles)
        axis.set_title(recordings)
        ring = {"ms": 11, "mfc": "none", "mec": "0.2", "mew": 0.9}
        for found in ahead_from(rows).itertuples():
            axis.plot(found.bytes / 1000, found.mean, "o", **ring)
    shared_legend(figure, axes)
    return figure


def accuracy_against_operations(table: pd.DataFrame) -> Figure:
    """Accuracy after the last epoch, mean and 95 % confidence interval, against the effective synaptic
    operations of a recording and against their energy, a line over widths for each level set.

    Rows of `snnq.operations_of_runs`.
    """
    styles = looks(table["levels"])
    figure, axes = panels(2, "test accuracy (%)", "")
    for axis, column, unit, name in (
        (axes[0], "effective", 1e3, "synaptic operations per sample (thousands)"),
        (axes[1], "nanojoules", 1e3, "energy per sample (µJ)"),
    ):
        _lines_over_widths(axis, table, table[column] / unit, styles)
        axis.set_xlabel(name)
    shared_legend(figure, axes)
    return figure


def accuracy_against_bits(table: pd.DataFrame) -> Figure:
    """Accuracy after the last epoch of each level set, with the bits of its weights, mean and 95 %
    confidence interval, a point for each width, a panel for each recordings. Not joined: level sets
    are not on a scale. Rows of `snnq.results_table`."""
    table = table.assign(levels=table["levels"].map(str))
    groups = list(table.groupby("recordings", sort=False))
    colors = ramp("channels", sorted(table["channels"].unique()))
    height = 0.9 + LINE * table["levels"].nunique()
    figure, axes = grid(1, len(groups), (PANEL * len(groups), height))
    for axis, (recordings, rows) in zip(axes[0], groups):
        level_sets = sorted(rows["levels"].unique(), key=number_of_levels)
        places = rows["levels"].map({levels: place for place, levels in enumerate(level_sets)})
        widths = list(rows.groupby("channels"))
        for shift, (channels, own) in zip(beside(len(widths)), widths):
            ends = [own["last_mean"] - own["last_low"], own["last_high"] - own["last_mean"]]
            axis.errorbar(
                own["last_mean"], places[own.index] - shift, xerr=ends, fmt="o", ms=4, elinewidth=0.9,
                color=colors[channels], label=str(channels),
            )  # fmt: skip
        bits = rows.groupby("levels")["bits"].mean()
        names = [f"{in_lines(levels)}, {bits[levels]:.3g}" for levels in level_sets]
        axis.set_yticks(range(len(names)), names)
        axis.set(title=recordings, xlabel="test accuracy (%)", ylim=(-0.5, len(names) - 0.5))
    axes[0, 0].set_ylabel("level set, bits per weight")
    shared_legend(figure, axes[0], "channels")
    return figure


def _lines_over_widths(axis, rows: pd.DataFrame, x: pd.Series, styles: dict[str, dict]) -> None:
    """Of each level set, those of most levels first, on a logarithmic axis."""
    of_levels = dict(iter(rows.assign(x=x).groupby(rows["levels"].map(str))))
    for levels in (name for name in styles if name in of_levels):
        line = of_levels[levels].sort_values("x")
        ends = line["mean_low"], line["mean_high"]
        _with_intervals(axis, line["x"], line["mean"], *ends, **styles[levels])
    axis.set_xscale("log")
    decades = np.log10(x.max() / x.min())
    axis.xaxis.set_major_locator(LogLocator(subs=(1,) if decades > 2 else (1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.minorticks_off()


def _with_intervals(axis, x, mean, low, high, **style) -> None:
    axis.errorbar(x, mean, [mean - low, high - mean], ms=4, lw=1.2, elinewidth=0.9, **style)
