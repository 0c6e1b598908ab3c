"""The look that all figures share, their captions, and how they are saved.

A figure is as wide as one column of a two-column page or as both, nothing in it is smaller than 7
points at that size. Colours of level sets are in `colors`.
"""

import math
import re
from collections.abc import Iterable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from snnq.system.files import write_atomically

WIDTH, WIDE, HEIGHT = 3.5, 7.2, 2.3  # inches: one column of a two-column page, and both
MOST_PANELS = 4  # in a row
SMALLEST = 7  # points, of any text
SIZES = {
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "figure.labelsize": 8,
    "legend.title_fontsize": SMALLEST,
    "legend.fontsize": SMALLEST,
    "xtick.labelsize": SMALLEST,
    "ytick.labelsize": SMALLEST,
    "lines.linewidth": 1.2,
}
LETTER, HANDLE = 0.058, 0.5  # inches, of a legend's entry
RAMPS = {"temperature": "flare", "channels": "crest", "layer": "viridis"}


def set_style() -> None:
    """The study's look: call once, before drawing."""
    sns.set_theme("paper", "ticks", "colorblind", rc={"axes.spines.top": False} | SIZES)
    plt.rcParams.update({"axes.spines.right": False, "figure.dpi": 120, "savefig.dpi": 220})
    plt.rcParams.update({"legend.frameon": False, "image.cmap": "viridis", "pdf.fonttype": 42})


def save(figure: Figure, folder: str | Path, name: str) -> None:
    """Write a figure as PNG and PDF with its caption among their metadata, and nothing in the files
    that changes from run to run."""
    metadata = {
        "png": {"Software": None, "Description": figure.get_label()},
        "pdf": {"CreationDate": None, "Subject": figure.get_label()},
    }
    for kind, of_file in metadata.items():
        write_atomically(
            Path(folder, f"{name}.{kind}"), lambda path: figure.savefig(path, metadata=of_file)
        )


def note(figure: Figure, text: str) -> Figure:
    """Give a figure its caption, `figure.get_label()`: what it shows, and of what. A notebook shows it
    below the picture, in which it is not."""
    figure.set_label(text)
    figure._ipython_display_ = lambda: _show(figure)
    return figure


def _show(figure: Figure) -> None:
    """The picture, as if it had no caption, and then the caption."""
    from IPython.display import Markdown, display  # which is there where this is called

    with_caption = figure.__dict__.pop("_ipython_display_")
    try:
        display(figure, Markdown(figure.get_label()))
    finally:
        figure._ipython_display_ = with_caption


def ramp(kind: str, values: Iterable) -> dict:
    """A colour for each of the values of something that grows, a kind in `RAMPS`."""
    values = list(values)
    return dict(zip(values, sns.color_palette(RAMPS[kind], len(values))))


def beside(count: int) -> np.ndarray:
    """Places of so many points beside each other, around 0 and within a distance of 1."""
    return (np.arange(count) - (count - 1) / 2) * 0.7 / count


def panels(count: int, ylabel: str, xlabel: str, width: float = 2.2) -> tuple[Figure, np.ndarray]:
    """Panels in a row, or of more than four in several, as wide as a page's column if each may have
    `width` inches there, or else as both: a figure and its axes [count]."""
    columns = min(count, MOST_PANELS)
    rows = math.ceil(count / columns)
    figure, axes = grid(rows, columns, (width * columns, HEIGHT * rows))
    for axis in axes.flat:
        axis.set_xlabel(xlabel)
    for axis in axes[:, 0]:
        axis.set_ylabel(ylabel)
    for axis in axes.flat[count:]:
        axis.set_axis_off()
    return figure, axes.flat[:count]


def grid(
    rows: int, columns: int, size: tuple[float, float], **options
) -> tuple[Figure, np.ndarray]:
    """Panels in rows and columns, a figure and its axes [rows, columns]: as wide as a page's column if
    `size` [inches] is no wider, or else as both. Once they are drawn on, `name_grid` names them."""
    size = WIDTH if size[0] <= WIDTH else WIDE, size[1]
    return plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False, **options)


def name_grid(
    axes: np.ndarray, rows: Iterable[str], columns: Iterable[str] = (), xlabel: str = ""
) -> None:
    """The name of each row beside its first panel and that of each column above its first, and below
    its last what is on x. Places where nothing was drawn stay empty."""
    for axis in axes.flat:
        axis.axison = axis.has_data()
    for row, name in zip(axes, rows):
        first = next(axis for axis in row if axis.has_data())
        first.set_ylabel(name, visible=True)
        first.tick_params(labelleft=True)
    for column, name in zip(axes.T, columns):
        drawn = [axis for axis in column if axis.has_data()]
        drawn[0].set_title(name)
        drawn[-1].set_xlabel(xlabel)


def in_lines(levels) -> str:
    """What a level set is called, each rule of a mixed one in a line of its own."""
    return re.sub(r", (?=[^,]+: )", "\n", str(levels))


def shared_legend(figure: Figure, axes: Iterable, title: str | None = None) -> None:
    """One legend above the panels, for what is in any of them, in as many lines as it needs."""
    found = {}
    for axis in axes:
        found |= {label: handle for handle, label in zip(*axis.get_legend_handles_labels())}
    longest = HANDLE + LETTER * max(map(len, found))
    columns = min(len(found), max(1, int(figure.get_figwidth() / longest)))
    legend = {"title": title, "ncols": columns, "loc": "outside upper center"}
    figure.legend(found.values(), found, **legend)
