"""What the notebooks share: parameters that are checked, and how they are saved."""

import ast
from collections.abc import Iterable, Mapping
from inspect import signature
from pathlib import Path
from typing import Any

from snnq.training.run import Run
from snnq.training.settings import refuse_unknown

INJECTED = "# Parameters\n"  # how the cell begins in which papermill sets parameters
METADATA = {  # of a notebook as it is stored
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def notebook_settings(namespace: Mapping[str, Any], besides: Iterable[str] = ()) -> dict[str, Any]:
    """The variables of a notebook that are settings of a `Run`, for `Run.of`.

    Parameters
    ----------
    namespace : mapping
        The notebook's `globals()`.
    besides : names
        Parameters of the notebook that are no settings of the run.

    Raises
    ------
    ValueError
        A parameter that is neither, see `check_parameters`.
    """
    names = list(signature(Run).parameters)
    check_parameters(namespace, [*names, *besides])
    return {name: namespace[name] for name in names if name in namespace}


def check_parameters(namespace: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse a parameter that a notebook does not know: a misspelt one would change nothing.

    Parameters are what was assigned in papermill's cell, and in cells of nothing but assignments
    to a known name among others, as the notebooks' first one. A cell is forgotten once it was run
    again with the mistake put right.

    Parameters
    ----------
    namespace : mapping
        The notebook's `globals()`.
    known : names

    Raises
    ------
    ValueError
        An unknown one, with the known one that it resembles.
    """
    known = list(known)
    cells: list[set[str]] = []
    for source in namespace.get("In", []):
        names = _assigned(source)
        if source.startswith(INJECTED) or names.intersection(known):
            cells = [earlier for earlier in cells if not earlier.intersection(known) <= names]
            cells.append(names)
    refuse_unknown("parameter", sorted(set().union(*cells)), known)


def strip_when_saved(model: dict[str, Any], path: str, contents_manager: Any, **_: Any) -> None:
    """A pre-save hook of Jupyter Server: the project's notebooks are saved as git has them.

    Without outputs, without the numbers of executions, and with their own metadata; with nothing
    but what was edited, that is. Those in a folder `notebooks` beside a Snakefile alone: copies of
    them, and the executed ones of a study, are saved as they are.
    """
    folder = Path(contents_manager.root_dir, path.strip("/")).parent
    if model["type"] != "notebook" or folder.name != "notebooks":
        return
    if not (folder.parent / "Snakefile").exists():
        return
    notebook = model["content"]
    notebook["metadata"] = METADATA
    for cell in notebook["cells"]:
        tags = cell["metadata"].get("tags")
        cell["metadata"] = {"tags": tags} if tags else {}
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}


def _assigned(source: str) -> set[str]:
    """The names that a cell assigns, if it does nothing else."""
    try:
        statements = ast.parse(source).body
    except SyntaxError:  # which the kernel has reported
        return set()
    targets = [
        target
        for statement in statements
        for target in (statement.targets if isinstance(statement, ast.Assign) else [statement])
    ]
    names = {target.id for target in targets if isinstance(target, ast.Name)}
    return names if all(isinstance(target, ast.Name) for target in targets) else set()
