"""One training run, from its settings to its record: batches, checkpoints, evaluation. Uses every room
below. Start with `run.py` for the settings, then `fit.py`, `loop.py` and `step.py`."""
