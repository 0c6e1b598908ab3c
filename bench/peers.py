"""Other ways to quantize a weight, with the interface of `SigmoidQuantizer`."""

import itertools

import torch
from torch import Tensor, nn

from snnq.quantization.levels import initial_biases, resolve_levels

LEVELS = {1: "binary", 2: "2bit", 3: "3bit", 4: "4bit"}  # by bits per weight
PEER_BITS = (1, 2, 4)


class PlainScaling(nn.Module):
    """One learned factor for the whole weight: what any quantizer must at least do."""

    def __init__(self, weight: Tensor, levels):
        super().__init__()
        self.levels = resolve_levels(levels)
        self.alpha = nn.Parameter(torch.ones(()))

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.alpha


class NaiveSum(nn.Module):
    """The same staircase as `SigmoidQuantizer`'s, summed sigmoid by sigmoid through autograd."""

    def __init__(self, weight: Tensor, levels, temperature: float = 1.0):
        super().__init__()
        self.levels, self.temperature = resolve_levels(levels), temperature
        beta = 1.25 * max(map(abs, self.levels)) / weight.detach().abs().max()
        self.alpha, self.beta = nn.Parameter(1 / beta), nn.Parameter(beta)
        self.register_buffer(
            "biases", initial_biases(weight.detach() * beta, self.levels).to(weight)
        )

    def forward(self, weight: Tensor) -> Tensor:
        steps = [upper - lower for lower, upper in itertools.pairwise(self.levels)]
        x = weight * self.beta
        total = self.levels[0]
        for bias, step in zip(self.biases, steps):
            total = total + step * torch.sigmoid((self.temperature * (x - bias)).clamp(-10, 10))
        return self.alpha * total


class Brevitas(nn.Module):
    """Brevitas' weight quantizer with as many levels, one scale for the weight."""

    def __init__(self, weight: Tensor, levels):
        super().__init__()
        from brevitas.nn import QuantLinear
        from brevitas.quant import Int8WeightPerTensorFloat, SignedBinaryWeightPerTensorConst

        self.levels = resolve_levels(levels)
        bits = len(self.levels).bit_length() - 1
        options = {"weight_quant": SignedBinaryWeightPerTensorConst}
        if bits > 1:
            options = {"weight_quant": Int8WeightPerTensorFloat, "weight_bit_width": bits}
        layer = QuantLinear(weight.flatten(1).shape[1], weight.shape[0], bias=False, **options)
        # As a tuple, so that the layer is no submodule: its weight is the one that it is given.
        self.layer = (layer,)

    def forward(self, weight: Tensor) -> Tensor:
        return self.layer[0].weight_quant(weight.flatten(1)).value.view_as(weight)


def peers() -> dict[str, type[nn.Module]]:
    """By name; Brevitas where it is installed (`pip install brevitas`)."""
    found = {"naive sum": NaiveSum}
    try:
        import brevitas  # noqa: F401
    except ImportError:
        return found
    return found | {"Brevitas": Brevitas}
