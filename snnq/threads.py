"""Compiled loops on as many threads as torch uses."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch


def in_blocks(kernel: Callable[[int, int], None], size: int, block: int) -> None:
    """Call kernel(first, last) for each block of so many of `size` items.

    Plain threads: numba's own compete with torch's for the cores. The blocks do not depend on the
    number of threads, so that sums over them do not either.
    """
    firsts = range(0, size, block)
    lasts = [min(first + block, size) for first in firsts]
    threads = torch.get_num_threads()
    if threads == 1 or len(lasts) == 1:
        for first, last in zip(firsts, lasts):
            kernel(first, last)
    else:
        list(_pool(threads).map(kernel, firsts, lasts))


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="snnq")
