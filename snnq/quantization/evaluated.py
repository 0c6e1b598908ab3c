"""The tensors of any network as evaluation sees them, without what makes them in training."""

import copy

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.nn.utils import parametrize

from snnq.quantization.layers import in_evaluation
from snnq.system.state import reset_state

STACKS = "parametrizations"  # where torch keeps a parametrized module's originals, in its state
BATCHES = "num_batches_tracked"  # of batch norm's state, for training alone


@torch.no_grad()
def evaluated_state(model: nn.Module) -> dict[str, Tensor]:
    """The state that evaluation needs: of every parameter and persistent buffer its value.

    What parametrizations make of a tensor, a quantizer or weight norm say, takes the tensor's
    place, by its own name. Of a tensor or module that a network has under several names, only the
    first is there. Counts of batch norm's batches are not: they are for training.

    Raises
    ------
    ValueError
        No `nn.Module`, a weight that is not initialised, or a state that is no tensor.
    """
    found, seen = {}, set()
    with in_evaluation(checked_network(model)):
        for name, tensor in model.state_dict(keep_vars=True).items():
            name, owner = _evaluated_name(name), id(tensor)
            if name.split(".")[-1] == BATCHES or name in found:
                continue
            if not isinstance(tensor, Tensor) or isinstance(tensor, UninitializedParameter):
                kind = type(tensor).__name__
                raise ValueError(f"{name}: its state is of {kind}, expected an initialised tensor")
            layer, _, own = name.rpartition(".")
            module = model.get_submodule(layer)
            if parametrize.is_parametrized(module, own):
                tensor, owner = getattr(module, own).detach(), (id(module), own)
            if owner not in seen:
                found[name] = tensor
                seen.add(owner)
    return found


def evaluated_copy(model: nn.Module) -> nn.Module:
    """Any network with the weights that evaluation sees in the place of quantizers, in evaluation.

    For tools that read a layer's `weight` and know of no parametrization. The model is left as it
    is, its neurons at rest. Raises ValueError for what is no `nn.Module`.
    """
    reset_state(checked_network(model))
    # What a forward pass has left, a pruned weight say, cannot be copied with its graph.
    left = (t for m in model.modules() for t in (vars(m) | m._buffers).values() if _has_graph(t))
    known = {id(tensor): tensor.detach().clone() for tensor in left}
    return without_parametrizations(copy.deepcopy(model, known)).eval()


@torch.no_grad()
def without_parametrizations(model: nn.Module) -> nn.Module:
    """Have every module hold the tensors that its parametrizations make in evaluation, in place."""
    with in_evaluation(model):
        for module in model.modules():
            if not parametrize.is_parametrized(module):
                continue
            tensors = {of: getattr(module, of).detach().clone() for of in module.parametrizations}
            # Not torch's remove_parametrizations, which takes the attribute from the class: that of
            # the network's copies as well.
            module.__class__ = parametrize.type_before_parametrizations(module)
            del module.parametrizations
            for of, tensor in tensors.items():
                setattr(module, of, nn.Parameter(tensor, tensor.is_floating_point()))
    return model


def _evaluated_name(name: str) -> str:
    """Of what a parametrized tensor is made from, the tensor's own name; others as they are."""
    parts = name.split(".")
    if STACKS in parts:
        place = parts.index(STACKS)
        parts = [*parts[:place], parts[place + 1]]
    return ".".join(parts)


def _has_graph(value: object) -> bool:
    return isinstance(value, Tensor) and not value.is_leaf


def checked_network(model: nn.Module) -> nn.Module:
    """The model itself; ValueError for what is no `nn.Module`."""
    if not isinstance(model, nn.Module):
        raise ValueError(f"model is a {type(model).__name__}, expected a torch.nn.Module")
    return model
