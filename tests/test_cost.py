import math

import pandas as pd
import pytest
import torch
from torch import nn

import snnq
from snnq.cost import weight_bytes


@pytest.mark.parametrize(
    ("weights", "levels", "expected"),
    [(8, 2, 1), (9, 2, 2), (5, 3, 1), (6, 3, 2), (100, 3, 20), (3, 4, 1), (3, 8, 2), (3, 16, 2)],
)
def test_weight_bytes(weights, levels, expected):
    assert weight_bytes(weights, levels) == expected


def test_footprint_counts_every_number_once():
    model = snnq.build_model("nmnist", channels=4)
    numbers = sum(
        value.numel() for value in model.state_dict().values() if value.is_floating_point()
    )
    full = snnq.footprint(model)
    assert full["numbers"].sum() == numbers
    assert full["bytes"].sum() == full["bytes_float32"].sum() == 4 * numbers
    binary = snnq.footprint(snnq.quantize(model, "binary")).set_index("layer")
    assert binary["numbers"].sum() == numbers
    assert binary.loc["layers.4", "bytes"] == 4 * 4 * 9 / 8 + 4  # one bit each, and α
    assert binary.loc["layers.0", "bytes"] == binary.loc["layers.0", "bytes_float32"]


def test_footprint_of_the_full_networks_weights():
    """31.9 times on N-MNIST, as the paper's "up to 31" fits with the first layer kept."""
    with torch.device("meta"):
        model = snnq.build_model("nmnist")
    shapes = {name: m.weight.shape for name, m in model.named_modules() if isinstance(m, nn.Linear)}
    assert [tuple(shape) for shape in shapes.values()] == [(2048, 8192), (100, 2048)]
    linear = sum(math.prod(shape) for shape in shapes.values())
    conv = 128 * 128 * 9
    rest = snnq.footprint(model)["numbers"].sum() - linear - conv
    times = (linear + conv + rest) / ((linear + conv) / 32 + rest)
    assert times == pytest.approx(31.8, abs=0.15)


def test_firing_rates_are_spikes_per_neuron_and_step(tiny, in_tmp):
    torch.manual_seed(0)
    model = snnq.build_model("nmnist", channels=2).eval()
    model.layers[0].weight.data.add_(0.2)  # so that neurons fire
    _, test = snnq.load("nmnist", tiny["data"], 3)
    rates = snnq.firing_rates(model, test)
    frames = torch.stack([frames for frames, _ in test]).transpose(0, 1).float()
    with torch.no_grad():
        spikes = model.layers[:3](frames)
    assert list(rates.index) == ["layers.2", "layers.6", "layers.11", "layers.14"]
    assert rates["layers.2"] == pytest.approx(spikes.mean().item(), rel=1e-5)
    assert isinstance(rates, pd.Series) and rates["layers.2"] > 0
