"""A study's records gathered into tables, which are kept where the runs' folders are not.

Notebooks 4 and 5 draw from these tables alone, so that they need no training.
"""

import json
from pathlib import Path

import pandas as pd

from snnq.study.profile import Study
from snnq.study.tables import read_runs
from snnq.system.files import write_atomically
from snnq.training.record import HISTOGRAMS, read_history

TABLES = ("runs", "histories", "histograms", "ablations")
LISTS = ("levels", "keep", "learned")  # settings that may be lists: JSON in the tables


def gather(study: Study) -> None:
    """Write `runs.csv`, a row per finished run of the study's table, `histories.csv`, a row per
    epoch of each, and `histograms.csv`, of four epochs of the runs of the first seed."""
    runs = read_runs(study.folder / "runs", study.runs)
    _write(study.folder, "runs", runs.drop(columns="folder"))
    histories = [_named(run, read_history(run.folder)) for run in runs.itertuples()]
    _write(study.folder, "histories", pd.concat(histories).drop(columns="seconds"))
    drawn = runs[(runs["seed"] == runs["seed"].min()) & (runs["quantizer"] == "sigmoid")]
    histograms = [_histograms(run) for run in drawn.itertuples()]
    _write(study.folder, "histograms", pd.concat([pd.DataFrame(), *histograms]))


def gather_ablations(study: Study) -> None:
    """Write `ablations.csv`: the rows of each ablation, with its name and that of the change."""
    runs = read_runs(study.folder / "runs", {variant.run for variant in study.ablations})
    rows = pd.DataFrame(study.ablations).rename(columns={"run": "name"})
    _write(study.folder, "ablations", rows.merge(runs.drop(columns="folder"), on="name"))


def read_gathered(folder: str | Path, table: str) -> pd.DataFrame:
    """A table that `gather` or `gather_ablations` wrote: a name in `TABLES`.

    Raises
    ------
    FileNotFoundError
        It is not there; says which command makes it.
    """
    path = Path(folder) / f"{table}.csv"
    if not path.exists():
        command = f"snakemake --cores all --configfile config/{path.parent.name}.yaml"
        if table == "ablations":
            command += " --config train_ablations=yes"
        raise FileNotFoundError(f"{path}: these runs have not been made yet; `{command}` makes them")
    found = pd.read_csv(path)
    for name in found.columns.intersection(LISTS):
        found[name] = [_parsed(text) for text in found[name]]
    return found


def _parsed(text: str) -> str | tuple:
    return tuple(json.loads(text)) if text.startswith("[") else text


def _write(folder: Path, table: str, rows: pd.DataFrame) -> None:
    for name in rows.columns.intersection(LISTS):
        rows = rows.assign(
            **{name: [v if isinstance(v, str) else json.dumps(v) for v in rows[name]]}
        )
    write_atomically(
        folder / f"{table}.csv", lambda path: rows.to_csv(path, index=False, float_format="%.6g")
    )


def _named(run, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of a run with what it is in front."""
    known = {"benchmark": run.benchmark, "seed": run.seed, "levels": [run.levels] * len(rows)}
    return pd.concat([pd.DataFrame(known, index=rows.index), rows], axis=1)


def _histograms(run) -> pd.DataFrame:
    path = Path(run.folder) / HISTOGRAMS
    if not path.exists():  # full precision
        return pd.DataFrame()
    rows = pd.read_csv(path)
    epochs = {round(run.epochs * share) for share in (0, 1 / 4, 1 / 2, 1)}
    return _named(run, rows[rows["epoch"].isin(epochs)])
