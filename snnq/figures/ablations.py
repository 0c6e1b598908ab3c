"""Figures of the ablations, in the style of `snnq.figures.style`."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from snnq.figures.style import WIDTH, in_lines
from snnq.study.tables import ablation_panels

LINE = 0.24  # inches for a change


def ablation(rows: pd.DataFrame) -> Figure:
    """Test accuracy after the last epoch of each change: every seed, and mean and s.d. over them;
    a panel per width and level set. The band is mean and s.d. of the first change, which is the
    recipe.

    Rows of one ablation, as `snnq.gather_ablations` writes them: change, channels, levels, seed,
    last.
    """
    groups = ablation_panels(rows)
    several = len({channels for channels, _ in groups}) > 1
    changes = list(rows["change"].unique())
    figure, axes = plt.subplots(
        1,
        len(groups),
        figsize=(WIDTH * (1 + len(groups)) / 1.6, 0.9 + LINE * len(changes)),
        layout="constrained",
        sharey=True,
        squeeze=False,
    )
    for axis, ((channels, levels), group) in zip(axes[0], groups.items()):
        _draw(axis, group, changes)
        title = f"{in_lines(levels)}, {channels} channels" if several else in_lines(levels)
        axis.set(title=title, xlabel="test accuracy (%)")
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
