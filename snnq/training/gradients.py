"""The gradients of one batch."""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from snnq.training.evaluation import loss_of
from snnq.training.precision import autocast


def gradients(
    model: nn.Module,
    frames: Tensor,
    labels: Tensor,
    parameters: list[nn.Parameter],
    precision: str = "float32",
    recordings: float | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Each parameter's gradient into its `.grad`; hits, loss, and the gradients' L2 norms.

    The weights pass through their quantizers once, however often a network that loops over time
    steps asks for them. `recordings`: see `loss_of`.
    """
    for parameter in parameters:
        parameter.grad = None
    with parametrize.cached(), autocast(frames.device, precision):
        rates = model(frames)
    loss = loss_of(rates, labels, recordings)
    loss.backward()
    norms = torch._foreach_norm([parameter.grad for parameter in parameters])
    return (rates.argmax(1) == labels).sum(), loss.detach(), torch.stack(norms)
