"""Timings side by side: every candidate once in each round, in an order that turns."""

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd

# Of this machine, ignored by git. What the README states is in results/reference/bench.
RESULTS = Path(__file__).parent.parent / "results" / "bench"


def compare(candidates: dict[str, Callable[[], object]], rounds: int = 7) -> pd.DataFrame:
    """Seconds of each candidate, and its ratio to the first, over rounds after one to warm up.

    Returns
    -------
    pandas.DataFrame
        A row per candidate: candidate, seconds (median), and ratio, ratio_low, ratio_high: the
        median, least and greatest of its time over the first candidate's in the same round.
    """
    for candidate in candidates.values():
        candidate()
    clocks = {name: partial(_timed, candidate) for name, candidate in candidates.items()}
    seconds = in_turns(clocks, rounds)
    first_seconds = next(iter(seconds.values()))
    rows = []
    for name, found in seconds.items():
        ratios = [one / first for one, first in zip(found, first_seconds)]
        rows.append(
            {
                "candidate": name,
                "seconds": statistics.median(found),
                "ratio": statistics.median(ratios),
                "ratio_low": min(ratios),
                "ratio_high": max(ratios),
            }
        )
    return pd.DataFrame(rows)


def in_turns(clocks: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What each clock returns in every round; the order turns around from one to the next."""
    seconds: dict[str, list[float]] = {name: [] for name in clocks}
    for turn in range(rounds):
        for name in list(clocks)[:: 1 if turn % 2 == 0 else -1]:
            seconds[name].append(clocks[name]())
    return seconds


def _timed(candidate: Callable[[], object]) -> float:
    start = time.perf_counter()
    candidate()
    return time.perf_counter() - start


def compare_each(
    name: str,
    first: Callable[[], object],
    others: dict[str, Callable[[], Callable[[], object]]],
    rounds: int = 15,
) -> pd.DataFrame:
    """As `compare`, but each of the others alone with the first, in turns of two.

    So that both meet the same state of the machine. The others are made when it is their turn.
    """
    tables = [compare({name: first, other: make()}, rounds) for other, make in others.items()]
    return pd.concat([tables[0][:1], *(table[1:] for table in tables)], ignore_index=True)


def report(name: str, table: pd.DataFrame) -> None:
    """Print a table and keep it as `results/bench/<name>.csv`."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    table.to_csv(RESULTS / f"{name}.csv", index=False, float_format="%.6g")
    print(f"{name}\n{table.to_string(index=False, float_format='%.4g')}\n", flush=True)
