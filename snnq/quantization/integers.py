"""The weights of quantized layers as small integers, for whatever computes with them elsewhere."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from snnq.quantization.evaluated import checked_network
from snnq.quantization.layers import in_evaluation
from snnq.quantization.network import quantizers
from snnq.quantization.place import quantizer_input, quantizer_of

SIGNED = 128  # levels whose indices int8 holds
NEIGHBOURS = (0, -1, 1, -2, 2, -3, 3)  # of a scale, in halves of its type's eps


@dataclass(frozen=True, eq=False)
class IntegerWeight:
    """A layer's weight α · levels[codes], which is the one that evaluation uses, to the bit.

    Attributes
    ----------
    codes : int8 Tensor, or uint8 for more than 128 levels
        The index of each weight's level, in the weight's shape and on its device.
    levels : tuple of floats
        As `quantize` got them, in the weight's type. Where a method's values are no multiples of
        those by one number (`ttq` learns two, `rescaw` rounds twice), the values themselves, with a scale of 1.
    scale : float
        α. The product with a level is rounded once, to the weight's type.
    """

    codes: Tensor
    levels: tuple[float, ...]
    scale: float


@torch.no_grad()
def integers(model: nn.Module) -> dict[str, IntegerWeight]:
    """Codes, levels and scale of each quantized layer of any network, by the layer's name.

    With n levels Y_0 < … < Y_{n−1} and codes k from 0 to n − 1,

        w = α Y_k,    Σ_j w_j x_j + bias = α Σ_j Y_{k_j} x_j + bias

    so that a layer needs a sum over whole numbers, where the levels are such, and one
    multiplication; w in float32 is `(float)(scale * levels[code])` in C. In unpacked networks as in
    trained ones.

    Raises
    ------
    ValueError
        More than 256 levels, by the layer's name.
    """
    with in_evaluation(checked_network(model)):
        return {name: _of_layer(name, model.get_submodule(name)) for name in quantizers(model)}


def _of_layer(name: str, layer: nn.Module) -> IntegerWeight:
    quantizer, weight, kind = quantizer_of(layer), quantizer_input(layer), layer.weight.dtype
    if len(quantizer.levels) > 2 * SIGNED:
        raise ValueError(f"{name}: {len(quantizer.levels)} levels, expected at most {2 * SIGNED}")
    levels = torch.tensor(quantizer.levels, dtype=torch.float64).to(kind).double()
    values = quantizer.values(weight).to(kind).cpu()
    codes = quantizer.level_indices(weight)
    codes = codes.to(torch.int8 if len(levels) <= SIGNED else torch.uint8)
    for scale in _scales(levels, values):
        if torch.equal((scale * levels).to(kind), values):
            return IntegerWeight(codes, tuple(levels.tolist()), scale.item())
    return IntegerWeight(codes, tuple(values.tolist()), 1.0)


def _scales(levels: Tensor, values: Tensor) -> list[Tensor]:
    """What α may be with α · level = value after rounding: near the quotient of the outermost ones
    a number of the values' type, as a learned scale is; then any quotient, as of 1/7 and levels
    to 7."""
    quotients = (values.double() / levels)[levels != 0]
    outermost = quotients[levels[levels != 0].abs().argmax()]
    units = 1 + torch.tensor(NEIGHBOURS).double() * torch.finfo(values.dtype).eps / 2
    return [*(outermost.to(values.dtype).double() * units).to(values.dtype).double(), *quotients]
