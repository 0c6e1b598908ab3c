"""The gradients of one batch."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from snnq.system.state import reset_state
from snnq.training.evaluation import loss_of, rates_of, refuse_unless_of_each
from snnq.training.precision import autocast

Loss = Callable[[Tensor, Tensor], Tensor]  # of outputs [N, classes] and labels [N], a mean over N


def gradients(
    model: nn.Module,
    frames: Tensor,
    labels: Tensor,
    parameters: list[nn.Parameter],
    precision: str = "float32",
    loss: Loss | None = None,
    share: float = 1.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Each parameter's gradient into its `.grad`; hits, loss, and the gradients' L2 norms.

    The batch starts from rest. The weights pass through their quantizers once, however often a
    network that loops over time steps asks for them. A parameter that the network does not use has
    a gradient of 0. The loss, `loss_of` where none is given, is multiplied by `share`. Raises
    ValueError where it is not one number.
    """
    for parameter in parameters:
        parameter.grad = None
    reset_state(model)
    with parametrize.cached(), autocast(frames.device, precision):
        rates = rates_of(model, frames)
    refuse_unless_of_each(rates, labels)
    # Of no recordings a mean is none.
    found = (loss or loss_of)(rates, labels) if len(labels) else rates.sum()
    if not isinstance(found, Tensor) or found.ndim:
        is_tensor = isinstance(found, Tensor)
        what = f"of shape {list(found.shape)}" if is_tensor else f"a {type(found).__name__}"
        raise ValueError(f"the loss is {what}: expected one number, a mean over the recordings")
    found = found * share
    found.backward()
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    norms = torch._foreach_norm([parameter.grad for parameter in parameters])
    return (rates.argmax(1) == labels).sum(), found.detach(), torch.stack(norms)
