"""Figures of what a study's networks reach, in the style of `snnq.figures.style`."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from snnq.figures.style import WIDTH, in_lines, panels, shared_legend
from snnq.quantization.rules import FULL
from snnq.study.frontier import ahead_from
from snnq.study.tables import number_of_levels

MARKERS = "oD^vP*Xph"


def frontier(table: pd.DataFrame) -> Figure:
    """Accuracy after the last epoch against the bytes of the network, mean and 95 % confidence
    interval, a line over widths for each level set, a panel for each recordings.

    Where the binary networks are better than full precision at equal bytes from some width on, that
    network has a ring, and is named (see `snnq.ahead_from`). Rows of `snnq.frontier_table`.
    """
    groups = list(table.groupby("recordings", sort=False))
    styles = _styles(table["levels"])
    figure, axes = panels(len(groups), "test accuracy (%)", "network (kB)", width=1.2 * WIDTH)
    for axis, (recordings, rows) in zip(axes, groups):
        _lines_over_widths(axis, rows, rows["bytes"] / 1000, styles)
        axis.set_title(recordings)
        _name_point(axis, ahead_from(rows))
    shared_legend(figure, axes, "weights")
    return figure


def accuracy_against_operations(table: pd.DataFrame) -> Figure:
    """Accuracy after the last epoch, mean and 95 % confidence interval, against the effective synaptic
    operations of a recording and against their energy, a line over widths for each level set.

    Rows of `snnq.operations_of_runs`.
    """
    styles = _styles(table["levels"])
    figure, axes = panels(2, "test accuracy (%)", "", width=1.2 * WIDTH)
    for axis, column, unit, name in (
        (axes[0], "effective", 1e3, "thousand synaptic operations"),
        (axes[1], "nanojoules", 1e3, "energy of their arithmetic (µJ)"),
    ):
        _lines_over_widths(axis, table, table[column] / unit, styles)
        axis.set_xlabel(name)
    shared_legend(figure, axes, "weights")
    return figure


def accuracy_against_bits(table: pd.DataFrame) -> Figure:
    """Accuracy after the last epoch against the bits of a weight, mean and 95 % confidence
    interval, a line for each width, a panel for each recordings. Rows of `snnq.results_table`."""
    groups = list(table.groupby("recordings", sort=False))
    widths = sorted(table["channels"].unique())
    colors = dict(zip(widths, sns.color_palette("crest", len(widths)))) if len(widths) > 1 else {}
    figure, axes = panels(len(groups), "test accuracy (%)", "bits per weight", width=1.2 * WIDTH)
    for axis, (recordings, rows) in zip(axes, groups):
        level_sets = sorted(rows["levels"].unique(), key=number_of_levels)
        # Evenly spaced: 1.58 and 2 bits would run into each other.
        places = {levels: place for place, levels in enumerate(level_sets)}
        rows = rows.assign(place=[places[levels] for levels in rows["levels"]])
        for channels, line in rows.sort_values("place").groupby("channels"):
            ends = line["last_low"], line["last_high"]
            style = {"color": colors.get(channels, "C0"), "marker": "o", "label": str(channels)}
            _with_intervals(axis, line["place"], line["last_mean"], *ends, **style)
        bits = rows.groupby(rows["levels"].map(str))["bits"].mean()
        names = [f"{bits[str(levels)]:.3g}\n{in_lines(levels)}" for levels in level_sets]
        axis.set_xticks(range(len(names)), names)
        axis.set(title=recordings, xlim=(-0.5, len(names) - 0.5))
    if colors:
        shared_legend(figure, axes, "channels")
    return figure


def _lines_over_widths(axis, rows: pd.DataFrame, x: pd.Series, styles: dict[str, dict]) -> None:
    """Of each level set, on a logarithmic axis."""
    for levels, line in rows.assign(x=x).groupby(rows["levels"].map(str), sort=False):
        line = line.sort_values("x")
        ends = line["mean_low"], line["mean_high"]
        _with_intervals(axis, line["x"], line["mean"], *ends, **styles[levels])
    axis.set_xscale("log")
    decades = np.log10(x.max() / x.min())
    axis.xaxis.set_major_locator(LogLocator(subs=(1,) if decades > 2 else (1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.minorticks_off()


def _styles(level_sets: pd.Series) -> dict[str, dict]:
    """Of a line for each level set, by its name, those of most levels first; full precision is
    grey."""
    most_first = sorted(level_sets.unique(), key=number_of_levels, reverse=True)
    names = [str(levels) for levels in most_first]
    low_bit = [name for name in names if name != FULL]
    styles = {FULL: {"color": "0.35", "marker": "s", "label": FULL}} if FULL in names else {}
    for place, name in enumerate(low_bit):
        marker = MARKERS[place % len(MARKERS)]
        styles[name] = {"color": f"C{place}", "marker": marker, "label": name}
    return styles


def _with_intervals(axis, x, mean, low, high, **style) -> None:
    axis.errorbar(x, mean, [mean - low, high - mean], ms=4, lw=1.2, elinewidth=0.9, **style)


def _name_point(axis, found: pd.Series | None) -> None:
    """A ring round what `ahead_from` found, and its name below the title."""
    if found is None:
        return
    size = found["bytes"] / 1000
    axis.plot(size, found["mean"], "o", ms=10, mfc="none", mec="0.2", mew=0.9)
    ahead = f"{found['levels']} ahead at equal bytes from {found['channels']} channels on ({size:.3g} kB)"
    axis.set_title(axis.get_title(), pad=14)
    below_title = {"ha": "center", "va": "bottom", "transform": axis.transAxes}
    axis.text(0.5, 1.02, ahead, fontsize="x-small", color="0.2", **below_title)
