"""Your own study beside the reference: is it the same result?

Results are not bit-identical across CPU types, since other processors round otherwise and training
carries a last bit on until networks of the same seed differ as those of two seeds do. So the
question is whether accuracies agree within the spread of the seeds.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t as student

from snnq.recordings.benchmarks import place_in_tables
from snnq.study.folders import REFERENCE, is_reference
from snnq.study.gather import read_gathered
from snnq.study.tables import number_of_levels

CONFIDENCE = 0.95  # of all rows of a table together
ROW = ["recordings", "benchmark", "channels", "levels"]
FOUND = ["yours", "reference", "difference", "low", "high", "verdict"]


def compared(yours: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """Accuracy after the last epoch of each row of your table, beside the reference's.

    The interval is Student's t for the difference of two means, with the standard deviation
    pooled over the rows of a benchmark's width in both studies, and corrected after Bonferroni for the
    number of rows: with a confidence of 95 % it holds zero in all of them where there is no
    difference.

    Parameters
    ----------
    yours, reference : DataFrame
        Rows per run, as `read_gathered(study, "runs")` returns them.

    Returns
    -------
    pandas.DataFrame
        A row per width and level set of the recordings that both have: recordings, benchmark,
        channels, levels; in percent yours and reference, means over seeds; difference, low and
        high in points; and verdict: "agrees" where the interval includes zero, or all runs are
        equal, "differs" where it does not, "undetermined" where there are too few seeds, or none
        differ, to tell.
    """
    both = {"yours": yours, "reference": reference}
    runs = pd.concat([rows.assign(study=study) for study, rows in both.items()])
    runs = runs.sort_values("levels", key=lambda of: -of.map(number_of_levels), kind="stable")
    runs = runs.sort_values("channels", kind="stable")
    runs = runs.assign(levels=runs["levels"].map(str), accuracy=100 * runs["last"])
    # Orders of batches are nested in seeds.
    by_seed = runs.groupby([*ROW, "study", "seed"], sort=False)["accuracy"]
    runs = by_seed.mean().reset_index()
    means = runs.pivot_table("accuracy", ROW, "study", sort=False)
    means = means.reindex(columns=["yours", "reference"]).dropna()
    counts = runs.pivot_table("accuracy", ROW, "study", aggfunc="count", sort=False)
    rows = []
    for row, found in means.iterrows():
        own, theirs = found["yours"], found["reference"]
        *width, levels = row
        alike = runs[(runs[ROW[:-1]] == width).all(axis=1)]
        half = _half_width(alike, counts.loc[row], len(means))
        interval = {"low": own - theirs - half, "high": own - theirs + half}
        found = {"yours": own, "reference": theirs, "difference": own - theirs, **interval}
        by_seed = alike[alike["levels"] == levels].pivot_table("accuracy", "seed", "study")
        equal = by_seed.notna().all(axis=None) and (by_seed["yours"] == by_seed["reference"]).all()
        verdict = "agrees" if equal else _verdict(**interval)
        rows.append(dict(zip(ROW, row)) | found | {"verdict": verdict})
    table = pd.DataFrame(rows, columns=[*ROW, *FOUND])
    return table.sort_values("benchmark", kind="stable", key=_in_order, ignore_index=True)


def reproduction_table(study: str | Path) -> pd.DataFrame | None:
    """`compared` of a study's folder; None where there is no reference for it, or it is
    the reference itself."""
    study = Path(study)
    reference = REFERENCE / study.name
    if is_reference(study) or not (reference / "runs.csv").exists():
        return None
    return compared(read_gathered(study, "runs"), read_gathered(reference, "runs"))


def _half_width(runs: pd.DataFrame, counts: pd.Series, rows: int) -> float:
    """Of the interval of a difference of two means, in points; NaN without any degree of freedom."""
    groups = runs.groupby([*ROW, "study"])["accuracy"]
    freedom = len(runs) - groups.ngroups
    if freedom == 0:
        return np.nan
    deviation = np.sqrt((groups.var(ddof=0) * groups.size()).sum() / freedom)
    quantile = student.ppf(1 - (1 - CONFIDENCE) / (2 * rows), freedom)
    return quantile * deviation * np.sqrt((1 / counts).sum())


def _in_order(benchmarks: pd.Series) -> pd.Series:
    return benchmarks.map(place_in_tables)


def _verdict(low: float, high: float) -> str:
    if not high > low:
        return "undetermined"
    return "agrees" if low <= 0 <= high else "differs"
