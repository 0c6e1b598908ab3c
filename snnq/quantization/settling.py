"""Weights kept away from the thresholds, so that what training saw is what evaluation keeps.

The optimizer parks a weight on a threshold b wherever a value between two levels serves the loss,
or has it cross to and fro (Nagel et al., "Overcoming Oscillations in Quantization-Aware Training",
ICML 2022). The soft network is then better than the hard one. Here a gap around each threshold
opens towards the end of training. A weight within it is put on its edge, on the side where it is:

    w ← max(w, b_k + g) and min(w, b_{k+1} − g),   b_k < w ≤ b_{k+1}

It can still cross where one step of the optimizer takes it past the gap, so the network settles as
the gap grows and the steps become smaller, and the other weights make up for it.
"""

import torch
from torch import Tensor, nn

from snnq.quantization.network import quantizers
from snnq.quantization.place import quantizer_input

GAP = 0.05  # to either side, of a scale on which the levels are 1 or 2 apart: β w at the start
SHARE = 0.25  # of the way to the next threshold, at most


class Settling:
    """The gaps around all thresholds of a network.

    Parameters
    ----------
    model : nn.Module
        Before training: the greatest weight of each layer sets how wide its gaps become.
    """

    def __init__(self, model: nn.Module):
        self.layers = []
        for name, quantizer in quantizers(model).items():
            weight = quantizer_input(model.get_submodule(name))
            size = weight.detach().abs().max() / (1.25 * max(map(abs, quantizer.levels)))
            self.layers.append((weight, quantizer, GAP * size.item()))

    @torch.no_grad()
    def __call__(self, share: float) -> None:
        """Put the weights out of the gaps, which are open to a share of 1 of their full width."""
        for weight, quantizer, gap in self.layers:
            thresholds = quantizer.thresholds(weight)
            if share and thresholds is not None:
                _keep_away(weight, thresholds, share * gap)


def _keep_away(weight: Tensor, thresholds: Tensor, gap: float) -> None:
    ends = thresholds.new_full((1,), torch.inf)
    between = torch.cat([ends, thresholds.diff(), ends]) * SHARE
    gaps = torch.minimum(between[:-1], between[1:]).clamp(max=gap)
    lowest, highest = torch.cat([-ends, thresholds + gaps]), torch.cat([thresholds - gaps, ends])
    level = torch.bucketize(weight, thresholds)
    weight.clamp_(lowest[level], highest[level])
