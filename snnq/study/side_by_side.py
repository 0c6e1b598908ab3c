"""Runs side by side: the settings that differ, what each reached, and how it went there."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from snnq.quantization.levels import LEVELS
from snnq.quantization.rules import FULL, label_of
from snnq.study.gather import RUN, read_gathered
from snnq.study.intervals import wilson
from snnq.study.tables import number_of_levels, run_row
from snnq.training.record import HISTORY, RECORD, read_record, read_rows
from snnq.training.run import Run

REPEATS = ["seed", "order"]  # settings of runs that are otherwise one
FIRST = ["recordings", "channels", "levels"]  # in tables
FACTS = ("accuracy", "low", "high", "bytes", "folder")  # of a table's columns, after the settings
NOTHING = "–"  # in words
CURVES = ["epoch", "loss", "test_accuracy"]
OF_CURVES = ["name", "kind", "levels", "others", "recordings"]


@dataclass(frozen=True)
class SideBySide:
    """Runs, by names that are made from the settings that differ.

    Attributes
    ----------
    table : DataFrame
        By name, a row per run: the settings that differ; in percent accuracy after the last epoch,
        and low to high, its 95 % Wilson interval, NaN of a run without a test set; bytes, packed; and
        the run's folder, or its name where of a study there are the tables alone.
    histories : DataFrame
        A row per run and epoch: name; kind, the name without seed and order; levels, and others, what
        is in the name besides them and the recordings; recordings, epoch, loss and test_accuracy.
    """

    table: pd.DataFrame
    histories: pd.DataFrame

    @property
    def settings(self) -> list[str]:
        """The settings that differ."""
        return [name for name in self.table if name not in FACTS]

    def words(self) -> pd.DataFrame:
        """The table as people read it."""
        ends = self.table[["low", "high"]].to_numpy()
        facts = {
            "accuracy (%)": self.table["accuracy"].map(partial(_filled, "{:.2f}")),
            "95 % CI": [_filled("{:.1f} to {:.1f}", *of_run) for of_run in ends],
            "kB": (self.table["bytes"] / 1000).map("{:.1f}".format),
        }
        shown = self.table[self.settings].map(word).assign(**facts, folder=self.table["folder"])
        return shown.rename(columns=lambda name: name.replace("_", " "))


def side_by_side(places: Iterable[str | Path]) -> SideBySide:
    """Finished runs side by side, of folders as `snnq.compare` takes them.

    Raises
    ------
    FileNotFoundError
        There is no finished run at one of these places.
    """
    found = pd.concat([_runs_at(Path(place)) for place in places], ignore_index=True)
    found = found.drop_duplicates("folder", ignore_index=True)
    settings = _sorted(_that_differ(found))
    found = found.loc[settings.index]
    of_kinds = settings.drop(columns=REPEATS, errors="ignore")
    names, kinds, others = _names(settings), _names(of_kinds), _names(of_kinds, ["recordings", "levels"])
    untold = names.duplicated(keep=False) | (names == "")
    last = found["folder"].map(lambda folder: Path(folder).name)
    names = names.mask(untold, (names + " " + last).str.strip())
    found = found.assign(kind=kinds.where(kinds != "", names), others=others.replace("", "as most"))
    accuracies = found["last"].astype(float)  # NaN of a run without a test set
    ends = [_interval(*one) for one in zip(accuracies, found["test_recordings"])]
    table = settings.assign(
        accuracy=100 * accuracies,
        low=[100 * low for low, _ in ends],
        high=[100 * high for _, high in ends],
        **found[["bytes", "folder"]],
    )
    kept = found.assign(name=names, levels=found["levels"].map(word))[[*OF_CURVES, "history"]]
    histories = [
        history[CURVES].assign(**dict(zip(OF_CURVES, of_run)))
        for *of_run, history in kept.itertuples(index=False, name=None)
    ]
    return SideBySide(table.set_axis(names.rename("run")), pd.concat(histories, ignore_index=True))


def word(value: Any) -> str:
    """A setting as people read it; a dash where there is none."""
    if isinstance(value, list | tuple):
        return ", ".join(map(word, value)) or "none"
    if value is None or isinstance(value, float) and math.isnan(value):
        return NOTHING
    return f"{value:g}" if isinstance(value, float) else str(value)


def _filled(template: str, *numbers: float) -> str:
    """The numbers in words; a dash where there are none."""
    return NOTHING if any(map(math.isnan, numbers)) else template.format(*numbers)


def _interval(accuracy: float, recordings: int) -> tuple[float, float]:
    """NaN of no accuracy."""
    return (math.nan, math.nan) if math.isnan(accuracy) else wilson(accuracy, recordings)


def _runs_at(place: Path) -> pd.DataFrame:
    """A row per run with its settings, facts and history."""
    if (place / "runs.csv").exists():
        return _of_study(place)
    for pattern in (RECORD, f"*/{RECORD}", f"runs/*/{RECORD}"):
        if records := sorted(place.glob(pattern)):
            return pd.DataFrame([_row(record.parent) for record in records])
    raise FileNotFoundError(f"{place}: no finished run here, nor a study; `snnq train` makes a run")


def _of_study(place: Path) -> pd.DataFrame:
    runs, histories = (read_gathered(place, table) for table in ("runs", "histories"))
    by_run = dict(iter(histories.groupby(RUN)))
    kept = [by_run[key] for key in runs[RUN].itertuples(index=False, name=None)]
    folders = [place / "runs" / name for name in runs["name"]]
    there = [str(folder) if folder.exists() else folder.name for folder in folders]
    return runs.drop(columns="validation").assign(folder=there, history=kept)


def _row(folder: Path) -> dict[str, Any]:
    record = read_record(folder)
    row = run_row(folder) if "run" in record else _own_row(folder, record)
    settings = record.get("run", record.get("identity"))  # whose validation is no accuracy
    return row | {"validation": settings.get("validation"), "history": read_rows(folder / HISTORY)}


def _own_row(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Of a network of one's own, whose record says of each layer what it is."""
    identity, known = record["identity"], {tuple(map(float, of)): name for name, of in LEVELS.items()}
    layers = {
        name.removesuffix(".levels"): known.get(tuple(levels), tuple(levels))
        for name, levels in identity.items()
        if name.endswith(".levels")
    }
    of_all = set(layers.values())
    return {
        **{name: value for name, value in identity.items() if "." not in name},
        "levels": label_of(tuple(layers.items()) if len(of_all) > 1 else next(iter(of_all), FULL)),
        "recordings": "data of one's own",
        "folder": str(folder),
        "test_recordings": record["recordings"]["test"],
        "last": record["accuracy"]["last"],
        "bytes": record["bytes"],
    }


