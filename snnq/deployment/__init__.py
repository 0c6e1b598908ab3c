"""What a trained network costs, how it bears faults, and how it leaves for C. Uses `training`,
`storage` and the rooms below. Start with `operations.py` or `export_c.py`."""
