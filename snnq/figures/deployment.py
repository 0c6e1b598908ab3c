"""Figures of what a network costs, and of its memory's faults, in the style of
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


def _legend(figure: Figure, axis) -> None:
    handles, labels = axis.get_legend_handles_labels()
    if axis.get_legend():
        axis.get_legend().remove()
    figure.legend(handles, labels, title="weights", loc="outside right center", fontsize="x-small")
