"""Where recordings lie unless told otherwise."""

DATA = "data"  # gets downloads
DIGITS = "data/digits"  # of N-MNIST, the simulated ones; no download goes there
FRAMES = "data/frames"  # made of recordings, and what is known of them
