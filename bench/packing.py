"""Files of packed networks against the float32 safetensors files of the same networks.

    python bench/packing.py

Claims, at 128 channels, the whole of both files: with every layer but the first binary at least
31.5 times smaller on N-MNIST's network and 30.5 on CIFAR10-DVS's; with all of them binary at least
30 times on the gestures' network. Both files are written; the weights are random, since the size
does not depend on them.
"""

import argparse
import tempfile
from pathlib import Path

import pandas as pd
import torch
from compare import report
from safetensors.torch import save_file

import snnq
from snnq.quantization.evaluated import evaluated_state

LEVELS = ("binary", "ternary", "2bit", "3bit", "4bit")
KEEP = ((), ("first",), ("first", "last"))


def main() -> None:
    argparse.ArgumentParser().parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.safetensors"
        rows = [row for benchmark in snnq.BENCHMARKS for row in sizes(benchmark, path)]
    report("packing", pd.DataFrame(rows))


def sizes(benchmark: str, path: Path) -> list[dict[str, object]]:
    """A row for each level set and choice of layers: bytes of both files, and their ratio."""
    torch.manual_seed(0)
    save_file(evaluated_state(snnq.build_model(benchmark)), path)
    full, rows = path.stat().st_size, []
    for keep in KEEP:
        for levels in LEVELS:
            model = snnq.build_model(benchmark)
            # The same interface and file as the sigmoids', and nothing to fit to the weights.
            snnq.quantize(model, levels, keep, snnq.QUANTIZERS["lsq"])
            snnq.pack(model, path)
            size = path.stat().st_size
            rows.append(
                {
                    "benchmark": benchmark,
                    "keep": "+".join(keep) or "none",
                    "levels": levels,
                    "bytes": size,
                    "bytes_float32": full,
                    "times": full / size,
                }
            )
    return rows


if __name__ == "__main__":
    main()
