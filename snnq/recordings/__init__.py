"""Event recordings on disk, and the frames that are made of them: the four benchmarks, recordings of
one's own and tonic's classes; file formats, downloads, splits, the frame store and augmentation. Uses
`system` alone. Start with `recordings.py`, then `frames.py`."""
