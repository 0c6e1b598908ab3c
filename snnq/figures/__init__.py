"""One function per figure; each takes tables and returns a matplotlib figure. Uses all rooms.
Start with `style.py`."""
