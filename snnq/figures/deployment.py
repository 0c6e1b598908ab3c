"""Figures of what a network costs, of its memory's faults and of how it fires, in the style of
`snnq.figures.style`."""

from collections.abc import Iterable

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from snnq.figures.colors import looks
from snnq.figures.style import WIDE, WIDTH, beside, grid, in_lines, panels, ramp, shared_legend
from snnq.quantization.rules import FULL
from snnq.study.intervals import wilson

LINE = 0.26  # inches for a layer
SIGNS = ("at risk", "protected")


def bytes_by_layer(costs: pd.DataFrame) -> Figure:
    """Bytes of each layer that holds numbers, a line per layer, a point per level set.

    Rows of `snnq.costs` with the name of the level set in front, `weights_of`.
    """
    rows = costs.dropna(subset="bytes")
    layers = list(rows["layer"].unique())
    size = WIDTH, 0.8 + LINE * len(layers)
    figure, axis = plt.subplots(figsize=size, layout="constrained")
    styles = looks(rows["weights_of"])
    for shift, (name, style) in zip(beside(len(styles)), styles.items()):
        own = rows[rows["weights_of"] == name]
        axis.plot(own["bytes"] / 1000, _places(own["layer"], layers) + shift, ls="", ms=4, **style)
    _name_layers(axis, layers)
    axis.set(xscale="log", xlabel="memory (kB)")
    shared_legend(figure, [axis])
    return figure


def operations_by_layer(costs: pd.DataFrame) -> Figure:
    """Effective operations per test sample and their energy, a bar per level set, by layer."""
    rows = costs.dropna(subset="effective").assign(weights_of=costs["weights_of"].map(in_lines))
    kinds = rows.drop_duplicates("layer").set_index("layer")["operation"]
    colors = ramp("layer", kinds.index)
    size = WIDE, 0.9 + LINE * rows["weights_of"].nunique()
    figure, axes = grid(1, 2, size, sharey=True)
    columns = {"effective": "operations per sample (thousands)", "nanojoules": "energy per sample (µJ)"}
    for axis, (column, label) in zip(axes[0], columns.items()):
        wide = rows.pivot_table(column, "weights_of", "layer", sort=False) / 1000
        for layer, before in wide.cumsum(axis=1).shift(axis=1, fill_value=0).items():
            name = f"{layer} ({kinds[layer]})"
            axis.barh(wide.index, wide[layer], 0.7, before, color=colors[layer], label=name)
        axis.set_xlabel(label)
    axes[0, 0].invert_yaxis()
    shared_legend(figure, axes[0])
    return figure


def accuracy_against_faults(faults: pd.DataFrame, costs: pd.DataFrame) -> Figure:
    """Points of accuracy lost against the faults of a weight, mean and s.d. over draws, a curve per
    level set; every bit at risk on the left, signs protected on the right. Grey: what the number of
    test samples leaves open, the 95 % interval of the accuracy without faults.

    Where signs are protected and there is nothing else, nothing flips, and nothing is drawn.

    Parameters
    ----------
    faults : DataFrame
        Rows of `snnq.accuracy_with_faults` with `weights_of`, `signs` ("at risk", "protected"),
        `intact` (the accuracy without faults) and test_recordings.
    costs : DataFrame
        Of the same networks, see `bytes_by_layer`: how many weights are at risk.
    """
    rows = faults.assign(
        per_weight=faults["flipped"] / weights_at_risk(costs),
        lost=100 * (faults["intact"] - faults["accuracy"]),
    )
    figure, axes = panels(2, "accuracy lost (points)", "faults per weight")
    for axis, signs in zip(axes, SIGNS):
        _band(axis, faults)
        for name, style in looks(rows["weights_of"]).items():
            own = rows[(rows["signs"] == signs) & (rows["weights_of"] == name)]
            own = own[own["flipped"] > 0].groupby("rate")
            if len(own):
                lost = own["lost"]
                at = own["per_weight"].mean()
                axis.errorbar(at, lost.mean(), lost.std(), ms=4, capsize=2, **style)
        axis.set(title=f"signs {signs}", xscale="log")
        axis.sharey(axes[0])
    shared_legend(figure, axes)
    return figure


def weights_at_risk(costs: pd.DataFrame) -> float:
    """How many weights are in the layers that are quantized in all networks but full precision."""
    low_bit = costs[costs["weights_of"] != FULL].dropna(subset="weights")
    of_layer = low_bit.groupby("layer", sort=False)
    everywhere = of_layer["levels"].count() == low_bit["weights_of"].nunique()
    return of_layer["weights"].first()[everywhere].sum()


def _band(axis, faults: pd.DataFrame) -> None:
    """The widest interval of the accuracies without faults, around no loss."""
    networks = faults.drop_duplicates("weights_of")
    right = (networks["intact"] * networks["test_recordings"]).round()  # tables hold six digits
    shares = right / networks["test_recordings"]
    ends = np.array([*map(wilson, shares, networks["test_recordings"])])
    lost = 100 * (shares.to_numpy()[:, None] - ends)
    axis.axhspan(lost.min(), lost.max(), color="0.9", lw=0)
    axis.axhline(0, color="0.6", lw=0.6)


def firing_distance_by_layer(fidelity: pd.DataFrame) -> Figure:
    """Distance of the firing rates to full precision's, a line per layer, mean and range over runs, a
    colour per level set and a panel per width; in grey that of full precision to itself. A bar that
    reaches the left end of the axis goes on to 0.

    Rows of `snnq.firing_fidelity`.
    """
    rows, styles = _with_yardsticks(fidelity)
    layers = list(rows["layer"].unique())
    widths = list(rows.groupby("channels"))
    line = 0.12 * (1 + len(styles))
    size = 1.7 * len(widths), 0.9 + line * len(layers)
    figure, axes = grid(1, len(widths), size, sharex=True, sharey=True)
    for axis, (channels, group) in zip(axes[0], widths):
        for shift, (name, style) in zip(beside(len(styles)), styles.items()):
            found = group[group["weights_of"] == name].groupby("layer", sort=False)["distance"]
            mean = found.mean()
            ends = [mean - found.min(), found.max() - mean]
            places = _places(mean.index, layers) + shift
            axis.errorbar(mean, places, xerr=ends, ls="", ms=3, elinewidth=0.9, **style)
        axis.set_title(f"{channels} channels")
    if (rows["distance"] > 0).any():
        axes[0, 0].set_xscale("log")
    figure.supxlabel("distance (spikes per neuron and time step)")
    _name_layers(axes[0, 0], layers)
    shared_legend(figure, axes[0])
    return figure


def _with_yardsticks(fidelity: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, dict]]:
    """The rows with what their points are called, `weights_of`, and the look of each name."""
    of_full = "full, another " + fidelity["differs_in"]
    is_yardstick = fidelity["differs_in"] != "levels"
    names = of_full.where(is_yardstick, fidelity["levels"])
    yardsticks = {
        name: {"color": color, "marker": "s", "label": name}
        for name, color in zip(names[is_yardstick].unique(), ("0.35", "0.7"))
    }
    return fidelity.assign(weights_of=names), yardsticks | looks(names[~is_yardstick])


def _places(names: Iterable[str], layers: list[str]) -> np.ndarray:
    return np.array([layers.index(name) for name in names])


def _name_layers(axis, layers: list[str]) -> None:
    """From top to bottom."""
    axis.set_yticks(range(len(layers)), layers)
    axis.set_ylim(len(layers) - 0.5, -0.5)
