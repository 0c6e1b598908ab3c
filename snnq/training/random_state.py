"""The state of torch's random number generators, and seeds of several numbers."""

import numpy as np
import torch
from torch import Tensor


def random_state() -> list[Tensor]:
    """Of the CPU, and of every GPU."""
    return [torch.get_rng_state(), *torch.cuda.get_rng_state_all()]


def set_random_state(states: list[Tensor]) -> None:
    """What `random_state` returned, of the devices that are here too."""
    cpu, *gpus = states
    torch.set_rng_state(cpu)
    torch.cuda.set_rng_state_all(gpus[: torch.cuda.device_count()])


def mixed_seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
