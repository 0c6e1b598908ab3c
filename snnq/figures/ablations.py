"""Figures of the ablations, in the style of `snnq.figures.style`."""

import pandas as pd
from matplotlib.figure import Figure

from snnq.figures.style import WIDTH, grid, in_lines, name_grid
from snnq.study.tables import ablation_panels

LINE = 0.24  # inches for a change


def ablation(rows: pd.DataFrame) -> Figure:
    """Test accuracy after the last epoch of each change: every seed, and mean and s.d. over them; a
    row of panels for each width, where there are several, and a column for each level set. The band
    is mean and s.d. of the first change, which is the recipe.

    Rows of one ablation, as `snnq.gather_ablations` writes them: change, channels, levels, seed,
    last.
    """
    panels = ablation_panels(rows)
    widths, level_sets = (list(dict.fromkeys(names)) for names in zip(*panels))
    changes = list(rows["change"].unique())
    size = WIDTH * (1 + len(level_sets)) / 1.6, len(widths) * (0.9 + LINE * len(changes))
    figure, axes = grid(len(widths), len(level_sets), size, sharey=True)
    for (channels, levels), group in panels.items():
        _draw(axes[widths.index(channels), level_sets.index(levels)], group, changes)
    names = [f"{channels} channels" if len(widths) > 1 else "" for channels in widths]
    name_grid(axes, names, map(in_lines, level_sets), "test accuracy (%)")
    return figure


def _draw(axis, group: pd.DataFrame, changes: list[str]) -> None:
    accuracy = 100 * group["last"]
    mean, sd = (accuracy.groupby(group["change"], sort=False).agg(how) for how in ("mean", "std"))
    axis.axvspan(mean.iloc[0] - sd.iloc[0], mean.iloc[0] + sd.iloc[0], color="0.92", lw=0)
    places = {change: len(changes) - 1 - i for i, change in enumerate(changes)}
    axis.plot(accuracy, group["change"].map(places), "o", ms=3, color="0.65")
    axis.errorbar(mean, mean.index.map(places), xerr=sd, fmt="D", ms=4, capsize=2, color="C0")
    axis.set_yticks(list(places.values()), list(places), fontsize="small")
    axis.set_ylim(-0.6, len(changes) - 0.4)
