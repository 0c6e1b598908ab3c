"""The bytes that evaluation needs of each layer of a network."""

import pandas as pd
from torch import nn

from snnq.quantization.evaluated import evaluated_state
from snnq.quantization.layers import QUANTIZED_LAYERS
from snnq.quantization.network import quantizers
from snnq.storage.bits import weight_bytes

FLOAT_BYTES = 4
COLUMNS = ("layer", "kind", "levels", "numbers", "bytes")


def footprint(model: nn.Module) -> pd.DataFrame:
    """Bytes that evaluation needs of each layer of any network.

    A quantized weight takes `weight_bytes` and its α, or two; in an unpacked network, which no longer
    knows them, a float for each level in their place. Every other parameter and persistent
    buffer, batch norm's running mean and variance among them, what its type takes. What several
    layers share counts for the first.

    Returns
    -------
    pandas.DataFrame
        A row per layer that holds numbers: layer, kind, levels (how many its weights have; None
        in full precision), numbers, bytes, bytes_float32 (of the layer in full precision).
    """
    found, rows = quantizers(model), {}
    for name, tensor in evaluated_state(model).items():
        layer, _, own = name.rpartition(".")
        kind = kind_of(model.get_submodule(layer))
        row = rows.setdefault(layer, dict(zip(COLUMNS, (layer, kind, None, 0, 0))))
        row["numbers"] += tensor.numel()
        if own == "weight" and layer in found:
            row["levels"] = len(found[layer].levels)
            row["bytes"] += weight_bytes(tensor.numel(), row["levels"])
            row["bytes"] += found[layer].scales * tensor.itemsize
        else:
            row["bytes"] += tensor.nbytes
    rows = [row for row in rows.values() if row["numbers"]]
    table = pd.DataFrame(rows, columns=COLUMNS).astype({"numbers": int, "bytes": int})
    return table.assign(bytes_float32=FLOAT_BYTES * table["numbers"])


def kind_of(module: nn.Module) -> str:
    """The name of torch's layer that it is, if it is one; else of its class."""
    kinds = [kind for kind in QUANTIZED_LAYERS if isinstance(module, kind)]
    return kinds[0].__name__ if kinds else type(module).__name__
