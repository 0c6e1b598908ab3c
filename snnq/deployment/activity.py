"""How often a network's neurons fire, whichever library they are from.

SpikingJelly's and snnTorch's neurons are known by their classes; all others, norse's and one's own,
by what they do: such a module holds no convolution or linear layer and makes spikes, and nothing
else, of inputs that are none or that it has weights of its own for. One that never fires is not
seen, nor one without weights whose inputs are spikes alone. Of modules in one another that do the
same, the outermost is the neuron: within it is its surrogate. A layer of `torch.nn`, or one derived
from it, is none.
"""

from collections import Counter

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from snnq.deployment.observed import are_spikes, observe
from snnq.quantization.layers import is_within, layers_of, weights_elsewhere

NEURONS = ("BaseNode", "SpikingNeuron")  # SpikingJelly's; snnTorch's, which need not be installed


def activity(model: nn.Module, data: Dataset | Tensor) -> pd.DataFrame:
    """Spikes of each spiking layer per recording, and neuron_steps, the most there could be:
    neurons times time steps."""
    found, recordings = _counted(model, data)
    rows = [
        {
            "layer": name,
            "spikes": layer.fired() / recordings,
            "neuron_steps": layer.outputs.total() / recordings,
        }
        for name, layer in found.items()
    ]
    return pd.DataFrame(rows, columns=["layer", "spikes", "neuron_steps"])


def firing_rates(model: nn.Module, data: Dataset | Tensor) -> pd.Series:
    """Spikes per neuron and time step of each spiking layer, over all recordings: from 0 to 1.

    Parameters
    ----------
    model : nn.Module
        Any network that takes inputs [N_t, N, ...], whether it loops over them or not.
    data : Dataset or Tensor
        Of (frames [N_t, ...], class), or inputs [N_t, N, ...].
    """
    table = activity(model, data).set_index("layer")
    return (table["spikes"] / table["neuron_steps"]).rename("firing rate").rename_axis(None)


def neuron_rates(model: nn.Module, data: Dataset | Tensor) -> dict[str, Tensor]:
    """Spikes per time step of each neuron, over all recordings: from 0 to 1.

    Parameters as of `firing_rates`.

    Returns
    -------
    dict
        Of each spiking layer, by its name, in the order of the forward pass: float64 Tensor of the
        layer's shape for one recording, [C, H, W] of a convolution's neurons. A module that is
        called for neurons of several shapes gives them all in a row.
    """
    return {name: layer.rates() for name, layer in _counted(model, data)[0].items()}


class SpikingLayer:
    """The spikes of a module, added up over its calls, if it is a layer of neurons.

    Attributes
    ----------
    spikes : dict
        How often each neuron fired, by the shape of the neurons in a call.
    outputs : Counter
        Of how many, over neurons, recordings and time steps; by the same shape.
    """

    def __init__(self, known: bool, takes_others: bool):
        self.known, self.only_spikes, self.takes_others = known, True, takes_others
        self.spikes: dict[torch.Size, Tensor] = {}
        self.outputs: Counter[torch.Size] = Counter()
        self._calls: dict[torch.Size, list[Tensor]] = {}  # since the batch began

    def see(self, inputs: Tensor, output: Tensor) -> None:
        if not self.known:
            self.only_spikes = self.only_spikes and are_spikes(output).item()
            self.takes_others = self.takes_others or not are_spikes(inputs).item()
        if self.only_spikes:
            self._calls.setdefault(output.shape, []).append(output.count_nonzero(0))

    def end_batch(self, steps: int, recordings: int) -> None:
        """Outputs are [N_t, N, ...] of a module that is called once, [N, ...] of one that is called
        in each time step: only now is known which."""
        for shape, calls in self._calls.items():
            spikes = torch.stack(calls).sum(0)
            # Where there are as many of both, [N, ...] may look the same: then one step is in a call.
            alike = steps == recordings and len(calls) >= max(steps, 2)
            if shape[:2] == (steps, recordings) and not alike:
                spikes = spikes.sum(0)
            of = spikes.shape
            self.spikes[of] = self.spikes.get(of, 0) + spikes.cpu()
            self.outputs[of] += len(calls) * shape.numel()
        self._calls.clear()

    def fired(self) -> int:
        return sum(spikes.sum().item() for spikes in self.spikes.values())

    def is_neuron(self) -> bool:
        return self.known or (self.only_spikes and self.takes_others and self.fired() > 0)

    def rates(self) -> Tensor:
        rates = [
            spikes.double() * spikes.numel() / self.outputs[of]
            for of, spikes in self.spikes.items()
        ]
        return rates[0] if len(rates) == 1 else torch.cat([of.flatten() for of in rates])


def _counted(model: nn.Module, data: Dataset | Tensor) -> tuple[dict[str, SpikingLayer], int]:
    """The spiking layers by name, and how many recordings they saw.

    SpikingJelly's `OutputMonitor` keeps a record of every batch and does not see whether time is in
    it, so that spikes are added up here. A hook makes fused layers run one by one.
    """
    modules, weighing, seen = _candidates(model), weights_elsewhere(model), {}

    def see(name: str, inputs: Tensor, output: Tensor) -> None:
        if name:
            of = SpikingLayer(_is_known(modules[name]), takes_others=name in weighing)
            seen.setdefault(name, of).see(inputs, output)
            return
        for layer in seen.values():  # the network itself, which is through with a batch
            layer.end_batch(*inputs.shape[:2])

    recordings = observe(model, data, modules | {"": model}, see)
    found = {name: layer for name, layer in seen.items() if layer.is_neuron()}
    return {name: layer for name, layer in found.items() if not _is_inside(name, found)}, recordings


def _candidates(model: nn.Module) -> dict[str, nn.Module]:
    """Neurons by their class, and what may be neurons: neither layers, nor within one, nor around."""
    modules = {name: module for name, module in model.named_modules() if name}
    known = {name: module for name, module in modules.items() if _is_known(module)}
    apart = *known, *layers_of(model)
    others = {
        name: module
        for name, module in modules.items()
        if not any(is_within(name, one) or is_within(one, name) for one in apart)
        and not any(kind.__module__.startswith("torch.nn") for kind in _kinds(module))
    }
    return known | others


def _is_known(module: nn.Module) -> bool:
    return any(kind.__name__ in NEURONS for kind in _kinds(module))


def _kinds(module: nn.Module) -> list[type]:
    """A module's class, and those from which it is derived up to `nn.Module`."""
    return [kind for kind in type(module).__mro__ if kind not in nn.Module.__mro__]


def _is_inside(name: str, others) -> bool:
    return any(name != other and is_within(name, other) for other in others)
