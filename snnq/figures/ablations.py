"""Figures of the ablations, in the style of `snnq.figures.style`."""

import re
from textwrap import fill

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from snnq.figures.colors import looks
from snnq.figures.style import SMALLEST, grid, in_lines, name_grid
from snnq.study.comparisons import Correct, orders
from snnq.study.tables import ablation_panels, ablation_table

LINE, PANEL = 0.15, 3.4  # inches for a line of a change's name, and a level set
LETTERS = 30  # of a change's name in a line
FAR = 3  # times what the median change's interval reaches: the axis is not made for it


def ablation(rows: pd.DataFrame, correct: Correct | None = None) -> Figure:
    """Points of test accuracy that each change brings against the first one, which is the recipe: every
    run, of a seed and an order (grey), and mean and 95 % confidence interval over them and the test
    samples. A row of panels for each width, where there are several, and a column for each level set; the
    recipe's accuracy stands in its line. Where the recipe has no run there is no panel. Where one change's
    interval is so wide that the others could not be told from 0 beside it, the axis ends before it does; a
    mean beyond that is an arrow with its number.

    Parameters
    ----------
    rows : DataFrame
        Of one ablation, as `snnq.gather_ablations` writes them: change, channels, levels, seed,
        last.
    correct : mapping, optional
        See `snnq.read_correct`; without it intervals are of the seeds alone.
    """
    changes, table = list(rows["change"].unique()), ablation_table(rows, correct)
    panels = {of: group for of, group in ablation_panels(rows).items() if changes[0] in set(group["change"])}
    widths, level_sets = (list(dict.fromkeys(names)) for names in zip(*panels))
    names = {change: fill(_unbroken(change), LETTERS) for change in changes}
    lines = max(2, *(name.count("\n") + 1 for name in names.values()))
    size = PANEL * len(level_sets), len(widths) * (0.75 + LINE * lines * len(changes))
    figure, axes = grid(len(widths), len(level_sets), size, sharey=True)
    for (channels, levels), group in panels.items():
        axis = axes[widths.index(channels), level_sets.index(levels)]
        (look,) = looks([levels]).values()
        is_here = table["levels"].map(str) == str(levels)
        if channels is not None:
            is_here &= table["channels"] == channels
        _draw(axis, group, table[is_here].set_index("change"), names, look["color"])
    rows_are = [f"{channels} channels" if len(widths) > 1 else "" for channels in widths]
    name_grid(axes, rows_are, map(in_lines, level_sets))
    figure.supxlabel("accuracy difference (points)")
    return figure


def _draw(axis, runs: pd.DataFrame, table: pd.DataFrame, names: dict[str, str], color: str) -> None:
    changes = list(names)
    places = {change: place for place, change in enumerate(changes)}
    paired = runs.assign(order=orders(runs), last=100 * runs["last"])
    paired = paired.pivot_table("last", ["seed", "order"], "change", sort=False)
    paired = paired.sub(paired[changes[0]], axis=0).drop(columns=changes[0])
    axis.axvline(0, color="0.6", lw=0.8)
    others = table.drop(index=changes[0])
    reach = others[["difference", "low", "high"]].abs().max(axis=1)
    is_far = reach > FAR * reach.median()
    _draw_changes(axis, others[~is_far], paired, places, color)
    low, high = axis.get_xlim()
    if is_far.any():
        _draw_changes(axis, others[is_far], paired, places, color)
        axis.set_xlim(low, high)
    is_beyond = is_far & ~others["difference"].between(low, high)
    for change, value in others.loc[is_beyond, "difference"].items():
        _point_beyond(axis, places[change], value, color)
    axis.set_yticks(list(places.values()), names.values())
    axis.set_ylim(len(changes) - 0.5, -0.5)
    side = {"xytext": (4, 0), "ha": "left"} if high > -low else {"xytext": (-4, 0), "ha": "right"}
    accuracy = f"{table.loc[changes[0], 'mean']:.1f} %"
    axis.annotate(accuracy, (0, 0), textcoords="offset points", va="center", fontsize=SMALLEST, **side)


def _draw_changes(
    axis: Axes, changes: pd.DataFrame, paired: pd.DataFrame, places: dict[str, int], color: str
) -> None:
    """Each change's runs, and the mean and interval of them."""
    for change in changes.index.intersection(paired.columns):
        points = paired[change]
        axis.plot(points, [places[change]] * len(points), "o", ms=2.5, color="0.65")
    found = changes["difference"]
    ends = [found - changes["low"], changes["high"] - found]
    heights = changes.index.map(places)
    axis.errorbar(found, heights, xerr=ends, fmt="D", ms=3.5, mfc="none", capsize=2, color=color)


def _point_beyond(axis: Axes, place: int, value: float, color: str) -> None:
    """An arrow at the axis' end to what lies beyond it."""
    at, marker, side, shift = (0.98, ">", "right", -5) if value > 0 else (0.02, "<", "left", 5)
    where = axis.get_yaxis_transform()
    axis.plot(at, place, marker, ms=3.5, color=color, transform=where, clip_on=False)
    text = {"textcoords": "offset points", "va": "bottom", "fontsize": SMALLEST, "ha": side}
    axis.annotate(f"{value:+.1f}".replace("-", "−"), (at, place), (shift, 1), where, **text)


def _unbroken(name: str) -> str:
    """With a symbol, T = 16 say, in one line."""
    return re.sub(r"(?<=\b\w) |(?<=\b\w') |(?<==) ", "\N{NO-BREAK SPACE}", name)
