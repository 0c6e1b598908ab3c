"""Networks of SpikingJelly's zoo, of snnTorch and of norse, tiny, through all that is done with one."""

import copy
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import torch
from conftest import Killed, kill
from spikingjelly.activation_based import functional, layer, neuron
from spikingjelly.activation_based.model.ms_resnet import MSResNet
from spikingjelly.activation_based.model.parametric_lif_net import NMNISTNet
from spikingjelly.activation_based.model.qkformer import QKFormer
from spikingjelly.activation_based.model.spikformer import Spikformer
from torch import nn
from torch.utils.data import TensorDataset

import snnq
from snnq.networks.zoo import zoo
from snnq.quantization.layers import layers_of

pytestmark = [
    pytest.mark.xdist_group("zoo"),  # which share its trained networks
    pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning"),  # of norse
]

STEPS, SIZE, CLASSES = 2, 16, 3  # frames are [N_t, N, 2, 16, 16]


def in_multi_step(model):
    functional.set_step_mode(model, "m")
    return model


def spiking_vgg():
    vgg = zoo("spiking_vgg").SpikingVGG
    with torch.device("meta"):  # the classifier has 120 million weights, whatever the features
        model = vgg([], spiking_neuron=neuron.LIFNode)
    model.features = vgg.make_layers([4, "M", 8, "M"], batch_norm=True, neuron=neuron.LIFNode)
    model.features[0] = layer.Conv2d(2, 4, 3, padding=1)
    model.avgpool = layer.AdaptiveAvgPool2d((2, 2))
    model.classifier = nn.Sequential(
        layer.Linear(8 * 2 * 2, 16), neuron.LIFNode(), layer.Dropout(), layer.Linear(16, CLASSES)
    )
    return in_multi_step(model)


