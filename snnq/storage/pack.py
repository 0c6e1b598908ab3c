"""A network with its weights at their real width: packed into one file, and back."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.utils import parametrize

from snnq.networks.built import refuse_unless_as_built
from snnq.networks.models import SpikingNetwork
from snnq.quantization.base import LevelQuantizer
from snnq.quantization.checks import refuse_unless_on_levels
from snnq.quantization.network import quantizers
from snnq.quantization.place import quantizer_input
from snnq.storage.bits import pack_levels, unpack_levels
from snnq.storage.format import (
    Levels,
    as_metadata,
    expected_tensors,
    from_metadata,
    levels_of,
    network_without_numbers,
    refuse_unless_equal,
    restored_state,
    stored_state,
)
from snnq.system.files import first_line, write_atomically


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


def pack(
    model: SpikingNetwork, path: str | Path, source: Mapping[str, Any] | None = None
) -> None:
    """Write what evaluation needs of a network, quantized or in full precision, to one file.

    Parameters
    ----------
    model : SpikingNetwork
        From `snnq.build_model`, in float32, with the layers and settings that it has from there.
    path : path
        A safetensors file (see `snnq.storage.format`), written whole or not at all.
    source : mapping, optional
        Where the network is from, its run's settings say, as JSON can hold it. Where not given,
        that of the file which the network was unpacked from, if it was.

    Raises
    ------
    ValueError
        No such network, or one that `unpack` would refuse: another one than its architecture
        states, numbers that are not finite or not float32, more than 256 levels. A source that is
        no JSON.
    OSError
        It could not be written.
    """
    path = Path(path)
    with _naming(path):
        content = _packed(model, source)

        def write(partial: Path) -> None:
            partial.write_bytes(content)
            _read(partial)  # what could not be read is not written

        write_atomically(path, write)


def unpack(path: str | Path) -> SpikingNetwork:
    """The network of a packed file, in evaluation; its outputs are the packed one's, to the bit.

    Its quantized weights stay packed in memory, each behind a `PackedQuantizer`. Its attribute
    `source` is what the file says about where it is from.

    Raises
    ------
    ValueError
        No packed network, or one that is not whole or contradicts itself. A network's numbers get
        memory once the file is known to hold them.
    OSError
        The file is not there, or cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    with _naming(path):
        return _read(path)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{path}: {first_line(error)}") from None


@torch.no_grad()
def _packed(model: SpikingNetwork, source: Mapping[str, Any] | None) -> bytes:
    refuse_unless_as_built(model)
    layers, tensors = {}, stored_state(model)
    for name, quantizer in quantizers(model).items():
        refuse_unless_on_levels(name, model.get_submodule(name))
        weight = quantizer_input(model.get_submodule(name))
        indices = quantizer.level_indices(weight)
        layers[name] = {"levels": [*map(float, quantizer.levels)], "shape": indices.shape}
        tensors[f"{name}.weight"] = pack_levels(indices, len(quantizer.levels))
        tensors[f"{name}.values"] = quantizer.values(weight)
    source = getattr(model, "source", None) if source is None else source
    metadata = as_metadata(model.architecture, layers, source)
    return save({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata)


def _read(path: Path) -> SpikingNetwork:
    with safe_open(path, "numpy") as file:  # which copies: "pt" would map the file
        architecture, layers, source = from_metadata(file.metadata())
        model = network_without_numbers(architecture)
        levels = levels_of(layers, model)
        slices = {name: file.get_slice(name) for name in file.keys()}
        found = {name: (part.get_dtype(), part.get_shape()) for name, part in slices.items()}
        refuse_unless_equal(found, expected_tensors(model, levels))
        tensors = {name: torch.from_numpy(file.get_tensor(name)) for name in found}
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ValueError(f"{name}: expected finite numbers")
    for name, of_layer in levels.items():
        packed, values = (tensors.pop(f"{name}.{part}") for part in ("weight", "values"))
        _put_packed(model.get_submodule(name), name, packed, values, of_layer)
    # Not strict, since the packed weights are in place already; the others were compared above.
    model.load_state_dict(restored_state(tensors), strict=False, assign=True)
    model.source = source
    return model.eval()


def _put_packed(layer: nn.Module, name: str, packed: Tensor, values: Tensor, levels: Levels):
    """Have a layer take its weight from packed level indices, which must be all in order."""
    shape = layer.weight.shape
    indices = unpack_levels(packed, len(levels), shape.numel())
    if indices.max().item() >= len(levels) or not packed.equal(pack_levels(indices, len(levels))):
        raise ValueError(f"{name}.weight: expected indices of {len(levels)} levels, then zeros")
    if not values.any():
        raise ValueError(f"{name}.values: expected numbers that are not all zero")
    del layer.weight
    layer.register_buffer("weight", packed)
    quantizer = PackedQuantizer(values, levels, shape)
    parametrize.register_parametrization(layer, "weight", quantizer, unsafe=True)
