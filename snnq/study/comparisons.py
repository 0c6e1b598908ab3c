"""Methods compared over the same seeds, orders and test recordings, and what that shows."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from snnq.study.intervals import CONFIDENCE, Estimate, estimate, holm, paired_difference

MARGIN = 0.5  # points: what counts as equal
BETTER, WORSE, EQUAL = "better", "worse", f"equal within {MARGIN} points"
NOT_SHOWN, UNDETERMINED, IDENTICAL = "not shown", "undetermined", "the same in each seed"
NOTHING = Estimate(np.nan, 0)  # of no seed
Correct = Mapping[str, np.ndarray]  # by run, whether each test recording was classified correctly


def orders(runs: pd.DataFrame) -> pd.Series:
    """Of batches, by run; tables of before there was more than one have 0."""
    return runs["order"] if "order" in runs else pd.Series(0, runs.index)


def accuracies(runs: pd.DataFrame, correct: Correct | None = None) -> pd.DataFrame:
    """Of one method's runs, in percent: a row per seed and order of batches.

    A column per test recording, 0 or 100, where `correct` has all of the runs, on as many
    recordings; or else one column, the accuracy after the last epoch. Of a run with another accuracy
    than its row has, as one that was trained again since, it has not.
    """
    found = [_correct_of(run, correct) for run in runs.itertuples()] if correct else [None]
    if any(one is None for one in found) or len({len(one) for one in found}) > 1:
        found = runs[["last"]].to_numpy()
    shares = pd.DataFrame(np.asarray(found, dtype=float))
    return 100 * shares.groupby([runs["seed"].to_numpy(), orders(runs).to_numpy()]).mean()


def mean_interval(method: pd.DataFrame) -> tuple[float, float, float]:
    """Of `accuracies` the mean, and the ends of its 95 % confidence interval, see `Estimate`."""
    found = estimate(_by_seed(method))
    low, high = np.clip(found.interval(), 0, 100)
    return found.mean, low, high


def difference(method: pd.DataFrame, base: pd.DataFrame) -> Estimate:
    """Mean difference of two methods' `accuracies` in points, over the seeds and orders of both."""
    both = method.index.intersection(base.index)
    if both.empty:
        return NOTHING
    method, base = alike(method, base)
    return paired_difference(_by_seed(method.loc[both]), _by_seed(base.loc[both]))


def alike(*methods: pd.DataFrame) -> list[pd.DataFrame]:
    """`accuracies` with the same columns: means over recordings where not all have as many."""
    if len({method.shape[1] for method in methods}) == 1:
        return list(methods)
    return [method.mean(axis=1).to_frame() for method in methods]


def with_comparisons(
    table: pd.DataFrame, differences: Mapping[int, Estimate], together: list[str]
) -> pd.DataFrame:
    """A table with what comparisons show, corrected for how many belong together.

    Parameters
    ----------
    table : DataFrame
    differences : mapping of int to Estimate
        By the index of the table's row, in points. Other rows are not compared.
    together : list of str
        Comparisons of rows that are equal in these columns belong together.

    Returns
    -------
    pandas.DataFrame
        With columns, in points: difference, and its 95 % confidence interval, low to high, for
        itself alone; corrected_low to corrected_high, such that all that belong together hold at
        once with 95 % (Bonferroni). p, corrected after Holm, of no difference; p_equal, likewise,
        of one of ±0.5 points or more (see `Estimate.p_within`). And the reading of them at 5 %:
        "better" or "worse" where a difference is shown, however small; "equal within 0.5 points"
        where that is shown; "not shown" where neither is; "the same in each seed" where no seed of
        several differs; "undetermined" where there is too little to tell. Holm's correction
        shows a little more than Bonferroni's: a difference may be shown whose corrected interval just
        includes zero.
    """
    found = [differences.get(row, NOTHING) for row in table.index]
    family = [table[name].map(str) for name in together]
    p, p_equal = (
        pd.Series(values, table.index).groupby(family)
        for values in ([one.p for one in found], [one.p_within(MARGIN) for one in found])
    )
    doubt = (1 - CONFIDENCE) / p.transform("count").clip(lower=1)
    table = table.assign(
        difference=[one.mean for one in found],
        **_ends("", [one.interval() for one in found]),
        **_ends("corrected_", [one.interval(1 - d) for one, d in zip(found, doubt)]),
        p=p.transform(holm),
        p_equal=p_equal.transform(holm),
    )
    readings = [
        _reading(row, one.seeds) if row.Index in differences else ""
        for row, one in zip(table.itertuples(), found)
    ]
    return table.assign(reading=readings)


def _correct_of(run, correct: Correct) -> np.ndarray | None:
    found = correct.get(run.name)
    return found if found is not None and abs(found.mean() - run.last) < 0.5 / len(found) else None


def _by_seed(method: pd.DataFrame) -> np.ndarray:
    return method.groupby(level=0).mean().to_numpy()


def _ends(name: str, intervals: Sequence[tuple[float, float]]) -> dict[str, list[float]]:
    lows, highs = zip(*intervals)
    return {f"{name}low": list(lows), f"{name}high": list(highs)}


def _reading(row, seeds: int) -> str:
    if np.isnan(row.p):
        return IDENTICAL if row.difference == 0 and seeds > 1 else UNDETERMINED
    if row.p <= 1 - CONFIDENCE:
        return BETTER if row.difference > 0 else WORSE
    return EQUAL if row.p_equal <= 1 - CONFIDENCE else NOT_SHOWN
