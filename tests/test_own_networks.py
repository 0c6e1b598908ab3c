"""What the tools that rebuild or export a network say of one that they do not know."""

import re

import numpy as np
import pytest
import torch
from spikingjelly.activation_based import layer, neuron
from torch import nn
from torch.nn.utils import parametrize

import snnq
from snnq.deployment.neurobench import neurobench_results
from snnq.recordings.frames import Frames


class Mine(nn.Sequential):
    pass


def tools(folder, data):
    return {
        "pack": lambda model: snnq.pack(model, folder / "net.safetensors"),
        "evaluated_copy": snnq.evaluated_copy,
        "faults": lambda model: snnq.accuracy_with_faults(model, data, [0.1], layers=["0"]),
        "neurobench": lambda model: neurobench_results(model, data),
    }


TOOLS = list(tools(None, None))


@pytest.fixture
def data():
    return Frames("test", np.zeros((3, 2, 2, 8, 8), np.uint8), np.arange(3))


def network():
    torch.manual_seed(0)
    return snnq.quantize(snnq.build_model("nmnist", channels=2, size=8), "binary").eval()


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("model", [Mine(nn.Linear(2, 2)), "net.safetensors", None], ids=str)
def test_its_class_and_what_was_expected_are_said(tmp_path, data, tool, model):
    with pytest.raises(ValueError, match=f"model is a {type(model).__name__}, expected a network"):
        tools(tmp_path, data)[tool](model)
    assert not list(tmp_path.iterdir())


def replaced(number, module):
    def change(model):
        module.step_mode = "m"
        model.layers[number] = module

    return change


def setting(number, name, value):
    return lambda model: setattr(model.layers[number], name, value)


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (setting(2, "v_threshold", 0.5), "layers.2: v_threshold=0.5, expected 1.0"),
        (setting(2, "v_reset", None), "layers.2: v_reset=None, expected 0.0"),
        (setting(6, "step_mode", "s"), "layers.6: step_mode=s, expected m"),
        (setting(1, "eps", 0.1), "layers.1: eps=0.1, expected 1e-05"),
        (setting(4, "padding", (0, 0)), "layers.4: padding=(0, 0), expected (1, 1)"),
        (replaced(2, neuron.IFNode()), "layers.2: class=IFNode, expected ParametricLIFNode"),
        (replaced(0, layer.Conv2d(3, 2, 3, padding=1, bias=False)), "layers.0: in_channels=3, "),
        (replaced(0, layer.Conv2d(2, 2, 3, padding=1)), "layers.0: bias=True, expected False"),
        (replaced(3, layer.AvgPool2d(2, 2)), "layers.3: class=AvgPool2d, expected MaxPool2d"),
        (lambda model: model.layers.append(nn.ReLU()), "layers.16: class=ReLU, expected None"),
        (lambda model: model.layers.pop(15), "layers.15: class=None, expected VotingLayer"),
    ],
)
def test_a_changed_layer_is_named(tmp_path, data, tool, change, message):
    """It is not in the architecture, from which these tools build the network anew."""
    model = network()
    change(model)
    with pytest.raises(ValueError, match=re.escape(message)):
        tools(tmp_path, data)[tool](model)
    assert not list(tmp_path.iterdir())


def test_what_training_alone_uses_may_be_changed(tmp_path):
    model = network()
    model.layers[9].p, model.layers[2].detach_reset = 0.1, False
    snnq.pack(model, tmp_path / "net.safetensors")


def test_weights_off_their_levels_are_not_packed(tmp_path):
    class Doubled(nn.Module):
        def forward(self, weight):
            return 2 * weight

    model = network()
    parametrize.register_parametrization(model.layers[4], "weight", Doubled())
    with pytest.raises(ValueError, match="layers.4: its weight in evaluation is not"):
        snnq.pack(model, tmp_path / "net.safetensors")


def test_weight_norm_is_packed_as_evaluated(tmp_path):
    torch.manual_seed(0)
    model = snnq.build_model("nmnist", channels=2, size=8)
    for number in (0, 4):
        nn.utils.parametrizations.weight_norm(model.layers[number])
    snnq.quantize(model, "2bit").eval()
    snnq.pack(model, tmp_path / "net.safetensors")
    unpacked = snnq.unpack(tmp_path / "net.safetensors")
    for number in (0, 4):
        for copy in (unpacked, snnq.evaluated_copy(model)):
            assert torch.equal(copy.layers[number].weight, model.layers[number].weight)
