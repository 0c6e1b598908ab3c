"""Accuracy against the bytes of a network: at equal memory, is a wide network of few bits better
than a narrow one in full precision, or of more bits?"""

import numpy as np
import pandas as pd

from snnq.quantization.rules import FULL, Levels
from snnq.study.comparisons import (
    BETTER,
    NOT_SHOWN,
    Correct,
    accuracies,
    alike,
    difference,
    mean_interval,
    with_comparisons,
)
from snnq.study.tables import networks


def frontier_table(
    runs: pd.DataFrame, correct: Correct | None = None, base: Levels = FULL
) -> pd.DataFrame:
    """A row per benchmark, level set and width, narrow networks first, with the bytes of the
    network packed.

    Parameters
    ----------
    runs, correct
        As of `results_table`.
    base : level set
        What the others are compared with: "full", or as the column `levels` has it.

    Returns
    -------
    pandas.DataFrame
        recordings, benchmark, simulated, channels, levels, seeds, runs, test_recordings and bytes;
        in percent mean, and mean_low to mean_high, the 95 % confidence interval of it; and the
        columns of `with_comparisons`, for the difference to the base at equal bytes, `base_bytes`,
        where a level set's belong together. For each seed and order the base lies on a straight
        line in log(bytes) between the two neighbouring widths. A network of fewer bytes than the
        base's narrowest is compared with that: better than more bytes is better than as many;
        anything else is "not shown". One of more bytes than its widest is not compared.
    """
    rows, found = [], []
    for row, group in networks(runs):
        found.append(accuracies(group, correct))
        row["mean"], row["mean_low"], row["mean_high"] = mean_interval(found[-1])
        rows.append(row)
    table = pd.DataFrame(rows).assign(base_bytes=np.nan)
    differences = {}
    for _, study in table.groupby(["recordings", "benchmark"], sort=False):
        is_base = study["levels"].map(lambda levels: levels == base)
        curve = {row.bytes: found[row.Index] for row in study[is_base].itertuples()}
        for row in study[~is_base].itertuples():
            size = max(row.bytes, min(curve, default=np.inf))
            if size <= max(curve, default=0):
                table.loc[row.Index, "base_bytes"] = size
                differences[row.Index] = difference(found[row.Index], at_bytes(curve, size))
    table = with_comparisons(table, differences, ["recordings", "benchmark", "levels"])
    unequal = (table["base_bytes"] > table["bytes"]) & (table["reading"] != BETTER)
    return table.assign(reading=table["reading"].mask(unequal, NOT_SHOWN))


def ahead_from(table: pd.DataFrame, levels: str | tuple = "binary") -> pd.DataFrame:
    """Of each recordings the narrowest network of a level set from which on all that are compared read
    "better" than full precision at equal bytes, or more. A row of the table each, none where there is
    no such network.

    Parameters
    ----------
    table : DataFrame
        Rows of `frontier_table`.
    levels : level set
    """
    rows = table[[found == levels for found in table["levels"]]].dropna(subset="difference")
    widest_first = rows.sort_values("bytes", ascending=False)
    is_ahead = (widest_first["reading"] == BETTER).astype(int)
    from_here_on = is_ahead.groupby(widest_first["recordings"]).cummin() > 0
    return widest_first[from_here_on].drop_duplicates("recordings", keep="last").sort_index()


def at_bytes(curve: dict[float, pd.DataFrame], size: float) -> pd.DataFrame:
    """`accuracies` at so many bytes, on a straight line in log(bytes) between those of the two
    networks of the curve with the next fewer and the next more."""
    below = max(known for known in curve if known <= size)
    above = min(known for known in curve if known >= size)
    if below == above:
        return curve[below]
    share = np.log(size / below) / np.log(above / below)
    first, second = alike(curve[below], curve[above])
    both = first.index.intersection(second.index)
    return (1 - share) * first.loc[both] + share * second.loc[both]
