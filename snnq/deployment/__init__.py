"""What a trained network costs, how it fires and bears faults, and how it leaves for C. Uses
`training`, `storage`, `study` and the rooms below. Start with `operations.py` or `export_c.py`."""
