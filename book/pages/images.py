"""Figures of 256 colours, a third as large: a page of them loads fast, and the whole book can be passed on."""

from pathlib import Path

from PIL import Image
from sphinx.application import Sphinx

from snnq.system.files import write_atomically


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", _reduce)
    return {"parallel_read_safe": True}


def _reduce(app: Sphinx, failed: Exception | None) -> None:
    for path in Path(app.outdir, "_images").glob("*.png") if failed is None else ():
        with Image.open(path) as image:
            if image.mode != "P":
                few = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
                write_atomically(path, lambda file: few.save(file, "png", optimize=True))
