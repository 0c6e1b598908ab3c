"""Figures of one training run."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay
from torch import Tensor, nn

from snnq.figures.style import HEIGHT, WIDTH, panels
from snnq.quantization.layers import QUANTIZED_LAYERS


def training_curves(history: pd.DataFrame) -> Figure:
    """Loss, and accuracy in training, on the validation split and on the test samples, by epoch."""
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
        measured = history[column].notna()
        right.plot(history["epoch"][measured], 100 * history[column][measured], style, label=label)
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
            counts, edges = np.histogram(weights, bins=61)
            # One outline: it is drawn several times as fast as a bar for each bin.
            axis.stairs(counts / weights.size, edges, fill=True, alpha=0.6, label=label)
        axis.set(title=name)
    axes[0].legend(fontsize="x-small")
    return figure


def rates_by_layer(rates: pd.Series) -> Figure:
    """Firing rate of each spiking layer."""
    figure, axis = plt.subplots(figsize=(WIDTH, HEIGHT), layout="constrained")
    sns.barplot(x=rates.index, y=rates.to_numpy(), color="C0", ax=axis)
    axis.set(xlabel="layer", ylabel="spikes per neuron and time step")
    return figure


def confusion(labels: Tensor, predictions: Tensor) -> Figure:
    """Number of test samples of each class predicted as each class."""
    figure, axis = plt.subplots(figsize=(WIDTH, WIDTH), layout="constrained")
    ConfusionMatrixDisplay.from_predictions(
        labels, predictions, ax=axis, colorbar=False, cmap="Blues"
    )
    axis.set(xlabel="predicted class", ylabel="class")
    return figure