def _that_differ(found: pd.DataFrame) -> pd.DataFrame:
    """What the recordings are and the settings, where they differ. Without those that say the same
    again: which recordings by their place, and where runs of other seeds started."""
    others = [field.name for field in fields(Run)] + ["loss", "optimizer"]
    known = FIRST + [name for name in others if name not in FIRST + REPEATS] + REPEATS
    kept = found.columns.intersection(pd.Index(known), sort=False)
    words = found[kept].map(word)
    kept = [name for name in known if name in words and words[name].nunique() > 1]
    for name, by in (("benchmark", FIRST[:1]), ("data", FIRST[:1]), ("start", kept)):
        if name in kept and _is_said(words, name, [of for of in by if of in kept and of != name]):
            kept = [other for other in kept if other != name]
    return found[kept]


def _is_said(words: pd.DataFrame, name: str, by: list[str]) -> bool:
    """Whether a setting follows from others."""
    return bool(by) and words.groupby(by)[name].nunique().max() == 1


def _sorted(settings: pd.DataFrame) -> pd.DataFrame:
    """By each setting in turn, those of most levels first."""

    def place(value: Any) -> tuple[float, str]:
        number = value if isinstance(value, int | float) and value == value else math.inf
        return number, word(value)

    ranks = settings.map(place)
    if "levels" in settings:
        ranks["levels"] = [(-number_of_levels(levels), word(levels)) for levels in settings["levels"]]
    places = sorted(settings.index, key=lambda row: tuple(ranks.loc[row]))
    return settings.loc[places]


def _names(settings: pd.DataFrame, known: Iterable[str] = ()) -> pd.Series:
    """Of runs, from as few of the settings as tell them apart; not said is what is known of each, and
    what most of them share."""
    names, words, said = pd.Series("", settings.index), settings.map(word), []
    for name in settings:
        if _is_said(words, name, said):
            continue
        said.append(name)
        if name in known:
            continue
        parts = words[name] if name in FIRST else f"{name.replace('_', ' ')} " + words[name]
        if name == "channels":
            parts = parts + " channels"
        if name not in FIRST + REPEATS:
            parts = parts.mask(words.groupby(name)[name].transform("size") > len(words) / 2, "")
        names = names + parts.where((names == "") | (parts == ""), ", " + parts)
    return names
