"""The method: weights through a sum of sigmoids that sharpens into a staircase, and the methods that
it is compared with. Uses `system` alone. Start with `sigmoid.py` for the formulas, then
`network.py`, which puts quantizers on the layers of a network."""
