"""Whether there is Triton, the compiler of our kernels for a GPU, without importing it."""

import importlib.util
from functools import cache


@cache
def has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None
