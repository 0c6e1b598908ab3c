"""The gradients of a whole batch, in processes that hold a share of it each."""

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.overrides import TorchFunctionMode

from snnq.networks.fused import unfuse
from snnq.training.gradients import Loss, gradients
from snnq.training.parallel import Processes


class SharedGradients:
    """As `gradients`, each process computing those of its share of the batch.

    The batch is the same for every process, which takes every `count`-th recording of it, so that
    no recording is seen twice and each is augmented as by one process alone: torch's
    `DistributedSampler` would repeat some to fill the last batch. Batch norm and dropout are those
    of the whole batch (`WholeBatch`), and torch's `DistributedDataParallel` averages the gradients.
    """

    def __init__(
        self,
        model: nn.Module,
        processes: Processes,
        parameters: list[nn.Parameter],
        precision: str,
        loss: Loss | None = None,
    ):
        unfuse(model)  # for `WholeBatch` to see batch norm
        # Batch norm's running statistics are the same everywhere as they are.
        self.model = DistributedDataParallel(model, forward_sync_buffers=False)
        self.processes = processes
        self.settings = {"parameters": parameters, "precision": precision, "loss": loss}

    def __call__(self, frames: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Hits and loss of this share, whose sums over the processes are those of the batch."""
        rank, count = self.processes.rank, self.processes.count
        frames_here, labels_here = frames[:, rank::count], labels[rank::count]
        # Since the gradients' mean is taken, not their sum.
        share = len(labels_here) / len(labels) * count
        with WholeBatch(len(labels), rank, count):
            hits, loss, norms = gradients(
                self.model, frames_here, labels_here, **self.settings, share=share
            )
        return hits, loss / count, norms


class WholeBatch(TorchFunctionMode):
    """A block in which networks see their share as a part of the batch.

    Batch norm takes mean and variance over the recordings of every process; torch's
    `SyncBatchNorm` does so on GPUs alone. Dropout draws the masks [recordings, …] of the whole
    batch, from a generator that is in the same state in each process, and takes its own.

    Parameters
    ----------
    recordings : int
        In the whole batch.
    rank, count : int
        Of the processes: the share is every `count`-th recording from number `rank` on.
    """

    def __init__(self, recordings: int, rank: int, count: int):
        super().__init__()
        self.recordings, self.share = recordings, slice(rank, None, count)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is F.batch_norm and kwargs["training"]:
            return _batch_norm(*args, **kwargs)
        if function is F.dropout and kwargs["training"]:
            (ones,) = args
            whole = ones.new_ones(self.recordings, *ones.shape[1:])
            return ones * F.dropout(whole, **kwargs)[self.share]
        return function(*args, **kwargs)


def _batch_norm(
    x: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor,
    bias: Tensor,
    training: bool,
    momentum: float,
    eps: float,
) -> Tensor:
    """(x − μ) / √(σ² + ε) · weight + bias of x [N, C, …], μ and σ² those of every process's x."""
    others = [dim for dim in range(x.ndim) if dim != 1]
    shape = [-1 if dim == 1 else 1 for dim in range(x.ndim)]
    count = _Sum.apply(x.new_tensor(x.numel() / x.shape[1]))
    mean = _Sum.apply(x.sum(others)) / count
    centred = x - mean.view(shape)
    variance = _Sum.apply(centred.square().sum(others)) / count
    with torch.no_grad():
        running_mean.lerp_(mean, momentum)
        running_var.lerp_(variance * count / (count - 1), momentum)
    scale = weight * (variance + eps).rsqrt()
    return centred * scale.view(shape) + bias.view(shape)


class _Sum(torch.autograd.Function):
    """Over the processes; each one's loss depends on the sum, so its gradient is a sum too."""

    @staticmethod
    def forward(ctx, values):
        distributed.all_reduce(total := values.clone())
        return total

    @staticmethod
    def backward(ctx, grad):
        distributed.all_reduce(total := grad.clone())
        return total
