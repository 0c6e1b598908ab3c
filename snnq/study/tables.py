"""The runs of a study, one row each, and the table over them."""

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from snnq.quantization.levels import resolve_levels
from snnq.quantization.rules import FULL, Levels, is_mixed, label_of, read_levels
from snnq.recordings.benchmarks import place_in_tables, recordings_name
from snnq.study.bits import FULL_BITS, is_known, mean_bits
from snnq.study.comparisons import Correct, accuracies, difference, mean_interval, with_comparisons
from snnq.training.plain import plain_levels
from snnq.training.record import RECORD, read_record
from snnq.training.run import default_settings

WIDTH = ["recordings", "benchmark", "channels"]
NETWORK = [*WIDTH, "levels"]
WAYS = ("last", "validation", "best", "last_soft")  # see `snnq.training.record.accuracies`


def read_runs(folder: str | Path, only: Iterable[str] | None = None) -> pd.DataFrame:
    """Finished runs under a folder, a row each, in the order of `BENCHMARKS` and of their names.

    All of them, or only those of some names: a study's folder may hold runs of settings that it
    had before. Those of `snnq.train`, which no `Run` describes, are passed over.

    Columns: recordings (what they are called, see `recordings_name`), folder, name (the folder's),
    every setting of the run (mixed levels as `label_of` writes them), of recordings that are no
    benchmark's `classes` and `sensor` (see `snnq.build_model`), `simulated`,
    test_recordings, the accuracies (shares of 1) of `snnq.training.record.accuracies`, bytes,
    bytes_float32, seconds, device and commit.

    Raises
    ------
    FileNotFoundError
        No finished run under the folder.
    """
    names = ["*"] if only is None else sorted(only)
    paths = [path for name in names for path in sorted(Path(folder).glob(f"{name}/{RECORD}"))]
    folders = [path.parent for path in paths if "run" in read_record(path.parent)]
    if not folders:
        raise FileNotFoundError(f"{folder}: no finished run here; `make study` trains them")
    found = pd.DataFrame([run_row(folder) for folder in folders])
    order = {"key": lambda names: names.map(place_in_tables), "kind": "stable"}
    return found.sort_values("benchmark", **order, ignore_index=True)


