"""Compiled loops on as many threads as torch uses."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch


def in_blocks(kernel: Callable[[int, int], None], size: int, block: int) -> None:
    """Call kernel(first, last) for each block of so many of `size` items.

    Plain threads: numba's own compete with torch's for the cores. The blocks do not depend on the
    number of threads, so that sums over them do not either.
    """
    firsts = iter(range(0, size, block))  # which the threads share

    def work() -> None:
        for first in firsts:
            kernel(first, min(first + block, size))

    others = min(torch.get_num_threads(), math.ceil(size / block)) - 1
    helpers = [_pool(torch.get_num_threads()).submit(work) for _ in range(others)]
    work()
    for helper in helpers:
        if not helper.cancel():  # one that has not woken up yet is not waited for
            helper.result()


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that stay.

    Each uses torch's own threads once, so that there are more of those than cores: they then sleep
    while they wait for work. Otherwise they spin for milliseconds after each operation, on a core
    that a thread of ours could use (GOMP_SPINCOUNT in libgomp's manual).
    """
    return ThreadPoolExecutor(threads, "snnq", lambda: torch.ones(2**20).add_(1))
