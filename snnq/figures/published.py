"""A study's accuracies beside those that others published, in the style of `snnq.figures.style`."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from snnq.figures.colors import LEVEL_SETS, looks
from snnq.figures.style import WIDTH, grid
from snnq.quantization.rules import FULL
from snnq.recordings.benchmarks import BENCHMARKS
from snnq.study.gather import widest_networks
from snnq.study.intervals import wilson

LINE, HEAD = 0.16, 0.5  # inches of a row, and of a panel's title and axis
PUBLISHED, REAL, SIMULATED = "published", "real", "simulated"
HATCH = "/////"
NOT_THE_BENCHMARK = "simulated recordings, which may be easier or harder than the benchmark's own"
COLUMNS = ["benchmark", "kind", "name", "levels", "value", "low", "high", "not_comparable"]


def differences(results: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Points between a low-bit network and full precision, of others and of a study's widest networks.

    Others' are what they state, or else the difference to the full precision that the same method
    has on the benchmark.

    Parameters
    ----------
    results : DataFrame
        See `snnq.results_table`.
    published : DataFrame
        Rows of `results/reference/published.csv`.

    Returns
    -------
    pandas.DataFrame
        A row for each: benchmark, kind (`PUBLISHED`, `REAL` or `SIMULATED`), name, levels, value, low
        and high (95 % confidence interval of a study's), and not_comparable (what others' cannot be
        compared in).
    """
    of = ["benchmark", "method"]
    full = published[published["levels"] == FULL].drop_duplicates(of, keep=False).set_index(of)
    full = full[["accuracy", "not_comparable"]].add_suffix("_full")
    rows = published[published["levels"] != FULL].join(full, of)
    stated = rows["difference"].notna()
    remarks = rows["not_comparable"] + "; full precision: " + rows["not_comparable_full"]
    others = rows.assign(
        value=rows["difference"].fillna(rows["accuracy"] - rows["accuracy_full"]),
        not_comparable=rows["not_comparable"].where(stated, remarks),
    )
    ours = _widest(results[results["levels"] != FULL]).rename(columns={"difference": "value"})
    ours = ours.assign(low=ours["difference_low"], high=ours["difference_high"])
    return _together(others, ours).dropna(subset="value")


