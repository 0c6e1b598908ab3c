"""How the gradients move the weights: clipped, by Adam or another along a cosine, or by flips."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.lr_scheduler import CosineAnnealingLR, StepLR

from snnq.quantization.network import quantizers
from snnq.training.flips import Flips, flipped

GRADIENT_NORM = 5.0  # L2 norm that gradients are clipped at (Yang et al. 2019, sec. 4.1)
FLIP_STAGES = 8  # of a run: 50 of the 400 epochs after which BSO's code divides γ and τ by 10
FUSED_ADAM = partial(Adam, fused=True)
MakeOptimizer = Callable[..., torch.optim.Optimizer]  # of groups of parameters and `lr`


class Optimizer:
    """Adam, or another, on clipped gradients, its learning rate falling to 0 along a cosine.

    Gradients are divided by max(‖g‖ / 5, 1), and the weights stay as they are from the first step
    on whose loss or gradient is not finite. Fused optimizers do both in their own kernel
    (`grad_scale` and `found_inf`, as torch's `GradScaler` uses them), and nothing is read from the
    device; for others one number is, in each step.

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
    make : function
        Called as `make(groups, lr=learning_rate)` with `parameter_groups`.

    Attributes
    ----------
    descent : torch.optim.Optimizer
        Of all parameters that do not flip.
    failed : Tensor
        1 from the first step on that was not finite, 0 before it; float32, on the device.
    """

    def __init__(
        self, model: nn.Module, learning_rate: float, steps: int, make: MakeOptimizer = FUSED_ADAM
    ):
        self.descent = make(parameter_groups(model, learning_rate), lr=learning_rate)
        self.in_kernel = getattr(self.descent, "_step_supports_amp_scaling", False)
        self.schedule = CosineAnnealingLR(self.descent, steps)
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
        if self.flips is not None:
            self.flips.step(scale, self.failed)
            self.flip_schedule.step()
        if self.in_kernel:
            self.descent.grad_scale, self.descent.found_inf = scale, self.failed
        elif self.failed:
            return
        else:
            moved = [p for group in self.descent.param_groups for p in group["params"]]
            torch._foreach_div_([p.grad for p in moved if p.grad is not None], scale)
        self.descent.step()
        self.schedule.step()

    @property
    def all(self) -> list[torch.optim.Optimizer]:
        """That of the descent, and that of the flips."""
        return [self.descent] if self.flips is None else [self.descent, self.flips]

    def parts(self) -> dict[str, Any]:
        """By their names in a checkpoint, all that has a state."""
        parts = {"optimizer": self.descent, "schedule": self.schedule}
        if self.flips is not None:
            parts |= {"flips": self.flips, "flip_schedule": self.flip_schedule}
        return parts


def parameter_groups(model: nn.Module, learning_rate: float) -> list[dict[str, Any]]:
    """Every parameter that does not flip, each quantizer's own at a rate relative to its size.

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
