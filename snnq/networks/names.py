"""What figures and tables call the layers of a network."""

from collections import Counter

from spikingjelly.activation_based.neuron import BaseNode
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.parametrize import type_before_parametrizations

KINDS = {_ConvNd: "Conv", nn.Linear: "FC", _BatchNorm: "BN"}
NODE = "Node"  # at the end of what SpikingJelly calls its neurons
SHORT = {"ParametricLIF": "PLIF"}


def layer_names(model: nn.Module) -> dict[str, str]:
    """Convolutions, linear layers, batch norms and SpikingJelly's neurons, by their modules' names.

    Modules that are only numbered, such as `layers.10`, are called by their kind and their place
    among it: "Conv 1", "FC 1", "BN 1", "PLIF 1". Where one has a name of its own, all keep theirs.
    """
    kinds = {name: kind for name, m in model.named_modules() if (kind := _kind(m))}
    if not all(name.rpartition(".")[2].isdecimal() for name in kinds):
        return {name: name for name in kinds}
    found: Counter[str] = Counter()
    names = {}
    for name, kind in kinds.items():
        found[kind] += 1
        names[name] = f"{kind} {found[kind]}"
    return names


def _kind(module: nn.Module) -> str | None:
    if isinstance(module, BaseNode):
        kind = type_before_parametrizations(module).__name__.removesuffix(NODE)
        return SHORT.get(kind, kind)
    return next((kind for of, kind in KINDS.items() if isinstance(module, of)), None)
