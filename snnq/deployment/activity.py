"""How often a network's neurons fire."""

from contextlib import ExitStack
from functools import partial

import pandas as pd
from spikingjelly.activation_based import neuron
from torch import Tensor, nn
from torch.utils.data import Dataset

from snnq.training.evaluation import predict


def activity(model: nn.Module, data: Dataset) -> pd.DataFrame:
    """Spikes of each spiking layer per recording, and neuron_steps, the most there could be:
    neurons times time steps."""
    rows = [
        {
            "layer": name,
            "spikes": spikes.sum().item() / len(data),
            "neuron_steps": spikes.numel() * times / len(data),
        }
        for name, (spikes, times) in _counted(model, data).items()
    ]
    return pd.DataFrame(rows, columns=["layer", "spikes", "neuron_steps"])


def firing_rates(model: nn.Module, data: Dataset) -> pd.Series:
    """Spikes per neuron and time step of each spiking layer, over all recordings: from 0 to 1."""
    table = activity(model, data).set_index("layer")
    return (table["spikes"] / table["neuron_steps"]).rename("firing rate").rename_axis(None)


def neuron_rates(model: nn.Module, data: Dataset) -> dict[str, Tensor]:
    """Spikes per time step of each neuron, over all recordings: from 0 to 1.

    Returns
    -------
    dict
        Of each spiking layer, by its name, in the order of the forward pass: float64 Tensor of the
        layer's shape for one recording, [C, H, W] of a convolution's neurons.
    """
    return {
        name: spikes.double() / times for name, (spikes, times) in _counted(model, data).items()
    }


def _counted(model: nn.Module, data: Dataset) -> dict[str, tuple[Tensor, int]]:
    """Of each spiking layer: the spikes of each neuron, and in how many steps of all recordings.

    SpikingJelly's `OutputMonitor` keeps a record of every batch and does not see whether time is in
    it, so that spikes are added up here. A hook makes fused layers run one by one.
    """
    counted: dict[str, tuple[Tensor, int]] = {}

    def count(name: str, node: neuron.BaseNode, _inputs: tuple, output: Tensor) -> None:
        spikes = output.count_nonzero((0, 1) if node.step_mode == "m" else 0)
        before, times = counted.get(name, (0, 0))
        counted[name] = before + spikes.cpu(), times + output.numel() // spikes.numel()

    with ExitStack() as hooks:
        for name, node in model.named_modules():
            if isinstance(node, neuron.BaseNode):
                hooks.enter_context(node.register_forward_hook(partial(count, name)))
        predict(model, data)
    return counted
