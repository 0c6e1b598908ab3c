"""What a network costs: the bytes of its weights, and how often its neurons fire."""

import math

import pandas as pd
import torch
from spikingjelly.activation_based import monitor, neuron
from torch import nn
from torch.utils.data import Dataset

from snnq.evaluation import predict
from snnq.quantizer import QUANTIZED_LAYERS, quantizers

FLOAT_BYTES = 4
TERNARY_PER_BYTE = 5  # 3⁵ = 243 ≤ 256


def weight_bytes(weights: int, levels: int) -> int:
    """Bytes that so many weights of so many levels take, packed.

    Three levels go five to a byte, others in ⌈log₂ levels⌉ bits each.
    """
    if levels == 3:
        return math.ceil(weights / TERNARY_PER_BYTE)
    return math.ceil(weights * math.ceil(math.log2(levels)) / 8)


def footprint(model: nn.Module) -> pd.DataFrame:
    """Bytes that evaluation needs of each layer, computed from its shapes.

    A quantized weight takes `weight_bytes` and its float32 α, or two; all else, batch norm's
    running mean and variance among it, is float32.

    Returns
    -------
    pandas.DataFrame
        A row per layer that holds numbers: layer, kind, levels (how many its weights have; None
        in full precision), numbers, bytes, bytes_float32 (of the layer in full precision).
    """
    found = quantizers(model)
    rows = []
    for name, module in model.named_modules():
        if ".parametrizations" in name:
            continue
        tensors = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
        others = sum(tensor.numel() for tensor in tensors if tensor.is_floating_point())
        weights, packed, levels = 0, 0, None
        if name in found:
            weights, levels = module.weight.numel(), len(found[name].levels)
            packed = weight_bytes(weights, levels) + FLOAT_BYTES * found[name].scales
        if weights + others:
            rows.append(
                {
                    "layer": name,
                    "kind": _kind(module),
                    "levels": levels,
                    "numbers": weights + others,
                    "bytes": packed + FLOAT_BYTES * others,
                    "bytes_float32": FLOAT_BYTES * (weights + others),
                }
            )
    return pd.DataFrame(rows)


def firing_rates(model: nn.Module, data: Dataset) -> pd.Series:
    """Spikes per neuron and time step of each spiking layer, over all recordings: from 0 to 1."""
    with monitor.OutputMonitor(model, neuron.BaseNode, _spikes_and_size) as counted:
        predict(model, data)
    rates = {}
    for name in counted.monitored_layers:
        spikes, size = torch.tensor(counted[name], dtype=torch.float64).sum(0)
        rates[name] = (spikes / size).item()
    return pd.Series(rates, name="firing rate")


def _spikes_and_size(output: torch.Tensor) -> tuple[float, int]:
    return output.sum().item(), output.numel()


def _kind(module: nn.Module) -> str:
    kinds = [kind for kind in QUANTIZED_LAYERS if isinstance(module, kind)]
    return kinds[0].__name__ if kinds else type(module).__name__
