import pytest
import torch
from spikingjelly.activation_based import layer, neuron
from torch import nn

import snnq
from snnq.deployment.chain import chain_of


class Network(nn.Module):
    """A convolution, neurons, and a linear layer behind what is computed between them."""

    def __init__(self, between, behind=lambda x: x.mean(0)):
        super().__init__()
        self.images = nn.Sequential(
            layer.Conv2d(2, 3, 3, step_mode="m"), neuron.IFNode(step_mode="m")
        )
        self.classes = layer.Linear(12, 5, step_mode="m")
        self.between, self.behind = between, behind

    def forward(self, frames):
        return self.behind(self.classes(self.between(self.images(frames))))


def names(model, shape=(2, 4, 4)):
    return [call.name for call in chain_of(model, shape)]


def test_layers_come_as_they_are_called():
    model = snnq.quantize(snnq.build_model("nmnist", channels=2, size=8), "binary")
    assert names(model, (2, 8, 8)) == [f"layers.{number}" for number in range(16)]
    assert names(Network(lambda x: x.flatten(2))) == ["images.0", "images.1", "classes"]
    images = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten())
    steps_and_recordings_at_once = layer.SeqToANNContainer(*images)
    assert names(steps_and_recordings_at_once) == ["0", "1"]


def test_a_network_is_left_as_it_was():
    model = Network(lambda x: x.flatten(2)).train()
    state, random = torch.random.get_rng_state(), model.classes.weight.clone()
    names(model)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(model.classes.weight, random) and model.images[1].v == 0.0
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("between", "behind", "message"),
    [
        (lambda x: 2 * x.flatten(2), None, "classes: expected to get nothing but what images.1 "),
        (lambda x: x.transpose(3, 4).flatten(2), None, "classes: expected to get nothing"),
        (lambda x: x.cumsum(0).flatten(2), None, "classes: expected to get nothing"),
        (lambda x: x.flatten(2), lambda x: x.softmax(2), "classes: expected to be the last"),
        (lambda x: x.flatten(2), lambda x: (x, x), "classes: expected to be the last"),
    ],
)
def test_what_no_layer_computes_is_seen(between, behind, message):
    model = Network(between, behind or (lambda x: x.mean(0)))
    with pytest.raises(ValueError, match=message):
        names(model)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = layer.Linear(3, 3, step_mode="m")

    def forward(self, x):
        return self.layer(self.layer(x))


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        (Twice(), (3,), "layer: called more than once"),
        (nn.Sequential(), (3,), "no layer was called"),
        (nn.Sequential(nn.Linear(3, 2), nn.GRU(2, 2)), (3,), "1: expected to be the last"),
        (nn.Sequential(nn.Linear(3, 2)), (4,), r"inputs \[2, 1, 4\], which are \[N_t, N, \*input"),
        (nn.Sequential(nn.Linear(3, 2)), (3.0,), r"input_shape=\(3.0,\): expected whole numbers"),
        (nn.Sequential(nn.Linear(3, 2)), (), r"input_shape=\(\): expected"),
        (nn.Sequential(nn.Linear(3, 2)), (0, 3), r"input_shape=\(0, 3\): expected"),
    ],
)
def test_what_is_no_chain_is_refused(model, shape, message):
    with pytest.raises(ValueError, match=message):
        names(model, shape)