def run_row(folder: Path) -> dict:
    """A finished run of `snnq.fit` as a row of `read_runs`."""
    record = read_record(folder)
    levels = plain_levels(record["run"]["levels"])
    dimensions = record.get("dimensions", {})
    if dimensions:
        dimensions = dimensions | {"sensor": tuple(dimensions["sensor"])}
    return {
        "recordings": recordings_name(record["run"]["benchmark"], record["data"]),
        "folder": str(folder),
        "name": folder.name,
        **default_settings(record["run"]["benchmark"]) | record["run"],
        "levels": label_of(levels) if is_mixed(levels) else levels,
        **dimensions,
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


def networks(runs: pd.DataFrame) -> Iterator[tuple[dict, pd.DataFrame]]:
    """What the runs of each of a study's networks have in common, and these runs.

    A benchmark's network has a width, narrow ones first, and a level set, most levels first.
    """
    for (recordings, benchmark), study in runs.groupby(["recordings", "benchmark"], sort=False):
        for channels, width in study.groupby("channels"):
            # One by one: pandas takes a tuple as long as the table for a column.
            groups = {
                of: width[[one == of for one in width["levels"]]] for of in width["levels"].unique()
            }
            values = {of: number_of_levels(of, group.iloc[0]) for of, group in groups.items()}
            for levels in sorted(groups, key=values.get, reverse=True):
                group = groups[levels]
                yield {
                    "recordings": recordings,
                    "benchmark": benchmark,
                    "simulated": group["simulated"].iloc[0],
                    "channels": channels,
                    "levels": levels,
                    "bits": _bits(levels, values[levels], group.iloc[0]),
                    "seeds": group["seed"].nunique(),
                    "runs": len(group),
                    "test_recordings": group["test_recordings"].iloc[0],
                    "bytes": group["bytes"].iloc[0],
                }, group


def _bits(levels: Levels, values: float, run: Mapping[str, Any]) -> float:
    """None (NaN) of mixed levels in a network that is not known: then `values` is for sorting alone."""
    found = read_levels(levels) if isinstance(levels, str) else levels
    return math.nan if is_mixed(found) and not is_known(run) else math.log2(values)


def results_table(runs: pd.DataFrame, correct: Correct | None = None) -> pd.DataFrame:
    """Mean and standard deviation over runs, a row per benchmark, width and level set.

    Bits are those of a weight in layers that are not kept, the mean over them where levels are
    mixed, and none where the network is not known. Accuracies are in percent; the standard deviation is that of a sample (n − 1), and `last_low`
    to `last_high` the 95 % confidence interval of the mean after the last epoch, see `Estimate`.
    The difference is that mean minus the one of full precision in the same width on the same
    recordings, over the seeds and orders of both: in points, with the columns of
    `with_comparisons`, where a width's belong together; and relative, in percent of full precision.
    Bytes are those of the network packed, see `snnq.footprint`.

    Parameters
    ----------
    runs : DataFrame
        As `read_runs` and `read_gathered` return them.
    correct : mapping, optional
        See `read_correct`; without it intervals are of the seeds alone.
    """
    rows, found, differences = [], [], {}
    for row, group in networks(runs):
        for way in WAYS:
            row |= {f"{way}_mean": 100 * group[way].mean(), f"{way}_sd": 100 * group[way].std()}
        found.append(accuracies(group, correct))
        _, row["last_low"], row["last_high"] = mean_interval(found[-1])
        row["times_smaller"] = group["bytes_float32"].iloc[0] / row["bytes"]
        rows.append(row)
    table = pd.DataFrame(rows)
    is_full = table["levels"] == FULL
    for _, width in table.groupby(WIDTH):
        for full in width.index[is_full[width.index]]:
            low_bit = width.index.drop(full)
            differences |= {row: difference(found[row], found[full]) for row in low_bit}
    table = with_comparisons(table, differences, WIDTH)
    table.loc[is_full, "difference"] = 0.0
    of_full = table["last_mean"].where(is_full & (table["last_mean"] > 0))
    of_full = of_full.groupby([table[name] for name in WIDTH]).transform("max")
    table["relative_difference"] = 100 * table["difference"] / of_full
    return table.rename(columns={"low": "difference_low", "high": "difference_high"})


def ablation_table(rows: pd.DataFrame, correct: Correct | None = None) -> pd.DataFrame:
    """A row per ablation, width, level set and change, against the first change of the ablation, which
    is that of its first row.

    Parameters
    ----------
    rows : DataFrame
        The runs: recordings, ablation, change, channels, levels, seed, and the accuracies last and
        on_validation.
    correct : mapping, optional
        See `read_correct`; without it intervals are of the seeds alone.

    Returns
    -------
    pandas.DataFrame
        recordings, ablation, channels, levels, change, seeds, runs; in percent: mean and sd of
        `last` over runs, validation_mean; and the columns of `with_comparisons`, for the paired
        difference of `last` to the first change, where an ablation's belong together. Where a width
        and level set has no run of that, nothing is compared.
    """
    found, differences = [], {}
    for (recordings, name), ablation in rows.groupby(["recordings", "ablation"], sort=False):
        first = ablation["change"].iloc[0]
        for (channels, levels), panel in ablation_panels(ablation).items():
            changes = dict(iter(panel.groupby("change", sort=False)))
            methods = {change: accuracies(runs, correct) for change, runs in changes.items()}
            for change, runs in changes.items():
                if change != first and first in methods:
                    differences[len(found)] = difference(methods[change], methods[first])
                found.append(
                    {
                        "recordings": recordings,
                        "ablation": name,
                        "channels": channels,
                        "levels": levels,
                        "change": change,
                        "seeds": runs["seed"].nunique(),
                        "runs": len(runs),
                        "mean": 100 * runs["last"].mean(),
                        "sd": 100 * runs["last"].std(),
                        "validation_mean": 100 * runs["on_validation"].mean(),
                    }
                )
    table = pd.DataFrame(found).astype({"channels": "Int64"})
    return with_comparisons(table, differences, ["recordings", "ablation"])


def ablation_panels(rows: pd.DataFrame) -> dict[tuple, pd.DataFrame]:
    """The rows of one ablation by channels and levels, within which its changes are compared.

    Where the width itself is what is changed, so that each change has one and not all the same, by
    levels alone, with None for channels.
    """
    if rows.groupby("change")["channels"].nunique().max() == 1 < rows["channels"].nunique():
        return {(None, levels): panel for levels, panel in rows.groupby("levels", sort=False)}
    return dict(iter(rows.groupby(["channels", "levels"], sort=False)))
