"""The state of torch's random number generators, and seeds of several numbers."""

from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor


def forked(device: torch.device) -> AbstractContextManager:
    """The generators of the CPU and of a device as they were, after a block that draws numbers."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


def random_state(device: torch.device) -> list[Tensor]:
    """Of the CPU, and of the device where that is a GPU."""
    gpu = [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    return [torch.get_rng_state(), *gpu]


def set_random_state(states: list[Tensor], device: torch.device) -> None:
    """What `random_state` returned, of the CPU, and of a GPU where there is one on both sides."""
    cpu, *gpu = states
    torch.set_rng_state(cpu)
    if gpu and device.type == "cuda":
        torch.cuda.set_rng_state(gpu[0], device)


def mixed_seed(*numbers: int) -> int:
    """A seed of several whole numbers; zeros at the end change nothing, as NumPy fills up with them."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
