"""What goes into the modules of any network, and what comes out, while it sees recordings."""

import warnings
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset

from snnq.quantization.layers import layers_of
from snnq.storage.footprint import kind_of
from snnq.training.evaluation import predict, refuse_empty

Seen = Callable[[str, Tensor, Tensor], None]  # a module's name, its input and its output


def observe(
    model: nn.Module, data: Dataset | Tensor, modules: Mapping[str, nn.Module], seen: Seen
) -> int:
    """Have a network see all recordings in evaluation, from rest; returns how many there are.

    Calls of the modules are given to `seen`, see `watched`.
    """
    data = dataset_of(data)
    with watched(modules, seen):
        predict(model, data)
    return len(data)


@contextmanager
def watched(modules: Mapping[str, nn.Module], seen: Seen) -> Iterator[None]:
    """Within, each call of one of the modules is given to `seen`, whether it takes all time steps at
    once or one. Where a module takes or returns several things (its state, say), the first tensor
    counts."""
    with ExitStack() as hooks:
        for name, module in modules.items():
            hook = partial(_pass_on, partial(seen, name))
            hooks.enter_context(module.register_forward_hook(hook, with_kwargs=True))
        yield


def warn_of_uncalled(model: nn.Module, called: Container[str]) -> None:
    """One warning, to the caller's caller, that names the layers of which no call was seen."""
    left = {name: layer for name, layer in layers_of(model).items() if name not in called}
    if left:
        names = ", ".join(f"{name} ({kind_of(layer)})" for name, layer in left.items())
        warnings.warn(
            f"layers that are not in the table, since they were never called: {names}; their weights may"
            " be used all the same, as attention's are",
            stacklevel=3,
        )


def dataset_of(data: Dataset | Tensor) -> Dataset:
    """A dataset as it is; inputs [N_t, N, ...] as N recordings, all of class 0.

    Raises ValueError for a tensor of another shape, and for no recordings.
    """
    if isinstance(data, Tensor):
        if data.ndim < 3:
            raise ValueError(f"data has the shape {list(data.shape)}: expected inputs [N_t, N, ...]")
        data = TensorDataset(data.transpose(0, 1), torch.zeros(data.shape[1], dtype=torch.int64))
    refuse_empty(data)
    return data


def are_spikes(values: Tensor) -> Tensor:
    """Whether all values are 0 or 1, or -1 as of ternary neurons: a bool Tensor []."""
    return (values == values.sign()).all()


def _pass_on(seen: Callable, _module: nn.Module, inputs: tuple, named: dict, output) -> None:
    outputs = output if isinstance(output, (tuple, list)) else (output,)
    first = [_first_tensor(values) for values in ((*inputs, *named.values()), outputs)]
    if None not in first:
        seen(*first)


def _first_tensor(values: Iterable) -> Tensor | None:
    return next((value for value in values if isinstance(value, Tensor)), None)
