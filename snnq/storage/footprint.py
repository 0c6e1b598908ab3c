"""The bytes that evaluation needs of each layer of a network."""

import pandas as pd
from torch import nn

from snnq.quantization.layers import QUANTIZED_LAYERS
from snnq.quantization.network import quantizers
from snnq.storage.bits import weight_bytes
from snnq.storage.format import FLOAT_BYTES


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


def _kind(module: nn.Module) -> str:
    kinds = [kind for kind in QUANTIZED_LAYERS if isinstance(module, kind)]
    return kinds[0].__name__ if kinds else type(module).__name__
