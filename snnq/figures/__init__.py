"""One function per figure; each takes tables and returns a matplotlib figure. Uses all rooms.
Start with `catalogue.py`, which draws every figure of a study, then `style.py`."""
