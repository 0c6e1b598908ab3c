"""Figures of the quantizer: the staircase, its slope, and how soft becomes hard."""

from collections.abc import Iterable

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.figure import Figure
from torch import Tensor

from snnq.figures.style import HEIGHT, WIDTH, panels, shared_legend
from snnq.quantization.histograms import histogram_columns
from snnq.quantization.levels import resolve_levels
from snnq.quantization.sigmoid import SigmoidQuantizer
from snnq.quantization.staircase import staircase

TEMPERATURES = (1, 3, 10, 40)
SWEEP = np.geomspace(1, 2000, 60)
POINTS = 1201


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
    temperatures = list(temperatures)
    for temperature, color in zip(temperatures, _ramp(len(temperatures))):
        axis.plot(weights, _soft(quantizer, weights, temperature), color=color, label=temperature)
    axis.plot(weights, quantizer.eval()(weights).detach(), "k:", lw=1, label="hard")


def slopes(
    level_sets: Iterable[str], backward: float, temperatures: Iterable[float] = TEMPERATURES
) -> Figure:
    """∂y/∂w against weight, true at each temperature, and at a separate backward temperature."""
    figure, axes = panels(len(level_sets), "slope ∂y/∂w", "weight w")
    for axis, levels in zip(axes, level_sets):
        weights, quantizer = _example(levels)
        for temperature, color in zip(temperatures, _ramp(len(temperatures))):
            slope = _slope(quantizer, weights, temperature)
            axis.plot(weights, slope, color=color, label=f"T = {temperature}")
        slope = _slope(quantizer, weights, temperatures[-1], backward)
        axis.plot(weights, slope, "r--", lw=1.2, label=f"T = {temperatures[-1]}, T' = {backward:g}")
        axis.set_yscale("symlog", linthresh=1)
        axis.set_title(levels)
    shared_legend(figure, axes[:1])
    return figure


def soft_to_hard(level_sets: Iterable[str]) -> Figure:
    """Mean distance between soft and hard output, in steps, against temperature."""
    figure, axis = plt.subplots(figsize=(WIDTH, HEIGHT), layout="constrained")
    weights = torch.randn(20_000, generator=torch.Generator().manual_seed(0))
    for levels in level_sets:
        quantizer = SigmoidQuantizer(weights, levels)
        hard = quantizer.eval()(weights).detach()
        step = quantizer.alpha.item() * np.diff(quantizer.levels).mean()
        gaps = [(_soft(quantizer, weights, T) - hard).abs().mean() / step for T in SWEEP]
        axis.plot(SWEEP, gaps, label=levels)
    axis.set(xscale="log", yscale="log", xlabel="temperature T", ylabel="mean |soft − hard| / step")
    axis.legend(fontsize="x-small")
    return figure


def weights_on_staircase(staircases: pd.DataFrame, histograms: pd.DataFrame) -> Figure:
    """Where each quantized layer's weights βw (grey) sit on its staircase, after training.

    The share of weights beyond the histogram is in the title.

    Parameters
    ----------
    staircases, histograms : DataFrame
        Rows of one network as `snnq.study.gather` writes them, one for each layer: levels (the
        network's), layer, layer_levels (its own; tables of before there was mixed precision lack
        them), temperature and thresholds; and the share of the weights in each bin.
    """
    bins = histogram_columns()
    width = float(bins[1]) - float(bins[0])
    figure, axes = panels(len(staircases), "quantized weight y/α", "scaled weight βw")
    shares = histograms.set_index("layer")[bins]
    for axis, row in zip(axes, staircases.itertuples()):
        levels = row.layer_levels if "layer_levels" in staircases else resolve_levels(row.levels)
        greatest = max(map(abs, levels))
        places, heights = greatest * np.array(bins, dtype=float), shares.loc[row.layer]
        seen = places[heights.to_numpy() > 0]
        density = axis.twinx()
        density.bar(places, heights, width * greatest, color="0.8", lw=0)
        density.set(yticks=[])
        density.spines["right"].set_visible(False)
        axis.set_zorder(density.get_zorder() + 1)
        axis.patch.set_visible(False)
        grid = torch.linspace(seen.min() - width, seen.max() + width, POINTS)
        one, biases = torch.ones(()), torch.tensor(row.thresholds)
        temperature = torch.tensor(float(row.temperature))
        soft = staircase(grid, one, one, biases, temperature, temperature, levels)
        axis.plot(grid, soft, label=f"T = {row.temperature:g}")
        beyond = 1 - heights.sum()
        axis.set_title(row.layer + (f", {beyond:.0%} further out" if beyond > 0.005 else ""))
        axis.legend(loc="upper left", fontsize="x-small")
    return figure


def _example(levels) -> tuple[Tensor, SigmoidQuantizer]:
    weights = torch.linspace(-1, 1, POINTS)
    return weights, SigmoidQuantizer(weights, levels)


def _soft(quantizer: SigmoidQuantizer, weights: Tensor, temperature: float) -> Tensor:
    quantizer.temperature.fill_(temperature)
    return quantizer.soft(weights).detach()


def _slope(quantizer, weights: Tensor, temperature: float, backward: float | None = None) -> Tensor:
    quantizer.temperature.fill_(temperature)
    quantizer.backward_temperature = backward
    weights = weights.clone().requires_grad_()
    return torch.autograd.grad(quantizer.soft(weights).sum(), weights)[0]


def _ramp(count: int) -> list:
    return sns.color_palette("flare", count)
