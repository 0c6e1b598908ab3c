"""What each change to the recipe does, over seeds."""

import pandas as pd

from snnq.statistics import paired_difference


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
