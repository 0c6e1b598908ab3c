"""An event camera in software, before pictures and drawn gestures; it writes recordings in each
benchmark's own files. Uses `recordings` and `system`. Start with `camera.py`, `pixels.py`, then
`simulate.py`."""
