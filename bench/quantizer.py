"""The quantizer's own forward and backward against a plain scaling of the same weight.

    python bench/quantizer.py [millions of weights]

Both read and write as many numbers; the quantizer looks up two tables too, and sums two slopes. The
temperatures are those of the middle of a quick run (10), its start (2) and its end (1000).
"""

import argparse
from functools import partial

import torch
from compare import compare_each, report
from peers import LEVELS, PEER_BITS, PlainScaling, peers

import snnq
from snnq.system.memory import keep_freed_memory

TEMPERATURES = (10.0, 2.0, 1000.0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("millions", nargs="?", type=float, default=17)
    millions = parser.parse_args().millions
    keep_freed_memory()
    torch.manual_seed(0)
    weight = (0.02 * torch.randn(int(millions * 1e6) // 2048, 2048)).requires_grad_()
    grad = torch.randn_like(weight)
    candidates = {}
    for temperature in TEMPERATURES:
        for bits, levels in LEVELS.items():
            name = f"snnq, {bits} bit, T = {temperature:g}"
            candidates[name] = partial(snnq.SigmoidQuantizer, weight, levels, temperature, 2.0)
    for name, kind in peers().items():
        for bits in PEER_BITS:
            candidates[f"{name}, {bits} bit"] = partial(kind, weight, LEVELS[bits])
    others = {name: partial(_pass, make, weight, grad) for name, make in candidates.items()}
    scaling = _pass(partial(PlainScaling, weight, "binary"), weight, grad)
    table = compare_each("plain scaling", scaling, others)
    report("quantizer", table.assign(millions=millions, threads=torch.get_num_threads()))


def _pass(make, weight, grad):
    quantizer = make()

    def both() -> None:
        weight.grad = None
        quantizer(weight).backward(grad)

    return both


if __name__ == "__main__":
    main()
