"""One training step: what is learned at which rate, and the gradients."""

from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrize

from snnq.quantization.network import quantizers
from snnq.training.evaluation import loss_of

GRADIENT_NORM = 5.0  # L2 norm that gradients are clipped at (Yang et al. 2019, sec. 4.1)


def parameter_groups(model: nn.Module, learning_rate: float) -> list[dict[str, Any]]:
    """For an optimizer: every parameter, and each quantizer's own at a rate relative to its size.

    Adam's steps are about as large as its learning rate whatever the gradient. A scale α of 0.02
    would change by a tenth with each of the steps that suit the weights, and no layer behind the
    last ones has batch norm to make up for it.
    """
    scales = [
        parameter
        for quantizer in quantizers(model).values()
        for parameter in quantizer.parameters()
        if parameter.requires_grad
    ]
    known = {id(scale) for scale in scales}
    others = [parameter for parameter in model.parameters() if id(parameter) not in known]
    sizes = [scale.detach().abs().mean().item() for scale in scales]
    return [{"params": others}] + [
        {"params": [scale], "lr": learning_rate * size} for scale, size in zip(scales, sizes)
    ]


def gradients(model: nn.Module, frames: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each parameter's clipped gradient into its `.grad`; rates, loss, and the norm before clipping.

    The weights pass through their quantizers once, however often a network that loops over time
    steps asks for them.
    """
    with parametrize.cached():
        rates = model(frames)
    loss = loss_of(rates, labels)
    model.zero_grad()
    loss.backward()
    return rates, loss, nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_NORM)
