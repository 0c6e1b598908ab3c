"""What a finished study found, as text for a terminal."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from snnq.study.folders import REFERENCE
from snnq.study.gather import read_gathered
from snnq.study.reproduction import reproduction_table


def report(study: Path) -> str:
    """A study's table, yours beside the reference where there is one, and where its figures are."""
    parts = [
        "Accuracy on the test samples after the last epoch, mean ± s.d. over runs; difference to"
        " full\nprecision of the same width in points, with its 95 % confidence interval, and what it"
        " shows, corrected\nfor the number of comparisons:",
        _plain(_results(read_gathered(study, "table"))),
    ]
    beside = reproduction_table(study)
    if beside is not None and len(beside):
        parts += [
            f"Yours beside the reference ({REFERENCE / study.name}), difference in points; the 95 %"
            " confidence\nintervals are corrected for the number of rows. Results are not"
            " bit-identical across CPU types:",
            _plain(_reproduction(beside)),
        ]
    figures, notebooks = study / "figures", study / "notebooks"
    drawn = len(list(figures.glob("*.png")))
    parts.append(f"{drawn} figures are in {figures}, executed notebooks in {notebooks}.")
    return "\n\n".join(parts)


def interval(low: float, high: float, digits: int = 1) -> str:
    """"-1.3 to +2.4", or nothing where there is no interval."""
    return "" if pd.isna(low) else f"{low:+.{digits}f} to {high:+.{digits}f}"


def _spread(mean: float, deviation: float) -> str:
    """"96.02 ± 0.42", or the mean alone where one seed has no deviation."""
    return f"{mean:.2f}" if pd.isna(deviation) else f"{mean:.2f} ± {deviation:.2f}"


def _results(table: pd.DataFrame) -> pd.DataFrame:
    return _of_widths(
        {
            "recordings": row.recordings,
            "channels": row.channels,
            "weights": str(row.levels),
            "accuracy (%)": _spread(row.last_mean, row.last_sd),
            "difference": "" if row.levels == "full" or pd.isna(row.difference) else f"{row.difference:+.2f}",
            "interval": interval(row.difference_low, row.difference_high),
            "reading": "" if pd.isna(row.reading) else row.reading,
            "network (kB)": f"{row.bytes / 1000:.1f}",
            "times smaller": f"{row.times_smaller:.1f}",
        }
        for row in table.itertuples()
    )


def _reproduction(beside: pd.DataFrame) -> pd.DataFrame:
    return _of_widths(
        {
            "recordings": row.recordings,
            "channels": row.channels,
            "weights": row.levels,
            "yours (%)": f"{row.yours:.2f}",
            "reference (%)": f"{row.reference:.2f}",
            "difference": f"{row.difference:+.2f}",
            "interval": interval(row.low, row.high),
            "verdict": row.verdict,
        }
        for row in beside.itertuples()
    )


def _of_widths(rows: Iterable[dict]) -> pd.DataFrame:
    """The width is said where there are several."""
    table = pd.DataFrame(rows)
    return table if table["channels"].nunique() > 1 else table.drop(columns="channels")


def _plain(table: pd.DataFrame) -> str:
    return table.to_string(index=False)
