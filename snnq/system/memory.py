"""Freed memory kept for the next tensor instead of going back to the system."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h
NEVER = -1  # no memory at the top of the heap is given back


def keep_freed_memory() -> None:
    """Have glibc's allocator keep what is freed, for the rest of the process.

    By default each large tensor is mapped anew and unmapped again, so that every training step
    meets page faults all over its activations and weights: a quarter of its time or more. The
    same as the environment's MALLOC_MMAP_MAX_=0 and MALLOC_TRIM_THRESHOLD_. Does nothing where
    the C library is another one.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, NEVER)
