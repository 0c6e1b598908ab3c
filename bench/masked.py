"""The staircase of weights that reach different levels against that of weights that reach all.

    python bench/masked.py [millions of weights]

Forward and backward of one layer, of which bits are stuck at 0. Claim: knowing the faults costs at most
1.2 times as much.
"""

import argparse
from functools import partial

import pandas as pd
import torch
from compare import compare, report
from torch import nn

import snnq
from snnq.system.memory import keep_freed_memory
from snnq.training.faults import reach_levels_of

RATES = {"binary": 0.1, "ternary": 0.1, "2bit": 0.1, "3bit": 0.1, "4bit": 0.2}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("millions", nargs="?", type=float, default=17)
    millions = parser.parse_args().millions
    keep_freed_memory()
    torch.manual_seed(0)
    tables = []
    for levels, rate in RATES.items():
        all_reached, masked = (_pass(levels, millions, of) for of in (0.0, rate))
        found = compare({"all levels": all_reached, "levels reached": masked}, rounds=15)
        tables.append(found[1:].assign(levels=levels, stuck_at_0=rate))
    table = pd.concat(tables, ignore_index=True)
    report("masked", table.assign(millions=millions, threads=torch.get_num_threads()))


def _pass(levels: str, millions: float, rate: float):
    layer = nn.utils.skip_init(nn.Linear, 2048, int(millions * 1e6) // 2048, bias=False)
    nn.init.normal_(layer.weight, std=0.02)
    options = {"temperature": 4.0, "backward_temperature": 2.0}
    model = snnq.quantize(nn.Sequential(layer), levels, (), **options).train()
    if rate:
        reach_levels_of(model, snnq.draw_faults(model, rate))
    (quantizer,) = snnq.quantizers(model).values()
    weight = layer.parametrizations.weight.original
    return partial(_both, quantizer, weight, torch.randn_like(weight))


def _both(quantizer: nn.Module, weight: torch.Tensor, grad: torch.Tensor) -> None:
    weight.grad = None
    quantizer(weight).backward(grad)


if __name__ == "__main__":
    main()
