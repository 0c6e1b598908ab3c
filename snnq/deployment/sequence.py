"""The layers that a network runs one after another, found by running it.

How its modules are nested does not matter, nor how its `forward` is written, as long as what each
layer gets is what the layer before gave, in another shape at most. Whatever else is computed in
between (a sum, a concatenation, a product of attention, a slice of time) is seen, and refused by its
name. This is exact: tensors are followed by their identity, not compared by their values.
"""

from collections.abc import Collection
from itertools import chain
from typing import Any, NamedTuple

import torch
from spikingjelly.activation_based import base
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.nn.utils import parametrize
from torch.nn.utils.parametrize import type_before_parametrizations
from torch.overrides import TorchFunctionMode

from snnq.quantization.layers import in_evaluation
from snnq.system.files import first_line
from snnq.system.state import reset_state

STEPS, RECORDINGS = 2, 3  # of what it is run with; not the same, so that axes can be told apart
# What leaves all numbers as they are, and in their order.
SHAPING = {"flatten", "unflatten", "reshape", "view", "squeeze", "unsqueeze"}
SHAPING |= {"contiguous", "clone", "detach", "float", "double"}


class Call(NamedTuple):
    """A layer as it ran: its name, and the shapes of its input and output."""

    name: str
    module: nn.Module
    input: torch.Size
    output: torch.Size

    @property
    def kind(self) -> type:
        return type_before_parametrizations(self.module)


class _Refused(ValueError):
    pass


def sequence_of(
    model: nn.Module, shape: tuple[int, ...], layers: Collection[type], form: str
) -> tuple[list[Call], torch.Size]:
    """The layers in the order in which the network runs them, and the shape of its output.

    It runs once, in evaluation, with ones, and is left at rest.

    Parameters
    ----------
    model : nn.Module
        From [N_t, N, *shape] to [N_t, N, classes], or to the mean of that over time.
    shape : tuple of int
        Of one recording's input at one time step.
    layers : classes
        What is a layer. Modules of other classes are looked into; those that have a state, or
        parameters and no modules in them, are refused.
    form : str
        What the layers cannot be written as, where one is refused.

    Raises
    ------
    ValueError
        A network that is none, cannot take the shape, or does something else than one layer after
        another; with the name of the module that does it.
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"model is a {type(model).__name__}, expected a torch.nn.Module")
    tensors = (t for t in chain(model.parameters(), model.buffers()) if t.is_floating_point())
    example = next(tensors, torch.empty(0)).new_ones(STEPS, RECORDINGS, *shape)
    run = _Run(model, example, layers, form)
    hooks = register_module_forward_pre_hook(run.enter), register_module_forward_hook(run.leave)
    try:
        reset_state(model)
        with in_evaluation(model), torch.no_grad(), run:
            output = model(example)
    except _Refused:
        raise
    except Exception as error:
        raise ValueError(
            f"{run.place}: cannot be run with an input of {shape}: {first_line(error)}"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
        reset_state(model)
    run.refuse_unless_current("model", output)
    return run.calls, output.shape


class _Run(TorchFunctionMode):
    """What happens while a network runs: hooks of all modules, and every function of torch."""

    def __init__(
        self, model: nn.Module, example: Tensor, layers: Collection[type], form: str
    ):
        super().__init__()
        self.names = {module: name or "model" for name, module in model.named_modules()}
        self.layers, self.form = layers, form
        self.running: list[nn.Module] = []  # of which the last is a layer, or runs its own code
        self.calls: list[Call] = []
        self.others: dict[int, tuple[Tensor, str]] = {}  # by id, with what they were made by
        self._follow(example)

    def _follow(self, current: Tensor) -> None:
        self.current, self.version = current, current._version

    @property
    def place(self) -> str:
        """The name of the module that runs."""
        return self.names.get(self.running[-1], "model") if self.running else "model"

    @property
    def is_in_layer(self) -> bool:
        return bool(self.running) and type_before_parametrizations(self.running[-1]) in self.layers

    def enter(self, module: nn.Module, inputs: tuple) -> None:
        if self.is_in_layer:
            return
        self.running.append(module)
        if self.is_in_layer:
            self.refuse_unless_current(self.place, *inputs[:1])
        elif _is_whole(module):
            kind = type_before_parametrizations(module).__name__
            raise _Refused(f"{self.place}: cannot be written as {self.form}: {kind}")

    def leave(self, module: nn.Module, inputs: tuple, output: Any) -> None:
        if self.running[-1] is not module:
            return
        if self.is_in_layer:
            if not isinstance(output, Tensor):
                why = "it returns no tensor"
                raise _Refused(f"{self.place}: cannot be written as {self.form}: {why}")
            self.calls.append(Call(self.place, module, inputs[0].shape, output.shape))
            self._follow(output)
        self.running.pop()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if self.is_in_layer or result is self.current:
            return result
        if args and args[0] is self.current and self._keeps_numbers(function, result):
            self.refuse_unless_current(self.place, self.current)
            self._follow(result)
        else:
            self._note(function.__name__.strip("_"), args, result)
        return result

    def _note(self, function: str, args: tuple, result: Any) -> None:
        """What made a tensor that no layer did: the first function on the way to it."""
        kind = type(self.running[-1]).__name__
        new = f"{self.place}: cannot be written as {self.form}: {function} of {kind}"
        why = next((self.others[id(x)][1] for x in args if id(x) in self.others), new)
        made = result if isinstance(result, (tuple, list)) else (result,)
        self.others |= {id(one): (one, why) for one in made if isinstance(one, Tensor)}

    def _keeps_numbers(self, function, result: Any) -> bool:
        """Another shape, or in the end the mean over time."""
        if function.__name__ != "mean":
            return function.__name__ in SHAPING
        steps, *of_each = self.current.shape
        return steps == STEPS and of_each[:1] == [RECORDINGS] and [*result.shape] == of_each

    def refuse_unless_current(self, name: str, x: Any = None) -> None:
        """Raises ValueError unless this is what the layer before gave, unchanged since."""
        if x is self.current and x._version == self.version:
            return
        before = self.calls[-1].name if self.calls else "the network's input"
        which = "output" if name == "model" else "input"
        other = f"{name}: cannot be written as {self.form}: its {which} is not what {before} gives"
        raise _Refused(self.others.get(id(x), (x, other))[1])


def _is_whole(module: nn.Module) -> bool:
    """Whether a module has a state or numbers of its own, and is no container."""
    if isinstance(module, base.MemoryModule) or parametrize.is_parametrized(module):
        return True
    own = chain(module.parameters(recurse=False), module.buffers(recurse=False))
    return next(own, None) is not None and next(module.children(), None) is None
