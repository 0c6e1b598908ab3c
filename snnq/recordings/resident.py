"""Frames in a device's own memory, where all those of a split fit."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from snnq.recordings.frames import Frames

SHARE = 0.5  # of the free memory, at most: the rest is for the network
CHUNK = 2**26  # bytes that are read at a time


class ResidentFrames(Dataset):
    """`Frames` whose uint8 array and labels are on a device.

    Attributes
    ----------
    name : str
    device : torch.device
    frames : uint8 tensor [recordings, N_t, 2, H, W]
    labels : int64 tensor [recordings]
    """

    def __init__(self, stored: Frames, device: torch.device):
        self.name, self.device = stored.name, device
        self.labels = torch.from_numpy(stored.labels).to(device)
        self.frames = torch.empty(stored.frames.shape, dtype=torch.uint8, device=device)
        rows = max(1, CHUNK // stored.frames[0].nbytes)
        for some in torch.arange(len(stored), device="cpu").split(rows):
            self.frames[some[0] : some[-1] + 1] = stored.rows(some)[0].to(device)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.frames[index], int(self.labels[index])

    def rows(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Frames and labels at places that are on the device too, which nobody waits for."""
        return self.frames.index_select(0, places), self.labels.index_select(0, places)


def resident(
    splits: Sequence[Dataset], device: torch.device, free: int | None = None
) -> list[Dataset]:
    """The splits with their frames on the device, as long as they fit in half its free memory.

    Subsets of the same frames share them. What does not fit, or is no `Frames`, is returned as it
    is; so is everything for the CPU, where frames are mapped from their file.

    Parameters
    ----------
    splits : datasets, those that matter most first
    device : torch.device
    free : int, optional
        Bytes of the device's memory; what a GPU says it has free where not given.
    """
    stores = {id(store): store for store in map(store_of, splits) if type(store) is Frames}
    sizes = [store.frames.nbytes for store in stores.values()]
    fits = fitting(sizes, free_memory(device) if free is None else free)
    there = {
        key: ResidentFrames(store, device) for (key, store), fit in zip(stores.items(), fits) if fit
    }
    return [_over(split, there) for split in splits]


def free_memory(device: torch.device) -> int:
    """Bytes of a GPU's memory that nobody uses; none on other devices."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0


def fitting(sizes: Sequence[int], free: int) -> list[bool]:
    """Which arrays of some bytes, in this order, fit together in their share of the free memory."""
    left, fits = SHARE * free, []
    for size in sizes:
        fits.append(0 < size <= left)
        left -= size * fits[-1]
    return fits


def store_of(data: Dataset) -> Dataset:
    """What is under a subset, or a subset of one."""
    while type(data) is Subset:
        data = data.dataset
    return data


def _over(data: Dataset, there: dict[int, ResidentFrames]) -> Dataset:
    """The same over what is there instead of its store."""
    if id(store_of(data)) not in there:
        return data
    if type(data) is Subset:
        return Subset(_over(data.dataset, there), data.indices)
    return there[id(data)]
