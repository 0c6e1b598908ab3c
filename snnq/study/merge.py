"""Tables of a study that was trained in parts, put together.

A study of many hours becomes complete part by part: what is there stays, networks that are not there are
added with all of their runs, and an ablation takes the place of one of the same name.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from snnq.study.gather import (
    RUN,
    of_sigmoids,
    one_of_each,
    read_gathered,
    write_ablations,
    write_runs,
    write_table,
)
from snnq.study.predictions import Predictions
from snnq.study.tables import NETWORK
from snnq.study.unlike import keys

OF_NETWORKS = ("histories", "transitions", "histograms", "staircases", "operations", "fidelity")
OF_ONE = ("histograms", "staircases")  # of the widest networks alone


def add_networks(place: Path, part: Path, predictions: Predictions) -> None:
    """Add a part's networks that a study lacks to its tables: the runs, with the table over them, and
    those of `OF_NETWORKS` that the part has.

    Parameters
    ----------
    place : path
        Of the study's tables.
    part : path
        Of those to add.
    predictions : mapping
        Of the runs of both, see `read_predictions`.
    """
    known, added = (read_gathered(folder, "runs") for folder in (place, part))
    lacks = _lacks(added, known)
    if not lacks.any():
        return
    runs = pd.concat([known, added[lacks]], ignore_index=True)
    write_runs(place, runs, _of(runs, predictions))
    drawn = one_of_each(of_sigmoids(runs))
    for name in OF_NETWORKS:
        if (part / f"{name}.csv").exists():
            found, rows = (read_gathered(folder, name) for folder in (place, part))
            rows = pd.concat([found, rows[_lacks(rows, known)]], ignore_index=True)
            if name in OF_ONE:
                rows = rows[keys(rows, RUN).isin(keys(drawn, RUN))]
            write_table(place, name, rows)


def add_ablations(place: Path, part: Path, predictions: Predictions) -> None:
    """Add a part's ablations to those of a study, in place of any of the same name; see `add_networks`."""
    rows = read_gathered(part, "ablations")
    if rows.empty:
        return
    if (place / "ablations.csv").exists():
        known = read_gathered(place, "ablations")
        order = list(dict.fromkeys([*known["ablation"], *rows["ablation"]]))
        rows = pd.concat([known[~known["ablation"].isin(rows["ablation"])], rows])
        first = {"key": lambda names: names.map(order.index), "kind": "stable"}
        rows = rows.sort_values("ablation", **first, ignore_index=True)
    write_ablations(place, rows, _of(rows, predictions))


def _of(rows: pd.DataFrame, predictions: Predictions) -> Predictions:
    return {name: predictions[name] for name in rows["name"].unique() if name in predictions}


def _lacks(rows: pd.DataFrame, known: pd.DataFrame) -> np.ndarray:
    """Which rows are of networks that are not in a table of runs."""
    return ~keys(rows, NETWORK).isin(keys(known, NETWORK))
