"""The look that all figures share, and how they are saved."""

import re
from collections.abc import Iterable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

WIDTH, HEIGHT = 3.4, 2.6  # inches: one column of a two-column page


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
    """A line below a figure: where its numbers come from."""
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
