"""The settings of a run from the variables of a notebook."""

import ast
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from snnq.training.run import Run

INJECTED = "# Parameters\n"  # how the cell begins in which papermill sets parameters


def notebook_settings(namespace: Mapping[str, Any], besides: Iterable[str] = ()) -> dict[str, Any]:
    """The variables of a notebook that are settings of a `Run`.

    Parameters
    ----------
    namespace : mapping
        The notebook's `globals()`.
    besides : names
        Parameters of the notebook that are no settings of the run.

    Returns
    -------
    dict
        For `Run.of`. A name that papermill was told to set is in it even where `Run` does not
        know it, so that a misspelt one is refused: papermill itself only warns.
    """
    names = {field.name for field in fields(Run)} | _injected(namespace.get("In", [])) - set(
        besides
    )
    return {name: namespace[name] for name in names if name in namespace}


def _injected(cells: Iterable[str]) -> set[str]:
    """Names that papermill's own cell assigns."""
    return {
        target.id
        for cell in cells
        if cell.startswith(INJECTED)
        for statement in ast.parse(cell).body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
