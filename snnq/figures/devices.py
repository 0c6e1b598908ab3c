"""The figure of networks on devices with faults, in the style of `snnq.figures.style`."""

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from snnq.figures.style import panels, shared_legend
from snnq.study.tables import number_of_levels

MARKERS = "osD^vPX"


def accuracy_on_devices(table: pd.DataFrame) -> Figure:
    """Accuracy against the share of bits that are stuck, a panel for each width and level set, a colour
    for each training: the mean over devices and seeds, and dashed the worst of them. Dotted: without
    faults.

    Parameters
    ----------
    table : DataFrame
        Of `snnq.study.devices.devices_table`.
    """
    rows = table.assign(stuck=100 * (table["stuck_at_0"] + table["stuck_at_1"]))
    trainings = sorted(rows["training"].unique())
    colors = dict(zip(trainings, sns.color_palette("colorblind", len(trainings))))
    keys = sorted(
        rows.groupby(["channels", "levels"]).groups,
        key=lambda key: (-key[0], -number_of_levels(key[1])),
    )
    figure, axes = panels(len(keys), "accuracy (%)", "bits stuck (%)", width=1.8)
    for axis, (channels, levels) in zip(axes, keys):
        own = rows[(rows["channels"] == channels) & (rows["levels"] == levels)]
        axis.axhline(own["intact"].mean(), color="0.6", lw=0.8, ls=":")
        for marker, training in zip(MARKERS, trainings):
            line = own[own["training"] == training].sort_values("stuck")
            style = {"color": colors[training], "marker": marker, "ms": 3.5}
            axis.plot(line["stuck"], line["mean"], label=training, **style)
            axis.plot(line["stuck"], line["worst"], ls="--", lw=0.7, **style | {"ms": 2})
        axis.set(title=f"{levels}, {channels} channels", ylim=(0, 100))
    shared_legend(figure, axes)
    return figure
