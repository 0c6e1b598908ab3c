"""What a network costs: its synaptic operations and their energy.

An operation is a weight that is added to a neuron's input, once for each input that is not zero:
an accumulate (AC) where a layer's inputs are spikes, a multiply-accumulate (MAC) where they are
counts of events. All numbers of operations are means per recording, over all its time steps.
SpikingJelly's counters see neither weights that are zero nor a layer whose input exceeds 1, so the
inputs are counted here; the tests compare the two where both are defined.
"""

import pandas as pd
import torch
from spikingjelly.activation_based import monitor
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from snnq.deployment.activity import activity
from snnq.quantization.layers import QUANTIZED_LAYERS
from snnq.storage.footprint import footprint
from snnq.training.evaluation import predict

# Picojoules of a float32 addition and of a multiplication and an addition in 45 nm at 0.9 V
# (Horowitz, "Computing's energy problem", ISSCC 2014, fig. 1.1.9: 0.9 and 3.7).
AC_PICOJOULES, MAC_PICOJOULES = 0.9, 4.6
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def costs(model: nn.Module, data: Dataset) -> pd.DataFrame:
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
        share of neurons and time steps without a spike; per recording dense (see `operations`),
        effective_macs, effective_acs and nanojoules.
    """
    effective = table.groupby("operation")["effective"].sum()
    return pd.Series(
        {
            "bytes": table["bytes"].sum(),
            "connection_sparsity": table["zero_weights"].sum() / table["weights"].sum(),
            "activation_sparsity": 1 - table["spikes"].sum() / table["neuron_steps"].sum(),
            "dense": table["dense"].sum(),
            "effective_macs": effective.get("MAC", 0.0),
            "effective_acs": effective.get("AC", 0.0),
            "nanojoules": table["nanojoules"].sum(),
        }
    )


def operations(model: nn.Module, data: Dataset) -> pd.DataFrame:
    """Synaptic operations of each convolution and linear layer, per recording.

    Connections that a border cuts off do not count. The energy is that of the arithmetic of
    `effective` alone, in float32 whatever the bits of a weight: no memory access, which costs a
    chip more, no batch norm, no neurons.

    Returns
    -------
    pandas.DataFrame
        A row per layer: layer, operation ("AC" where every input of every recording is 0 or 1,
        else "MAC"), weights, zero_weights; and per recording dense (all connections in all time
        steps), synops (those whose input is not zero), effective (those whose weight is not zero
        either) and nanojoules.
    """
    with monitor.InputMonitor(model, QUANTIZED_LAYERS, _uses) as counted:
        predict(model, data)
    rows = []
    for name in counted.monitored_layers:
        layer = model.get_submodule(name)
        uses, steps, spiking = zip(*counted[name])
        uses, weights = sum(uses).double(), layer.weight.detach() != 0
        everywhere = torch.full_like(uses, sum(steps))
        cases = {
            "dense": (everywhere, torch.ones_like(weights)),
            "synops": (uses, torch.ones_like(weights)),
            "effective": (uses, weights),
        }
        rows.append(
            {
                "layer": name,
                "operation": "AC" if all(spiking) else "MAC",
                "weights": weights.numel(),
                "zero_weights": weights.numel() - weights.sum().item(),
                **{case: _connections(layer, *of) / len(data) for case, of in cases.items()},
            }
        )
    table = pd.DataFrame(rows)
    prices = table["operation"].map({"AC": AC_PICOJOULES, "MAC": MAC_PICOJOULES})
    return table.assign(nanojoules=table["effective"] * prices / 1000)


def _uses(inputs: Tensor) -> tuple[Tensor, int, bool]:
    """Of inputs [N_t, N, ...]: how often each was not zero [...], of N_t·N times, and whether all were
    spikes."""
    spiking = ((inputs == 0) | (inputs == 1)).all().item()
    return (inputs != 0).sum((0, 1)), inputs.shape[:2].numel(), spiking


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
