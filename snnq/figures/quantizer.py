"""Figures of the quantizer: the staircase, its slope, and how soft becomes hard."""

from collections.abc import Iterable

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import AutoLocator
from torch import Tensor

from snnq.figures.colors import looks
from snnq.figures.layers import own_levels
from snnq.figures.style import HEIGHT, WIDTH, panels, ramp, shared_legend
from snnq.quantization.histograms import histogram_columns
from snnq.quantization.sigmoid import SigmoidQuantizer
from snnq.quantization.staircase import staircase

TEMPERATURES = (1, 3, 10, 40)
SWEEP = np.geomspace(1, 2000, 60)
POINTS = 1201
LOWEST_SLOPE = 1e-2  # on the axis


def staircases(level_sets: Iterable[str], temperatures: Iterable[float] = TEMPERATURES) -> Figure:
    """Soft output against weight, one panel per level set, one curve per temperature."""
    figure, axes = panels(len(level_sets), "quantized weight y", "weight w")
    for axis, levels in zip(axes, level_sets):
        draw_staircase(axis, levels, temperatures)
        axis.set_title(levels)
    shared_legend(figure, axes[:1], "temperature T")
    return figure


def draw_staircase(axis, levels, temperatures: Iterable[float]) -> None:
    """Soft outputs at some temperatures and the hard one, for weights from −1 to 1."""
    weights, quantizer = _example(levels)
    for temperature, color in ramp("temperature", temperatures).items():
        axis.plot(weights, _soft(quantizer, weights, temperature), color=color, label=temperature)
    axis.plot(weights, quantizer.eval()(weights).detach(), "k:", lw=1, label="hard")


def slopes(
    level_sets: Iterable[str],
    backward: float | None,
    temperatures: Iterable[float] = TEMPERATURES,
) -> Figure:
    """∂y/∂w against weight, true at each temperature; and dashed at a separate backward temperature,
    where there is one, which is the slope whatever the temperature."""
    figure, axes = panels(len(level_sets), "slope ∂y/∂w", "weight w")
    for axis, levels in zip(axes, level_sets):
        weights, quantizer = _example(levels)
        for temperature, color in ramp("temperature", temperatures).items():
            slope = _slope(quantizer, weights, temperature)
            axis.plot(weights, slope, color=color, label=f"T = {temperature}")
        if backward is not None:
            slope = _slope(quantizer, weights, backward)
            axis.plot(weights, slope, "k--", label=f"T' = {backward:g}, at any T")
        axis.set(yscale="log", ylim=LOWEST_SLOPE, title=levels)
    shared_legend(figure, axes[:1])
    return figure


def soft_to_hard(level_sets: Iterable[str]) -> Figure:
    """Mean distance between soft and hard output, in steps between levels, against temperature."""
    figure, axis = plt.subplots(figsize=(WIDTH, HEIGHT), layout="constrained")
    weights = torch.randn(20_000, generator=torch.Generator().manual_seed(0))
    for levels, look in looks(level_sets).items():
        quantizer = SigmoidQuantizer(weights, levels)
        hard = quantizer.eval()(weights).detach()
        step = quantizer.alpha.item() * np.diff(quantizer.levels).mean()
        gaps = [(_soft(quantizer, weights, T) - hard).abs().mean() / step for T in SWEEP]
        axis.plot(SWEEP, gaps, **look, ms=4, markevery=10)
    axis.set(xscale="log", yscale="log", xlabel="temperature T", ylabel="mean |soft − hard| (steps)")
    axis.legend()
    return figure


def weights_on_staircase(staircases: pd.DataFrame, histograms: pd.DataFrame) -> Figure:
    """Where each quantized layer's weights βw (grey) sit on its staircase, after training: hard, as
    evaluation sees it, and soft (dashed) at the last temperature, where that is another one.

    The share of weights beyond the histogram is in the title.

    Parameters
    ----------
    staircases, histograms : DataFrame
        Rows of one network as `snnq.study.gather` writes them, one for each layer: levels (the
        network's), layer, layer_levels (its own, see `own_levels`), temperature and thresholds; and the share of the weights in each bin.
    """
    bins = histogram_columns()
    width = float(bins[1]) - float(bins[0])
    figure, axes = panels(len(staircases), "quantized weight y/α", "scaled weight βw")
    shares = histograms.set_index("layer")[bins]
    most = 100 * shares.to_numpy().max()
    for axis, row, levels in zip(axes, staircases.itertuples(), own_levels(staircases)):
        greatest = max(map(abs, levels))
        places, heights = greatest * np.array(bins, dtype=float), shares.loc[row.layer]
        density = _behind(axis)
        density.bar(places, 100 * heights, width * greatest, color="0.82", lw=0)
        density.set(ylim=(0, 1.05 * most), yticks=[])
        seen = places[heights.to_numpy() > 0]
        _draw_trained(axis, row, levels, np.linspace(seen.min() - width, seen.max() + width, POINTS))
        beyond = 1 - heights.sum()
        axis.set_title(row.layer + (f", {beyond:.0%} further out" if beyond > 0.005 else ""))
    density.yaxis.set_major_locator(AutoLocator())
    density.set_ylabel("share of weights (%)", color="0.4")
    shared_legend(figure, axes)
    return figure


def _behind(axis):
    """An axis of its own y for bars behind what is drawn."""
    behind = axis.twinx()
    behind.spines["right"].set_visible(False)
    axis.set_zorder(behind.get_zorder() + 1)
    axis.patch.set_visible(False)
    return behind


def _draw_trained(axis, row, levels: Iterable[float], scaled: np.ndarray) -> None:
    (look,) = looks([row.levels]).values()
    hard = np.array(levels)[np.searchsorted(row.thresholds, scaled)]
    axis.plot(scaled, hard, color=look["color"], label="hard")
    one, biases = torch.ones(()), torch.tensor(row.thresholds)
    temperature = torch.tensor(float(row.temperature))
    weights = torch.from_numpy(scaled).float()
    soft = staircase(weights, one, one, biases, temperature, temperature, levels)
    axis.plot(scaled, soft, "--", color="0.3", lw=0.9, label=f"soft, T = {row.temperature:g}")


def _example(levels) -> tuple[Tensor, SigmoidQuantizer]:
    weights = torch.linspace(-1, 1, POINTS)
    return weights, SigmoidQuantizer(weights, levels, backward_temperature=None)


def _soft(quantizer: SigmoidQuantizer, weights: Tensor, temperature: float) -> Tensor:
    quantizer.temperature.fill_(temperature)
    return quantizer.soft(weights).detach()


def _slope(quantizer, weights: Tensor, temperature: float) -> Tensor:
    quantizer.temperature.fill_(temperature)
    weights = weights.clone().requires_grad_()
    return torch.autograd.grad(quantizer.soft(weights).sum(), weights)[0]
