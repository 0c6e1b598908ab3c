"""What a trained network costs, how it fires and bears faults, and how it leaves: for C, for
FPGAs, and as NIR for other simulators. Uses `training`, `storage`, `study` and the rooms below. Start with
`operations.py` or `export_c.py`."""
