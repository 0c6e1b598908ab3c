"""A study's records gathered into tables, which are kept where the runs' folders are not.

Figures and notebooks 1, 4 and 5 are drawn from these tables alone, so that they need no training.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import pandas as pd
from torch import Tensor, nn

from snnq.quantization.histograms import histogram_columns
from snnq.quantization.network import quantizers
from snnq.quantization.place import quantizer_input
from snnq.quantization.rules import FULL
from snnq.quantization.sigmoid import SCALES, SigmoidQuantizer
from snnq.study.arithmetic import arithmetic_table
from snnq.study.frontier import frontier_table
from snnq.study.predictions import (
    PREDICTIONS,
    PREDICTIONS_ABLATIONS,
    Predictions,
    kept_predictions,
    read_correct,
    write_predictions,
)
from snnq.study.profile import Study
from snnq.study.tables import read_runs, results_table
from snnq.system.files import write_atomically
from snnq.training.record import HISTOGRAMS, read_history, read_rows, refuse_half, trained_network

TABLES = ("runs", "table", "frontier", "histories", "transitions", "histograms", "staircases", "ablations")
LISTS = ("levels", "layer_levels", "keep", "learned", "harden", "sensor", "thresholds", "shares")  # as JSON
TARGETS = {"quick": "study", "paper": "paper", "simulated": "simulated"}  # in the Makefile
RUN = ["recordings", "benchmark", "channels", "seed", "order", "levels"]  # what a row is of
OF_RUNS = ("runs", "ablations", "histories", "transitions", "histograms", "staircases")
TRANSITION = ["quantizer", "epoch", "layer", "in_transition", *SCALES]


def gather(study: Study) -> None:
    """Write the tables of a study's finished runs, those of its profile's table.

    `runs.csv`, a row per run; `table.csv`, see `results_table`; `frontier.csv`, see `frontier_table`;
    `histories.csv`, a row per epoch of each. Of the runs quantized with sigmoids `transitions.csv`, a
    row per epoch and layer: the share of its weights in transition, α and β, see `weight_histograms`.
    Of those of the first seed and order of the `widest_networks` `histograms.csv`, at four epochs, and
    `staircases.csv`, a row per layer after the last epoch: its levels, its temperature, its thresholds
    in units of βw, and the share of its weights at each level. And `predictions.safetensors`, see
    `read_correct`.
    """
    runs = read_runs(study.folder / "runs", study.runs)
    write_runs(study.folder, runs.drop(columns="folder"), kept_predictions(runs))
    histories = [_named(run, read_history(run.folder)) for run in runs.itertuples()]
    write_table(study.folder, "histories", pd.concat(histories).drop(columns="seconds"))
    sigmoids = of_sigmoids(runs)
    transitions = map(_transitions, sigmoids.itertuples())
    write_table(study.folder, "transitions", _rows(transitions, TRANSITION))
    drawn = list(one_of_each(sigmoids).itertuples())
    columns = ["epoch", "layer", *histogram_columns()]
    write_table(study.folder, "histograms", _rows(map(_histograms, drawn), columns))
    columns = ["layer", "layer_levels", "temperature", "thresholds", "shares"]
    write_table(study.folder, "staircases", _rows(map(_staircases, drawn), columns))


def of_sigmoids(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs that are quantized with sigmoids."""
    return runs[(runs["quantizer"] == "sigmoid") & (runs["levels"].map(str) != FULL)]


def one_of_each(runs: pd.DataFrame, widest: bool = True) -> pd.DataFrame:
    """Of each network's runs on the same recordings those of its first seed and order, of the networks
    that are `widest_networks` or of all. Not every network has the study's first seed."""
    for name in ("seed", "order"):
        network = runs.groupby(["recordings", "channels", runs["levels"].map(str)])
        runs = runs[runs[name] == network[name].transform("min")]
    return widest_networks(runs) if widest else runs


def widest_networks(rows: pd.DataFrame) -> pd.DataFrame:
    """Of the rows on the same recordings those of the widest networks; where not every width has as many
    level sets, of the widest that has the most."""
    sets = rows["levels"].map(str).groupby([rows["recordings"], rows["channels"]]).transform("nunique")
    rows = rows[sets == sets.groupby(rows["recordings"]).transform("max")]
    return rows[rows["channels"] == rows.groupby("recordings")["channels"].transform("max")]


def write_runs(folder: Path, runs: pd.DataFrame, predictions: Predictions) -> None:
    """Write `runs.csv`, the runs' `predictions.safetensors`, and of both `table.csv`, see
    `results_table`, and `frontier.csv`, see `frontier_table`."""
    write_table(folder, "runs", runs)
    write_predictions(folder / PREDICTIONS, predictions)
    correct = read_correct(folder)
    for name, compared in ("table", results_table), ("frontier", frontier_table):
        write_table(folder, name, compared(runs, correct), "%.4f")


def gather_ablations(study: Study) -> None:
    """Write the ablations of a study's finished runs, see `write_ablations`.

    Without those of whose first change no run is finished, since the first row of an ablation tells what
    the others are compared with. Says which these are.

    Raises
    ------
    FileNotFoundError
        No run is finished, or none is left of the ablations.
    """
    runs = read_runs(study.folder / "runs", {variant.run for variant in study.ablations})
    planned = pd.DataFrame(study.ablations).rename(columns={"run": "name"})
    rows = planned.merge(runs.drop(columns="folder"), on="name")
    for name, first in planned.groupby("ablation", sort=False)["change"].first().items():
        if first not in set(rows.loc[rows["ablation"] == name, "change"]):
            print(f"{study.folder}: ablation {name!r} left out: of {first!r}, its first change, no run is finished")
            rows = rows[rows["ablation"] != name]
    if rows.empty:
        raise FileNotFoundError(f"{study.folder}: no ablation has a finished run of its first change")
    rows.insert(0, "recordings", rows.pop("recordings"))
    write_ablations(study.folder, rows, kept_predictions(runs[runs["name"].isin(rows["name"])]))


