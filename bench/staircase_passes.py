"""How often the staircase reads or writes a number for each weight, in one training step.

    python bench/staircase_passes.py

Counted, not timed, and so without a GPU (but with Triton, which `make peers` installs): of the sum
of sigmoids the operands of every operation, of the kernels, which Triton's interpreter runs, every
load and store. What all programs of a kernel read alike, as the thresholds, would come from a GPU's
caches; it is counted for each of them all the same.
"""

import argparse
import os
from types import ModuleType

import pandas as pd
import torch
from compare import report
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from snnq.quantization import staircase
from snnq.quantization.levels import LEVELS
from snnq.quantization.sigmoid import SigmoidQuantizer

WEIGHTS = 2**15
LEVEL_SETS = LEVELS | {"8bit": tuple(range(-255, 256, 2))}


def main() -> None:
    argparse.ArgumentParser().parse_args()
    os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported
    from snnq.quantization import gpu

    traffic, rows = Traffic(), []
    traffic.count_kernels()
    for name, levels in LEVEL_SETS.items():
        torch.manual_seed(0)
        quantizer = SigmoidQuantizer(torch.randn(WEIGHTS), levels, 10.0, 2.0)
        # In float64, since the CPU looks float32 up in a table.
        summed = passes(quantizer.double(), torch.float64, None, traffic)
        kernel = passes(quantizer.float(), torch.float32, gpu, traffic)
        for form, found in (("sigmoids one by one", summed), ("one kernel each way", kernel)):
            rows.append([name, len(levels) - 1, form, *found, sum(found)])
    columns = ["levels", "thresholds", "form", "forward", "backward", "passes"]
    report("staircase_passes", pd.DataFrame(rows, columns=columns).assign(weights=WEIGHTS))


def passes(quantizer, dtype, form: ModuleType | None, traffic: "Traffic") -> tuple[float, float]:
    """Bytes moved forward and backward, as multiples of the weight's."""
    staircase._one_pass_form = lambda weight: form
    weight = torch.randn(WEIGHTS, dtype=dtype).requires_grad_()
    grad, scales = torch.randn_like(weight), [quantizer.alpha, quantizer.beta]
    with traffic:
        start = traffic.bytes
        output = quantizer(weight)
        half = traffic.bytes
        torch.autograd.grad(output, [weight, *scales], grad)
    return (half - start) / weight.nbytes, (traffic.bytes - half) / weight.nbytes


class Traffic(TorchDispatchMode):
    """Adds up the bytes that operations and kernels read and write."""

    WRITE_ALONE = ("full_like", "zeros_like", "ones_like")
    NEITHER = ("empty_like", "new_empty", "set_", "detach")

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        name = function.__name__.split(".")[0]
        onto_itself = name == "copy_" and args[0].data_ptr() == args[1].data_ptr()  # interpreter's
        if not (function.is_view or onto_itself or name in self.NEITHER):
            read = () if name in self.WRITE_ALONE else (args, kwargs)
            moved = [leaf for leaf in tree_leaves((read, result)) if isinstance(leaf, Tensor)]
            self.bytes += sum(tensor.nbytes for tensor in moved)
        return result

    def count_kernels(self) -> None:
        """Have Triton's interpreter count from now on."""
        from triton.runtime.interpreter import InterpreterBuilder

        load, store = InterpreterBuilder.create_masked_load, InterpreterBuilder.create_masked_store

        def count(pointers, mask) -> None:
            self.bytes += mask.data.sum() * pointers.get_element_ty().primitive_bitwidth // 8

        def counted_load(builder, pointers, mask, *others):
            count(pointers, mask)
            return load(builder, pointers, mask, *others)

        def counted_store(builder, pointers, value, mask, *others):
            count(pointers, mask)
            return store(builder, pointers, value, mask, *others)

        InterpreterBuilder.create_masked_load = counted_load
        InterpreterBuilder.create_masked_store = counted_store


if __name__ == "__main__":
    main()
