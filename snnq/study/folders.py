"""Where a study's tables and networks are: the user's own, or those of the reference in git."""

import re
from pathlib import Path

import pandas as pd

from snnq.recordings.benchmarks import BENCHMARKS, get_benchmark, place_in_tables
from snnq.recordings.layout import has_recordings
from snnq.recordings.places import DIGITS
from snnq.study.gather import command_for, one_of_each, read_gathered, refuse_missing
from snnq.study.tables import number_of_levels
from snnq.training.record import PACKED

REFERENCE = Path("results/reference")  # results that are kept in git, a folder for each study
COLUMNS = ("recordings", "benchmark", "channels", "levels", "seed", "name", "path")


def is_reference(study: str | Path) -> bool:
    """Whether a study's folder is one of those in git, which no notebook writes to."""
    return Path(study).resolve().is_relative_to(REFERENCE.resolve())


def study_folder(study: str | Path, table: str = "runs") -> Path:
    """The folder of a study, or where it has no such table yet, the reference's of the same name.

    Says so where it is the reference's.

    Parameters
    ----------
    study : path
        `results/<name>`.
    table : str
        The one that is needed, see `snnq.read_gathered`.

    Raises
    ------
    FileNotFoundError
        Neither has the table; says which command makes it.
    """
    study = Path(study)
    if (study / f"{table}.csv").exists():
        return study
    reference, file = REFERENCE / study.name, f"{table}.csv"
    if not (reference / file).exists():
        refuse_missing(study, table)
    command = command_for(study, table)
    missing = f"{study / file} is not there"
    print(f"{missing}: this is the reference, {reference}; `{command}` makes yours")
    return reference


def packed_networks(study: str | Path, widest: bool = True) -> pd.DataFrame:
    """The packed networks of a study, each of its first seed and order, for `snnq.unpack`.

    Parameters
    ----------
    study : path
    widest : bool
        Of each benchmark the `widest_networks` of the study's table alone; or those of every width,
        and of the level sets that only its ablations have, trained by the same recipe.

    Returns
    -------
    pandas.DataFrame
        recordings, benchmark, channels, levels, seed, name (of the run) and path, a row for each
        file that is there: the runs' own (`runs/<name>/packed.safetensors`), or the reference's
        (`networks/<network_name>.safetensors`); narrow networks first, and of a width those of the
        most levels.

    Raises
    ------
    FileNotFoundError
        The study has no `runs.csv`, or no packed network; says which command makes it.
    """
    runs = read_gathered(study, "runs")
    if not widest:
        runs = pd.concat([runs, _by_the_recipe(study)], ignore_index=True)
    runs = one_of_each(runs, widest)
    runs = runs.assign(path=[_packed(Path(study), run) for run in runs.itertuples()])
    found = runs.dropna(subset="path").drop_duplicates(["recordings", "channels", "levels"])
    if found.empty:
        raise FileNotFoundError(f"{study}: no packed networks; `{command_for(study)}` trains them")
    order = {
        "benchmark": lambda names: names.map(place_in_tables),
        "recordings": lambda names: names,
        "channels": lambda widths: widths,
        "levels": lambda names: -names.map(number_of_levels),
    }
    found = found.sort_values(
        [*order], key=lambda column: order[column.name](column), ignore_index=True
    )
    return found[list(COLUMNS)]


def runs_on(study: str | Path, recordings: str) -> pd.DataFrame:
    """A study's runs on some recordings, as tables call them, each with the path of its packed network.

    Raises
    ------
    FileNotFoundError
        The study has no `runs.csv`.
    """
    runs = read_gathered(study, "runs")
    runs = runs[runs["recordings"] == recordings]
    return runs.assign(packed=[Path(study, "runs", name, PACKED) for name in runs["name"]])


def network_name(run) -> str:
    """What a run's packed network is called in a reference, from a row of `runs.csv`."""
    levels = run.levels if isinstance(run.levels, str) else f"{len(run.levels)}levels"
    levels = levels.replace("<", "under")  # of mixed levels: several
    what = run.benchmark if run.benchmark in BENCHMARKS else run.recordings
    return re.sub(r"[^\w.-]+", "-", f"{what}-{levels}-{run.channels}channels-seed{run.seed}")


def _by_the_recipe(study: str | Path) -> pd.DataFrame:
    """The runs of a study's ablations that nothing is changed in: the first change of each."""
    try:
        rows = read_gathered(study, "ablations")
    except FileNotFoundError:
        return pd.DataFrame()
    return rows[rows["change"] == rows.groupby("ablation")["change"].transform("first")]


def _packed(study: Path, run) -> str | None:
    kept = study / "networks" / f"{network_name(run)}.safetensors"
    places = study / "runs" / run.name / PACKED, kept
    return next((str(path) for path in places if path.exists()), None)


def missing_recordings(study: str | Path, benchmark: str, data: str | Path) -> str | None:
    """What is missing where a study's recordings are not there, and which command makes them, or what
    was expected; None where they are.

    For notebooks that go on without them rather than download them.
    """
    try:
        found = get_benchmark(benchmark, data)
        if has_recordings(found, Path(data)):
            return None
    except (OSError, ValueError) as error:  # nothing there, or what is no recording
        return str(error)
    return f"no recordings of {benchmark} in {data}: `{recordings_by(study, data)}` makes them"


def recordings_by(study: str | Path, data: str | Path) -> str:
    """The command that makes a study's recordings in a data folder, or has them downloaded."""
    return f"snnq simulate {data}" if str(data) == DIGITS else command_for(study)
