"""A network at the real width of its weights: bits, the file format, packing, and the bytes of each
layer. Uses `networks`, `quantization` and `system`. Start with `bits.py`, then `pack.py`."""
