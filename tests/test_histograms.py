import numpy as np
import pytest
import torch
from torch import nn

import snnq
from snnq.quantization.histograms import weight_histograms


def own():
    return nn.ModuleDict({"a": nn.Conv1d(2, 9, 7), "b": nn.ConvTranspose2d(2, 9, 7), "c": nn.GRU(2, 2)})


@pytest.mark.parametrize("network", [lambda: snnq.build_model("nmnist", channels=2), own])
@pytest.mark.parametrize("levels, temperature", [("binary", 8), ("2bit", 8), ((-2, 0, 1), 20)])
def test_histograms_are_numpys(network, levels, temperature):
    torch.manual_seed(0)
    model = snnq.quantize(network(), levels, keep=("first", "c") if network is own else ("first",))
    snnq.set_temperature(model, temperature)
    rows = weight_histograms(model)
    assert [row.pop("layer") for row in rows] == list(snnq.quantizers(model))
    for row, (name, quantizer) in zip(rows, snnq.quantizers(model).items()):
        weights = model.get_submodule(name).parametrizations.weight.original.detach()
        scaled = (weights * quantizer.beta).detach().numpy()
        arguments = np.abs(np.subtract.outer(scaled, quantizer.biases.numpy())) * temperature
        share = (arguments.min(-1) < 4).mean()
        assert row.pop("in_transition") == pytest.approx(share, abs=1e-3) and 0.02 < share < 0.98
        assert [row.pop(scale) for scale in ("alpha", "beta")] == [quantizer.alpha, quantizer.beta]
        scaled = scaled / max(map(abs, quantizer.levels))
        counts, edges = np.histogram(scaled, bins=60, range=(-1.5, 1.5))
        # Weights on an edge may fall to either side of it.
        np.testing.assert_allclose(list(row.values()), counts / scaled.size, atol=1e-3)
        middles = (edges[:-1] + edges[1:]) / 2
        np.testing.assert_allclose([float(name) for name in row], middles, atol=1e-3)
        assert sum(row.values()) == pytest.approx(1)


def test_only_the_sigmoids_have_a_staircase_to_be_on():
    model = snnq.build_model("nmnist", channels=2)
    assert weight_histograms(model) == []
    snnq.quantize(model, "binary", quantizer=snnq.QUANTIZERS["sign"])
    assert weight_histograms(model) == []
