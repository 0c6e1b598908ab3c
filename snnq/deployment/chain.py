"""The layers of a network that computes them one after another, in the order in which it does."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from spikingjelly.activation_based import base
from torch import Tensor, nn
from torch.nn.utils.parametrize import type_before_parametrizations

from snnq.quantization.layers import in_evaluation
from snnq.system.files import first_line
from snnq.system.state import reset_state

STEPS = 2  # so that a recurrence, too, shows in what a layer gets


class Call(NamedTuple):
    """A layer as it ran: its name, and the shapes of its input and output."""

    name: str
    module: nn.Module
    input: torch.Size
    output: torch.Size

    @property
    def kind(self) -> type:
        return type_before_parametrizations(self.module)


@torch.no_grad()
def chain_of(model: nn.Module, input_shape: tuple[int, ...]) -> list[Call]:
    """The layers that a network calls, each of which gets what the one before it has given.

    The network runs once, in evaluation, on random numbers, and is left at rest. What each layer
    gives is exchanged for other random numbers: what the network computes between two layers, or
    behind the last, then shows, unless it only changes the shape. Behind the last one, the mean
    over time steps may be taken.

    A layer is a module without modules in it, or one of SpikingJelly's that keep a state.

    Parameters
    ----------
    model : nn.Module
        It takes inputs [N_t, N, *input_shape].
    input_shape : tuple
        Of one time step of one recording.

    Raises
    ------
    ValueError
        Another network, with the layer at which it is another; or inputs that it does not take.
    """
    if not input_shape or not all(isinstance(size, int) and size > 0 for size in input_shape):
        raise ValueError(f"input_shape={input_shape!r}: expected whole numbers above 0")
    generator = torch.Generator().manual_seed(0)
    like = next(model.parameters(), torch.empty(0))
    frames = torch.rand(STEPS, 1, *input_shape, generator=generator).to(like)
    calls: list[tuple[str, nn.Module, Any, Any]] = []

    def exchange(name: str, module: nn.Module, inputs: tuple, output: Any) -> Any:
        if isinstance(output, Tensor):
            output = torch.rand(output.shape, generator=generator).to(output)
        calls.append((name, module, next(iter(inputs), None), output))
        return output

    result = _run(model, frames, exchange)
    _refuse_unless_chained(frames, calls, result)
    return [Call(name, module, x.shape, y.shape) for name, module, x, y in calls]


def _run(model: nn.Module, frames: Tensor, exchange) -> Tensor:
    hooks = [
        module.register_forward_hook(
            lambda module, inputs, output, name=name: exchange(name, module, inputs, output)
        )
        for name, module in _layers(model)
    ]
    try:
        reset_state(model)
        with in_evaluation(model):
            return model(frames)
    except (RuntimeError, IndexError, ValueError) as error:
        raise ValueError(
            f"model cannot run on inputs {list(frames.shape)}, which are [N_t, N, *input_shape]:"
            f" {first_line(error)}"
        ) from None
    finally:
        reset_state(model)
        for hook in hooks:
            hook.remove()


def _layers(module: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    children = [(of, child) for of, child in module.named_children() if of != "parametrizations"]
    if isinstance(module, base.MemoryModule) or not (children or type(module) is nn.Sequential):
        yield name, module
        return
    for of, child in children:
        yield from _layers(child, f"{name}.{of}" if name else of)


def _refuse_unless_chained(frames: Tensor, calls: list[tuple], result: Any) -> None:
    before, current, seen = "the input", frames, set()
    for name, _, given, output in calls:
        if name in seen:
            raise ValueError(f"{name}: called more than once")
        if not _same(given, current):
            raise ValueError(f"{name}: expected to get nothing but what {before} gives")
        before, current = name, output
        seen.add(name)
    if not calls:
        raise ValueError("model: no layer was called")
    if not any(_same(result, last) for last in (current, _mean_over_time(current))):
        raise ValueError(f"{before}: expected to be the last; the network goes on behind it")


def _mean_over_time(x: Any) -> Any:
    return x.mean(0) if isinstance(x, Tensor) else None


def _same(x: Any, expected: Any) -> bool:
    """Two tensors that are the same but for their shapes."""
    if not (isinstance(x, Tensor) and isinstance(expected, Tensor)):
        return False
    return x.numel() == expected.numel() and torch.allclose(x.flatten(), expected.flatten())
