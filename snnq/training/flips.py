"""Binary weights that flip where the average of their gradients says so (BSO and T-BSO)."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from snnq.quantization.network import quantizers
from snnq.quantization.spiking_methods import FlipQuantizer

SECOND_ADAPTIVITY = 1e-5  # β of the mean square
EPSILON = 1e-10


class Flips(Optimizer):
    """Flips weights of −1 and 1; a learning rate is the average's γ, along torch's schedules.

    For gradients g, and weights w:

        m ← (1 − γ) m + γ g,        w ← −w where w m > γ θ
        v ← (1 − β) v + β mean g²,  w ← −w where w m > γ θ (√v + 1e-10), in groups "normalized"

    Liang et al., ICML 2025 (arXiv 2511.12502), and its code, github.com/hamingsi/BSO, with
    β = 1e-5: BSO and T-BSO. They are online: each time step of a batch is a step of training with
    the gradient of its own, and with a v of its own in T-BSO. Here a step has the gradient of all
    time steps at once (backpropagation through time), and a layer one v. A part of their code that
    nothing calls also sets m to 0 where w flips; here m goes on.

    Parameters
    ----------
    groups : list of dict
        Of `flipped`. Their weights become −1 where they are not above 0, and 1.
    """

    def __init__(self, groups: Iterable[dict[str, Any]]):
        super().__init__(groups, {})
        with torch.no_grad():
            for weight in self._weights():
                weight.copy_(torch.where(weight > 0, 1.0, -1.0))
                self.state[weight] = {
                    "average": torch.zeros_like(weight),
                    "square": weight.new_zeros(()),
                }

    @torch.no_grad()
    def step(self, scale: Tensor, failed: Tensor) -> None:
        """Flip, by gradients that are divided by `scale`; nothing changes where `failed` is 1."""
        for group in self.param_groups:
            for weight in group["params"]:
                self._flip(weight, weight.grad / scale, failed > 0, **group)

    def _flip(self, weight, gradient, failed, lr, threshold, normalized, **_) -> None:
        average, square = (self.state[weight][name] for name in ("average", "square"))
        found = average.lerp(gradient, lr)
        least = torch.full_like(square, lr * threshold)
        if normalized:
            mean = square.lerp(gradient.square().mean(), SECOND_ADAPTIVITY)
            square.copy_(torch.where(failed, square, mean))
            least *= mean.sqrt() + EPSILON
        flips = (weight * found > least) & ~failed
        weight.copy_(torch.where(flips, -weight, weight))
        average.copy_(torch.where(failed, average, found))

    def _weights(self) -> Iterable[Tensor]:
        return (weight for group in self.param_groups for weight in group["params"])


def flipped(model: nn.Module) -> list[dict[str, Any]]:
    """For `Flips`: the weights of each layer with a `FlipQuantizer`, a group for each layer."""
    return [
        {
            "params": [model.get_submodule(name).parametrizations.weight.original],
            "lr": quantizer.adaptivity,
            "threshold": quantizer.threshold / quantizer.adaptivity,
            "normalized": quantizer.normalized,
        }
        for name, quantizer in quantizers(model).items()
        if isinstance(quantizer, FlipQuantizer)
    ]
