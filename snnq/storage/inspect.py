"""What is inside a packed network."""

import pandas as pd
from torch import nn

from snnq.storage.footprint import footprint


def contents(model: nn.Module) -> pd.DataFrame:
    """`footprint`, with the shape of each layer's weight, and "times": how many times smaller."""
    table = footprint(model)
    weights = [getattr(model.get_submodule(name), "weight", None) for name in table["layer"]]
    shapes = ["" if weight is None else "×".join(map(str, weight.shape)) for weight in weights]
    table.insert(2, "shape", shapes)
    return table.assign(times=table["bytes_float32"] / table["bytes"])
