"""The runs of a study, one row each, and the table over seeds."""

import math
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from snnq.quantization.levels import resolve_levels
from snnq.recordings.benchmarks import BENCHMARKS
from snnq.study.intervals import paired_difference
from snnq.training.record import RECORD, read_record
from snnq.training.run import FULL

FULL_BITS = 32
WAYS = ("last", "validation", "best", "last_soft")  # see `snnq.training.record.accuracies`


def read_runs(folder: str | Path, only: Iterable[str] | None = None) -> pd.DataFrame:
    """Finished runs under a folder, a row each, in the order of `BENCHMARKS` and of their names.

    All of them, or only those of some names: a study's folder may hold runs of settings that it
    had before.

    Columns: folder, name (the folder's), every setting of the run, `simulated`, test_recordings,
    the accuracies (shares of 1) of `snnq.training.record.accuracies`, bytes, bytes_float32, seconds, device
    and commit.

    Raises
    ------
    FileNotFoundError
        No finished run under the folder.
    """
    names = ["*"] if only is None else sorted(only)
    paths = [path for name in names for path in sorted(Path(folder).glob(f"{name}/{RECORD}"))]
    folders = [path.parent for path in paths]
    if not folders:
        raise FileNotFoundError(f"{folder}: no finished run here; `make study` trains them")
    found = pd.DataFrame([_row(folder) for folder in folders])
    order = {"key": lambda names: names.map(list(BENCHMARKS).index), "kind": "stable"}
    return found.sort_values("benchmark", **order, ignore_index=True)


def _row(folder: Path) -> dict:
    record = read_record(folder)
    levels = record["run"]["levels"]
    return {
        "folder": str(folder),
        "name": folder.name,
        **record["run"],
        "levels": levels if isinstance(levels, str) else tuple(levels),
        "simulated": record["data"]["simulated"],
        "test_recordings": record["recordings"]["test"],
        **record["accuracy"],
        **{name: record[name] for name in ("bytes", "bytes_float32")},
        "seconds": sum(record["seconds"]),
        **{name: record[name] for name in ("device", "commit")},
    }


def number_of_levels(levels: str | tuple[float, ...]) -> int:
    """How many values a quantized weight takes; 2³² stands for full precision."""
    return 2**FULL_BITS if levels == FULL else len(resolve_levels(levels))


def results_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over seeds, a row per benchmark and level set.

    Accuracies and drops are in percent; the standard deviation is that of a sample (n − 1). The
    drop is that of the mean after the last epoch against full precision on the same benchmark,
    in points and relative to it; `drop_low` to `drop_high` is its 95 % confidence interval over
    seeds, paired. Bytes are those of the network packed, see `snnq.footprint`.
    """
    rows = []
    for (benchmark, simulated), study in runs.groupby(["benchmark", "simulated"], sort=False):
        full = study[study["levels"] == FULL].set_index("seed")["last"]
        for levels in sorted(study["levels"].unique(), key=number_of_levels, reverse=True):
            group = study[study["levels"] == levels]
            row = {
                "benchmark": benchmark,
                "recordings": "simulated" if simulated else "real",
                "levels": levels,
                "seeds": len(group),
                "test_recordings": group["test_recordings"].iloc[0],
            }
            for way in WAYS:
                row[f"{way}_mean"] = 100 * group[way].mean()
                row[f"{way}_sd"] = 100 * group[way].std()
            row |= _drop(full, group.set_index("seed")["last"])
            row["bytes"] = group["bytes"].iloc[0]
            row["times_smaller"] = group["bytes_float32"].iloc[0] / group["bytes"].iloc[0]
            rows.append(row)
    return pd.DataFrame(rows)


def _drop(full: pd.Series, low_bit: pd.Series) -> dict[str, float]:
    """Of accuracies by seed: points, and percent of full precision, over the seeds of both."""
    seeds = full.index.intersection(low_bit.index)
    if seeds.empty:
        return dict.fromkeys(("drop", "drop_low", "drop_high", "relative_drop"), math.nan)
    found = paired_difference(full[seeds], low_bit[seeds])
    return {
        "drop": 100 * found["difference"],
        "drop_low": 100 * found["low"],
        "drop_high": 100 * found["high"],
        "relative_drop": 100 * found["difference"] / full[seeds].mean(),
    }


def ablation_table(rows: pd.DataFrame) -> pd.DataFrame:
    """A row per ablation, level set and change, against the first change of the ablation.

    Parameters
    ----------
    rows : DataFrame
        The runs: ablation, change, levels, seed, and the accuracies last and on_validation.

    Returns
    -------
    pandas.DataFrame
        ablation, levels, change, seeds; in percent: mean and sd of `last` over seeds,
        validation_mean, and the paired difference of `last` to the first change with its 95 %
        confidence interval (difference, low, high) and p; and the reading of it.
    """
    found = []
    for (ablation, levels), group in rows.groupby(["ablation", "levels"], sort=False):
        changes = {name: runs.set_index("seed") for name, runs in group.groupby("change", sort=False)}
        base = next(iter(changes.values()))
        for change, runs in changes.items():
            row = {"ablation": ablation, "levels": levels, "change": change, "seeds": len(runs)}
            row |= {"mean": 100 * runs["last"].mean(), "sd": 100 * runs["last"].std()}
            row["validation_mean"] = 100 * runs["on_validation"].mean()
            if runs is not base:
                seeds = runs.index.intersection(base.index)
                paired = paired_difference(100 * runs["last"][seeds], 100 * base["last"][seeds])
                row |= paired | {"reading": _reading(paired)}
            found.append(row)
    return pd.DataFrame(found).fillna({"reading": ""})


def _reading(paired: dict[str, float]) -> str:
    """Whether the confidence interval of a difference leaves out zero."""
    if paired["low"] > 0:
        return "better"
    if paired["high"] < 0:
        return "worse"
    return "within the seeds' spread"
