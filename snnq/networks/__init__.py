"""The spiking networks of the benchmarks, and their neurons. Uses `recordings` (for the sensor's size
and the classes) and `system`. Start with `models.py`."""
