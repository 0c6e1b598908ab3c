"""What is inside a packed network's file.

    python -m snnq.packing net.safetensors

prints each layer's shape, levels and bytes, and how many times smaller it is than in float32; then
the whole file, header and all, against the float32 safetensors file of the same network.
"""

import argparse
import json
import sys
from pathlib import Path

import pandas as pd
from torch import nn

from snnq.storage.footprint import footprint
from snnq.storage.format import float32_file_bytes
from snnq.storage.pack import unpack


def contents(model: nn.Module) -> pd.DataFrame:
    """`footprint`, with the shape of each layer's weight, and "times": how many times smaller."""
    table = footprint(model)
    weights = [getattr(model.get_submodule(name), "weight", None) for name in table["layer"]]
    shapes = ["" if weight is None else "×".join(map(str, weight.shape)) for weight in weights]
    table.insert(2, "shape", shapes)
    return table.assign(times=table["bytes_float32"] / table["bytes"])


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m snnq.packing", description=__doc__.split("\n")[0]
    )
    parser.add_argument("path", type=Path, help="a file that snnq.pack wrote")
    path = parser.parse_args().path
    try:
        model, size = unpack(path), path.stat().st_size
    except (ValueError, OSError) as error:
        sys.exit(f"snnq.packing: {error}")
    table, full = contents(model), float32_file_bytes(model.architecture)
    print("architecture:", json.dumps(model.architecture))
    print("source:", json.dumps(model.source))
    formats = {"levels": "{:.0f}".format, "times": "{:.1f}".format}
    print(table.to_string(index=False, formatters=formats, na_rep=""))
    print(
        f"whole file: {size:,} bytes, {size - table['bytes'].sum():,} of them its header;"
        f" in float32 {full:,} bytes, {full / size:.2f} times as many"
    )


if __name__ == "__main__":
    main()
