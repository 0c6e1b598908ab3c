"""A network drawn as its layers, in the style of `snnq.figures.style`."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from snnq.figures.style import WIDTH

BOX, GAP = 0.46, 0.24  # inches
SHORT = {"ParametricLIFNode": "PLIF", "LIFNode": "LIF", "IFNode": "IF", "BatchNorm2d": "batch norm"}
SHORT |= {"MaxPool2d": "max-pool", "AvgPool2d": "average-pool", "VotingLayer": "voting"}
COLORS = {1: "#0173b2", 2: "#de8f05", 3: "#029e73", 4: "#d55e00", 32: "0.35"}  # by bits, rounded up
TINT = 0.22
NOTHING = ("Dropout", "Flatten", "Identity")


def network(layers: pd.DataFrame) -> Figure:
    """A box for each layer with weights and what follows it, from the input down: kernel, weights and
    their bits, bytes, and on the arrows the shape of what goes on, for one time step. What does
    nothing in evaluation is left out.

    Parameters
    ----------
    layers : DataFrame
        Rows of `snnq.structure`, in the order in which the network calls them; connections that
        leave out layers are not drawn.
    """
    layers = layers[~layers["kind"].isin(NOTHING)].fillna({"kernel": ""})  # as a table has it
    groups = [rows for _, rows in layers.groupby(layers["has_weights"].cumsum())]
    height = len(groups) * (BOX + GAP) + GAP
    figure = plt.figure(figsize=(WIDTH, height))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(0, WIDTH), ylim=(0, height))
    axis.set_axis_off()
    _arrow(axis, height, f"input {groups[0]['input'].iloc[0]}")
    for place, rows in enumerate(groups):
        top = height - GAP - place * (BOX + GAP)
        _box(axis, top, rows)
        _arrow(axis, top - BOX, f"{rows['output'].iloc[-1]}")
    return figure


def _box(axis, top: float, rows: pd.DataFrame) -> None:
    first = rows.iloc[0]
    color = COLORS.get(-int(-first["bits"] // 1), "#cc78bc") if first["has_weights"] else "0.7"
    face = [1 - TINT * (1 - part) for part in to_rgb(color)]
    style = {"boxstyle": "round,pad=0,rounding_size=0.06", "fc": face, "ec": color, "lw": 1}
    axis.add_patch(FancyBboxPatch((0.05, top - BOX), WIDTH - 0.1, BOX, **style))
    named = _named(first) if first["has_weights"] else ", ".join(map(_named, rows.itertuples()))
    axis.text(0.14, top - 0.14, named, va="center", weight="bold", fontsize=8)
    after = [_named(row) for row in rows.iloc[1:].itertuples()] if first["has_weights"] else []
    axis.text(0.14, top - 0.34, " · ".join(after), va="center", fontsize=7, color="0.3")
    if first["has_weights"]:
        bits = f"{first['bits']:.3g} bit" + ("s" if first["bits"] != 1 else "")
        right = {"ha": "right", "va": "center", "fontsize": 7}
        axis.text(WIDTH - 0.14, top - 0.14, f"{first['numbers']:,} weights × {bits}", **right)
    stored = f"{rows['bytes'].sum() / 1000:,.3g} kB"
    axis.text(WIDTH - 0.14, top - 0.34, stored, ha="right", va="center", fontsize=7, color="0.3")


def _arrow(axis, top: float, shape: str) -> None:
    style = {"arrowstyle": "-|>", "color": "0.3", "lw": 0.8, "mutation_scale": 7}
    axis.annotate("", (WIDTH / 2, top - GAP), (WIDTH / 2, top), arrowprops=style)
    axis.text(WIDTH / 2 + 0.1, top - GAP / 2, shape, va="center", fontsize=7)


def _named(row) -> str:
    """What a layer is called, with its kernel."""
    return f"{SHORT.get(row.kind, row.kind)} {row.kernel}".strip()
