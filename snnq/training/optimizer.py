"""How the gradients move the weights: clipped, by Adam along a cosine, or by flips."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.lr_scheduler import CosineAnnealingLR, StepLR

from snnq.quantization.network import quantizers
from snnq.training.flips import Flips, flipped

GRADIENT_NORM = 5.0  # L2 norm that gradients are clipped at (Yang et al. 2019, sec. 4.1)
FLIP_STAGES = 8  # of a run: 50 of the 400 epochs after which BSO's code divides γ and τ by 10


class Optimizer:
    """Fused Adam on clipped gradients, its learning rate falling to 0 along a cosine.

    Adam's own kernel divides the gradients by max(‖g‖ / 5, 1), and leaves the weights as they are
    from the first step on whose loss or gradient is not finite: `grad_scale` and `found_inf`, as
    torch's `GradScaler` uses them. Nothing is read from the device.

    Weights that are −1 and 1 themselves flip instead, see `Flips`, by the same gradients; in each
    eighth of the steps with a tenth of the adaptivity and threshold of the eighth before.

    Parameters
    ----------
    model : nn.Module
        On its device.
    learning_rate : float
        At the first step.
    steps : int
        After which it is 0.

    Attributes
    ----------
    failed : Tensor
        1 from the first step on that was not finite, 0 before it; float32, on the device.
    """

    def __init__(self, model: nn.Module, learning_rate: float, steps: int):
        groups = parameter_groups(model, learning_rate)
        self.adam = Adam(groups, learning_rate, fused=True)
        self.schedule = CosineAnnealingLR(self.adam, steps)
        self.flips = None
        if flipping := flipped(model):
            self.flips = Flips(flipping)
            self.flip_schedule = StepLR(self.flips, math.ceil(steps / FLIP_STAGES))
        self.failed = torch.zeros((), device=next(model.parameters()).device)

    def step(self, loss: Tensor, norms: Tensor) -> None:
        """A step on the parameters' `.grad`, whose L2 norms [parameters] are given."""
        norm = torch.linalg.vector_norm(norms)
        self.failed = torch.maximum(self.failed, (loss + norm).isfinite().logical_not())
        scale = (norm / GRADIENT_NORM).clamp_(min=1).float()  # all that the kernel takes
        self.adam.grad_scale, self.adam.found_inf = scale, self.failed
        self.adam.step()
        self.schedule.step()
        if self.flips is not None:
            self.flips.step(scale, self.failed)
            self.flip_schedule.step()

    def parts(self) -> dict[str, Any]:
        """By their names in a checkpoint, all that has a state."""
        parts = {"optimizer": self.adam, "schedule": self.schedule}
        if self.flips is not None:
            parts |= {"flips": self.flips, "flip_schedule": self.flip_schedule}
        return parts


def parameter_groups(model: nn.Module, learning_rate: float) -> list[dict[str, Any]]:
    """For Adam: every parameter that does not flip, each quantizer's own at a rate relative to its
    size.

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
    known |= {id(weight) for group in flipped(model) for weight in group["params"]}
    others = [parameter for parameter in model.parameters() if id(parameter) not in known]
    sizes = [scale.detach().abs().mean().item() for scale in scales]
    return [{"params": others}] + [
        {"params": [scale], "lr": learning_rate * size} for scale, size in zip(scales, sizes)
    ]
