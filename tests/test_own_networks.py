"""What the tools that copy, pack or export a network make of a changed one, and of none."""

import numpy as np
import pytest
import torch
from spikingjelly.activation_based import layer, neuron
from torch import nn
from torch.nn.utils import parametrize

import snnq
from snnq.deployment.neurobench import neurobench_results
from snnq.recordings.frames import Frames


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
@pytest.mark.parametrize("model", ["net.safetensors", None], ids=str)
def test_its_class_and_what_was_expected_are_said(tmp_path, data, tool, model):
    with pytest.raises(ValueError, match=f"model is a {type(model).__name__}, expected a "):
        tools(tmp_path, data)[tool](model)
    assert not list(tmp_path.iterdir())


def replaced(number, module):
    def change(model):
        module.step_mode = "m"
        model.layers[number] = module

    return change


def setting(number, name, value):
    return lambda model: setattr(model.layers[number], name, value)


@pytest.mark.parametrize(
    "change",
    [
        setting(2, "v_threshold", 0.5),
        setting(2, "v_reset", None),
        setting(6, "step_mode", "s"),
        setting(1, "eps", 0.1),
        setting(4, "padding", (0, 0)),
        replaced(2, neuron.IFNode()),
        replaced(0, layer.Conv2d(2, 2, 3, padding=1)),
        replaced(3, layer.AvgPool2d(2, 2)),
        lambda model: model.half(),
        lambda model: model.layers.append(nn.ReLU()),
        lambda model: model.layers.pop(15),
    ],
)
def test_a_changed_network_is_packed_without_architecture(tmp_path, change):
    """From which it would come back unchanged."""
    model, path = network(), tmp_path / "net.safetensors"
    change(model)
    snnq.pack(model, path)
    said = "holds the numbers of a snnq.networks.models.SpikingNetwork, not its layers; .* `into`"
    with pytest.raises(ValueError, match=f"{path}: {said}"):
        snnq.unpack(path)
    again = network()
    change(again)
    assert same_weights(snnq.unpack(path, into=again), model)


def test_a_change_within_a_block_is_one_of_the_network(tmp_path):
    model, path = snnq.build_model("nmnist", channels=2, network="sew_resnet18"), tmp_path / "net"
    snnq.pack(snnq.quantize(model, "binary"), path)
    assert snnq.unpack(path).architecture == model.architecture
    model.layers[5].sn1.v_threshold = 0.5
    snnq.pack(model, path)
    with pytest.raises(ValueError, match="not its layers"):
        snnq.unpack(path)


def same_weights(one, other):
    names = snnq.quantizers(other)
    assert names and list(snnq.quantizers(one)) == list(names)
    pairs = ((net.get_submodule(name).weight for net in (one, other)) for name in names)
    return all(torch.equal(*pair) for pair in pairs)


def test_another_architecture_with_the_same_tensors_is_refused(tmp_path):
    snnq.pack(snnq.build_model("nmnist", "lif", 1, size=8), tmp_path / "net.safetensors")
    snnq.unpack(tmp_path / "net.safetensors", into=snnq.build_model("nmnist", "lif", 1, size=8))
    with pytest.raises(ValueError, match="'neuron': 'lif'.*not that of into, .*'neuron': 'if'"):
        into = snnq.build_model("nmnist", "if", 1, size=8)
        snnq.unpack(tmp_path / "net.safetensors", into=into)


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
