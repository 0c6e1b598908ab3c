"""Figures of the quantizer: the staircase, its slope, and how soft becomes hard."""

from collections.abc import Iterable

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from snnq.figures.style import HEIGHT, WIDTH, panels, shared_legend
from snnq.quantization.network import quantizers
from snnq.quantization.place import quantizer_input
from snnq.quantization.sigmoid import SigmoidQuantizer

TEMPERATURES = (1, 3, 10, 40)
SWEEP = np.geomspace(1, 2000, 60)
POINTS = 1201


def staircases(level_sets: Iterable[str], temperatures: Iterable[float] = TEMPERATURES) -> Figure:
    """Soft output against weight, one panel per level set, one curve per temperature."""
    figure, axes = panels(len(level_sets), "quantized weight y", "weight w")
    for axis, levels in zip(axes, level_sets):
        draw_staircase(axis, levels, temperatures)
        axis.set_title(levels)
    shared_legend(figure, axes[0], "temperature T")
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
            axis.plot(weights, slope, color=color, label=f"T={temperature}")
        slope = _slope(quantizer, weights, temperatures[-1], backward)
        axis.plot(weights, slope, "r--", lw=1.2, label=f"T={temperatures[-1]}, T'={backward:g}")
        axis.set_yscale("symlog", linthresh=1)
        axis.set_title(levels)
    shared_legend(figure, axes[0])
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


def weights_on_staircase(model: nn.Module) -> Figure:
    """Where each quantized layer's weights βw sit on its staircase, at its last temperature."""
    found = quantizers(model)
    figure, axes = panels(len(found), "quantized weight y/α", "scaled weight βw")
    for axis, (name, quantizer) in zip(axes, found.items()):
        layer = model.get_submodule(name)
        weights = quantizer_input(layer).detach().flatten()
        scaled = weights * quantizer.beta.item()
        density = axis.twinx()
        density.hist(scaled.numpy(), bins=120, color="0.8", density=True, histtype="stepfilled")
        density.set(yticks=[])
        density.spines["right"].set_visible(False)
        axis.set_zorder(density.get_zorder() + 1)
        axis.patch.set_visible(False)
        grid = torch.linspace(scaled.min(), scaled.max(), POINTS)
        soft = quantizer.soft(grid / quantizer.beta.item()) / quantizer.alpha
        axis.plot(grid, soft.detach(), label=f"T={quantizer.temperature.item():g}")
        axis.set_title(name)
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
