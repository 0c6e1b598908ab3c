"""How sure an accuracy is, and a difference between two methods."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest, ttest_rel

CONFIDENCE = 0.95
SAME = 1e-5  # relative: tables hold six digits, and one of 10,000 test recordings is ten times that


def wilson(accuracy: float, recordings: int) -> tuple[float, float]:
    """95 % Wilson score interval of one run's accuracy on so many test recordings, shares of 1.

    For the recordings alone: another seed's network adds its own spread.

    Raises
    ------
    ValueError
        The accuracy is no whole number of recordings.
    """
    right = round(accuracy * recordings)
    if not np.isclose(right, accuracy * recordings, atol=1e-3):
        raise ValueError(f"accuracy={accuracy!r}: no whole number of {recordings} recordings")
    interval = binomtest(right, recordings).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def paired_difference(values: Sequence[float], base: Sequence[float]) -> dict[str, float]:
    """Mean difference of two methods over the same seeds, in the same order.

    Returns
    -------
    dict
        "difference", the mean of values − base; "low" and "high", its 95 % confidence interval by
        Student's t; "p" of the paired t-test. All but the difference are NaN with fewer than two
        seeds, and where all differ by the same: no spread, so nothing to set the difference beside.

    Raises
    ------
    ValueError
        Not as many values as of the base.
    """
    if len(values) != len(base):
        raise ValueError(f"{len(values)} values, expected {len(base)}, one for each of the base")
    differences = np.subtract(values, base)
    found = {"difference": float(differences.mean()), "low": np.nan, "high": np.nan, "p": np.nan}
    if np.ptp(differences) > SAME * np.abs([values, base]).max():
        test = ttest_rel(values, base)
        interval = test.confidence_interval(CONFIDENCE)
        found |= {"low": interval.low, "high": interval.high, "p": test.pvalue}
    return {name: float(value) for name, value in found.items()}
