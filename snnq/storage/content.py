"""A packed file read whole, and everything in it compared with a network before that is touched."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from snnq.storage.bits import pack_levels, unpack_levels
from snnq.storage.format import (
    QUANTIZED_TYPES,
    Kind,
    Levels,
    Shape,
    expected_kinds,
    from_metadata,
    joined,
    levels_of,
    network_without_numbers,
    packed_kinds,
    refuse_unless_equal,
)
from snnq.system.files import first_line


@dataclass(frozen=True, repr=False)
class Content:
    """What is in a packed file, see `snnq.storage.format`.

    Attributes
    ----------
    description : dict
        Of its metadata, with "architecture", "class" and "source".
    quantized : dict
        The levels of each quantized layer and the shape of its weight.
    tensors : dict
        As they are stored.
    """

    description: dict[str, Any]
    quantized: dict[str, tuple[Levels, Shape]]
    tensors: dict[str, Tensor]

    def __repr__(self) -> str:
        of = self.description["architecture"] or self.description.get("class")
        levels = {layer: len(levels) for layer, (levels, _) in self.quantized.items()}
        size = sum(tensor.nbytes for tensor in self.tensors.values())
        return f"Content({of}, {len(self.tensors)} tensors, {size:,} bytes, levels: {levels})"

    @property
    def stacked(self) -> bool:
        """Whether batch norms are a tensor each."""
        return self.description["architecture"] is not None


def read(path: Path, into: nn.Module | None = None) -> tuple[Content, nn.Module | None]:
    """A file's content, and the network that it fits: the given one, or one that has no numbers yet.

    None where the file has no architecture and no network is given. Numbers are read once the file
    is known to hold those of the network.

    Raises
    ------
    ValueError
        Without the file's name, see `naming`: no packed network, or one that is not whole,
        contradicts itself, or does not fit.
    OSError
        It is not there, or cannot be read.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    with safe_open(path, "pt") as file:
        description = from_metadata(file.metadata())
        architecture, quantized = description["architecture"], levels_of(description["layers"])
        slices = {name: file.get_slice(name) for name in file.keys()}
        found = {name: (part.get_dtype(), part.get_shape()) for name, part in slices.items()}
        network = into
        if into is None and architecture is not None:
            network = network_without_numbers(architecture)
        if network is None:
            _refuse_without_packed(found, quantized)
        else:
            stacked = architecture is not None
            refuse_unless_equal(found, expected_kinds(network, quantized, stacked))
        tensors = {name: file.get_tensor(name).clone() for name in found}  # not the file, mapped
    content = Content(description, quantized, tensors)
    _refuse_impossible_numbers(content)
    return content, network


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors in a file begin with its name, and are one line."""
    try:
        yield
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{path}: {first_line(error)}") from None


def _refuse_without_packed(found: dict[str, Kind], quantized: dict) -> None:
    """For a file that no network is there to compare with."""
    for layer, (levels, shape) in quantized.items():
        kind, _ = found.get(joined(layer, "values"), ("", None))
        if kind not in QUANTIZED_TYPES:
            kind = "F32"
        expected = packed_kinds(layer, levels, shape, kind)
        refuse_unless_equal({name: found[name] for name in expected if name in found}, expected)


def _refuse_impossible_numbers(content: Content) -> None:
    """Of any network NaN; of `build_model`'s infinity too, which a mask elsewhere may hold."""
    for name, tensor in content.tensors.items():
        numbers = tensor.float() if tensor.itemsize == 1 else tensor
        if not (numbers.isfinite().all() if content.stacked else not numbers.isnan().any()):
            raise ValueError(f"{name}: expected finite numbers")
    for layer, (levels, _) in content.quantized.items():
        values = content.tensors[joined(layer, "values")]
        if not (values.isfinite().all() and values.any()):
            raise ValueError(
                f"{layer}.values: expected numbers that are not all zero, nor infinite"
            )
        _refuse_other_indices(content, layer, len(levels))


def _refuse_other_indices(content: Content, layer: str, levels: int) -> None:
    packed = content.tensors[joined(layer, "weight")]
    count = torch.Size(content.quantized[layer][1]).numel()
    indices = unpack_levels(packed, levels, count)
    if indices.max().item() >= levels or not packed.equal(pack_levels(indices, levels)):
        raise ValueError(f"{layer}.weight: expected indices of {levels} levels, then zeros")
