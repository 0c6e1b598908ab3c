import copy

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from spikingjelly.activation_based.model.parametric_lif_net import (
    CIFAR10DVSNet,
    DVSGestureNet,
    NMNISTNet,
)
from torch import nn

import snnq
from snnq.networks.zoo import zoo


def spikingjellys_network(network: type, channels: int) -> nn.Module:
    """SpikingJelly's own, with the settings of the PLIF paper."""
    network = network(
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


@pytest.fixture
def two_threads():
    """With one, oneDNN adds up a convolution in another order for each memory format."""
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("benchmark", "network", "channels", "more"),  # more: added to weights for activity everywhere
    [
        ("nmnist", NMNISTNet, 128, 0.0008),
        ("dvsgesture", DVSGestureNet, 16, 0.01),
        ("cifar10dvs", CIFAR10DVSNet, 16, 0.004),
    ],
)
def test_networks_equal_spikingjellys_with_the_same_weights(
    two_threads, benchmark, network, channels, more
):
    torch.manual_seed(0)
    ours, theirs = (
        snnq.build_model(benchmark, channels=channels),
        spikingjellys_network(network, channels),
    )
    for parameter in ours.parameters():  # τ away from its start, too
        parameter.data.add_(more if parameter.ndim == 2 else 0.1)
    state = {key.replace("layers.", "conv_fc."): value for key, value in ours.state_dict().items()}
    missing, unexpected = theirs.load_state_dict(state, strict=False)
    assert unexpected == [] and all(name.endswith("bias") for name in missing)
    sensor = snnq.BENCHMARKS[benchmark]
    frames = torch.poisson(torch.full((6, 2, 2, sensor.height, sensor.width), 0.7))
    for mode in (True, False):
        outputs = []
        for network in (ours, theirs):
            functional.reset_net(network)
            torch.manual_seed(1)  # dropout
            outputs.append(network.train(mode)(frames))
        assert torch.equal(outputs[0], outputs[1].mean(0))
        assert outputs[0].mean() > 0


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
    frames = torch.rand(2, 2, 2, 34, 34)
    model(frames).sum().backward()
    copied = copy.deepcopy(model).eval()
    assert torch.equal(copied(frames), model.eval()(frames))


@pytest.mark.parametrize(
    ("benchmark", "network", "size", "classes"),
    [
        ("ncaltech101", "plif", None, 101),
        ("ncaltech101", "plif", 48, 101),
        ("cifar10dvs", "vgg11", 48, 10),
        ("ncaltech101", "vgg11_gap", None, 101),
        ("ncaltech101", "spiking_vgg11", None, 101),
        ("cifar10dvs", "spiking_vgg11", 48, 10),
        ("ncaltech101", "sew_resnet18", None, 101),
        ("nmnist", "sew_resnet18", 9, 10),
    ],
)
def test_networks_fit_the_frames_and_classes(benchmark, network, size, classes):
    model = snnq.build_model(benchmark, channels=4, network=network, size=size)
    height, width = (size, size) if size else (180, 240)
    assert model(torch.rand(2, 3, 2, height, width)).shape == (3, classes)


def test_vgg11_has_the_papers_widths():
    model = snnq.build_model("cifar10dvs", network="vgg11", size=48)
    widths = [module.out_channels for module in model.layers if isinstance(module, nn.Conv2d)]
    assert widths == [64, 128, 256, 256, 512, 512, 512, 512]
    assert model.layers[-1].weight.shape == (10, 512 * 3 * 3)


def theirs_like(ours, theirs):
    """SpikingJelly's network, in multi-step mode, with the weights of ours, in their order."""
    functional.set_step_mode(theirs, "m")
    theirs.to_empty(device="cpu")
    names = theirs.state_dict().keys()
    theirs.load_state_dict(dict(zip(names, ours.state_dict().values(), strict=True)))
    return theirs


