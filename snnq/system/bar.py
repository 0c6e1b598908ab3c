"""Progress bars: of a notebook, of a terminal, and none where a notebook is executed unwatched."""

import sys
import warnings
from typing import Any

from tqdm import TqdmWarning

with warnings.catch_warnings():
    warnings.simplefilter("ignore", TqdmWarning)  # where there are no widgets: text does as well
    from tqdm.auto import tqdm


def bar(*arguments: Any, disable: bool = False, **options: Any) -> tqdm:
    """A `tqdm` bar, a widget in a notebook; none in one that papermill or nbconvert executes, in which
    it would stay."""
    return tqdm(*arguments, disable=disable or not watched(), **options)


def watched() -> bool:
    """Whether somebody can be there to see: not in a kernel whose cells are executed by a program,
    which it tells by that no question may be asked (`allow_stdin` of Jupyter's messages)."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    kernel = getattr(shell, "kernel", None)
    return kernel is None or kernel.get_parent("shell")["content"].get("allow_stdin", True)
