"""What training changes from epoch to epoch, all level sets or all layers in one panel."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from snnq.figures.colors import looks
from snnq.figures.style import grid, in_lines, name_grid, shared_legend

PANEL, COLUMNS = (2.3, 1.8), 3  # inches, and how many there may be in a row
TICKS = (0.1, 0.2, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)  # of a logit axis
SCALES = {"alpha": "output scale α", "beta": "input scale β"}


def accuracy_by_epoch(histories: pd.DataFrame) -> Figure:
    """Test accuracy with hard weights by epoch, a line for each level set, mean and s.d. over runs: a
    panel for each recordings and width.

    The axis is that of log(p / (1 − p)), on which half of the errors is as far everywhere.

    Parameters
    ----------
    histories : DataFrame
        As `snnq.study.gather` writes them: recordings, channels, levels, epoch and test_accuracy.
    """
    rows = histories.assign(levels=histories["levels"].map(str))
    studies = [
        (f"{recordings}\n{channels} channels", width)
        for recordings, study in rows.groupby("recordings", sort=False)
        for channels, width in study.groupby("channels")
    ]
    columns = min(COLUMNS, len(studies))
    lines = -(-len(studies) // columns)
    figure, axes = grid(lines, columns, (PANEL[0] * columns, PANEL[1] * lines + 0.4))
    styles = looks(rows["levels"])
    for axis, (name, study) in zip(axes.flat, studies):
        for levels in filter(set(study["levels"]).__contains__, styles):
            of_levels = study[study["levels"] == levels].groupby("epoch")["test_accuracy"]
            _band(axis, of_levels, {name: styles[levels][name] for name in ("color", "label")})
        axis.set_title(name)
        axis.set_xlabel("epoch")
        _accuracy_axis(axis)
    shared_legend(figure, axes.flat, "weights")
    name_grid(axes, ["test accuracy (%)"] * lines)
    return _with_whole_epochs(figure, axes)


def scales_by_epoch(transitions: pd.DataFrame) -> Figure:
    """α and β of each layer by epoch, mean and range over runs: a row of panels for each of the two,
    a column for each level set.

    Parameters
    ----------
    transitions : DataFrame
        Of one width, as `snnq.study.gather` writes them: levels, epoch, layer, alpha and beta.
    """
    rows = transitions.assign(levels=transitions["levels"].map(str))
    level_sets, layers = list(looks(rows["levels"])), list(dict.fromkeys(rows["layer"]))
    size = PANEL[0] * len(level_sets) + 0.6, PANEL[1] * len(SCALES)
    figure, axes = grid(len(SCALES), len(level_sets), size, sharex=True, sharey="row")
    for line, scale in zip(axes, SCALES):
        for axis, levels in zip(line, level_sets):
            group = rows[rows["levels"] == levels]
            for place, layer in enumerate(layers):
                of_layer = group[group["layer"] == layer].groupby("epoch")[scale]
                style = {"color": f"C{place}", "label": layer}
                _band(axis, of_layer, style, ("mean", "min", "max"))
            axis.set_yscale("log")
            axis.yaxis.set_major_locator(MaxNLocator(4))
            axis.yaxis.set_major_formatter("{x:g}")
            axis.yaxis.set_minor_locator(NullLocator())
    shared_legend(figure, axes.flat, "layer")
    name_grid(axes, SCALES.values(), map(in_lines, level_sets), "epoch")
    return _with_whole_epochs(figure, axes)


def _band(axis, by_epoch, style: Mapping, shown: Iterable[str] = ("mean", "std")) -> None:
    """The mean by epoch, and around it its standard deviation or what else spreads it."""
    mean, *ends = (by_epoch.agg(how) for how in shown)
    low, high = ends if len(ends) == 2 else (mean - ends[0], mean + ends[0])
    axis.plot(mean.index, mean, **style)
    color = style["color"]
    axis.fill_between(mean.index, low.fillna(mean), high.fillna(mean), color=color, alpha=0.2, lw=0)


def _accuracy_axis(axis) -> None:
    """Shares as percentages, between the round numbers around them."""
    shown = np.concatenate([line.get_ydata() for line in axis.lines])
    low = max([tick for tick in TICKS if tick < shown.min()], default=TICKS[0] / 2)
    high = min([tick for tick in TICKS if tick > shown.max()], default=1 - (1 - TICKS[-1]) / 2)
    axis.set_yscale("logit", nonpositive="clip")
    axis.set_ylim(low, high)
    axis.yaxis.set_major_locator(FixedLocator(TICKS))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}"))


def _with_whole_epochs(figure: Figure, axes: np.ndarray) -> Figure:
    for axis in axes.flat:
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    return figure
