"""A network with its weights at their real width: packed into one file, and back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.utils import parametrize

from snnq.networks.built import architecture_of
from snnq.networks.models import SpikingNetwork
from snnq.quantization.checks import refuse_unless_on_levels
from snnq.quantization.evaluated import checked_network, evaluated_state
from snnq.quantization.layers import in_evaluation
from snnq.quantization.network import quantizers
from snnq.quantization.place import quantizer_input
from snnq.storage.bits import pack_levels
from snnq.storage.content import Content, naming, read
from snnq.storage.fill import fill
from snnq.storage.format import as_metadata, joined, with_norms_stacked
from snnq.system.files import write_atomically


def pack(model: nn.Module, path: str | Path, source: Mapping[str, Any] | None = None) -> None:
    """Write what evaluation needs of any network, quantized or in full precision, to one file.

    Parameters
    ----------
    model : nn.Module
        Its parameters and persistent buffers are written, as evaluation sees them. One of
        `snnq.build_model`, in float32 and with the layers and settings that it has from there,
        comes back by `unpack(path)`, since the file has its architecture. Any other, such a one
        with a layer or a setting changed among them, by `unpack(path, into=network)`: what is no
        tensor (layers, neurons, thresholds, time steps) is not in the file.
    path : path
        A safetensors file (see `snnq.storage.format`), written whole or not at all.
    source : mapping, optional
        Where the network is from, its run's settings say, as JSON can hold it. Where not given,
        that of the file from which `unpack(path)` built the network, if it did.

    Raises
    ------
    ValueError
        No `nn.Module`, numbers that are not finite (NaN, of other networks than `build_model`'s), a
        tensor of a type or layout that safetensors does not hold, on the meta device or not
        initialised, weights off their levels, more than 256 levels. A source that is no JSON.
    OSError
        It could not be written.
    """
    path = Path(path)
    with naming(path), in_evaluation(checked_network(model)):
        architecture = architecture_of(model)
        content = _packed(model, architecture, source)

        def write(partial: Path) -> None:
            partial.write_bytes(content)
            read(partial, model if architecture is None else None)  # or it is not written

        write_atomically(path, write)


def unpack(path: str | Path, into: nn.Module | None = None) -> nn.Module:
    """The network of a packed file, in evaluation; its outputs are the packed one's, to the bit.

    Its quantized weights stay packed in memory, each behind a `PackedQuantizer`.

    Parameters
    ----------
    path : path
    into : nn.Module, optional
        A network of the same layers as the packed one, in full precision or quantized in any way,
        which is filled and returned: its tensors are replaced by the file's, on the devices where
        they were, and its parametrizations removed, so an optimizer is made afterwards. Needed
        where the file has no architecture, see `pack`. Where not given, `build_model` makes the
        network, and its attribute `source` is what the file says about where it is from.

    Raises
    ------
    ValueError
        No packed network, one that is not whole or contradicts itself, or one that does not fit:
        the first tensor that is missing, or of another type or shape, is named, and `into` is as
        before. Another architecture than `into` has. A file without architecture, and no `into`.
    OSError
        The file is not there, or cannot be read.
    """
    path = Path(path)
    with naming(path):
        content, network = read(path, into)
        if network is None:
            raise ValueError(
                f"holds the numbers of a {content.description.get('class')}, not its layers;"
                " give unpack a network of the same layers to fill, as `into`"
            )
        _refuse_another(content, into)
    fill(network, content)
    if into is None:
        network.source = content.description.get("source")
    return network.eval()


@torch.no_grad()
def _packed(model: nn.Module, architecture: dict | None, source: Any) -> bytes:
    layers, tensors = {}, evaluated_state(model)
    for name, quantizer in quantizers(model).items():
        layer = model.get_submodule(name)
        refuse_unless_on_levels(name, layer)
        weight, values = quantizer_input(layer), joined(name, "values")
        if values in tensors:
            raise ValueError(f"{values}: the format has the values of the levels there")
        indices = quantizer.level_indices(weight)
        layers[name] = {"levels": [*map(float, quantizer.levels)], "shape": indices.shape}
        tensors[joined(name, "weight")] = pack_levels(indices, len(quantizer.levels))
        tensors[values] = quantizer.values(weight).to(layer.weight.dtype)
    if architecture is not None:
        tensors = with_norms_stacked(tensors, torch.stack)
        source = getattr(model, "source", None) if source is None else source
    kind = parametrize.type_before_parametrizations(model)
    metadata = as_metadata(architecture, layers, source, kind)
    return save({name: _on_its_own(name, tensor) for name, tensor in tensors.items()}, metadata)


def _on_its_own(name: str, tensor: Tensor) -> Tensor:
    """In memory that no other tensor shares."""
    if tensor.is_meta:
        raise ValueError(f"{name}: on the meta device, which holds no numbers")
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def _refuse_another(content: Content, into: nn.Module | None) -> None:
    """Networks of other neurons, say, may have the same tensors."""
    there = content.description["architecture"]
    if there is not None and isinstance(into, SpikingNetwork) and into.architecture != there:
        raise ValueError(f"architecture={there}, not that of into, {into.architecture}")
