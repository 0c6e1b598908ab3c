"""What two networks confuse, side by side, in the style of `snnq.figures.style`."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix

from snnq.figures.style import WIDE, WIDTH

MOST_NAMED = 12  # classes whose cells hold numbers
SHOWN = 0.5  # percent, below which a cell is empty
DARK = 0.55  # of the greatest value on the scale, above which a number is white


def confusions(
    label: np.ndarray, predicted: Mapping[str, Sequence[np.ndarray]], classes: Sequence[str]
) -> Figure:
    """Percent of each class's test samples that are taken for each class, mean over runs: a panel for
    each of two networks, and one for the second minus the first, in points.

    Parameters
    ----------
    label : int array [samples]
        The right classes.
    predicted : mapping of str to arrays [samples]
        By the name of a network, the classes that each of its runs predicts.
    classes : str
        Their names.
    """
    places = np.arange(len(classes))
    shares = {
        name: np.mean([_shares(label, one, places) for one in runs], axis=0)
        for name, runs in predicted.items()
    }
    first, second = shares
    figure, axes = plt.subplots(1, 3, figsize=(WIDE, 1.02 * WIDTH), layout="constrained", sharey=True)
    key = {"location": "bottom", "shrink": 0.7, "aspect": 30, "pad": 0.02}
    for axis, (name, of_network) in zip(axes, shares.items()):
        image = _matrix(axis, of_network, classes, "Blues", (0, 100), name)
    figure.colorbar(image, ax=axes[:2], label="samples of a class (%)", **key)
    change = shares[second] - shares[first]
    most = max(1, np.abs(change).max())
    image = _matrix(axes[2], change, classes, "RdBu_r", (-most, most), f"{second} − {first}")
    figure.colorbar(image, ax=axes[2], label="difference (points)", **key)
    axes[0].set_ylabel("class")
    return figure


def _shares(label: np.ndarray, predicted: np.ndarray, places: np.ndarray) -> np.ndarray:
    return 100 * confusion_matrix(label, predicted, labels=places, normalize="true")


def _matrix(axis, values: np.ndarray, classes: Sequence[str], cmap: str, ends: tuple, name: str):
    image = axis.imshow(values, cmap=cmap, vmin=ends[0], vmax=ends[1])
    axis.set(title=name, xlabel="predicted class")
    if len(classes) <= MOST_NAMED:
        turned = 90 if max(map(len, classes)) > 2 else 0
        axis.set_xticks(range(len(classes)), classes, fontsize=7, rotation=turned)
        axis.set_yticks(range(len(classes)), classes, fontsize=7)
        for (row, column), value in np.ndenumerate(values):
            if abs(value) >= SHOWN:
                color = "white" if abs(value) > DARK * ends[1] else "0.15"
                axis.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=7, color=color)
    axis.tick_params(length=0)
    return image
