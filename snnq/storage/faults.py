"""The fault maps of whole networks: drawn, from files, and in files."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from snnq.quantization.evaluated import checked_network
from snnq.quantization.layers import in_evaluation
from snnq.quantization.network import quantizers
from snnq.storage.bits import bytes_of, codes_in, weight_bytes
from snnq.storage.fault_map import LayerFaults, draw_layer
from snnq.storage.fault_rates import refuse_rates
from snnq.storage.format import joined
from snnq.system.files import first_line, save_tensors

PARTS = ("stuck_at_0", "stuck_at_1", "error")
FaultMap = dict[str, LayerFaults]  # of each quantized layer, by its name
Memory = dict[str, tuple[tuple[float, ...], torch.Size]]  # levels and shape, by the layer's name


@torch.no_grad()
def memory_of(model: nn.Module) -> Memory:
    """What of a network lies in a memory that may have faults: the weights of its quantized layers.

    Raises ValueError where none is quantized.
    """
    with in_evaluation(checked_network(model)):
        found = {
            name: (quantizer.levels, model.get_submodule(name).weight.shape)
            for name, quantizer in quantizers(model).items()
        }
    if not found:
        raise ValueError("no layer is quantized: expected a network with levels in its memory")
    return found


def draw_faults(
    model: nn.Module,
    stuck_at_0: float = 0.0,
    stuck_at_1: float = 0.0,
    variability: float = 0.0,
    device: int = 0,
) -> FaultMap:
    """The faults of a device, for the quantized layers of a network.

    Parameters
    ----------
    model : nn.Module
        With quantizers, trained or not, or unpacked.
    stuck_at_0, stuck_at_1 : numbers from 0 to 1, with a sum of at most 1
        The probabilities that a bit of the packed weights is stuck at 0, and at 1.
    variability : number of at least 0
        Standard deviation of the relative error of each weight's value.
    device : int
        Which: another number has other faults.

    Returns
    -------
    dict of str to LayerFaults
        By the name of the layer; see `snnq.storage.fault_map`.

    Raises
    ------
    ValueError
        A rate or a variability that is out of range, or no quantized layer.
    """
    refuse_rates(stuck_at_0, stuck_at_1, variability)
    rates = stuck_at_0, stuck_at_1, variability
    return drawn(memory_of(model), *rates, (device,), torch.device("cpu"))


def drawn(
    memory: Memory,
    stuck_at_0: float,
    stuck_at_1: float,
    variability: float,
    seed: tuple[int, ...],
    device: torch.device,
) -> FaultMap:
    """`draw_faults` of a memory on the device where the masks are to be; nothing waits for it."""
    found = {}
    for number, (name, of_layer) in enumerate(memory.items()):
        own = int(np.random.SeedSequence((number, *seed)).generate_state(1)[0])
        generator = torch.Generator(device).manual_seed(own)
        rates = stuck_at_0, stuck_at_1, variability
        found[name] = draw_layer(*of_layer, *rates, generator)
    return found


def save_faults(faults: Mapping[str, LayerFaults], path: str | Path) -> None:
    """Write a fault map to a safetensors file, whole or not at all.

    It holds, of each layer, `<layer>.stuck_at_0` and `<layer>.stuck_at_1`, uint8 [bytes], whose bits
    are those of the packed file's `<layer>.weight` that are stuck; and where values are off,
    `<layer>.error`, float32 of the weight's shape. Raises OSError where it cannot be written.
    """
    tensors = {}
    for name, layer in faults.items():
        for part in PARTS[:2]:
            codes = getattr(layer, part).cpu()
            tensors[joined(name, part)] = bytes_of(codes, len(layer.levels)).clone()
        if layer.error is not None:
            tensors[joined(name, "error")] = layer.error.cpu().contiguous()
    save_tensors(Path(path), lambda partial: save_file(tensors, partial))


def read_faults(path: str | Path, model: nn.Module) -> FaultMap:
    """The fault map in a file, see `save_faults`, of the quantized layers of a network.

    Raises
    ------
    ValueError
        No safetensors file, a layer that is not there or not quantized, a tensor of another type or
        shape than the network's memory has, a bit that is stuck at both, or errors that are not
        finite.
    OSError
        It is not there, or cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path}: no fault map ({first_line(error)})") from None
    memory = memory_of(model)
    known = {joined(name, part) for name in memory for part in PARTS}
    if others := sorted(tensors.keys() - known):
        raise ValueError(f"{path}: {others[0]!r}: expected faults of {', '.join(memory)}")
    return {name: _layer(path, tensors, name, *of) for name, of in memory.items()}


def _layer(
    path: Path, tensors: dict[str, Tensor], name: str, levels: tuple[float, ...], shape: torch.Size
) -> LayerFaults:
    size = [weight_bytes(shape.numel(), len(levels))]
    masks = [
        _tensor(path, tensors, joined(name, part), torch.uint8, size) for part in PARTS[:2]
    ]
    if (masks[0] & masks[1]).any():
        raise ValueError(f"{path}: {name}: a bit is stuck at 0 and at 1, expected one of the two")
    error = None
    if (place := joined(name, "error")) in tensors:
        error = _tensor(path, tensors, place, torch.float32, list(shape))
        if not error.isfinite().all():
            raise ValueError(f"{path}: {place}: expected finite numbers")
    masks = [codes_in(mask, len(levels), shape.numel()) for mask in masks]
    return LayerFaults(levels, shape, *masks, error)


def _tensor(
    path: Path, tensors: dict[str, Tensor], name: str, kind: torch.dtype, shape: list[int]
) -> Tensor:
    if name not in tensors:
        raise ValueError(f"{path}: {name!r}: not there, expected {kind} {shape}")
    found = tensors[name]
    if found.dtype != kind or list(found.shape) != shape:
        raise ValueError(
            f"{path}: {name!r}: {found.dtype} {list(found.shape)}, expected {kind} {shape}"
        )
    return found
