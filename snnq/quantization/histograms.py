"""Where the weights of each layer are on their staircase as training goes on."""

from torch import nn

from snnq.quantization.network import quantizers
from snnq.quantization.place import quantizer_input
from snnq.quantization.sigmoid import SigmoidQuantizer

REACH = 1.5  # of the histograms, in units of the greatest level; weights start within 1.25
BINS = 60


def weight_histograms(model: nn.Module) -> list[dict[str, str | float]]:
    """Histogram of the scaled weights βw of each layer with a `SigmoidQuantizer`, a row per layer.

    Returns
    -------
    list of dict
        "layer", and for each bin the share of the layer's weights in it, under the bin's middle
        in units of the greatest level max|Y|. Weights beyond ±1.5 max|Y| are in no bin.
    """
    return [
        {"layer": name, **_shares(model.get_submodule(name), quantizer)}
        for name, quantizer in quantizers(model).items()
        if isinstance(quantizer, SigmoidQuantizer)
    ]


def histogram_columns() -> list[str]:
    """The bins' middles, as the rows name them."""
    width = 2 * REACH / BINS
    return [f"{-REACH + (i + 0.5) * width:.3f}" for i in range(BINS)]


def _shares(layer: nn.Module, quantizer: SigmoidQuantizer) -> dict[str, float]:
    scaled = quantizer_input(layer).detach().float() * quantizer.beta
    counts = (scaled / max(map(abs, quantizer.levels))).histc(BINS, -REACH, REACH)
    shares = (counts / scaled.numel()).tolist()
    return dict(zip(histogram_columns(), shares))
