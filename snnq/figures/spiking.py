"""What neurons do during one recording, in the style of `snnq.figures.style`."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from snnq.figures.colors import looks
from snnq.figures.style import WIDE

MOST_LAYERS = 4
ROW = 1.25  # inches


def spikes_and_membranes(traces: pd.DataFrame) -> Figure:
    """Spike rasters of two networks side by side, and the membrane potential of one neuron in both: a
    row of panels for each layer, of the first, the last and evenly spaced ones between.

    The neuron is the one whose spikes in the first network are nearest to half of the time steps. Its
    potential falls from where the input has brought it to where the spike resets it; dashed is the
    threshold.

    Parameters
    ----------
    traces : DataFrame
        Rows of `snnq.traces`, of two networks.
    """
    names = list(dict.fromkeys(traces["weights_of"]))
    layers = list(dict.fromkeys(traces["layer"]))
    few = np.linspace(0, len(layers) - 1, min(MOST_LAYERS, len(layers))).astype(int)
    styles = looks(names)
    figure, axes = plt.subplots(
        len(few), 3, figsize=(WIDE, ROW * len(few) + 0.4), layout="constrained",
        squeeze=False, sharex=True, width_ratios=[1, 1, 1.3],
    )  # fmt: skip
    for line, place in zip(axes, few):
        rows = traces[traces["layer"] == layers[place]]
        for axis, name in zip(line, names):
            _raster(axis, rows[rows["weights_of"] == name], styles[name]["color"])
        line[0].set_ylabel(f"{layers[place]}\nneuron")
        _membranes(line[2], rows, {name: styles[name]["color"] for name in names})
    for axis, name in zip(axes[0], names):
        axis.set_title(f"{name} weights\n{axis.get_title()}", fontsize=7)
    for axis in axes[-1]:
        axis.set_xlabel("time step")
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    handles, labels = axes[0, 2].get_legend_handles_labels()
    axes[0, 2].legend(handles, labels, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, fontsize=7)
    return figure


def _raster(axis, rows: pd.DataFrame, color) -> None:
    """A line of ticks for each neuron, at the time steps in which it fires; above, how many of the
    layer's neurons these are, and the spikes per neuron and time step of all of them."""
    wide = rows.pivot_table("spike", "neuron", "step")
    fired = [wide.columns[spikes > 0].to_numpy() for spikes in wide.to_numpy()]
    axis.eventplot(fired, colors=[color], linelengths=0.8, linewidths=2)
    axis.set(ylim=(-0.7, len(fired) - 0.3), xlim=(0, wide.columns.max() + 0.5), yticks=[])
    rate, neurons = rows["rate"].iloc[0], rows["neurons"].iloc[0]
    axis.set_title(f"{len(fired)} of {neurons:,}; rate {rate:.2g}", fontsize=7)


def _membranes(axis, rows: pd.DataFrame, colors: dict) -> None:
    first = rows[rows["weights_of"] == next(iter(colors))]
    fired = first.groupby("neuron")["spike"].mean()
    neuron = (fired - 0.5).abs().idxmin()
    for name, color in colors.items():
        steps = rows[(rows["weights_of"] == name) & (rows["neuron"] == neuron)].sort_values("step")
        time = np.repeat(steps["step"].to_numpy(), 2)
        potential = steps[["charged", "potential"]].to_numpy().ravel()
        axis.plot([0, *time], [0, *potential], color=color, label=name)
    axis.axhline(rows["threshold"].iloc[0], color="0.4", lw=0.8, ls="--")
    axis.set_ylabel("membrane\npotential")
