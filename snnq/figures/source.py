"""The tables that a study's figures are drawn from, and what their captions say of them."""

from pathlib import Path

import pandas as pd

from snnq.figures.layers import with_layer_names
from snnq.quantization.rules import FULL
from snnq.study.comparisons import orders
from snnq.study.gather import read_gathered


def rows_of(study: Path, table: str, quantized: bool = False) -> pd.DataFrame:
    """A table that has rows, those of full precision left out where they are not asked for."""
    rows = read_gathered(study, table)
    if quantized:
        rows = rows[rows["levels"] != FULL]
    if rows.empty:
        kind = "quantized runs" if quantized else "rows"
        raise FileNotFoundError(f"{study / table}.csv: no {kind} in it")
    return _with_layer_names(rows, study) if "layer" in rows else rows


def _with_layer_names(rows: pd.DataFrame, study: Path) -> pd.DataFrame:
    """As they are where the study's runs are elsewhere."""
    try:
        return with_layer_names(rows, read_gathered(study, "runs"))
    except FileNotFoundError:
        return rows


def results_caption(runs: pd.DataFrame, shown: str = "mean ± s.d.") -> str:
    """What is shown, and how many seeds and test samples are behind it."""
    found = dict(iter(runs.groupby("recordings", sort=False)))
    seeds = {recordings: rows["seed"].nunique() for recordings, rows in found.items()}
    seeds = {recordings: f"{count} seed{'s' * (count > 1)}" for recordings, count in seeds.items()}
    tests = {recordings: either(rows["test_recordings"]) for recordings, rows in found.items()}
    counts = runs["recordings"].map(seeds).unique()
    same, in_each = len(counts) == 1, orders(runs).nunique()
    samples = [
        f"{recordings}: {'' if same else f'{seeds[recordings]}, '}{tests[recordings]} test samples"
        for recordings in found
    ]
    by_order = f" with {in_each} orders of batches each" if in_each > 1 else ""
    return "; ".join([f"{shown} over {counts[0] if same else 'seeds'}{by_order}", *samples])


def either(counts: pd.Series) -> str:
    """"10,000", or "1,000 or 2,000"."""
    return " or ".join(f"{count:,}" for count in sorted(counts.unique()))


def run_caption(rows: pd.DataFrame) -> str:
    width = f", {rows['channels'].iloc[0]} channels" if "channels" in rows else ""
    return f"{rows['recordings'].iloc[0]}{width}, {seed_caption(rows)}"


def seed_caption(rows: pd.DataFrame) -> str:
    """"seed 0", or "seed 0 or 1" where not every network's first one is the same."""
    return f"seed {' or '.join(map(str, sorted(rows['seed'].unique())))}"
