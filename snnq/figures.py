"""One style, and one function per figure. Each returns a matplotlib figure."""

from collections.abc import Iterable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay
from torch import Tensor, nn

from snnq.quantizer import QUANTIZED_LAYERS, SigmoidQuantizer, quantizers

WIDTH, HEIGHT = 3.4, 2.6  # inches: one column of a two-column page
TEMPERATURES = (1, 3, 10, 40)
SWEEP = np.geomspace(1, 2000, 60)
POINTS = 1201


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


def staircases(level_sets: Iterable[str], temperatures: Iterable[float] = TEMPERATURES) -> Figure:
    """Soft output against weight, one panel per level set, one curve per temperature."""
    figure, axes = panels(len(level_sets), "quantized weight y", "weight w")
    for axis, levels in zip(axes, level_sets):
        draw_staircase(axis, levels, temperatures)
        axis.set_title(levels)
    _shared_legend(figure, axes[0], "temperature T")
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
    _shared_legend(figure, axes[0])
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
        weights = layer.parametrizations.weight.original.detach().flatten()
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


def training_curves(history: pd.DataFrame) -> Figure:
    """Loss, and accuracy in training, on validation and on the test recordings, by epoch."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(2 * WIDTH, HEIGHT), layout="constrained")
    left.plot(history["epoch"], history["loss"])
    left.set(xlabel="epoch", ylabel="loss", yscale="log")
    for column, style in {
        "train_accuracy": "C7-",
        "validation_accuracy": "C2-",
        "test_accuracy": "C0-",
        "test_accuracy_soft": "C1--",
    }.items():
        label = column.replace("_", " ").replace(" accuracy", "")
        right.plot(history["epoch"], 100 * history[column], style, label=label)
    right.set(xlabel="epoch", ylabel="accuracy (%)")
    right.legend(loc="lower right", fontsize="x-small")
    return figure


def weight_histograms(before: nn.Module, after: nn.Module) -> Figure:
    """Each layer's weights as evaluation sees them, before training and after it."""
    names = [name for name, m in after.named_modules() if isinstance(m, QUANTIZED_LAYERS)]
    figure, axes = panels(len(names), "share of weights", "weight")
    for axis, name in zip(axes, names):
        for model, label in ((before, "before"), (after, "after")):
            weights = model.eval().get_submodule(name).weight.detach().flatten().numpy()
            shares = np.full(weights.shape, 1 / weights.size)
            axis.hist(weights, bins=61, weights=shares, alpha=0.6, label=label)
        axis.set(title=name, yscale="log")
    axes[0].legend(fontsize="x-small")
    return figure


def rates_by_layer(rates: pd.Series) -> Figure:
    """Firing rate of each spiking layer."""
    figure, axis = plt.subplots(figsize=(WIDTH, HEIGHT), layout="constrained")
    sns.barplot(x=rates.index, y=rates.to_numpy(), color="C0", ax=axis)
    axis.set(xlabel="layer", ylabel="spikes per neuron and step")
    return figure


def confusion(labels: Tensor, predictions: Tensor) -> Figure:
    """Number of recordings of each class predicted as each class."""
    figure, axis = plt.subplots(figsize=(WIDTH, WIDTH), layout="constrained")
    ConfusionMatrixDisplay.from_predictions(
        labels, predictions, ax=axis, colorbar=False, cmap="Blues"
    )
    axis.set(xlabel="predicted class", ylabel="class")
    return figure


def _shared_legend(figure: Figure, axis, title: str | None = None) -> None:
    """One legend for all panels, beside them."""
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, title=title, loc="outside right center", fontsize="x-small")


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
