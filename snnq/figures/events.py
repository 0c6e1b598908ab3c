"""Figures of recordings and frames, in the style of `snnq.figures.style`."""

from collections.abc import Iterable, Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from snnq.figures.style import HEIGHT, WIDTH
from snnq.recordings.recordings import Recordings
from snnq.recordings.statistics import Statistics

ON, OFF = "C0", "C1"
MOST_POINTS = 6_000  # of a point cloud: more hide each other
MOST_STEPS = 10  # of a strip of frames


def point_clouds(recordings: Recordings, indices: Iterable[int]) -> Figure:
    """Events of some recordings in time, x and y: ON blue, OFF orange, evenly thinned out."""
    indices = list(indices)
    figure = plt.figure(figsize=(2 * WIDTH, HEIGHT * 1.1), layout="constrained")
    for place, index in enumerate(indices, start=1):
        events = recordings[index]
        events = events[:: max(1, len(events) // MOST_POINTS)]
        axis = figure.add_subplot(1, len(indices), place, projection="3d")
        colors = np.where(events["p"] > 0, ON, OFF)
        axis.scatter(events["t"] / 1e6, events["x"], events["y"], c=colors, s=0.3, linewidths=0)
        axis.set_title(_class(recordings, index))
        for label, name in (
            (axis.set_xlabel, "time (s)"),
            (axis.set_ylabel, "x"),
            (axis.set_zlabel, "y"),
        ):
            label(name, fontsize="x-small", labelpad=-8)
        axis.invert_zaxis()
        axis.tick_params(labelsize="xx-small", pad=-2)
        axis.view_init(elev=18, azim=-60)
    return figure


def frame_strips(frames: np.ndarray, names: Iterable[str]) -> Figure:
    """Frames [N, N_t, 2, H, W] of N_t time steps as rows of pictures in the order of time: ON minus
    OFF counts."""
    names = list(names)
    steps = np.unique(np.linspace(0, frames.shape[1] - 1, MOST_STEPS).astype(int))
    width = 2 * WIDTH / len(steps)
    height = width * frames.shape[3] / frames.shape[4] + 0.12
    figure, axes = plt.subplots(
        len(names), len(steps), figsize=(2 * WIDTH, height * len(names) + 0.3),
        layout="constrained", squeeze=False,
    )  # fmt: skip
    for row, name, recording in zip(axes, names, frames):
        signed = recording[:, -1].astype(int) - recording[:, :-1].sum(1)
        most = max(1, np.abs(signed).max() * 0.7)
        for axis, step in zip(row, steps):
            axis.imshow(signed[step], cmap="PuOr", vmin=-most, vmax=most)
            axis.set(xticks=[], yticks=[])
            if row is axes[0]:
                axis.set_title(f"step {step + 1}", fontsize="x-small")
        row[0].set_ylabel(name, fontsize="x-small", rotation=0, ha="right", va="center")
    return figure


def event_statistics(found: Mapping[str, Statistics]) -> Figure:
    """Events per recording, their rate over time, share of ON events and length, one line each."""
    figure, axes = plt.subplots(1, 4, figsize=(2 * WIDTH, HEIGHT * 0.9), layout="constrained")
    titles = ("events per recording", "time (s)", "share of ON events", "length (s)")
    longest = max(one.duration.max() for one in found.values())
    shortest = min(0.9 * longest, *(one.duration.min() for one in found.values()))
    least, most = (end([end(one.on_share) for one in found.values()]) for end in (np.nanmin, np.nanmax))
    for name, one in found.items():
        bins = len(one.rate)
        times = (np.arange(bins) + 0.5) / bins * one.until
        axes[0].hist(one.events, bins=30, histtype="step", density=True)
        axes[1].plot(times, one.rate / (one.until * 1000 / bins))
        shares = np.linspace(min(0.3, least), max(0.7, most), 41)
        axes[2].hist(one.on_share, shares, histtype="step", density=True)
        lengths = np.linspace(shortest, longest, 41)
        axes[3].hist(one.duration, lengths, histtype="step", density=True, label=name)
    for axis, title in zip(axes, titles):
        axis.set_xlabel(title, fontsize="x-small")
        axis.tick_params(labelsize="xx-small")
        axis.xaxis.set_major_locator(MaxNLocator(4))
    axes[0].xaxis.set_major_formatter(EngFormatter(sep=""))
    for axis in (axes[0], axes[2], axes[3]):
        axis.set(yticks=[])
    axes[1].set_title("events per ms", fontsize="x-small")
    axes[0].set_ylabel("share of recordings", fontsize="x-small")
    figure.legend(
        *axes[3].get_legend_handles_labels(), loc="outside upper center", fontsize="x-small"
    )
    return figure


def event_maps(found: Mapping[str, Statistics]) -> Figure:
    """Mean events of each pixel, on one scale."""
    figure, axes = plt.subplots(
        1, len(found), figsize=(WIDTH * len(found), HEIGHT), layout="constrained", squeeze=False
    )
    most = max(np.quantile(one.pixels, 0.999) for one in found.values())
    for axis, (name, one) in zip(axes[0], found.items()):
        image = axis.imshow(one.pixels, vmin=0, vmax=most)
        axis.set(xticks=[], yticks=[])
        axis.set_title(name, fontsize="x-small")
    figure.colorbar(image, ax=axes, shrink=0.8)
    return figure


def class_counts(train: Recordings, test: Recordings) -> Figure:
    """Recordings of each class, training below test."""
    names = train.benchmark.classes
    figure, axis = plt.subplots(figsize=(2 * WIDTH, HEIGHT * 0.8), layout="constrained")
    below = np.zeros(len(names), dtype=int)
    for split, name in ((train, "training"), (test, "test")):
        counts = np.bincount(split.labels, minlength=len(names))
        axis.bar(range(len(names)), counts, bottom=below, label=name)
        below += counts
    if len(names) <= 20:
        axis.set_xticks(range(len(names)), names, rotation=45 if len(names[0]) > 2 else 0)
    axis.set(xlabel="class", ylabel="recordings")
    figure.legend(loc="outside upper right", ncols=2, fontsize="x-small")
    return figure


def _class(recordings: Recordings, index: int) -> str:
    return recordings.benchmark.classes[recordings.labels[index]]
