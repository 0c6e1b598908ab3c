"""Weights that become hard one after another, the surest first, while the others make up for it.

Sharpened all at once, the staircase leaves weights on its steps: the optimizer parks them there
wherever a value between two levels serves the loss, or has them cross to and fro (Nagel et al.,
"Overcoming Oscillations in Quantization-Aware Training", ICML 2022), and the hard network is not
the one that was trained. Here each weight has a moment from which on it is at its level, as in
evaluation, and stays; the rest of the network goes on learning around it (after Zhou et al.,
"Incremental Network Quantization", ICLR 2017, whose weights are rounded, largest first, in four
steps).

Of each layer's weights a share h is hard after a share p of the time between the first and the last,

    h = 1 − (1 − p)²,

those that lie farthest from the thresholds. At the end the network that is trained is the hard one.
"""

import math

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from snnq.quantization.base import LevelQuantizer
from snnq.quantization.network import quantizers
from snnq.quantization.place import quantizer_input

STAGES = 50  # of a layer, at most: sorting its weights takes longer than a training step


class Hardening:
    """Which weights of a network are hard by now.

    Parameters
    ----------
    model : nn.Module
        Its quantizers get the masks, `hardened`; those without thresholds are left alone.
    optimizer : Optimizer
        Of the weights: one that becomes hard loses its momentum, and stays where it is.
    between : two numbers, none, or None
        Shares of the training: when the first weights become hard, and from when on all are; ()
        for never. None: for each layer as its quantizer `hardens`.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer, between: tuple[float, ...] | None):
        self.optimizer = optimizer
        self.between: dict[str, tuple[float, ...]] = {}
        self.layers: dict[str, tuple[nn.Module, LevelQuantizer]] = {}
        for name, quantizer in quantizers(model).items():
            layer = model.get_submodule(name)
            weight = quantizer_input(layer)
            quantizer.hardened = None  # of a training before this one
            of_layer = quantizer.hardens if between is None else between
            if of_layer and quantizer.thresholds(weight) is not None:
                self.between[name] = of_layer
                self.layers[name] = layer, quantizer
                quantizer.hardened = torch.zeros_like(weight, dtype=torch.bool)
        self.shares = dict.fromkeys(self.layers, 0.0)

    @torch.no_grad()
    def __call__(self, time: float) -> None:
        """Harden what is due after a share of the training, from 0 to 1."""
        for name, (layer, quantizer) in self.layers.items():
            share = hard_share(time, *self.between[name])
            if share <= self.shares[name]:
                continue
            self.shares[name] = share
            weight = quantizer_input(layer)
            mask = quantizer.hardened
            soft = (~mask).flatten().nonzero().view(-1)
            due = round(share * mask.numel()) - (mask.numel() - soft.numel())
            distances = quantizer.distances(weight).flatten()[soft]
            surest = soft[distances.topk(due, sorted=False).indices]
            places = torch.unravel_index(surest, mask.shape)  # in memory of any order
            mask[places] = True
            for moment in self.optimizer.state.get(weight, {}).values():
                if getattr(moment, "shape", None) == weight.shape:
                    moment[places] = 0

    def state_dict(self) -> dict[str, Tensor]:
        return {name: quantizer.hardened for name, (_, quantizer) in self.layers.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        for name, (_, quantizer) in self.layers.items():
            quantizer.hardened.copy_(state[name])


def hard_share(time: float, first: float, last: float) -> float:
    """Of a layer's weights, in whole fiftieths, after a share of the training."""
    passed = min(1.0, max(0.0, time - first) / (last - first))
    return math.floor(STAGES * (1 - (1 - passed) ** 2)) / STAGES
