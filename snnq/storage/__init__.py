"""A network at the real width of its weights: bits, the file format, packing, the bytes of each layer, and
bits that are stuck. Uses `networks`, `quantization` and `system`. Start with `bits.py`, then `pack.py`."""
