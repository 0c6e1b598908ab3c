"""How well a network does on recordings."""

from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.utils.data import Dataset

from snnq.quantization.network import quantizers
from snnq.system.memory import keep_freed_memory
from snnq.system.state import reset_state
from snnq.training.batches import batches

EVALUATION_BYTES = 2**24  # of the frames that a network sees at once, as float32


def evaluate(model: nn.Module, data: Dataset, soft: bool = False) -> tuple[float, float]:
    """Accuracy (a share of 1) and mean-squared error of firing rates, without augmentation.

    With hard weights, or with `soft` those of the soft staircase at the present temperature. `data`
    is any dataset, or list, of (frames [N_t, ...], class). A recording of which the network makes NaN
    is not classified correctly. Raises ValueError for labels that are no classes of the network.
    """
    rates, labels = predict(model, data, soft)
    right = (classes_of(rates, labels) == labels) & ~rates.isnan().any(1)  # of which argmax makes a class, too
    accuracy = right.float().mean()
    return accuracy.item(), loss_of(rates, labels).item()


@torch.no_grad()
def predict(model: nn.Module, data: Dataset, soft: bool = False) -> tuple[Tensor, Tensor]:
    """Firing rates [recordings, classes] and labels [recordings], on the CPU.

    Every batch starts from rest, whether or not the network resets itself; it is left at rest, in
    evaluation, also by an error. What memory that takes is kept for the next time, see
    `keep_freed_memory`. Raises ValueError for no recordings, and for labels that are no whole numbers.
    """
    keep_freed_memory()
    refuse_empty(data)
    at_once = evaluated_at_once(torch.as_tensor(data[0][0]).numel())
    model.eval()
    try:
        for quantizer in quantizers(model).values():
            quantizer.train(soft)
        with parametrize.cached():  # the weights pass through the staircase once, not with each batch
            outputs = [
                (from_rest(model, frames).cpu(), labels.cpu())
                for frames, labels in batches(data, at_once, device_of_network(model))
            ]
    finally:
        model.eval()
    rates, labels = map(torch.cat, zip(*outputs))
    refuse_unless_of_each(rates, labels)
    return rates, labels


def refuse_empty(data: Dataset) -> None:
    if not len(data):
        raise ValueError("data holds no recording")


def device_of_network(model: nn.Module) -> torch.device:
    """That of its first parameter, or of its first buffer; the CPU where it has neither."""
    tensors = chain(model.parameters(), model.buffers())
    return next((tensor.device for tensor in tensors), torch.device("cpu"))


def evaluated_at_once(numbers: int) -> int:
    """How many recordings of so many numbers each (N_t · 2 · H · W) are evaluated in a batch.

    Bounded by memory: of small ones are many, of large ones few.
    """
    return max(1, EVALUATION_BYTES // (numbers * torch.float32.itemsize))


def from_rest(model: nn.Module, frames: Tensor) -> Tensor:
    """The network's rates [N, classes], see `rates_of`, for frames that nothing went before and
    nothing will come after."""
    reset_state(model)
    try:
        return rates_of(model, frames)
    finally:
        reset_state(model)


def in_format_of(model: nn.Module, frames: Tensor) -> Tensor:
    """Frames in the number format of the network's first floating-point parameter."""
    formats = (value.dtype for value in model.parameters() if value.is_floating_point())
    return frames.to(next(formats, frames.dtype))


def rates_of(model: nn.Module, frames: Tensor) -> Tensor:
    """A network's output [N, classes] for frames [N_t, N, ...]; of one for each time step
    [N_t, N, classes], the mean.

    Raises ValueError for any other.
    """
    output = model(in_format_of(model, frames))
    if not isinstance(output, Tensor) or output.ndim not in (2, 3):
        found = list(output.shape) if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise ValueError(
            f"the network's output is {found}: expected a tensor [N, classes] or [N_t, N, classes]"
        )
    return output if output.ndim == 2 else output.mean(0)


def refuse_unless_of_each(rates: Tensor, labels: Tensor) -> None:
    """Raise ValueError unless there are rates [N, classes] for as many recordings as labels [N]."""
    if len(labels) != len(rates):
        raise ValueError(f"the network's output is {list(rates.shape)} for {len(labels)} recordings")


def classes_of(rates: Tensor, labels: Tensor) -> Tensor:
    """The class [N] that the network says each recording is of; raises ValueError where what they are
    of is none of its classes."""
    count = rates.shape[1]
    if not 0 <= labels.min() <= labels.max() < count:
        ends = f"{labels.min()} to {labels.max()}"
        raise ValueError(f"labels are {ends}: expected 0 to {count - 1}, of {count} classes")
    return rates.argmax(1)


def loss_of(rates: Tensor, labels: Tensor) -> Tensor:
    """Mean-squared error between firing rates [N, classes] and the one-hot class."""
    # F.one_hot would read the labels back from where they are, to see whether they are in range.
    classes = torch.arange(rates.shape[1], device=labels.device)
    errors = F.mse_loss(rates, (labels[:, None] == classes).to(rates.dtype), reduction="sum")
    return errors / rates.numel()
