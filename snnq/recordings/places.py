"""Where recordings lie unless told otherwise."""

DATA = "data"  # gets downloads
DIGITS = "data/digits"  # of N-MNIST, the simulated ones; no download goes there
