"""Loops compiled by numba, the same way everywhere."""

from collections.abc import Callable

import numba


def compiled(**options) -> Callable[[Callable], Callable]:
    """A decorator: `numba.njit` without Python's lock, divisions as NumPy's, with more options.

    The machine code is kept beside the module, or in the user's cache folder, for the next process;
    in memory alone where neither can be written to, as in a read-only container.
    """
    options = {"nogil": True, "error_model": "numpy"} | options

    def compile_(function: Callable) -> Callable:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError as error:
            if "cannot cache" not in str(error):
                raise
            return numba.njit(**options)(function)

    return compile_