def narrow(network, block, **options):
    """A ResNet with a sixteenth of its channels, one block in each stage, and two polarities."""

    class Narrow(network):
        def _make_layer(self, block, planes, *others, **named):
            self.inplanes = 4 if planes == 64 else self.inplanes
            return super()._make_layer(block, planes // 16, *others, **named)

    model = Narrow(block, [1, 1, 1, 1], CLASSES, spiking_neuron=neuron.LIFNode, **options)
    model.conv1, model.bn1 = layer.Conv2d(2, 4, 7, 2, 3, bias=False), layer.BatchNorm2d(4)
    model.fc = layer.Linear(32, CLASSES)
    return in_multi_step(model)


def spiking_resnet():
    resnet = zoo("spiking_resnet")
    return narrow(resnet.SpikingResNet, resnet.BasicBlock)


def sew_resnet():
    resnet = zoo("sew_resnet")
    return narrow(resnet.SEWResNet, resnet.BasicBlock, cnf="ADD")


def parametric_lif_net():
    model = NMNISTNet(2, neuron.ParametricLIFNode)
    model.conv_fc[-6] = layer.Linear(2 * 4 * 4, 16)
    model.conv_fc[-3] = layer.Linear(16, 10 * CLASSES)
    return in_multi_step(model)


def ms_resnet():
    return MSResNet(STEPS, 2, CLASSES, (1, 1, 1), 4, stem_kernel_size=3, stem_stride=1)


def spikformer():
    return Spikformer(STEPS, 2, SIZE, SIZE, 4, CLASSES, embed_dims=16, num_heads=2, depths=1)


def qkformer():
    return QKFormer(STEPS, 2, CLASSES, embed_dims=32, num_heads=(1, 1, 1), depths=(1, 1, 1))


class OneStepAtATime(nn.Module):
    """As the tutorials of snnTorch do: neurons that keep their state, called for each time step."""

    def __init__(self, neuron_of):
        super().__init__()
        self.convolution, self.spikes = nn.Conv2d(2, 4, 5, stride=2), neuron_of()
        self.hidden, self.more_spikes = nn.Linear(4 * 6 * 6, 16), neuron_of()
        self.output = nn.Linear(16, CLASSES)

    def forward(self, frames):
        return torch.stack([self.step(frame) for frame in frames])

    def step(self, frame):
        spikes = self.spikes(self.convolution(frame)).flatten(1)
        return self.output(self.more_spikes(self.hidden(spikes)))


def snntorch():
    import snntorch

    return OneStepAtATime(lambda: snntorch.Leaky(0.9, init_hidden=True, learn_beta=True))


class AllStepsAtOnce(nn.Module):
    """norse's own container hands the state on, and gives it back with the output."""

    def __init__(self, *layers):
        super().__init__()
        from norse.torch import SequentialState

        self.layers = SequentialState(*layers)

    def forward(self, frames):
        return self.layers(frames)[0]


def norse():
    from norse.torch import LI, LIF, LIFParameters, Lift

    return AllStepsAtOnce(
        Lift(nn.Conv2d(2, 4, 5, stride=2)),
        LIF(
            LIFParameters(v_th=torch.tensor(0.02))
        ),  # that is reached in two steps of a millisecond
        nn.Flatten(2),
        nn.Linear(4 * 6 * 6, CLASSES),
        LI(),
    )


FAMILIES = {
    make.__name__: make
    for make in (
        spiking_vgg,
        spiking_resnet,
        sew_resnet,
        parametric_lif_net,
        ms_resnet,
        spikformer,
        qkformer,
        snntorch,
        norse,
    )
}


@dataclass
class Trained:
    """A network after two training steps, and what makes it anew."""

    make: Callable[[], nn.Module]
    model: nn.Module
    folder: Path


def data(recordings=6, seed=1):
    generator = torch.Generator().manual_seed(seed)
    events = torch.full((recordings, STEPS, 2, SIZE, SIZE), 1.5)
    return TensorDataset(torch.poisson(events, generator), torch.arange(recordings) % CLASSES)


def frames():
    return data().tensors[0].transpose(0, 1)


def outputs(model):
    return snnq.predict(model, data())[0]


def lively(model):
    """Neurons fire in every layer."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.bias, 0, 3)
        elif isinstance(module, nn.Linear):
            module.weight.data.mul_(3).add_(0.1)
    return model


def quantized(make):
    # With an α for T = 1, which is large, neurons fire.
    return snnq.quantize(make(), "ternary", example=frames(), temperature=1.0)


def in_two_steps(model, folder, *callbacks):
    """Of a batch each, an epoch each."""
    settings = snnq.Settings(epochs=2, batch_size=len(data()), device="cpu")
    options = {"callbacks": callbacks, "progress": False}
    return snnq.train(model, data(), None, data(seed=2), settings, folder, **options)


@pytest.fixture(scope="module", params=FAMILIES)
def trained(request, peer, tmp_path_factory):
    if request.param in ("snntorch", "norse"):
        peer(request.param, importlib.util.find_spec(request.param))

    def make(seed=0):
        torch.manual_seed(seed)
        return lively(FAMILIES[request.param]())

    model, folder = quantized(make), tmp_path_factory.mktemp(request.param)
    in_two_steps(model, folder)
    return Trained(make, model, folder)


def test_training_goes_on_to_the_same_end(trained, tmp_path):
    def killed_in_the_second(row, _folder):
        if row["epoch"] == 2:
            kill()

    with pytest.raises(Killed):
        in_two_steps(quantized(trained.make), tmp_path, killed_in_the_second)
    model, epochs = quantized(trained.make), []
    in_two_steps(model, tmp_path, lambda row, _folder: epochs.append(row["epoch"]))
    assert epochs == [2]
    before, after = quantized(trained.make).state_dict(), trained.model.state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, after[name]), name
    moved = [name for name, tensor in before.items() if not torch.equal(tensor, after[name])]
    learned = {name for name, value in trained.model.named_parameters() if value.requires_grad}
    assert learned <= {*moved}


def test_a_file_fills_another_network_to_the_bit(trained, tmp_path):
    snnq.pack(trained.model, tmp_path / "net.safetensors")
    for path in (tmp_path / "net.safetensors", trained.folder / "packed.safetensors"):
        model = snnq.unpack(path, into=trained.make(seed=1))
        assert torch.equal(outputs(model), outputs(trained.model))
    assert outputs(model).std(0).any()  # recordings are told apart


def test_integers_are_the_weights_to_the_bit(trained):
    found = snnq.integers(trained.model)
    assert found.keys() == snnq.quantizers(trained.model).keys() and found
    for name, weight in found.items():
        levels = torch.tensor(weight.levels, dtype=torch.float64)
        expected = (weight.scale * levels[weight.codes.long()]).float()
        assert torch.equal(trained.model.eval().get_submodule(name).weight, expected)
        assert weight.levels == (-1, 0, 1) and weight.codes.dtype == torch.int8


def test_operations_are_the_connections_that_inputs_reach(trained):
    plain = snnq.evaluated_copy(trained.model)
    reached = dict.fromkeys(layers_of(plain), 0.0)

    def count(name, module, inputs, _output):
        ones = copy.deepcopy(module).double()
        for parameter in ones.parameters():
            parameter.data.copy_(parameter != 0) if parameter.ndim > 1 else parameter.data.zero_()
        reached[name] += ones.forward((inputs[0] != 0).double()).sum().item() / len(data())

    hooks = [m.register_forward_hook(partial(count, name)) for name, m in layers_of(plain).items()]
    outputs(plain)
    for hook in hooks:
        hook.remove()
    found = snnq.operations(trained.model, data()).set_index("layer")
    assert found["effective"].to_dict() == pytest.approx(reached)
    assert (found["dense"] >= found["effective"]).all()


def test_neurons_fire(trained):
    rates = snnq.firing_rates(trained.model, data())
    assert len(rates) and rates.between(0, 1).all() and rates.any()


def test_faults_are_in_a_copy(trained):
    before = outputs(trained.model)
    found = snnq.accuracy_with_faults(trained.model, data(), [0, 0.5], draws=1)
    accuracy, _ = snnq.evaluate(trained.model, data())
    assert found["flipped"][0] == 0 and found["accuracy"][0] == accuracy
    assert found["flipped"][1] > 0 and torch.equal(outputs(trained.model), before)


def test_fused_it_is_the_same(trained):
    fused = snnq.fuse(copy.deepcopy(trained.model))
    torch.testing.assert_close(outputs(fused), outputs(trained.model))
