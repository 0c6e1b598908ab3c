"""Many runs: what a profile asks for, the tables that are gathered from their records, intervals, and
how far a study is. Uses `training` and the rooms below. Start with `profile.py`, then `tables.py`."""
