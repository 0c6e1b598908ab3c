import copy

import pytest
import torch
from spikingjelly.activation_based import functional, neuron, surrogate
from spikingjelly.activation_based.model.parametric_lif_net import NMNISTNet
from torch import nn

import snnq


def spikingjellys_network(channels: int) -> nn.Module:
    """SpikingJelly's own, with the settings of the PLIF paper."""
    network = NMNISTNet(
        channels,
        neuron.ParametricLIFNode,
        init_tau=2.0,
        surrogate_function=surrogate.ATan(),
        detach_reset=True,
    )
    functional.set_step_mode(network, "m")
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)  # the paper's network has none
    return network


def test_full_network_equals_spikingjellys_with_the_same_weights():
    torch.manual_seed(0)
    ours, theirs = snnq.build_model("nmnist"), spikingjellys_network(128)
    for parameter in ours.parameters():  # some activity in every layer, and τ away from its start
        parameter.data.add_(0.0008 if parameter.ndim == 2 else 0.1)
    state = {key.replace("layers.", "conv_fc."): value for key, value in ours.state_dict().items()}
    missing, unexpected = theirs.load_state_dict(state, strict=False)
    assert unexpected == [] and all(name.endswith("bias") for name in missing)
    frames = torch.poisson(torch.full((6, 2, 2, 34, 34), 0.7))
    for mode in (True, False):
        outputs = []
        for network in (ours, theirs):
            functional.reset_net(network)
            torch.manual_seed(1)  # dropout
            outputs.append(network.train(mode)(frames))
        assert torch.equal(outputs[0], outputs[1].mean(0))
        assert 0 < outputs[0].mean() < 1


def test_recordings_do_not_leak_into_each_other():
    torch.manual_seed(0)
    model = snnq.build_model("nmnist", channels=4)
    first, second = torch.poisson(torch.full((2, 3, 4, 2, 34, 34), 0.7))
    model.eval()
    alone = model(second)
    model(first)
    assert torch.equal(model(second), alone)


def test_network_can_be_copied_after_training():
    model = snnq.build_model("nmnist", channels=2)
    model(torch.rand(2, 2, 2, 34, 34)).sum().backward()
    copy.deepcopy(model)


@pytest.mark.parametrize("name", ["plif", "lif", "if"])
def test_every_neuron_learns(name):
    torch.manual_seed(0)
    model = snnq.build_model("nmnist", name, channels=4)
    rates = model(torch.poisson(torch.full((4, 3, 2, 34, 34), 1.0)))
    assert rates.shape == (3, 10)
    rates.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    assert model.layers[0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mnist",), "benchmark='mnist': expected one of nmnist"),
        (("nmnist", "relu"), "neuron='relu': expected one of plif, lif, if"),
        (("nmnist", "plif", 0), "channels=0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        snnq.build_model(*arguments)
