"""For maintainers: a finished study taken into `results/reference`, where everybody can see it."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pandas as pd
import papermill

from snnq.study.cards import card, index
from snnq.study.folders import REFERENCE, network_name, packed_networks
from snnq.study.gather import command_for, read_gathered
from snnq.study.merge import add_ablations, add_networks
from snnq.study.predictions import PREDICTIONS, PREDICTIONS_ABLATIONS, read_predictions
from snnq.study.unlike import refuse_unlike

TABLES = (
    *("runs", "histories", "transitions", "histograms", "staircases", "table", "frontier"),
    *("costs", "operations", "faults", "fidelity", "layers"),  # by notebook 6
)
OPTIONAL = ("ablations.csv", "arithmetic.csv", "traces.csv", PREDICTIONS, PREDICTIONS_ABLATIONS)
NOTEBOOKS = ("1_quantizer", "2_events", "4_results", "5_ablations", "6_deployment")
OF_TABLES = ("1_quantizer", "4_results", "5_ablations")  # drawn from what `add_part` adds to
MOST_BYTES = 6_000_000  # of the notebooks together
MOST_NETWORK_BYTES = 8_000_000  # of the networks together


def take_reference(study: str | Path) -> Path:
    """Copy a study's tables, executed notebooks and packed networks to `results/reference/<name>`.

    The networks are those of the first seed and order, of every width and level set, in 8 MB at
    most, each with a card beside it. What was there before is replaced as a whole.

    Raises
    ------
    ValueError
        The working tree has changes that are not committed, or a run was trained in such a tree;
        notebooks that are too large or name a path of this machine.
    FileNotFoundError
        The study is not finished; names what is missing.
    """
    study = Path(study)
    _refuse_changes()
    runs = read_gathered(study, "runs")
    _refuse_no_commit(study, runs)
    final = REFERENCE / study.name
    with _replaced(final) as partial:
        _copy_tables(study, partial)
        _copy_notebooks(study, runs, partial / "notebooks")
        _copy_networks(study, partial / "networks", final / "networks")
    return final


def add_part(study: str | Path) -> Path:
    """Add a part of a study to `results/reference/<name>`: its networks that are not there, and its
    ablations, see `snnq.study.merge`.

    The notebooks of the reference that are drawn from these tables alone are executed anew. So a study
    of many hours comes into the reference part by part, whether or not the runs of earlier parts are
    still on this machine; and one that is nothing but ablations is there with its tables alone. Packed
    networks, their cards and what notebook 6 says of them stay as they are.

    Raises
    ------
    ValueError
        As `take_reference` and `refuse_unlike`.
    FileNotFoundError
        The study has no ablations, nor runs to add to those of a reference.
    """
    study = Path(study)
    _refuse_changes()
    final = REFERENCE / study.name
    adding = {"runs": add_networks, "ablations": add_ablations}
    adding = {name: add for name, add in adding.items() if (study / f"{name}.csv").exists()}
    if "runs" in adding and not (final / "runs.csv").exists():
        print(f"{study}: its ablations alone; {final} has no networks to add others to")
        adding.pop("runs")
    for name in adding or ("ablations",):
        _refuse_no_commit(study, read_gathered(study, name))
    predictions, added = read_predictions(final), read_predictions(study)
    refuse_unlike(final, study, predictions, added)
    with _replaced(final) as partial:
        if final.exists():
            shutil.copytree(final, partial)
        for add in adding.values():
            add(partial, study, {**predictions, **added})
        notebooks = (partial / f"notebooks/{name}.ipynb" for name in OF_TABLES)
        for path in filter(Path.exists, notebooks):
            source = Path("notebooks", path.name)
            papermill.execute_notebook(source, path, {"study": str(partial)}, progress_bar=False)
            path.write_text(_public(path).replace(partial.name, final.name))
        _refuse_large(study, partial / "notebooks")
    return final


@contextmanager
def _replaced(final: Path) -> Iterator[Path]:
    """A folder to write to, which takes the place of another one when all of it is there."""
    partial, old = (final.with_name(f".{final.name}.{which}") for which in ("partial", "old"))
    _clear(final, partial, old)
    try:
        yield partial
        if final.exists():
            final.rename(old)
        partial.rename(final)
    finally:
        _clear(final, partial, old)


def _clear(final: Path, partial: Path, old: Path) -> None:
    """Remove what is not needed, also what a killed process has left between two of its steps."""
    if old.exists() and not final.exists():
        old.rename(final)
    for folder in (partial, old):
        shutil.rmtree(folder, ignore_errors=True)


def _refuse_no_commit(study: Path, runs: pd.DataFrame) -> None:
    unknown = runs[~runs["commit"].map(str).str.fullmatch("[0-9a-f]{40}")]
    if len(unknown):
        found = ", ".join(f"{run.name} ({run.commit})" for run in unknown.itertuples(index=False))
        raise ValueError(f"{study}: runs of no commit: {found}; train them in a clean tree")


def _refuse_changes() -> None:
    command = ["git", "status", "--porcelain"]
    status = subprocess.run(command, capture_output=True, text=True)
    if status.returncode:
        raise ValueError(f"{Path.cwd()}: {status.stderr.strip()}; a reference is made in a git tree")
    changed = status.stdout.split("\n")
    if any(changed):
        raise ValueError(
            f"{len(changed) - 1} changes that are not committed ({changed[0].strip()}, ...):"
            " a reference is made in a clean tree"
        )


def _copy_tables(study: Path, place: Path) -> None:
    place.mkdir(parents=True)
    names = [f"{table}.csv" for table in TABLES]
    names += [name for name in OPTIONAL if (study / name).exists()]
    for name in names:
        shutil.copyfile(study / name, place / name)


def _copy_notebooks(study: Path, runs: pd.DataFrame, place: Path) -> None:
    """The executed notebooks, without what papermill notes of the machine, and one of a run."""
    place.mkdir()
    first = runs[runs["levels"] != "full"].iloc[0]
    paths = [study / f"notebooks/{name}.ipynb" for name in NOTEBOOKS]
    for path in [*paths, study / "runs" / first["name"] / "3_train.ipynb"]:
        (place / path.name).write_text(_public(path))
    _refuse_large(study, place)


def _refuse_large(study: Path, notebooks: Path) -> None:
    size = sum(path.stat().st_size for path in notebooks.glob("*"))
    if size > MOST_BYTES:
        raise ValueError(f"{study}: {size:,} bytes of notebooks, expected {MOST_BYTES:,} at most")


def _public(path: Path) -> str:
    """A notebook's text without what papermill notes of the machine."""
    notebook = nbformat.read(path, as_version=4)
    for part in (notebook, *notebook.cells):
        part.metadata.pop("papermill", None)
    text = nbformat.writes(notebook)
    for private in (str(Path.cwd()), str(Path.home())):
        if f"{private}/" in text:
            raise ValueError(f"{path}: names {private}, a path of this machine")
    return text + "\n"


def _copy_networks(study: Path, place: Path, final: Path) -> None:
    """Small ones first, as long as they have room, each with its card; and a page that lists them."""
    place.mkdir()
    found = packed_networks(study, widest=False)
    sizes = pd.Series([Path(path).stat().st_size for path in found["path"]], found.index)
    fits = sizes.sort_values(kind="stable").cumsum() <= MOST_NETWORK_BYTES
    names, rows = list(map(network_name, found.itertuples())), []
    for row, packed in enumerate(found.itertuples()):
        if fits[row]:
            file = f"{names[row]}.safetensors"
            shutil.copyfile(packed.path, place / file)
            text, facts = card(study, packed, names[row], final / file)
            (place / f"{names[row]}.md").write_text(text)
            rows.append(facts)
    left_out = [name for row, name in enumerate(names) if not fits[row]]
    page = index(study, pd.DataFrame(rows), left_out, MOST_NETWORK_BYTES / 1e6, command_for(study))
    (place / "README.md").write_text(page)
