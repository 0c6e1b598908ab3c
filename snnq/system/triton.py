"""Whether there is Triton, the compiler of our kernels for a GPU, without importing it."""

import importlib.util
import logging
from functools import cache


@cache
def has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None


def say_nothing_of_its_absence() -> None:
    """torch 2.13 warns where SpikingJelly registers an operation, of every neuron on a CPU, though the
    operation is not Triton's there."""
    if not has_triton():
        logging.getLogger("torch._library.triton").setLevel(logging.ERROR)
