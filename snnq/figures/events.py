"""Figures of recordings and frames, in the style of `snnq.figures.style`."""

from collections.abc import Iterable, Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from snnq.figures.style import HEIGHT, WIDE, WIDTH
from snnq.recordings.recordings import Recordings
from snnq.recordings.statistics import Statistics

ON, OFF = "C0", "C1"
MOST_POINTS = 6_000  # of a point cloud: more hide each other
MOST_STEPS = 10  # of a strip of frames
FEW_STEPS = 5  # of each benchmark's
SMALL = 7  # points
SIGNS = LinearSegmentedColormap.from_list("signs", ["#a05a00", "#de8f05", "white", "#0173b2", "#003a5c"])


def point_clouds(recordings: Recordings, indices: Iterable[int]) -> Figure:
    """Events of some recordings in time, x and y: ON blue, OFF orange, evenly thinned out."""
    indices = list(indices)
    columns = min(2, len(indices))
    rows = -(-len(indices) // columns)
    figure = plt.figure(figsize=(WIDE, 0.85 * HEIGHT * rows))
    for place, index in enumerate(indices, start=1):
        events = recordings[index]
        events = events[:: max(1, len(events) // MOST_POINTS)]
        axis = figure.add_subplot(rows, columns, place, projection="3d")
        for sign, color, name in ((1, ON, "ON"), (0, OFF, "OFF")):
            x, y, t = (events[of][(events["p"] > 0) == sign] for of in ("x", "y", "t"))
            axis.scatter(t / 1e6, x, y, color=color, s=0.3, linewidths=0, label=name)
        axis.set_title(_class(recordings, index), y=0.92)
        axis.set_xlabel("time (s)", fontsize=SMALL, labelpad=2)
        axis.set_ylabel("x (pixels)", fontsize=SMALL, labelpad=-4)
        axis.set_zlabel("y (pixels)", fontsize=SMALL, labelpad=-6)
        axis.invert_zaxis()
        axis.tick_params(labelsize=SMALL, pad=-2)
        axis.yaxis.set_major_locator(MaxNLocator(3))
        axis.set_box_aspect((2.2, 1, 1), zoom=1.25)
        axis.view_init(elev=18, azim=-60)
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper right", markerscale=12, fontsize=SMALL)
    figure.subplots_adjust(0.02, 0.06, 0.93, 0.97, wspace=0.08, hspace=0.12)
    return figure


def frame_strips(frames: np.ndarray, names: Iterable[str]) -> Figure:
    """Frames [N, N_t, 2, H, W] of N_t time steps as rows of pictures in the order of time: ON minus
    OFF counts, on one scale."""
    names = list(names)
    most = max(1, *(np.abs(_signed(recording)).max() for recording in frames))
    rows = [(name, recording, most) for name, recording in zip(names, frames)]
    figure, axes, image = _strips(rows, MOST_STEPS, 0.1)
    for line, name in zip(axes, names):
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    for axis in axes[1:].flat:
        axis.set_title("")
    _places(axes[-1, 0], frames.shape[3:])
    _key(figure, image, axes)
    return figure


def frames_of_benchmarks(found: Mapping[str, np.ndarray]) -> Figure:
    """Frames [N_t, 2, H, W] of one recording of each benchmark, by what is written beside them: some of
    the time steps from the first to the last, ON minus OFF counts, each on a scale of its own."""
    rows = [
        (name, recording, max(1, np.abs(_signed(recording)).max()))
        for name, recording in found.items()
    ]
    figure, axes, _ = _strips(rows, FEW_STEPS, 0.45)
    for line, (name, frames) in zip(axes, found.items()):
        _places(line[0], frames.shape[2:])
        above = {"xycoords": "axes fraction", "textcoords": "offset points"}
        title = line[0].annotate(name, (0, 1), (0, 15), weight="bold", fontsize=SMALL, **above)
        title.set_in_layout(False)  # or the first step is as wide as it
        _key(figure, line[0].images[0], line)
    return figure


def _strips(rows: list[tuple[str, np.ndarray, float]], most_steps: int, between: float) -> tuple:
    """A row of pictures for each recording (name, frames, greatest count on its scale), of some of its
    time steps, with so many inches between rows: the figure, its axes [rows, steps] and the last
    picture."""
    columns = min(most_steps, max(len(frames) for _, frames, _ in rows))
    width = (WIDE - 1.6) / columns
    heights = [width * frames.shape[2] / frames.shape[3] for _, frames, _ in rows]
    figure, axes = plt.subplots(
        len(rows), columns, figsize=(WIDE, sum(heights) + between * len(rows) + 0.4),
        height_ratios=heights, layout="constrained", squeeze=False,
    )  # fmt: skip
    for line, (_, frames, most) in zip(axes, rows):
        signed = _signed(frames)
        steps = np.unique(np.linspace(0, len(frames) - 1, columns).astype(int))
        for axis in line[len(steps) :]:
            axis.set_axis_off()
        for axis, step in zip(line, steps):
            image = axis.imshow(signed[step], cmap=SIGNS, vmin=-most, vmax=most)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set(visible=True, color="0.7", lw=0.6)
            axis.set_title(f"step {step + 1}", fontsize=SMALL)
    return figure, axes, image


def _places(axis, shape: tuple[int, int]) -> None:
    """Rows and columns of pixels, from the upper left."""
    height, width = shape
    axis.set_yticks([0, height - 1])
    axis.set_xticks([0, width - 1])
    axis.tick_params(labelsize=SMALL, length=2)
    axis.set_xlabel("x (pixels)", fontsize=SMALL, labelpad=0)
    axis.annotate("y", (-0.06, 0.5), xycoords="axes fraction", ha="right", fontsize=SMALL)


def _signed(frames: np.ndarray) -> np.ndarray:
    """ON minus OFF counts [N_t, H, W] of frames [N_t, 2, H, W]; of one sign alone the counts."""
    return frames[:, -1].astype(int) - frames[:, :-1].sum(1)


def _key(figure: Figure, image, axes) -> None:
    """What the colours of pictures stand for."""
    key = figure.colorbar(image, ax=axes, shrink=0.9, aspect=12, pad=0.01)
    key.ax.tick_params(labelsize=SMALL)
    key.locator = MaxNLocator(5, integer=True)
    key.update_ticks()
    key.set_label("ON − OFF events", fontsize=SMALL)


def event_statistics(found: Mapping[str, Statistics]) -> Figure:
    """Events per recording, their rate over time, share of ON events and length, one line each."""
    figure, axes = plt.subplots(1, 4, figsize=(WIDE, HEIGHT * 0.9), layout="constrained")
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
        axis.set_xlabel(title, fontsize=SMALL)
        axis.tick_params(labelsize=SMALL)
        axis.xaxis.set_major_locator(MaxNLocator(4))
    axes[0].xaxis.set_major_formatter(EngFormatter(sep=""))
    for axis in (axes[0], axes[2], axes[3]):
        axis.set(yticks=[])
    axes[1].set_title("events per ms", fontsize=SMALL)
    axes[0].set_ylabel("share of recordings", fontsize=SMALL)
    figure.legend(
        *axes[3].get_legend_handles_labels(), loc="outside upper center", fontsize=SMALL
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
        axis.set_title(name, fontsize=SMALL)
    figure.colorbar(image, ax=axes, shrink=0.8)
    return figure


def class_counts(train: Recordings, test: Recordings) -> Figure:
    """Recordings of each class, training below test."""
    names = train.benchmark.classes
    figure, axis = plt.subplots(figsize=(WIDE, HEIGHT * 0.8), layout="constrained")
    below = np.zeros(len(names), dtype=int)
    for split, name in ((train, "training"), (test, "test")):
        counts = np.bincount(split.labels, minlength=len(names))
        axis.bar(range(len(names)), counts, bottom=below, label=name)
        below += counts
    if len(names) <= 20:
        axis.set_xticks(range(len(names)), names, rotation=45 if len(names[0]) > 2 else 0)
    axis.set(xlabel="class", ylabel="recordings")
    figure.legend(loc="outside upper right", ncols=2, fontsize=SMALL)
    return figure


def _class(recordings: Recordings, index: int) -> str:
    return recordings.benchmark.classes[recordings.labels[index]]
