"""The look that all figures share, and how they are saved."""

import re
from collections.abc import Iterable
from pathlib import Path
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

WIDTH, HEIGHT = 3.4, 2.6  # inches: one column of a two-column page
LETTERS = 20  # of a note, in an inch


def set_style() -> None:
    """The study's look: call once, before drawing."""
    sns.set_theme("paper", "ticks", "colorblind", rc={"axes.spines.top": False})
    plt.rcParams.update({"axes.spines.right": False, "figure.dpi": 120, "savefig.dpi": 220})
    plt.rcParams.update({"legend.frameon": False, "image.cmap": "viridis"})


def save(figure: Figure, folder: str | Path, name: str) -> None:
    """Write a figure as PNG and PDF, with nothing in the files that changes from run to run."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    figure.savefig(Path(folder) / f"{name}.png", metadata={"Software": None})
    figure.savefig(Path(folder) / f"{name}.pdf", metadata={"CreationDate": None})


def note(figure: Figure, text: str) -> Figure:
    """Below a figure: where its numbers come from, in as many lines as its width asks for."""
    text = fill(text, int(LETTERS * figure.get_figwidth()), break_on_hyphens=False)
    figure.supxlabel(text, fontsize="x-small", color="0.4")
    return figure


def panels(count: int, ylabel: str, xlabel: str, width: float = 2.2) -> tuple[Figure, np.ndarray]:
    """A row of panels, each `width` inches wide, together at least a page's column: a figure and
    its axes [count]."""
    size = max(WIDTH, width * count), HEIGHT
    figure, axes = plt.subplots(1, count, figsize=size, layout="constrained", squeeze=False)
    for axis in axes[0]:
        axis.set_xlabel(xlabel)
    axes[0, 0].set_ylabel(ylabel)
    return figure, axes[0]


def grid(
    rows: int, columns: int, size: tuple[float, float], **options
) -> tuple[Figure, np.ndarray]:
    """Panels in rows and columns, a figure of `size` inches, or as wide as a page's column if that is
    more, and its axes [rows, columns]. Once they are drawn on, `name_grid` names them."""
    size = max(WIDTH, size[0]), size[1]
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
        first.set_ylabel(name, fontsize="small", visible=True)
        first.tick_params(labelleft=True)
    for column, name in zip(axes.T, columns):
        drawn = [axis for axis in column if axis.has_data()]
        drawn[0].set_title(name)
        drawn[-1].set_xlabel(xlabel)


def in_lines(levels) -> str:
    """What a level set is called, each rule of a mixed one in a line of its own."""
    return re.sub(r", (?=[^,]+: )", "\n", str(levels))


def shared_legend(figure: Figure, axes: Iterable, title: str | None = None) -> None:
    """One legend beside the panels, for what is in any of them."""
    found = {}
    for axis in axes:
        found |= {label: handle for handle, label in zip(*axis.get_legend_handles_labels())}
    figure.legend(
        found.values(), found, title=title, loc="outside right center", fontsize="x-small"
    )
