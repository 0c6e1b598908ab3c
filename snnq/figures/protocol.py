"""What the protocol is worth, in the style of `snnq.figures.style`."""

import pandas as pd
from matplotlib.figure import Figure

from snnq.figures.style import beside, grid, in_lines, name_grid, ramp, shared_legend
from snnq.study.tables import number_of_levels

LINE, PANEL = 0.36, 2.4  # inches for a level set, and a choice
NAME = 0.055  # inches for a letter of a row's name, which stands beside it


def protocol(table: pd.DataFrame) -> Figure:
    """Points that each choice brings against the first of its part of the protocol, with 95 %
    confidence interval, by level set; where there are several widths, a color for each.

    A row of panels for each recordings and part of the protocol, a panel for each choice. Rows of
    `snnq.protocol_table`.
    """
    groups = table.groupby(["recordings", "part"], sort=False)
    parts = {"\n".join(name): rows for name, rows in groups if rows["choice"].nunique() > 1}
    columns = max(rows["choice"].nunique() for rows in parts.values()) - 1
    heights = [_height(*part) for part in parts.items()]
    size = PANEL * columns, sum(heights)
    shared = {"sharex": "row", "sharey": "row"}
    figure, axes = grid(len(parts), columns, size, height_ratios=heights, **shared)
    colors = ramp("channels", sorted(table["channels"].unique()))
    for line, rows in zip(axes, parts.values()):
        _draw_part(line, rows, colors)
    if len(colors) > 1:
        shared_legend(figure, axes.flat, "channels")
    name_grid(axes, parts)
    return figure


def _height(name: str, rows: pd.DataFrame) -> float:
    """Inches, for the lines of a part of the protocol and for its name beside them."""
    longest = max(map(len, name.split("\n")))
    return max(0.75 + LINE * rows["levels"].map(str).nunique(), 0.5 + NAME * longest)


def _draw_part(axes, rows: pd.DataFrame, colors: dict) -> None:
    """Level sets from top to bottom, most levels first, and widths beside each other in each."""
    first, *others = rows["choice"].unique()
    level_sets = sorted(rows["levels"].map(str).unique(), key=number_of_levels)
    widths = sorted(rows["channels"].unique())
    places = {levels: place for place, levels in enumerate(level_sets)}
    shifts = dict(zip(widths, beside(len(widths))))
    for axis, choice in zip(axes, others):
        axis.axvline(0, color="0.8", lw=0.8, zorder=0)
        for channels, line in rows[rows["choice"] == choice].groupby("channels"):
            heights = line["levels"].map(str).map(places) - shifts[channels]
            ends = line["difference"] - line["low"], line["high"] - line["difference"]
            axis.errorbar(
                line["difference"], heights, xerr=ends, fmt="o", ms=3, elinewidth=0.9,
                color=colors[channels], label=str(channels),
            )  # fmt: skip
        axis.set_yticks(range(len(places)), [*map(in_lines, places)])
        axis.set(title=choice, xlabel=f"difference to {first} (points)", ylim=(-0.6, len(places) - 0.4))
