"""What the protocol is worth, in the style of `snnq.figures.style`."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from snnq.figures.style import WIDTH, grid, in_lines, name_grid, shared_legend
from snnq.study.tables import number_of_levels

LINE = 0.4  # inches for a level set


def protocol(table: pd.DataFrame) -> Figure:
    """Points that each choice brings against the first of its part of the protocol, with 95 %
    confidence interval, by level set; where there are several widths, a color for each.

    A row of panels for each recordings and part of the protocol, a panel for each choice. Rows of
    `snnq.protocol_table`.
    """
    groups = table.groupby(["recordings", "part"], sort=False)
    parts = {"\n".join(name): rows for name, rows in groups if rows["choice"].nunique() > 1}
    columns = max(rows["choice"].nunique() for rows in parts.values()) - 1
    heights = [0.8 + LINE * rows["levels"].map(str).nunique() for rows in parts.values()]
    size = 0.75 * WIDTH * columns + 1, sum(heights)
    shared = {"sharex": "row", "sharey": "row"}
    figure, axes = grid(len(parts), columns, size, height_ratios=heights, **shared)
    widths = sorted(table["channels"].unique())
    colors = dict(zip(widths, sns.color_palette("crest", len(widths)) if widths[1:] else ["C0"]))
    for line, rows in zip(axes, parts.values()):
        _draw_part(line, rows, colors)
    if widths[1:]:
        shared_legend(figure, axes.flat, "channels")
    name_grid(axes, parts)
    return figure


def _draw_part(axes, rows: pd.DataFrame, colors: dict) -> None:
    """Level sets from top to bottom, most levels first, and widths beside each other in each."""
    first, *others = rows["choice"].unique()
    level_sets = sorted(rows["levels"].map(str).unique(), key=number_of_levels)
    widths = sorted(rows["channels"].unique())
    places = {levels: place for place, levels in enumerate(level_sets)}
    shifts = dict(zip(widths, _shifts(len(widths))))
    for axis, choice in zip(axes, others):
        axis.axvline(0, color="0.8", lw=0.8, zorder=0)
        for channels, line in rows[rows["choice"] == choice].groupby("channels"):
            heights = line["levels"].map(str).map(places) - shifts[channels]
            ends = line["difference"] - line["low"], line["high"] - line["difference"]
            axis.errorbar(
                line["difference"], heights, xerr=ends, fmt="o", ms=3, elinewidth=0.9,
                color=colors[channels], label=str(channels),
            )  # fmt: skip
        axis.set_yticks(range(len(places)), [*map(in_lines, places)], fontsize="x-small")
        axis.set(title=choice, xlabel=f"points against {first}", ylim=(-0.6, len(places) - 0.4))


def _shifts(count: int) -> np.ndarray:
    return (np.arange(count) - (count - 1) / 2) * 0.7 / count
