"""Where a network is trained."""

import torch
from torch import distributed

from snnq.training.settings import Settings


def device_of(settings: Settings) -> torch.device:
    """Where a network is trained: "auto" is a GPU where there is one, and of several processes each has
    its own. Raises ValueError for one that is not there."""
    best = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(best if settings.device == "auto" else settings.device)
    if device.type == "cuda":
        device = torch.device("cuda", device.index if device.index is not None else _number())
        if device.index >= (count := torch.cuda.device_count()):
            raise ValueError(
                f"device={settings.device!r}: this machine has {count} GPUs that torch can use"
            )
    return device


def _number() -> int:
    """Of the GPU that is for this process: the first, or of several processes each its own."""
    return distributed.get_node_local_rank(fallback_rank=0) if distributed.is_available() else 0
