"""Batches of frames as a network takes them, wherever the frames are."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset, default_collate

from snnq.recordings.augmentation import changed
from snnq.recordings.frames import Batch, Frames
from snnq.recordings.resident import ResidentFrames, store_of

Stored = tuple[Tensor, Tensor]  # frames [N, N_t, 2, H, W] as they are stored, labels [N]
BLOCK = 2**21  # bytes of frames: that many batches are read and changed at once, at least one


def batches(
    data: Dataset,
    batch_size: int,
    device: torch.device,
    order: Sequence[int] | Tensor | None = None,
    changes: Tensor | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches as a network takes them: float frames [N_t, N, ...] and labels [N].

    Frames are uint8 until then. Nobody waits for a GPU: what is `resident` is indexed there, other
    `Frames` are copied while it works on the batch before.

    Parameters
    ----------
    data : Dataset
        Any dataset, or list, of (frames [N_t, ...], class). Of frames with channels, height and
        width ours, [N_t, 2, H, W], are read faster than others.
    order : indices, optional
        Of the recordings; all of them as they are where not given.
    changes : float32 tensor [recordings, 7 or 10], optional
        What an augmentation does to each recording of `data`, [N_t, ..., H, W], whatever batch it
        is in: see `snnq.recordings.augmentation`.
    """
    order = None if order is None else torch.as_tensor(order, dtype=torch.int64, device="cpu")
    if changes is not None:
        changes = (changes if order is None else changes[order]).to(device)
    first = 0
    for frames, labels in _read(data, batch_size, order, device):
        if not isinstance(labels, Tensor) or labels.ndim != 1 or labels.is_floating_point():
            raise ValueError(f"labels of a batch are {labels!r}: expected a number of a class for each")
        # Losses of torch take classes of 64 bits.
        frames, labels = frames.to(device), labels.to(device, torch.int64)
        if changes is not None:
            frames = changed(frames, changes[first : first + len(frames)])
        first += len(frames)
        for some, of_some in zip(frames.split(batch_size), labels.split(batch_size)):
            # Transposed and converted in one pass.
            some = some.transpose(0, 1)
            yield some.to(torch.float32, memory_format=torch.contiguous_format), of_some


def collate(items: list) -> Stored:
    """The items of a batch as two tensors, for a `DataLoader`."""
    return items.tensors if isinstance(items, Batch) else default_collate(items)


def _read(
    data: Dataset, batch_size: int, order: Tensor | None, device: torch.device
) -> Iterable[Stored]:
    """One batch or several as they are stored, on the device where nobody is to wait for it."""
    store = store_of(data)
    if type(store) not in (Frames, ResidentFrames):
        # A loader draws a number even where nothing is random, which must not be torch's next one.
        return DataLoader(
            data, batch_size, sampler=order, collate_fn=collate, generator=torch.Generator()
        )
    places = _places(data, order).to(store.device)
    rows = batch_size * max(1, BLOCK // (batch_size * store.frames[:1].nbytes or 1))
    read = (store.rows(some) for some in places.split(rows) if len(some))
    copy = store.device.type == "cpu" and device.type == "cuda"
    return _ahead(read, device) if copy else read


def _places(data: Dataset, order: Tensor | None) -> Tensor:
    """Of some recordings of a subset, or a subset of one, in what is under it."""
    places = torch.arange(len(data), device="cpu") if order is None else order
    while type(data) is Subset:
        places = torch.as_tensor(data.indices, dtype=torch.int64, device="cpu")[places]
        data = data.dataset
    return places


def _ahead(read: Iterable[Stored], device: torch.device) -> Iterator[Stored]:
    """Each copied to the device while that works on the one before, in a stream of its own."""
    backend = torch.get_device_module(device)
    side, ready = backend.Stream(device), None
    try:
        for batch in read:
            following = [torch.empty_like(tensor, device=device) for tensor in batch]
            _meet(backend.current_stream(device), side)
            with backend.stream(side):
                for target, source in zip(following, batch):
                    target.copy_(source.pin_memory(), non_blocking=True)
            if ready is not None:
                yield ready
            ready = following
        if ready is not None:
            backend.current_stream(device).wait_stream(side)
            yield ready
    finally:  # of what is freed before its use, the memory goes to what that stream does next
        backend.current_stream(device).wait_stream(side)


def _meet(main, side) -> None:
    """What was copied may be used, and what was used may be overwritten."""
    main.wait_stream(side)
    side.wait_stream(main)
