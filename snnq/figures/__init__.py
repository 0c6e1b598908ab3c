"""One function per figure; each takes tables and returns a matplotlib figure. Uses all rooms.
Start with `catalogue.py`, which draws every figure of a study, then `style.py`."""

import lazy_loader

# The public names are in `__init__.pyi`, as those of `snnq`.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
