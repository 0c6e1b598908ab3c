"""Figures of one training run."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay
from torch import Tensor, nn

from snnq.figures.style import HEIGHT, SMALLEST, WIDE, WIDTH, panels, shared_legend
from snnq.networks.names import layer_names
from snnq.quantization.layers import in_evaluation, layers_of
from snnq.quantization.place import quantizer_input, quantizer_of

WHEN = {"before training": "0.75", "after training": "0.25"}
MOST_NAMED = 5  # levels on an axis
NUMBERED = 16  # classes, at most, whose counts have room in their squares


def training_curves(history: pd.DataFrame) -> Figure:
    """Loss, and accuracy in training, on the validation split and on the test samples, by epoch."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDE, HEIGHT), layout="constrained")
    left.plot(history["epoch"], history["loss"], color="0.3")
    left.set(xlabel="epoch", ylabel="training loss")
    for column, style in {
        "train_accuracy": {"color": "0.7"},
        "validation_accuracy": {"color": "0.4", "ls": ":"},
        "test_accuracy": {"color": "darkred"},
        "test_accuracy_soft": {"color": "darkred", "ls": "--", "marker": "o", "ms": 2.5},
    }.items():
        label = column.replace("_", " ").replace(" accuracy", "")
        of = history[column].notna()
        right.plot(history["epoch"][of], 100 * history[column][of], **style, label=label)
    right.set(xlabel="epoch", ylabel="accuracy (%)")
    for axis in (left, right):
        axis.xaxis.get_major_locator().set_params(integer=True)
    shared_legend(figure, [right])
    return figure


def weight_histograms(before: nn.Module, after: nn.Module) -> Figure:
    """Each layer's weights as evaluation sees them, before training and after it: of a quantized layer
    the share on each level, from 0 to 100 %; of any other a histogram."""
    names, layers = layer_names(after), layers_of(after)
    figure, axes = panels(len(layers), "share of weights (%)", "", width=1.7)
    for axis, name in zip(axes, layers):
        pair = [model.get_submodule(name) for model in (before, after)]
        if None in map(quantizer_of, pair):
            _draw_weights(axis, pair)
        else:
            _draw_levels(axis, pair)
        axis.set_title(names.get(name, name))
    shared_legend(figure, axes)
    return figure


@torch.no_grad()
def _draw_levels(axis, pair: list[nn.Module]) -> None:
    levels = quantizer_of(pair[1]).levels
    for layer, (label, color), shift in zip(pair, WHEN.items(), (-0.2, 0.2)):
        indices = quantizer_of(layer).level_indices(quantizer_input(layer))
        counts = np.bincount(indices.flatten().cpu().numpy(), minlength=len(levels))
        shares = 100 * counts / indices.numel()
        axis.bar(np.arange(len(levels)) + shift, shares, 0.4, color=color, label=label)
    places = range(0, len(levels), math.ceil(len(levels) / MOST_NAMED))
    axis.set_xticks(places, [f"{levels[place]:g}".replace("-", "−") for place in places])
    axis.set(ylim=(0, 100), xlabel="level")


@torch.no_grad()
def _draw_weights(axis, pair: list[nn.Module]) -> None:
    weights = []
    for layer in pair:
        with in_evaluation(layer):
            weights.append(layer.weight.flatten().float().cpu().numpy())
    edges = np.histogram_bin_edges(np.concatenate(weights), bins=31)
    for of_layer, (label, color) in zip(weights, WHEN.items()):
        shares = 100 * np.histogram(of_layer, edges)[0] / of_layer.size
        # One outline: it is drawn several times as fast as a bar for each bin.
        axis.stairs(shares, edges, color=color, label=label, fill=label == next(iter(WHEN)))
    axis.set(ylim=(0, None), xlabel="weight (full precision)")


def rates_by_layer(rates: pd.Series, model: nn.Module | None = None) -> Figure:
    """Firing rate of each spiking layer; with the network, by what `layer_names` calls its layers."""
    names = {} if model is None else layer_names(model)
    figure, axis = plt.subplots(figsize=(WIDTH, HEIGHT), layout="constrained")
    axis.barh([names.get(name, name) for name in rates.index], rates, 0.6, color="0.4")
    axis.invert_yaxis()
    axis.set(xlabel="spikes per neuron and time step")
    return figure


def confusion(labels: Tensor, predictions: Tensor) -> Figure:
    """Number of test samples of each class predicted as each class; of many classes as colours."""
    figure, axis = plt.subplots(figsize=(WIDTH, 0.95 * WIDTH), layout="constrained")
    few = len(labels.unique()) <= NUMBERED
    ConfusionMatrixDisplay.from_predictions(
        labels, predictions, ax=axis, colorbar=not few, include_values=few, cmap="Blues",
        text_kw={"fontsize": SMALLEST},
    )  # fmt: skip
    axis.set(xlabel="predicted class", ylabel="class")
    return figure
