"""What a network costs: its synaptic operations and their energy.

An operation is a weight that is added to a neuron's input, once for each input that is not zero:
an accumulate (AC) where a layer's inputs are spikes, a multiply-accumulate (MAC) where they are
counts of events. All numbers of operations are means per recording, over all its time steps.
SpikingJelly's counters see neither weights that are zero nor a layer whose input exceeds 1, so the
inputs are counted here; the tests compare the two where both are defined.
"""

from collections import Counter

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from snnq.deployment.activity import activity
from snnq.deployment.observed import are_spikes, observe, warn_of_uncalled
from snnq.quantization.layers import layers_of
from snnq.storage.footprint import footprint

# Picojoules of a float32 addition and of a multiplication and an addition in 45 nm at 0.9 V
# (Horowitz, "Computing's energy problem", ISSCC 2014, fig. 1.1.9: 0.9 and 3.7).
AC_PICOJOULES, MAC_PICOJOULES = 0.9, 4.6
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
COLUMNS = ("layer", "operation", "weights", "zero_weights", "dense", "synops", "effective")


def costs(model: nn.Module, data: Dataset | Tensor) -> pd.DataFrame:
    """`footprint`, `operations` and `activity` side by side, a row per layer.

    What a layer does not have is missing: operations of batch norm, bytes of a neuron without
    parameters, say.
    """
    tables = footprint(model), operations(model, data), activity(model, data)
    table = pd.concat([one.set_index("layer") for one in tables], axis=1)
    layers = [name for name, _ in model.named_modules() if name in table.index]
    return table.loc[layers].reset_index()


def cost_summary(table: pd.DataFrame) -> pd.Series:
    """What `costs` says of a whole network, in NeuroBench's terms (Yik et al., Nature Commun. 2025).

    Returns
    -------
    pandas.Series
        bytes; connection_sparsity, the share of weights that are zero; activation_sparsity, the
        share of neurons and time steps without a spike (nan without any); per recording dense (see
        `operations`), effective_macs, effective_acs and nanojoules.
    """
    effective = table.groupby("operation")["effective"].sum()
    return pd.Series(
        {
            "bytes": table["bytes"].sum(),
            "connection_sparsity": _share(table["zero_weights"], table["weights"]),
            "activation_sparsity": 1 - _share(table["spikes"], table["neuron_steps"]),
            "dense": table["dense"].sum(),
            "effective_macs": effective.get("MAC", 0.0),
            "effective_acs": effective.get("AC", 0.0),
            "nanojoules": table["nanojoules"].sum(),
        }
    )


def _share(parts: pd.Series, of: pd.Series) -> float:
    whole = of.sum()
    return parts.sum() / whole if whole else float("nan")


def operations(model: nn.Module, data: Dataset | Tensor) -> pd.DataFrame:
    """Synaptic operations of each convolution and linear layer that is called, per recording.

    Of any network: what arrives at a layer is counted, however often it is called, be it for time
    steps, for tokens, or in several places. Connections that a border cuts off do not count, nor do
    biases, nor weights elsewhere (LSTM, recurrent cells), nor products of activations (attention). A
    warning names the layers that are never called; attention uses the weights of its last one so.
    The energy is that of the arithmetic of `effective` alone, in float32 whatever the bits of a
    weight: no memory access, which costs a chip more, no batch norm, no neurons.

    Parameters
    ----------
    model : nn.Module
        Takes inputs [N_t, N, ...], whether it loops over them or not.
    data : Dataset or Tensor
        Of (frames [N_t, ...], class), or inputs [N_t, N, ...].

    Returns
    -------
    pandas.DataFrame
        A row per layer: layer, operation ("AC" where every input of every recording is a spike: 0
        or 1, or -1 of ternary neurons; else "MAC"), weights, zero_weights; and per recording dense
        (all connections in all time steps), synops (those whose input is not zero), effective
        (those whose weight is not zero either) and nanojoules.
    """
    layers = layers_of(model)
    arrived = {name: Arrived(layer) for name, layer in layers.items()}
    recordings = observe(model, data, layers, lambda name, inputs, _: arrived[name].add(inputs))
    called = {name: of for name, of in arrived.items() if of.uses}
    warn_of_uncalled(model, called)
    rows = [{"layer": name, **of.counts(recordings)} for name, of in called.items()]
    table = pd.DataFrame(rows, columns=COLUMNS)
    prices = table["operation"].map({"AC": AC_PICOJOULES, "MAC": MAC_PICOJOULES})
    return table.assign(nanojoules=table["effective"] * prices / 1000)


class Arrived:
    """The inputs of a layer, added up over its calls.

    Attributes
    ----------
    uses : dict
        How often each input was not zero, by the shape of what the layer computes with at once:
        [features] of a linear layer, [C, ...] of a convolution. Dimensions before are time steps,
        recordings, tokens.
    times : Counter
        Of how many, by the same shape.
    spiking : Tensor
        Whether all inputs were spikes.
    """

    def __init__(self, layer: nn.Module):
        self.layer = layer
        self.uses: dict[torch.Size, Tensor] = {}
        self.times: Counter[torch.Size] = Counter()
        self.spiking = torch.tensor(True)

    def add(self, inputs: Tensor) -> None:
        """Those of one call."""
        shape = inputs.shape[1 - self.layer.weight.ndim :]
        uses = (inputs != 0).reshape(-1, *shape).sum(0)
        self.uses[shape] = self.uses.get(shape, 0) + uses
        self.times[shape] += inputs.numel() // shape.numel()
        self.spiking = self.spiking.to(uses.device) & are_spikes(inputs)

    def counts(self, recordings: int) -> dict:
        """What a row of `operations` says, but for the energy."""
        weights = self.layer.weight.detach() != 0
        ones = torch.ones_like(weights)
        always = {
            shape: uses.new_full(shape, self.times[shape]) for shape, uses in self.uses.items()
        }
        cases = {
            "dense": (always, ones),
            "synops": (self.uses, ones),
            "effective": (self.uses, weights),
        }
        totals = {
            case: sum(_connections(self.layer, uses.double(), of) for uses in by_shape.values())
            for case, (by_shape, of) in cases.items()
        }
        return {
            "operation": "AC" if self.spiking else "MAC",
            "weights": weights.numel(),
            "zero_weights": weights.numel() - weights.sum().item(),
            **{case: total / recordings for case, total in totals.items()},
        }


def _connections(layer: nn.Module, uses: Tensor, weights: Tensor) -> float:
    """Σ over the connections of a layer, of those weights, of how often its input is used."""
    weights = weights.to(uses)
    if isinstance(layer, nn.Linear):
        return (uses @ weights.sum(0)).item()
    # A convolution gives the uses of the weights; with those of a group's channels added up, once.
    if isinstance(layer, TRANSPOSED):
        compute = getattr(F, f"conv_transpose{weights.ndim - 2}d")
        settings = layer.stride, layer.padding, layer.output_padding, layer.groups, layer.dilation
        return compute(uses[None], weights.sum(1, keepdim=True), None, *settings).sum().item()
    of_groups = weights.unflatten(0, (layer.groups, -1)).sum(1)
    return layer._conv_forward(uses[None], of_groups, None).sum().item()
