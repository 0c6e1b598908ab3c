"""What a part of a study must agree in with what is there of it, before both are put together."""

from pathlib import Path

import numpy as np
import pandas as pd

from snnq.study.gather import RUN, read_gathered
from snnq.study.predictions import Predictions
from snnq.study.tables import NETWORK

VARIANT = ["ablation", "change", "channels", "levels", "seed", "order"]
OTHERS = ["name", "last", "test_recordings", "ablation", "change"]
WRITTEN = 1e-5  # what accuracies in tables are rounded to


def refuse_unlike(place: Path, part: Path, known: Predictions, added: Predictions) -> None:
    """Refuse a part with which the tables of a study would say something wrong, or less than before.

    Parameters
    ----------
    place, part : path
        Of the study's tables, of which there may be none yet, and of those to add.
    known, added : mapping
        The predictions of their runs, see `read_predictions`.

    Raises
    ------
    ValueError
        Tables that lack columns, or have a run twice; other runs of a network that is there, of more seeds
        say, since its rows in other tables are of those that it has; an ablation without all of the runs
        that it has; networks of other test recordings by the same name, or without the predictions that
        would tell; or a run that stays in the study was trained again with another result, so that one
        table of both would compare machines.
    """
    runs, ablations = (_table(part, name) for name in ("runs", "ablations"))
    known_runs, known_ablations = (_table(place, name) for name in ("runs", "ablations"))
    if known_runs.empty:  # a study of ablations alone
        runs = known_runs
    for name, rows, there in ("runs", runs, known_runs), ("ablations", ablations, known_ablations):
        missing = sorted(set(there) - set(rows)) if len(rows) and len(there) else []
        if missing:
            raise ValueError(f"{part}/{name}.csv: no {', '.join(missing)}; expected the columns of {place}'s")
    more = keys(runs, NETWORK).isin(keys(known_runs, NETWORK)) & ~runs["name"].isin(known_runs["name"])
    if more.any():
        raise ValueError(
            f"{part}: {', '.join(runs['name'][more])}: other runs of networks that are in {place}; expected"
            " the same, or networks that are not"
        )
    twice = runs["name"][runs["name"].duplicated()]
    if len(twice):
        raise ValueError(f"{part}/runs.csv: {twice.iloc[0]} is there twice; expected each run once")
    is_replaced = known_ablations["ablation"].isin(ablations["ablation"])
    _refuse_fewer(place, part, known_ablations[is_replaced], ablations)
    for recordings, rows in runs.groupby("recordings"):
        there = known_runs[known_runs["recordings"] == recordings]
        if len(there) and _test_set(rows, added) != _test_set(there, known):
            raise ValueError(
                f"{part}: {recordings}: other test recordings than in {place}, or no predictions on them;"
                " expected the same"
            )
    staying = pd.concat([known_runs, known_ablations[~is_replaced]])
    _refuse_other_results(place, part, staying, pd.concat([runs, ablations]), known, added)


def keys(rows: pd.DataFrame, names: list[str]) -> pd.MultiIndex:
    """What rows are of, as text: a list of levels is there as a tuple or as it was written."""
    return pd.MultiIndex.from_frame(rows[names].astype(str))


def _table(folder: Path, name: str) -> pd.DataFrame:
    there = (folder / f"{name}.csv").exists()
    return read_gathered(folder, name) if there else pd.DataFrame(columns=[*RUN, *OTHERS])


def _refuse_fewer(place: Path, part: Path, replaced: pd.DataFrame, ablations: pd.DataFrame) -> None:
    lost = replaced[~keys(replaced, VARIANT).isin(keys(ablations, VARIANT))]
    if len(lost):
        first = lost.iloc[0]
        run = f"{first['change']}, {first['channels']} channels, {first['levels']}, seed {first['seed']}"
        raise ValueError(
            f"{part}: ablation {first['ablation']!r} without {len(lost)} of the runs that {place} has ({run},"
            f" order {first['order']}, …); expected all of them"
        )


def _test_set(runs: pd.DataFrame, predictions: Predictions) -> tuple[int, bytes]:
    """Of runs on the same recordings how many they were tested on, and their classes where these are kept."""
    labels = (predictions[name][1] for name in runs["name"] if name in predictions)
    return int(runs["test_recordings"].iloc[0]), next(labels, np.empty(0, np.uint8)).tobytes()


def _refuse_other_results(
    place: Path, part: Path, there: pd.DataFrame, rows: pd.DataFrame, known: Predictions, added: Predictions
) -> None:
    before, after = (table.drop_duplicates("name").set_index("name")["last"] for table in (there, rows))
    both = before.index.intersection(after.index)
    is_other = (before[both].astype(float) - after[both].astype(float)).abs() > WRITTEN
    for name in both.intersection(known.keys()).intersection(added.keys()):
        is_other[name] |= not all(map(np.array_equal, known[name], added[name]))
    if is_other.any():
        raise ValueError(
            f"{part}: {', '.join(both[is_other])}: trained again with another result than in {place}; a"
            " table of both would compare machines, so take the study as a whole"
        )
