"""The figure of networks on devices with faults, in the style of `snnq.figures.style`."""

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from snnq.figures.style import HEIGHT, grid, name_grid, shared_legend
from snnq.study.tables import number_of_levels

MARKERS = "osD^vPX"


def accuracy_on_devices(table: pd.DataFrame) -> Figure:
    """Accuracy against the share of bits that are stuck, a row of panels for each width with one for
    each level set, a colour for each training: the mean over devices and seeds, and dashed the worst
    of them. Dotted: without faults.

    Parameters
    ----------
    table : DataFrame
        Of `snnq.study.devices.devices_table`.
    """
    rows = table.assign(stuck=100 * (table["stuck_at_0"] + table["stuck_at_1"]))
    trainings = sorted(rows["training"].unique())
    colors = dict(zip(trainings, sns.color_palette("colorblind", len(trainings))))
    widths = sorted(rows["channels"].unique(), reverse=True)
    level_sets = sorted(rows["levels"].unique(), key=number_of_levels, reverse=True)
    size = 1.8 * len(level_sets), HEIGHT * len(widths)
    figure, axes = grid(len(widths), len(level_sets), size, sharex=True, sharey=True)
    for (channels, levels), own in rows.groupby(["channels", "levels"]):
        axis = axes[widths.index(channels), level_sets.index(levels)]
        axis.axhline(own["intact"].mean(), color="0.6", lw=0.8, ls=":")
        for marker, training in zip(MARKERS, trainings):
            line = own[own["training"] == training].sort_values("stuck")
            style = {"color": colors[training], "marker": marker, "ms": 3.5}
            axis.plot(line["stuck"], line["mean"], label=training, **style)
            axis.plot(line["stuck"], line["worst"], ls="--", lw=0.7, **style | {"ms": 2})
        axis.set_ylim(0, 100)
    of_rows = [f"{channels} channels, accuracy (%)" for channels in widths]
    name_grid(axes, of_rows, level_sets, "bits stuck (%)")
    shared_legend(figure, axes.flat)
    return figure
