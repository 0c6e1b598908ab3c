"""What a step of a study depends on in a notebook: the text of its cells."""

import hashlib
from pathlib import Path

import nbformat


def digest_of_sources(path: Path) -> str:
    """SHA-256 of a notebook's cells as they were written.

    Not of its file, which JupyterLab saves with other metadata and outputs as soon as it is opened.
    """
    cells = nbformat.read(path, as_version=4).cells
    text = "\0".join(f"{cell.cell_type}\0{cell.source}" for cell in cells)
    return hashlib.sha256(text.encode()).hexdigest()
