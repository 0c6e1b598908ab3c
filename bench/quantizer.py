"""The quantizer's own forward and backward against a plain scaling of the same weight.

    python bench/quantizer.py [millions of weights]

Claims: at most twice a plain scaling, at every bit width; 4 bits at most 1.3 times 1 bit. The
temperatures are those of the middle of a quick run (10), its start (2) and its end (1000).
"""

import sys

import pandas as pd
import torch
from compare import compare, report
from peers import LEVELS, PEER_BITS, PlainScaling, peers

import snnq
from snnq.memory import keep_freed_memory

TEMPERATURES = (10.0, 2.0, 1000.0)


def main() -> None:
    millions = float(sys.argv[1]) if len(sys.argv) > 1 else 17
    keep_freed_memory()
    torch.manual_seed(0)
    weight = (0.02 * torch.randn(int(millions * 1e6) // 2048, 2048)).requires_grad_()
    grad = torch.randn_like(weight)
    candidates = {"plain scaling": _pass(PlainScaling(weight, "binary"), weight, grad)}
    for temperature in TEMPERATURES:
        for bits, levels in LEVELS.items():
            quantizer = snnq.SigmoidQuantizer(weight, levels, temperature, backward_temperature=2.0)
            name = f"snnq, {bits} bit, T = {temperature:g}"
            candidates[name] = _pass(quantizer, weight, grad)
    for name, kind in peers().items():
        for bits in PEER_BITS:
            candidates[f"{name}, {bits} bit"] = _pass(kind(weight, LEVELS[bits]), weight, grad)
    table = compare(candidates, rounds=9)
    report(
        "quantizer", pd.DataFrame(table.assign(millions=millions, threads=torch.get_num_threads()))
    )


def _pass(quantizer, weight, grad):
    def both() -> None:
        weight.grad = None
        quantizer(weight).backward(grad)

    return both


if __name__ == "__main__":
    main()