def accuracies(results: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Accuracy in percent, of others and of a study's widest networks; see `differences`.

    The interval of others is Wilson's for as many test samples as they state, or as their split has:
    what the number of samples leaves open, where it is known. A study's is that of the mean over
    seeds and test samples.
    """
    ends = [_sampled(*row) for row in published[["accuracy", "test_samples"]].to_numpy()]
    low, high = zip(*ends)
    others = published.assign(value=published["accuracy"], low=low, high=high)
    names = {"last_mean": "value", "last_low": "low", "last_high": "high"}
    return _together(others, _widest(results).rename(columns=names)).dropna(subset="value")


def difference_beside_published(rows: pd.DataFrame) -> Figure:
    """Bars of `differences`, a panel for each benchmark: published ones filled, a study's on simulated
    recordings hatched, with 95 % confidence interval.

    A number behind a name says what cannot be compared, see `remarks`.
    """

    def bar(axis, place: float, row, color) -> None:
        look = {"facecolor": "white", "hatch": HATCH} if row.kind == SIMULATED else {"facecolor": color}
        edge = color if row.kind != REAL else "black"
        axis.barh(place, row.value, 0.65, edgecolor=edge, lw=0.8, zorder=2, **look)
        if not np.isnan(row.low):
            axis.plot([row.low, row.high], [place, place], color="0.2", lw=1, zorder=3)

    figure, axes = _panels(rows, bar, hatch=HATCH)
    for axis in axes:
        axis.axvline(0, color="0.3", lw=0.8)
        axis.margins(x=0.08)
    axes[-1].set_xlabel("difference to full precision (points)", loc="right")
    return figure


def accuracy_beside_published(rows: pd.DataFrame) -> Figure:
    """Points of `accuracies` with 95 % intervals, a panel for each benchmark: published ones filled, a
    study's on simulated recordings hollow.

    A number behind a name says what cannot be compared, see `remarks`.
    """
    markers = looks(set(rows["levels"]) & set(LEVEL_SETS))

    def point(axis, place: float, row, color) -> None:
        marker = markers.get(row.levels, {}).get("marker", ".")
        face = "white" if row.kind == SIMULATED else color
        edge = "black" if row.kind == REAL else color
        axis.plot(row.value, place, marker, ms=4.5, mfc=face, mec=edge, mew=0.9, zorder=3)
        if not np.isnan(row.low):
            axis.plot([row.low, row.high], [place, place], color=color, lw=1, zorder=2)

    figure, axes = _panels(rows, point)
    axes[-1].set_xlabel("test accuracy (%)")
    return figure


def remarks(rows: pd.DataFrame) -> str:
    """What the numbers in a figure stand for: why an accuracy cannot be compared with others."""
    return ". ".join(f"({number}) {remark}" for remark, number in _numbers(rows).items())


def _sampled(accuracy: float, samples: float) -> tuple[float, float]:
    """Wilson's interval, in percent, of an accuracy that is stated with so many digits."""
    if np.isnan(accuracy * samples):
        return np.nan, np.nan
    low, high = wilson(round(accuracy / 100 * samples) / samples, int(samples))
    return 100 * low, 100 * high


def _widest(results: pd.DataFrame) -> pd.DataFrame:
    found = widest_networks(results)
    kinds = [SIMULATED if simulated else REAL for simulated in found["simulated"]]
    names = [f"this study, {channels} channels" for channels in found["channels"]]
    others = [NOT_THE_BENCHMARK * simulated for simulated in found["simulated"]]
    levels = found["levels"].map(str)
    return found.assign(kind=kinds, name=names, levels=levels, not_comparable=others)


def _together(others: pd.DataFrame, ours: pd.DataFrame) -> pd.DataFrame:
    """Benchmark by benchmark, the paper's first, a study's last."""
    others = others.assign(kind=PUBLISHED, name=others["method"])
    rows = pd.concat([table.reindex(columns=COLUMNS) for table in (others, ours)])
    known = list(BENCHMARKS)
    place = rows["benchmark"].map(lambda name: known.index(name) if name in known else len(known))
    return rows.iloc[place.argsort(kind="stable")].reset_index(drop=True)


def _panels(rows: pd.DataFrame, draw, **simulated) -> tuple[Figure, list]:
    """A panel for each benchmark, a line for each of its rows from top to bottom; and how what is
    simulated looks in the legend."""
    numbers, styles = _numbers(rows), looks(set(rows["levels"]) & set(LEVEL_SETS))
    groups = list(rows.groupby("benchmark", sort=False))
    lines = [len(group) for _, group in groups]
    height = LINE * sum(lines) + HEAD * len(groups) + 0.6
    figure, axes = grid(len(groups), 1, (WIDTH, height), height_ratios=lines)
    for axis, (benchmark, group) in zip(axes[:, 0], groups):
        names = []
        for place, row in enumerate(group.itertuples()):
            color = styles.get(row.levels, {}).get("color", "0.6")
            draw(axis, -place, row, color)
            unnamed = f", {row.levels}" * (row.levels not in styles)
            number = numbers.get(row.not_comparable)
            names.append(row.name + unnamed + (f" ({number})" if number else ""))
        axis.set_yticks([-place for place in range(len(group))], names, fontsize=7)
        axis.set_title(BENCHMARKS[benchmark].title if benchmark in BENCHMARKS else benchmark)
        axis.set_ylim(0.6 - len(group), 0.6)
        axis.grid(axis="x", color="0.92", lw=0.6)
        axis.set_axisbelow(True)
    handles = [Patch(color=style["color"], label=name) for name, style in styles.items()]
    if SIMULATED in set(rows["kind"]):
        handles.append(Patch(label="simulated recordings", fc="white", ec="0.3", **simulated))
    figure.legend(handles=handles, loc="outside upper left", ncols=3, fontsize=7)
    return figure, list(axes[:, 0])


def _numbers(rows: pd.DataFrame) -> dict[str, int]:
    """A number for each remark, in the order of the rows."""
    found = dict.fromkeys(remark for remark in rows["not_comparable"] if remark)
    return {remark: number for number, remark in enumerate(found, start=1)}
