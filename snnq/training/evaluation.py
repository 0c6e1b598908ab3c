"""Batches of frames through a network, and how well it does on them."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.utils.data import DataLoader, Dataset, default_collate

from snnq.quantization.network import quantizers
from snnq.recordings.augmentation import none
from snnq.recordings.frames import Batch
from snnq.system.memory import keep_freed_memory
from snnq.system.state import reset_state

EVALUATION_BYTES = 2**24  # of the frames that a network sees at once, as float32


def evaluate(model: nn.Module, data: Dataset, soft: bool = False) -> tuple[float, float]:
    """Accuracy (a share of 1) and mean-squared error of firing rates, without augmentation.

    With hard weights, or with `soft` those of the soft staircase at the present temperature. `data`
    is any dataset, or list, of (frames [N_t, 2, H, W], class).
    """
    rates, labels = predict(model, data, soft)
    accuracy = (rates.argmax(1) == labels).float().mean()
    return accuracy.item(), loss_of(rates, labels).item()


@torch.no_grad()
def predict(model: nn.Module, data: Dataset, soft: bool = False) -> tuple[Tensor, Tensor]:
    """Firing rates [recordings, classes] and labels [recordings], on the CPU.

    Every batch starts from rest, whether or not the network resets itself; it is left at rest, in
    evaluation. What memory that takes is kept for the next time, see `keep_freed_memory`.
    """
    keep_freed_memory()
    if not len(data):
        raise ValueError("data holds no recording")
    at_once = evaluated_at_once(torch.as_tensor(data[0][0]).numel())
    device = next(model.parameters()).device
    model.eval()
    for quantizer in quantizers(model).values():
        quantizer.train(soft)
    with parametrize.cached():  # the weights pass through the staircase once, not with each batch
        outputs = [
            (from_rest(model, frames).cpu(), labels.cpu())
            for frames, labels in batches(data, at_once, device)
        ]
    model.eval()
    rates, labels = zip(*outputs)
    return torch.cat(rates), torch.cat(labels)


def evaluated_at_once(numbers: int) -> int:
    """How many recordings of so many numbers each (N_t · 2 · H · W) are evaluated in a batch.

    Bounded by memory: of small ones are many, of large ones few.
    """
    return max(1, EVALUATION_BYTES // (numbers * torch.float32.itemsize))


def from_rest(model: nn.Module, frames: Tensor) -> Tensor:
    """The network's output for frames that nothing went before and nothing will come after."""
    reset_state(model)
    output = model(frames)
    reset_state(model)
    return output


def batches(
    data: Dataset,
    batch_size: int,
    device: torch.device,
    order: Sequence[int] | None = None,
    augment: Callable[[Tensor], Tensor] = none,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches as a network takes them: float frames [N_t, N, 2, H, W] and labels [N].

    In some `order` of the recordings' indices, or as they are. `augment` gets them as they are
    stored, uint8 [N, N_t, 2, H, W].
    """
    # A loader draws a number even where nothing is random, which must not be torch's own next one.
    loader = DataLoader(
        data, batch_size, sampler=order, collate_fn=collate, generator=torch.Generator()
    )
    for frames, labels in loader:
        yield augment(frames.to(device)).transpose(0, 1).float(), labels.to(device)


def collate(items: list) -> tuple[Tensor, Tensor]:
    """The items of a batch as two tensors, for a `DataLoader`."""
    return items.tensors if isinstance(items, Batch) else default_collate(items)


def loss_of(rates: Tensor, labels: Tensor) -> Tensor:
    """Mean-squared error between firing rates [N, classes] and the one-hot class."""
    return F.mse_loss(rates, F.one_hot(labels, rates.shape[1]).to(rates.dtype))
