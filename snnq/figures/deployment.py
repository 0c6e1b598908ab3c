"""Figures of what a network costs, of its memory's faults and of how it fires, in the style of
`snnq.figures.style`."""

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from snnq.figures.style import HEIGHT, WIDTH, panels


def bytes_by_layer(costs: pd.DataFrame) -> Figure:
    """Bytes of each layer that holds numbers, a group of bars per layer, a bar per level set.

    Rows of `snnq.costs` with the name of the level set in front, `weights_of`.
    """
    rows = costs.dropna(subset="bytes")
    rows = rows.assign(layer=rows["layer"] + "\n" + rows["kind"], kilobytes=rows["bytes"] / 1000)
    figure, axis = plt.subplots(figsize=(2 * WIDTH, HEIGHT), layout="constrained")
    sns.barplot(
        rows, x="layer", y="kilobytes", hue="weights_of", palette="flare", errorbar=None, ax=axis
    )
    axis.set(xlabel="", ylabel="kB", yscale="log")
    axis.tick_params("x", rotation=30, labelsize="x-small")
    _legend(figure, axis)
    return figure


def operations_by_layer(costs: pd.DataFrame) -> Figure:
    """Effective operations per test sample and their energy, a bar per level set, by layer."""
    rows = costs.dropna(subset="effective")
    figure, axes = panels(2, "", "", width=WIDTH)
    for axis, column, label in zip(
        axes, ("effective", "nanojoules"), ("operations", "energy (nJ)")
    ):
        wide = rows.pivot_table(column, "weights_of", "layer", sort=False)
        wide.plot.bar(stacked=True, ax=axis, legend=False, width=0.7)
        axis.set(xlabel="", ylabel=f"{label} per sample")
        axis.tick_params("x", rotation=40)
    names = rows.drop_duplicates("layer")
    labels = [f"{layer} ({kind})" for layer, kind in zip(names["layer"], names["operation"])]
    handles = axes[0].get_legend_handles_labels()[0]
    figure.legend(handles, labels, loc="outside right center", fontsize="x-small")
    return figure


def accuracy_against_faults(faults: pd.DataFrame) -> Figure:
    """Accuracy against the rate of flipped bits, mean and s.d. over draws, a curve per level set;
    every bit at risk on the left, signs protected on the right.

    Rows of `snnq.accuracy_with_faults` with `weights_of` and `signs` ("at risk", "protected").
    """
    level_sets = faults["weights_of"].unique()
    colors = dict(zip(level_sets, sns.color_palette("flare", len(level_sets))))
    figure, axes = panels(2, "test accuracy (%)", "rate of flipped bits", width=WIDTH)
    for axis, signs in zip(axes, ("at risk", "protected")):
        shown = faults[faults["signs"] == signs]
        for weights_of, group in shown.groupby("weights_of", sort=False):
            spread = (100 * group["accuracy"]).groupby(group["rate"]).agg(["mean", "std"])
            axis.errorbar(
                spread.index, spread["mean"], spread["std"], fmt="o-", ms=3, capsize=2,
                color=colors[weights_of], label=weights_of,
            )  # fmt: skip
        axis.set(title=f"signs {signs}", xscale="log", ylim=(0, 101))
    _legend(figure, axes[0])
    return figure


def firing_distance_by_layer(fidelity: pd.DataFrame) -> Figure:
    """Distance of the firing rates to full precision's by layer, mean and range over runs, a colour
    per level set and a panel per width; in grey that of full precision to itself.

    Rows of `snnq.firing_fidelity`.
    """
    rows, colors = _with_yardsticks(fidelity)
    widths = list(rows.groupby("channels"))
    figure, axes = panels(len(widths), "", "")
    for axis, (channels, group) in zip(axes, widths):
        axis.sharey(axes[0])
        sns.pointplot(
            group, x="layer", y="distance", hue="weights_of", hue_order=colors, palette=colors,
            errorbar=("pi", 100), dodge=0.5 * (len(colors) > 1), linestyle="none", markersize=3,
            err_kws={"lw": 1}, legend=axis is axes[0], ax=axis,
        )  # fmt: skip
        axis.set(title=f"{channels} channels", xlabel="", ylabel="")
        axis.tick_params("x", rotation=40, labelsize="x-small")
    # Last: on such an axis seaborn would take means of logarithms. What is smaller is as good as 0.
    axes[0].set_yscale("symlog", linthresh=1e-3)
    axes[0].set(ylim=(0, None), ylabel="distance (spikes per\nneuron and time step)")
    _legend(figure, axes[0])
    return figure


def _with_yardsticks(fidelity: pd.DataFrame) -> tuple[pd.DataFrame, dict]:
    """The rows with what their points are called, `weights_of`, and the colour of each name."""
    of_full = "full, another " + fidelity["differs_in"]
    is_yardstick = fidelity["differs_in"] != "levels"
    names = of_full.where(is_yardstick, fidelity["levels"])
    yardsticks, level_sets = names[is_yardstick].unique(), names[~is_yardstick].unique()
    colors = zip(level_sets, sns.color_palette("flare", len(level_sets)))
    return fidelity.assign(weights_of=names), dict(zip(yardsticks, ("0.3", "0.7"))) | dict(colors)


def _legend(figure: Figure, axis) -> None:
    handles, labels = axis.get_legend_handles_labels()
    if axis.get_legend():
        axis.get_legend().remove()
    figure.legend(handles, labels, title="weights", loc="outside right center", fontsize="x-small")
