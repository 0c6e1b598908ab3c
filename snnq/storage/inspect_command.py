"""What is inside a packed network's file.

Prints each layer's shape, levels and bytes, and how many times smaller it is than in float32; then
the whole file, header and all, against the float32 safetensors file of the same network.
"""

import argparse
import json
from pathlib import Path

EXAMPLES = ("snnq inspect results/runs/mine/packed.safetensors",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=Path, help="a file that snnq.pack or `snnq train` wrote")


def run(arguments: argparse.Namespace) -> None:
    from snnq.storage.content import naming, read
    from snnq.storage.inspect import contents, float32_file_bytes

    path = arguments.path
    with naming(path):
        content, _ = read(path)
    table, full, size = contents(path), float32_file_bytes(path), path.stat().st_size
    for name in ("architecture", "class", "source"):
        if name in content.description:
            print(f"{name}:", json.dumps(content.description[name]))
    formats = {"levels": "{:.0f}".format, "times": "{:.1f}".format}
    print(table.to_string(index=False, formatters=formats, na_rep=""))
    print(
        f"whole file: {size:,} bytes, {size - table['bytes'].sum():,} of them its header;"
        f" in float32 {full:,} bytes, {full / size:.2f} times as many"
    )