def write_ablations(folder: Path, rows: pd.DataFrame, predictions: Predictions) -> None:
    """Write `ablations.csv`: the rows of each ablation, with its name and that of the change; and
    the runs' `predictions_ablations.safetensors`. Where arithmetics are compared also
    `arithmetic.csv`, see `arithmetic_table`, and elsewhere none."""
    write_table(folder, "ablations", rows)
    write_predictions(folder / PREDICTIONS_ABLATIONS, predictions)
    compared = arithmetic_table(rows, read_correct(folder))
    if compared.empty:
        (folder / "arithmetic.csv").unlink(missing_ok=True)
    else:
        write_table(folder, "arithmetic", compared, "%.4f")


def read_gathered(folder: str | Path, table: str) -> pd.DataFrame:
    """A table that `gather` or `gather_ablations` wrote, a name in `TABLES`, or notebook 6.

    Raises
    ------
    FileNotFoundError
        It is not there; says which command makes it.
    ValueError
        An empty file.
    """
    path = Path(folder) / f"{table}.csv"
    if not path.exists():
        refuse_missing(folder, table)
    try:
        found = pd.read_csv(path)
    except pd.errors.EmptyDataError:
        raise ValueError(f"{path}: an empty file; expected a table") from None
    for name in found.columns.intersection(LISTS):
        found[name] = [_parsed(text) for text in found[name]]
    if table in OF_RUNS and "order" not in found:  # of before there were orders
        found["order"] = 0
    return found


def refuse_missing(folder: str | Path, table: str) -> NoReturn:
    """Raise FileNotFoundError for a table that is not there."""
    path = Path(folder) / f"{table}.csv"
    command = command_for(folder, table)
    raise FileNotFoundError(f"{path}: these runs have not been made yet; `{command}` makes them")


def command_for(folder: str | Path, table: str = "runs") -> str:
    """The command that makes a table of the study in a folder."""
    name, ablations = Path(folder).name, table == "ablations"
    if name in TARGETS and (name == "quick" or not ablations):
        return f"make {'ablations' if ablations else TARGETS[name]}"
    return f"snnq study config/{name}.yaml" + (" --ablations" if ablations else "")


def _parsed(value: str | float) -> str | float | tuple | None:
    """A list as a tuple, and nothing as None; everything else, the number of a layer's levels say, as
    it is."""
    if isinstance(value, str) and value.startswith("["):
        return tuple(json.loads(value))
    return None if pd.isna(value) else value


def write_table(folder: Path, table: str, rows: pd.DataFrame, float_format: str = "%.6g") -> None:
    """Write `<table>.csv`, as `read_gathered` reads it."""
    for name in rows.columns.intersection(LISTS):
        as_text = [json.dumps(v) if isinstance(v, list | tuple) else v for v in rows[name]]
        rows = rows.assign(**{name: as_text})
    write_atomically(
        folder / f"{table}.csv",
        lambda path: rows.to_csv(path, index=False, float_format=float_format),
    )


def _rows(tables: Iterable[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    """One table of many, with its columns even where there is none."""
    tables = list(tables)
    return pd.concat(tables) if tables else pd.DataFrame(columns=RUN + columns)


def _named(run, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of a run with what it is in front."""
    known = {name: [getattr(run, name)] * len(rows) for name in RUN}
    return pd.concat([pd.DataFrame(known, index=rows.index), rows], axis=1)


def _weights_of(run) -> pd.DataFrame:
    """The rows of `weight_histograms` of a run's epochs, of which each has one for each layer."""
    path = Path(run.folder) / HISTOGRAMS
    rows = read_rows(path)
    if rows.groupby("epoch").size().nunique() != 1:
        refuse_half(path, "as many rows for each epoch")
    return rows


def _transitions(run) -> pd.DataFrame:
    rows = _weights_of(run)
    # Runs of before α and β were recorded have none.
    return _named(run, rows.assign(quantizer=run.quantizer).reindex(columns=TRANSITION))


def _histograms(run) -> pd.DataFrame:
    rows = _weights_of(run)
    rows = rows[["epoch", "layer", *histogram_columns()]]
    first, last = rows["epoch"].min(), rows["epoch"].max()
    epochs = {round(first + share * (last - first)) for share in (0, 1 / 4, 1 / 2, 1)}
    return _named(run, rows[rows["epoch"].isin(epochs)])


def _staircases(run) -> pd.DataFrame:
    model = trained_network(run.folder)
    rows = [
        {
            "layer": name,
            "layer_levels": quantizer.levels,
            "temperature": quantizer.temperature.item(),
            "thresholds": _short(quantizer.biases),
            "shares": _short(_shares(model.get_submodule(name), quantizer)),
        }
        for name, quantizer in quantizers(model).items()
    ]
    return _named(run, pd.DataFrame(rows))


def _shares(layer: nn.Module, quantizer: SigmoidQuantizer) -> Tensor:
    """Of a layer's weights, at each level."""
    places = quantizer.level_indices(quantizer_input(layer)).flatten()
    return places.bincount(minlength=len(quantizer.levels)).double() / places.numel()


def _short(values: Tensor) -> list[float]:
    return [float(f"{value:.6g}") for value in values.tolist()]
