"""Figures of a study's results, in the style of `snnq.figures.style`."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from snnq.figures.style import WIDTH, in_lines, panels
from snnq.quantization.histograms import histogram_columns
from snnq.study.tables import number_of_levels


def hard_and_soft(histories: pd.DataFrame) -> Figure:
    """Test accuracy by epoch with hard (solid) and soft (dashed) weights, a panel for each
    recordings and level set.

    Mean and s.d. over seeds of rows with recordings, levels, seed, epoch, test_accuracy, and
    test_accuracy_soft at the epochs where it was measured.
    """
    names = {"test_accuracy": "hard", "test_accuracy_soft": "soft"}
    fewest_last = {"key": lambda levels: -levels.map(number_of_levels), "kind": "stable"}
    histories = histories.sort_values("levels", **fewest_last)
    kept = ["recordings", "levels", "seed", "epoch"]
    rows = histories.melt(kept, list(names), "weights", "accuracy").dropna(subset="accuracy")
    rows = rows.assign(weights=rows["weights"].map(names), accuracy=100 * rows["accuracy"])
    groups = list(rows.groupby(["recordings", "levels"], sort=False))
    figure, axes = panels(len(groups), "test accuracy (%)", "epoch")
    for axis, ((recordings, levels), group) in zip(axes, groups):
        sns.lineplot(
            group, x="epoch", y="accuracy", hue="weights", style="weights", errorbar="sd", ax=axis
        )
        settled = group["epoch"] > group["epoch"].max() / 4  # early epochs would squeeze the rest
        axis.set(title=f"{recordings}\n{in_lines(levels)}", xlabel="epoch", ylabel="")
        axis.set_ylim(group.loc[settled, "accuracy"].min() - 2, 101)
        axis.legend(loc="lower right", fontsize="x-small")
    axes[0].set_ylabel("test accuracy (%)")
    return figure


def accuracy_against_bits(table: pd.DataFrame) -> Figure:
    """Accuracy after the last epoch against the bits of a weight, mean and s.d. over seeds, a
    panel for each recordings."""
    groups = list(table.groupby("recordings", sort=False))
    figure, axes = panels(len(groups), "test accuracy (%)", "bits per weight", width=WIDTH)
    for axis, (recordings, rows) in zip(axes, groups):
        rows = rows.iloc[::-1]
        places = range(len(rows))  # evenly spaced: 1.58 and 2 bits would run into each other
        axis.errorbar(places, rows["last_mean"], rows["last_sd"], fmt="o-", capsize=3)
        names = rows["levels"].map(in_lines)
        axis.set_xticks(places, [f"{b:.3g}\n{name}" for b, name in zip(rows["bits"], names)])
        axis.set(title=recordings, xlim=(-0.5, len(rows) - 0.5))
    return figure


def accuracy_against_bytes(table: pd.DataFrame) -> Figure:
    """Accuracy after the last epoch against the bytes of the network, a panel for each
    recordings."""
    groups = list(table.groupby("recordings", sort=False))
    figure, axes = panels(len(groups), "test accuracy (%)", "network (kB)", width=WIDTH)
    for axis, (recordings, rows) in zip(axes, groups):
        kilobytes = rows["bytes"] / 1000
        axis.errorbar(kilobytes, rows["last_mean"], rows["last_sd"], fmt="o", capsize=3)
        axis.set(title=recordings, xscale="log")
        axis.minorticks_off()
        names = [f"{in_lines(of)}, {size:.0f}" for of, size in zip(rows["levels"], kilobytes)]
        aligned = {"ha": "right", "va": "center", "rotation_mode": "anchor"}
        axis.set_xticks(kilobytes, names, rotation=60, fontsize="small", **aligned)
    return figure


def weights_in_training(histograms: pd.DataFrame) -> Figure:
    """How the scaled weights of a layer spread over the staircase, a row of panels per level set, a
    panel per epoch.

    Rows as `snnq.study.gather` writes them, of one layer, seed and kind of recordings: levels,
    epoch, and the share of the weights in each bin.
    """
    bins = histogram_columns()
    middles = np.array(bins, dtype=float)
    level_sets = sorted(histograms["levels"].unique(), key=number_of_levels)
    columns = histograms.groupby("levels")["epoch"].nunique().max()
    figure, axes = plt.subplots(
        len(level_sets),
        columns,
        figsize=(2 * WIDTH, 1.2 * len(level_sets)),
        layout="constrained",
        sharex=True,
        squeeze=False,
    )
    for row, levels in zip(axes, level_sets):
        for axis, (epoch, one) in zip(
            row, histograms[histograms["levels"] == levels].groupby("epoch")
        ):
            axis.fill_between(middles, 100 * one[bins].iloc[0], step="mid", color="C0", lw=0)
            axis.set_title(f"after epoch {epoch}" if epoch else "before training")
            axis.set(yticks=[])
        row[0].set_ylabel(in_lines(levels))
    figure.supylabel("share of weights", fontsize="small")
    axes[-1, 0].set_xlabel("βw / max|Y|")
    return figure
