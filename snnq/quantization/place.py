"""Where a layer's quantizer is among the parametrizations of its weight, and what it gets."""

from torch import Tensor, nn
from torch.nn.utils import parametrize

from snnq.quantization.base import LevelQuantizer


def quantizer_of(layer: nn.Module) -> LevelQuantizer | None:
    """The quantizer of a layer's weight, wherever it stands among its parametrizations."""
    if not parametrize.is_parametrized(layer, "weight"):
        return None
    found = (part for part in layer.parametrizations.weight if isinstance(part, LevelQuantizer))
    return next(found, None)


def quantizer_input(layer: nn.Module) -> Tensor:
    """The weight that a layer's quantizer gets: the original, through what is registered before it,
    such as weight norm."""
    stack, quantizer = layer.parametrizations.weight, quantizer_of(layer)
    originals = (
        (stack.original,)
        if stack.is_tensor
        else tuple(getattr(stack, f"original{i}") for i in range(stack.ntensors))
    )
    for part in stack:
        if part is quantizer:
            break
        originals = (part(*originals),)
    (weight,) = originals
    return weight
