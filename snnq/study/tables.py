"""The runs of a study, one row each, and the table over seeds."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from snnq.quantization.levels import resolve_levels
from snnq.quantization.rules import Levels, is_mixed, label_of, read_levels
from snnq.recordings.benchmarks import BENCHMARKS, recordings_name
from snnq.study.bits import FULL_BITS, mean_bits
from snnq.study.intervals import paired_difference
from snnq.training.plain import plain_levels
from snnq.training.record import RECORD, read_record
from snnq.training.run import FULL, default_settings

WAYS = ("last", "validation", "best", "last_soft")  # see `snnq.training.record.accuracies`


def read_runs(folder: str | Path, only: Iterable[str] | None = None) -> pd.DataFrame:
    """Finished runs under a folder, a row each, in the order of `BENCHMARKS` and of their names.

    All of them, or only those of some names: a study's folder may hold runs of settings that it
    had before.

    Columns: recordings (what they are called, see `recordings_name`), folder, name (the folder's),
    every setting of the run (mixed levels as `label_of` writes them), `simulated`,
    test_recordings, the accuracies (shares of 1) of `snnq.training.record.accuracies`, bytes,
    bytes_float32, seconds, device and commit.

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
    levels = plain_levels(record["run"]["levels"])
    return {
        "recordings": recordings_name(record["run"]["benchmark"], record["data"]),
        "folder": str(folder),
        "name": folder.name,
        **default_settings(record["run"]["benchmark"]) | record["run"],
        "levels": label_of(levels) if is_mixed(levels) else levels,
        "simulated": record["data"]["simulated"],
        "test_recordings": record["recordings"]["test"],
        **record["accuracy"],
        **{name: record[name] for name in ("bytes", "bytes_float32")},
        "seconds": sum(record["seconds"]),
        **{name: record[name] for name in ("device", "commit")},
    }


def number_of_levels(levels: Levels, run: Mapping[str, Any] | None = None) -> float:
    """How many values a quantized weight takes; 2³² stands for full precision.

    Where levels are mixed, also in a table's words, the geometric mean over the weights: 2 to the
    power of `mean_bits`, see there for `run`, a row of `read_runs`.
    """
    found = read_levels(levels) if isinstance(levels, str) else levels
    if is_mixed(found):
        return 2 ** mean_bits(found, run)
    return 2**FULL_BITS if found == FULL else len(resolve_levels(found))


def results_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over seeds, a row per benchmark and level set.

    Bits are those of a weight in layers that are not kept, the mean over them where levels are
    mixed. Accuracies are in percent; the standard deviation is that of a sample (n − 1). The
    difference is the mean after the last epoch minus that of full precision on the same recordings, over the
    seeds of both: in points, with its paired 95 % confidence interval (`difference_low`,
    `difference_high`, see `paired_difference`), and relative, in percent of full precision. Bytes
    are those of the network packed, see `snnq.footprint`.
    """
    rows = []
    for (recordings, benchmark), study in runs.groupby(["recordings", "benchmark"], sort=False):
        full = study[study["levels"] == FULL].set_index("seed")["last"]
        # One by one: pandas takes a tuple as long as the table for a column.
        groups = {
            of: study[[one == of for one in study["levels"]]] for of in study["levels"].unique()
        }
        values = {of: number_of_levels(of, group.iloc[0]) for of, group in groups.items()}
        for levels in sorted(groups, key=values.get, reverse=True):
            group = groups[levels]
            row = {
                "recordings": recordings,
                "benchmark": benchmark,
                "simulated": group["simulated"].iloc[0],
                "levels": levels,
                "bits": math.log2(values[levels]),
                "seeds": len(group),
                "test_recordings": group["test_recordings"].iloc[0],
            }
            for way in WAYS:
                row[f"{way}_mean"] = 100 * group[way].mean()
                row[f"{way}_sd"] = 100 * group[way].std()
            row |= _difference(group.set_index("seed")["last"], full)
            row["bytes"] = group["bytes"].iloc[0]
            row["times_smaller"] = group["bytes_float32"].iloc[0] / group["bytes"].iloc[0]
            rows.append(row)
    return pd.DataFrame(rows)


def _difference(low_bit: pd.Series, full: pd.Series) -> dict[str, float]:
    """Of accuracies by seed: points, and percent of full precision, over the seeds of both."""
    names = ("difference", "difference_low", "difference_high", "relative_difference")
    seeds = full.index.intersection(low_bit.index)
    if seeds.empty:
        return dict.fromkeys(names, math.nan)
    found = paired_difference(low_bit[seeds], full[seeds])
    points = [100 * found[name] for name in ("difference", "low", "high")]
    base = full[seeds].mean()
    return dict(zip(names, [*points, points[0] / base if base else math.nan]))


def ablation_table(rows: pd.DataFrame) -> pd.DataFrame:
    """A row per ablation, level set and change, against the first change of the ablation.

    Parameters
    ----------
    rows : DataFrame
        The runs: recordings, ablation, change, levels, seed, and the accuracies last and
        on_validation.

    Returns
    -------
    pandas.DataFrame
        recordings, ablation, levels, change, seeds; in percent: mean and sd of `last` over seeds,
        validation_mean, and the paired difference of `last` to the first change with its 95 %
        confidence interval (difference, low, high) and p; and the reading of it: "better",
        "worse", "not distinguishable" where the interval includes zero, "undetermined" where there
        is none (see `paired_difference`).
    """
    found = []
    kinds = ["recordings", "ablation", "levels"]
    for kind, group in rows.groupby(kinds, sort=False):
        changes = {
            name: runs.set_index("seed") for name, runs in group.groupby("change", sort=False)
        }
        base = next(iter(changes.values()))
        for change, runs in changes.items():
            row = dict(zip(kinds, kind)) | {"change": change, "seeds": len(runs)}
            row |= {"mean": 100 * runs["last"].mean(), "sd": 100 * runs["last"].std()}
            row["validation_mean"] = 100 * runs["on_validation"].mean()
            if runs is not base:
                seeds = runs.index.intersection(base.index)
                paired = paired_difference(100 * runs["last"][seeds], 100 * base["last"][seeds])
                row |= paired | {"reading": _reading(paired)}
            found.append(row)
    return pd.DataFrame(found).fillna({"reading": ""})


def _reading(paired: dict[str, float]) -> str:
    if math.isnan(paired["low"]):
        return "undetermined"
    if paired["low"] > 0:
        return "better"
    return "worse" if paired["high"] < 0 else "not distinguishable"
