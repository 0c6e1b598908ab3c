"""In which precision convolutions and linear layers multiply; everything else is in float32."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn

PRECISIONS = ("float32", "tf32", "bf16")


@contextmanager
def products_in(precision: str) -> Iterator[None]:
    """On a GPU, let float32 products be rounded to TF32 (10 bits of fraction), or forbid it.

    torch forbids it in linear layers and allows it in convolutions unless told. A CPU knows no
    TF32: there "tf32" is float32.
    """
    parts = torch.backends.cuda.matmul, torch.backends.cudnn.conv
    before = [part.fp32_precision for part in parts]
    try:
        for part in parts:
            part.fp32_precision = "ieee" if precision == "float32" else "tf32"
        yield
    finally:
        for part, setting in zip(parts, before):
            part.fp32_precision = setting


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """For a forward pass: with "bf16" layers take their inputs and weights in bfloat16."""
    if precision != "bf16":
        return nullcontext()
    # Each weight is cast once in a step, and a cache must not outlive a CUDA graph's capture.
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)


@contextmanager
def states_in_float32(layers: Iterable[nn.Module]) -> Iterator[None]:
    """A block in which each layer hands on float32 whatever it computes in, so that batch norm and
    membrane potentials are in float32. Quantizers are: autocast leaves their operations alone."""
    hooks = [layer.register_forward_hook(_to_float32) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _to_float32(_layer: nn.Module, _inputs: tuple, output: Tensor) -> Tensor:
    return output.float()