def lively(model):
    """Neurons fire in every layer."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.bias, 0, 2)
        elif isinstance(module, nn.Linear):
            module.weight.data.mul_(3).add_(0.05)
    return model


PLIF = {
    "spiking_neuron": neuron.ParametricLIFNode,
    "surrogate_function": surrogate.ATan(),
    "detach_reset": True,
}


def spikingjellys_vgg11():
    vgg = zoo("spiking_vgg")
    widths = [of if of == "M" else of // 64 for of in vgg.cfgs["A"]]
    with torch.device("meta"):
        model = vgg.SpikingVGG(widths, batch_norm=True, num_classes=10, **PLIF)
        model.features[0] = layer.Conv2d(2, 1, 3, padding=1)
        for number, sizes in {0: (8 * 7 * 7, 64), 3: (64, 64), 6: (64, 10)}.items():
            model.classifier[number] = layer.Linear(*sizes)
    return model


def spikingjellys_resnet18():
    with torch.device("meta"):
        model = zoo("sew_resnet").sew_resnet18(cnf="ADD", num_classes=10, **PLIF)
        model.conv1 = layer.Conv2d(2, 64, 7, 2, 3, bias=False)
    return model


@pytest.mark.parametrize(
    ("name", "channels", "size", "theirs"),
    [
        ("spiking_vgg11", 2, 224, spikingjellys_vgg11),  # where its pooling changes nothing
        ("sew_resnet18", 128, 34, spikingjellys_resnet18),
    ],
)
def test_networks_of_the_zoo_are_spikingjellys(two_threads, name, channels, size, theirs):
    torch.manual_seed(0)
    ours = lively(snnq.build_model("nmnist", "plif", channels, name, size, fused=False))
    theirs, outputs = theirs_like(ours, theirs()), []
    frames = torch.poisson(torch.full((3, 2, 2, size, size), 0.7))
    for network in (ours, theirs):
        torch.manual_seed(1)  # dropout
        out = network.train()(frames)
        out = out if network is ours else out.mean(0)
        out.square().sum().backward()
        outputs.append([out.detach(), *(parameter.grad for parameter in network.parameters())])
    for found, expected in zip(*outputs, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    assert outputs[0][0].std(0).all()


@pytest.mark.parametrize("name", ["spiking_vgg11", "sew_resnet18"])
def test_fused_networks_of_the_zoo_are_the_same(name):
    """But for rounding; what is not in a row of layers, a block's, stays as it is."""
    outputs = []
    for fused in (False, True):
        torch.manual_seed(0)
        model = lively(snnq.build_model("nmnist", "plif", 16, name, fused=fused)).train()
        out = model(torch.poisson(torch.full((3, 4, 2, 34, 34), 0.7)))
        out.square().sum().backward()
        outputs.append([out.detach(), *(parameter.grad for parameter in model.parameters())])
    for found, expected in zip(*outputs, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    assert outputs[0][0].std(0).all()


def test_networks_of_the_zoo_have_spikingjellys_widths():
    with torch.device("meta"):
        vgg, resnet = (
            snnq.build_model("cifar10dvs", network=name, size=32).layers
            for name in ("spiking_vgg11", "sew_resnet18")
        )
    widths = [module.out_channels for module in vgg if isinstance(module, nn.Conv2d)]
    assert widths == [64, 128, 256, 256, 512, 512, 512, 512]
    sizes = [tuple(module.weight.shape) for module in vgg if isinstance(module, nn.Linear)]
    assert sizes == [(4096, 512), (4096, 4096), (10, 4096)]
    blocks = [block.conv2.out_channels for block in resnet if hasattr(block, "conv2")]
    assert blocks == [64, 64, 128, 128, 256, 256, 512, 512]


def test_global_pooling_is_the_mean_over_all_places_after_the_last_convolution():
    torch.manual_seed(0)
    model = snnq.build_model("cifar10dvs", channels=4, network="vgg11_gap", size=48).eval()
    assert model.layers[-1].weight.shape == (10, 16)
    spikes = []
    model.layers[-4].register_forward_hook(lambda *_: spikes.append(_[-1]))
    frames = torch.poisson(torch.full((3, 2, 2, 48, 48), 0.7))
    for norm in model.layers:
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.bias, 0, 4)  # activity everywhere
    rates = model(frames)
    assert spikes[0].shape == (3, 2, 16, 6, 6) and 0 < spikes[0].mean() < 1
    expected = spikes[0].double().mean(dim=(0, 3, 4)) @ model.layers[-1].weight.double().T
    torch.testing.assert_close(rates.double(), expected, rtol=1e-5, atol=1e-6)


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
        (("nmnist", "plif", 8, "vgg16"), "network='vgg16': expected one of plif, vgg11"),
        (("nmnist", "plif", "8"), "channels='8': expected a whole number of at least 1"),
        (("nmnist", "plif", 2.5), "channels=2.5: expected a whole number of at least 1"),
        (("nmnist", "plif", True), "channels=True: expected a whole number of at least 1"),
        (("dvsgesture", "plif", 8, "plif", 16), "size=16: expected at least 32"),
        *((("nmnist", "plif", 8, "plif", size), f"size={size}: expected a whole number of at least 1") for size in (-5, 0, 2.5)),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        snnq.build_model(*arguments)


def test_a_network_knows_how_it_is_built_again():
    model = snnq.build_model("cifar10dvs", "lif", 2, "vgg11", 48)
    again = snnq.build_model(**model.architecture)
    assert {n: p.shape for n, p in model.named_parameters()} == {
        n: p.shape for n, p in again.named_parameters()
    }
    assert again.architecture == model.architecture
