"""Trained weights on the grid of their levels, in the style of `snnq.figures.style`."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from snnq.figures.colors import looks
from snnq.figures.style import HEIGHT, WIDE, WIDTH, in_lines
from snnq.quantization.histograms import REACH, histogram_columns
from snnq.quantization.levels import resolve_levels
from snnq.quantization.staircase import staircase

FINE = 40  # points in a bin of the histograms, among which its weights are spread evenly
BINS = 31  # of the effective weights
MARGIN = 0.12  # of the greatest level, beyond it


def weights_on_levels(
    staircases: pd.DataFrame, histograms: pd.DataFrame, temperature: float
) -> Figure:
    """Effective weight against latent weight before training with levels and after it, a pair of
    columns of panels for each level set: the staircase, the histogram of latent weights below it, and
    beside it that of effective weights. Dashed: the levels.

    Before training the staircase is soft, and after it hard. The effective weights before are the
    latent ones of the histogram, through the staircase; of those after, the shares are counted.

    Parameters
    ----------
    staircases : DataFrame
        A row for each level set of one layer and run, as `snnq.study.gather` writes them: levels,
        layer_levels, thresholds in units of βw, and the shares of weights at each level.
    histograms : DataFrame
        Of the same layer and runs: levels, epoch, and the share of the weights in each bin.
    temperature : float
        At which training begins.
    """
    styles = looks(staircases["levels"])
    rows = {str(row.levels): row for row in staircases.itertuples()}
    shape = {"width_ratios": [3, 1] * len(styles), "sharey": True}
    size = WIDE if len(styles) > 1 else WIDTH, 1.6 * HEIGHT
    figure, axes = plt.subplots(
        2, 2 * len(styles), figsize=size, layout="constrained", squeeze=False, **shape
    )
    shares = histograms.assign(levels=histograms["levels"].map(str))
    for place, (levels, style) in enumerate(styles.items()):
        of_levels = shares[shares["levels"] == levels].sort_values("epoch")[histogram_columns()]
        pair = axes[:, 2 * place : 2 * place + 2]
        _draw(pair, rows[levels], of_levels.to_numpy(), temperature, style["color"])
        pair[0, 0].set_title(in_lines(levels))
    for axis, when in zip(axes[:, 0], ("before", "after")):
        axis.set_ylabel(f"{when} training")
    figure.supylabel("effective weight y / (α max|Y|)", fontsize="medium")
    figure.supxlabel("latent weight βw / max|Y|;\nbeside it, share of effective weights (%)", fontsize="medium")
    return figure


def _draw(pair: np.ndarray, row, latent: np.ndarray, temperature: float, color) -> None:
    """The two panels of a level set before training, and below the two after it."""
    levels = np.array(row.layer_levels if hasattr(row, "layer_levels") else resolve_levels(row.levels))
    greatest = abs(levels).max()
    fine = REACH * (2 * np.arange(FINE * latent.shape[1]) + 1) / (FINE * latent.shape[1]) - REACH
    soft = _soft(fine * greatest, row, levels, temperature) / greatest
    hard = levels[np.searchsorted(row.thresholds, fine * greatest)] / greatest
    ends = 1 + MARGIN
    spread, edges = np.histogram(soft, BINS, (-ends, ends), weights=np.repeat(latent[0], FINE) / FINE)
    curves = zip(pair, (soft, hard), (latent[0], latent[-1]))
    for (axis, beside), curve, shares in curves:
        for of in (axis, beside):
            for level in levels / greatest:
                of.axhline(level, color="0.8", lw=0.6, ls="--", zorder=0)
        _latent(axis, shares)
        axis.plot(fine, curve, color=color)
        axis.set(xlim=(-REACH, REACH), ylim=(-ends, ends))
    beside_before, beside_after = pair[:, 1]
    beside_before.stairs(100 * spread, edges, orientation="horizontal", fill=True, color=color)
    heights = 100 * np.array(row.shares)
    width = 0.5 * np.diff(levels).min() / greatest if len(levels) > 1 else 0.5
    beside_after.barh(levels / greatest, heights, min(width, 0.2), color=color)
    for beside in pair[:, 1]:
        beside.set_xlim(0, None)


def _latent(axis, shares: Sequence[float]) -> None:
    """The histogram of latent weights, over the lower part of a panel."""
    below = axis.twinx()
    middles = np.array(histogram_columns(), dtype=float)
    below.fill_between(middles, shares, step="mid", color="0.75", lw=0)
    below.set(ylim=(0, 2.5 * max(shares)), yticks=[])
    below.spines["right"].set_visible(False)
    axis.set_zorder(below.get_zorder() + 1)
    axis.patch.set_visible(False)


def _soft(scaled: np.ndarray, row, levels: np.ndarray, temperature: float) -> np.ndarray:
    one, warmth = torch.ones(()), torch.tensor(float(temperature))
    thresholds = torch.tensor(row.thresholds)
    of = torch.tensor(scaled, dtype=torch.float32)
    return staircase(of, one, one, thresholds, warmth, warmth, tuple(levels)).numpy()
