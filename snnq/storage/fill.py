"""A network that takes its numbers from a packed file's content, quantized weights still packed."""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from snnq.quantization.base import LevelQuantizer
from snnq.quantization.evaluated import BATCHES, STACKS, without_parametrizations
from snnq.storage.bits import unpack_levels
from snnq.storage.content import Content
from snnq.storage.format import Levels, joined, with_norms_apart


class PackedQuantizer(LevelQuantizer):
    """The parametrization of an unpacked network's layer, whose `original` is its packed weight.

    That is uint8 [weight_bytes], see `snnq.storage.bits`. In `.train()` and in `.eval()` it returns the
    same weights, to which no gradient goes.

    Parameters
    ----------
    values : Tensor [levels]
        The value of each level.
    levels : increasing numbers
    shape : torch.Size
        Of the weight.

    Raises
    ------
    ValueError
        Values that are not finite, or all zero.
    """

    def __init__(self, values: Tensor, levels: Levels, shape: torch.Size):
        super().__init__(values, levels)
        self.scales = len(self.levels)
        self.shape = shape
        self.register_buffer("fixed_values", values)

    def soft(self, weight: Tensor) -> Tensor:
        return self.hard(weight)

    def values(self, weight: Tensor) -> Tensor:
        return self.fixed_values

    def level_indices(self, weight: Tensor) -> Tensor:
        indices = unpack_levels(weight, len(self.levels), self.shape.numel())
        return indices.view(self.shape).long()


@torch.no_grad()
def fill(network: nn.Module, content: Content) -> None:
    """Have a network that fits take its numbers from a file's content."""
    tensors = dict(content.tensors)
    without_parametrizations(network)
    for name, (levels, shape) in content.quantized.items():
        packed, values = (tensors.pop(joined(name, part)) for part in ("weight", "values"))
        put_packed(network.get_submodule(name), packed, values, levels, torch.Size(shape))
    state = with_norms_apart(tensors) if content.stacked else tensors
    # Not strict, since the packed weights are in place already; the others were compared before.
    network.load_state_dict(_for_every_name(network, state), strict=False, assign=True)


def put_packed(
    layer: nn.Module, packed: Tensor, values: Tensor, levels: Levels, shape: torch.Size
) -> None:
    """Have a layer take its weight from packed level indices."""
    device = _place(layer.weight)
    del layer.weight
    layer.register_buffer("weight", packed.to(device))
    quantizer = PackedQuantizer(values.to(device), levels, shape)
    parametrize.register_parametrization(layer, "weight", quantizer, unsafe=True)


def _for_every_name(network: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state under every name of a tensor that the network has under several, which stays one;
    training's part of it at its start."""
    first, found = {}, {}
    for name, tensor in network.state_dict(keep_vars=True).items():
        parts = name.split(".")
        if STACKS in parts:
            continue
        if parts[-1] == BATCHES:
            found[name] = torch.zeros((), dtype=torch.long, device=_place(tensor))
        elif id(tensor) in first:
            found[name] = found[first[id(tensor)]]
        else:
            first[id(tensor)] = name
            filled = state[name].to(_place(tensor))
            parameter = isinstance(tensor, nn.Parameter)
            found[name] = nn.Parameter(filled, tensor.requires_grad) if parameter else filled
    return found


def _place(tensor: Tensor) -> torch.device:
    """Where a tensor is; the CPU for one that has no numbers yet."""
    return torch.device("cpu") if tensor.is_meta else tensor.device
