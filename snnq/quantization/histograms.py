"""Where the weights of each layer are on their staircase as training goes on."""

import torch
from torch import Tensor, nn

from snnq.quantization.levels import distance_to_nearest
from snnq.quantization.network import quantizers
from snnq.quantization.place import quantizer_input
from snnq.quantization.sigmoid import SigmoidQuantizer

IN_TRANSITION = 4.0  # |T(βw − b)| below which a sigmoid is between 0.018 and 0.982
REACH = 1.5  # of the histograms, in units of the greatest level; weights start within 1.25
BINS = 60


def weight_histograms(model: nn.Module) -> list[dict[str, str | float]]:
    """Histogram of the scaled weights βw of each layer with a `SigmoidQuantizer`, a row per layer.

    Returns
    -------
    list of dict
        "layer"; "in_transition", the share of its weights that lie between two levels as training
        sees them: |T(βw − b)| < 4 for one of the thresholds b, at the present temperature T, and not
        hardened; "alpha" and "beta", the layer's scales of output and input; and for each bin the
        share of the layer's weights in it, under the bin's middle in units of the greatest level
        max|Y|. Weights beyond ±1.5 max|Y| are in no bin.
    """
    return [
        {"layer": name, **_of_layer(model.get_submodule(name), quantizer)}
        for name, quantizer in quantizers(model).items()
        if isinstance(quantizer, SigmoidQuantizer)
    ]


def histogram_columns() -> list[str]:
    """The bins' middles, as the rows name them."""
    width = 2 * REACH / BINS
    return [f"{-REACH + (i + 0.5) * width:.3f}" for i in range(BINS)]


@torch.no_grad()
def _of_layer(layer: nn.Module, quantizer: SigmoidQuantizer) -> dict[str, float]:
    scaled = quantizer_input(layer).float() * quantizer.beta.abs()
    # On the CPU: a GPU counts in any order, which deterministic algorithms forbid.
    counts = (scaled / max(map(abs, quantizer.levels))).cpu().histc(BINS, -REACH, REACH)
    shares = dict(zip(histogram_columns(), (counts / scaled.numel()).tolist()))
    scales = {"alpha": quantizer.alpha.item(), "beta": quantizer.beta.abs().item()}
    return {"in_transition": _in_transition(scaled, quantizer), **scales, **shares}


def _in_transition(scaled: Tensor, quantizer: SigmoidQuantizer) -> float:
    if quantizer.reachable is None:
        distances = distance_to_nearest(scaled, quantizer.biases)
    else:
        distances = quantizer.reachable.distances(scaled, quantizer.biases)
    soft = distances < IN_TRANSITION / quantizer.temperature
    if quantizer.hardened is not None:
        soft &= ~quantizer.hardened
    return soft.float().mean().item()
