"""Networks that `build_model` does not make, as C: what PyTorch computes, or a refusal by name."""

import math
from collections import OrderedDict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import functional, layer, neuron
from spikingjelly.activation_based.model.parametric_lif_net import DVSGestureNet
from test_export_c import GCC, SANITIZED, compiled, in_double, run_c
from torch import nn
from torch.nn import functional as F

import snnq
from snnq.deployment.export_c import export_c


@pytest.fixture(autouse=True)
def gcc(peer):
    peer("gcc", GCC)


def counts(shape, recordings=2, steps=4, rate=0.5) -> torch.Tensor:
    """Frames, uint8 [recordings, steps, *shape]."""
    generator = torch.Generator().manual_seed(1)
    rates = torch.full((recordings, steps, *shape), rate)
    return torch.poisson(rates, generator=generator).to(torch.uint8)


@torch.no_grad()
def enlivened(model: nn.Module, frames: torch.Tensor, levels: str = "full") -> nn.Module:
    """Weights and batch norms with which neurons fire; in evaluation, and quantized."""

    def spread(module, inputs, output):
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 2)
            module.weight.uniform_(0.5, 1.5)
            module.bias.uniform_(0, 0.5)
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            factor = 1.5 / output.std(correction=0).clamp(min=0.1)
            for parameter in module.parameters():
                parameter.mul_(factor)
            return output * factor

    functional.set_step_mode(model, "m")
    hooks = [module.register_forward_hook(spread) for module in model.modules()]
    model.eval()(frames.transpose(0, 1).float())
    for hook in hooks:
        hook.remove()
    functional.reset_net(model)
    return model if levels == "full" else snnq.quantize(model, levels, keep=()).eval()


@torch.no_grad()
def assert_computed(model: nn.Module, frames: torch.Tensor, *flags: str) -> None:
    """The same potentials of all neurons at all steps, rates and classes as SpikingJelly's in
    float64; a spike more or less would show."""
    with TemporaryDirectory() as folder:
        program = compiled(model, Path(folder), *flags, input_shape=frames.shape[2:])
        classes, operations, rates, v = run_c(program, frames)
    reference, inputs = in_double(model), []
    nodes = [module for module in reference.modules() if isinstance(module, neuron.BaseNode)]
    for node in nodes:
        node.store_v_seq = True
    for module in reference.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(lambda m, x, _: inputs.append((m, x[0])))
    output = reference(frames.transpose(0, 1).double())
    expected = [above_reset(node) for node in nodes]
    if nodes:
        expected = torch.cat(expected, -1).numpy()
        np.testing.assert_allclose(v[..., : expected.shape[-1]], expected, rtol=1e-5, atol=1e-4)
    if not snnq.quantizers(model):
        reached = sum(weights_reached(*one, len(frames)) for one in inputs)
        np.testing.assert_array_equal(operations, reached)
    mean = (output.mean(0) if output.ndim == 3 else output).numpy()
    np.testing.assert_allclose(rates, mean, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(mean[range(len(mean)), classes], mean.max(1), rtol=1e-4, atol=1e-4)


def weights_reached(module: nn.Module, x: torch.Tensor, recordings: int) -> np.ndarray:
    """Of each recording, the weights from inputs that are not zero to any neuron."""
    weight, spikes = torch.ones_like(module.weight), (x > 0).double()
    if isinstance(module, nn.Linear):
        reached = F.linear(spikes, weight)
    else:
        options = module.stride, module.padding, module.dilation, module.groups
        reached = F.conv2d(spikes.reshape(-1, *x.shape[-3:]), weight, None, *options)
    of_each = x.shape[0] if x.ndim in (3, 5) else x.shape[0] // recordings
    return reached.reshape(of_each, recordings, -1).sum((0, 2)).numpy()


def above_reset(node: neuron.BaseNode) -> torch.Tensor:
    """[recordings, steps, neurons], the neurons as C has them: y, x, channel."""
    v = node.v_seq.transpose(0, 1) - (node.v_reset or 0)
    return (v.movedim(2, -1) if v.ndim == 5 else v).flatten(2)


class Vgg(nn.Module):
    """As networks of the zoo are written: a function of torch between modules, the mean in the end;
    a pooling that is used again, and one that leaves the image as it is."""

    def __init__(self):
        super().__init__()
        convolutions = nn.Conv2d(2, 6, 3, 2, 1), nn.Conv2d(6, 6, 3, padding="same", groups=3)
        self.convolutions = nn.ModuleList(map(layer.SeqToANNContainer, convolutions))
        self.nodes = nn.ModuleList((neuron.IFNode(v_reset=None), neuron.LIFNode(tau=1.5)))
        self.pool, self.same = layer.MaxPool2d(2), layer.AdaptiveAvgPool2d((2, 2))
        self.classifier = nn.Sequential(layer.Dropout(), layer.Linear(24, 3))

    def forward(self, frames):
        x = frames
        for convolution, node in zip(self.convolutions, self.nodes):
            x = self.pool(node(convolution(x)))
        return self.classifier(torch.flatten(self.same(x), 2)).mean(dim=0)


def all_convolutions():
    """Its classes are the channels of its last layer, whose spikes are counted at all pixels."""
    return nn.Sequential(
        layer.Conv2d(3, 4, 5, padding=2),
        nn.Sequential(neuron.IFNode(), layer.AvgPool2d((3, 2))),
        layer.Conv2d(4, 6, (2, 4), bias=False),
        neuron.LIFNode(3.0, v_reset=0.1),
        layer.AdaptiveAvgPool2d(1),
        layer.Flatten(),
        layer.VotingLayer(2),
    )


@pytest.mark.parametrize("levels", ["full", "ternary"])
@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (Vgg, (2, 16, 17)),
        (all_convolutions, (3, 9, 13)),
        (lambda: nn.Sequential(nn.Linear(70, 65), neuron.IFNode(), nn.Linear(65, 4)), (70,)),
        (lambda: nn.Linear(5, 3), (5,)),
        (lambda: DVSGestureNet(3, neuron.ParametricLIFNode), (2, 128, 128)),
    ],
)
def test_networks_of_other_makers(model, shape, levels):
    torch.manual_seed(0)
    frames = counts(shape, steps=2)
    frames.flatten()[0] = 255
    assert_computed(enlivened(model(), frames, levels), frames, *SANITIZED)


@st.composite
def neurons(draw) -> nn.Module:
    options = {"v_reset": draw(st.sampled_from([None, 0.0, -0.3, 0.2]))}
    options["v_threshold"] = draw(st.sampled_from([1.0, 0.7]))
    if draw(st.booleans()):
        return neuron.IFNode(**options)
    options["decay_input"] = draw(st.booleans())
    kind = draw(st.sampled_from([neuron.LIFNode, neuron.ParametricLIFNode]))
    return kind(3.0, **options)


@st.composite
def blocks(draw, image: tuple[int, int, int]) -> tuple[list[nn.Module], tuple[int, int, int]]:
    """A convolution and what follows it; of torch, or of SpikingJelly."""
    channels, *sides = image
    own = draw(st.booleans())
    library = layer if own else nn
    groups = draw(st.sampled_from([1, channels]))
    padding = tuple(draw(st.integers(0, 3)) for _ in sides)
    kernel = tuple(draw(st.integers(1, min(4, s + 2 * p))) for s, p in zip(sides, padding))
    stride = tuple(draw(st.integers(1, 2)) for _ in sides)
    outputs = groups * draw(st.integers(1, 3))
    places = [(s + 2 * p - k) // d + 1 for s, p, k, d in zip(sides, padding, kernel, stride)]
    convolution = library.Conv2d(
        channels, outputs, kernel, stride, padding, groups=groups, bias=draw(st.booleans())
    )
    stateless = [convolution]
    if draw(st.booleans()):
        stateless.append(library.BatchNorm2d(outputs))
    window = tuple(draw(st.integers(1, min(2, side))) for side in places)
    pool = draw(st.sampled_from([None, library.MaxPool2d(window), library.AvgPool2d(window)]))
    pooled = [] if pool is None else [pool]
    if not own:
        stateless = [layer.SeqToANNContainer(*stateless)]
        pooled = [layer.SeqToANNContainer(part) for part in pooled]
    if pool is not None:
        places = [side // size for side, size in zip(places, window)]
    return [*stateless, draw(neurons()), *pooled], (outputs, *places)


@st.composite
def networks(draw) -> tuple[nn.Module, tuple[int, ...], str]:
    image = tuple(draw(st.integers(1, most)) for most in (3, 8, 9))
    shape, parts = image, []
    for _ in range(draw(st.integers(0, 2))):
        block, image = draw(blocks(image))
        parts.append(nn.Sequential(*block))
    inputs, voters = math.prod(image), draw(st.integers(1, 2))
    if not parts and draw(st.booleans()):
        shape = (inputs,)
    else:
        parts.append(nn.Flatten(2))
    if draw(st.booleans()):
        parts += [layer.Linear(inputs, 7), layer.BatchNorm1d(7), draw(neurons()), layer.Dropout()]
        inputs = 7
    parts.append(nn.Linear(inputs, 3 * voters, bias=draw(st.booleans())))
    if draw(st.booleans()):
        parts.append(draw(neurons()))
    if voters > 1:
        parts.append(layer.VotingLayer(voters))
    return nn.Sequential(*parts), shape, draw(st.sampled_from(["full", "binary", "2bit"]))


@settings(max_examples=15)
@given(networks(), st.integers(0, 99))
def test_any_sequential_network(drawn, seed):
    model, shape, levels = drawn
    torch.manual_seed(seed)
    frames = counts(shape)
    assert_computed(enlivened(model, frames, levels), frames, "-O0")


def around(*parts: nn.Module) -> nn.Sequential:
    """A network [2, 6, 6] → 3 with some layers in its middle, on 4 channels of 6 × 6 pixels."""
    first = layer.Conv2d(2, 4, 3, padding=1), neuron.IFNode()
    model = nn.Sequential(*first, *parts, layer.Flatten(), nn.LazyLinear(3))
    functional.set_step_mode(model, "m")
    return model


class Own(nn.Module):
    """With a forward of its own."""

    def __init__(self, forward, **modules):
        super().__init__()
        self.own = forward
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x):
        return self.own(self, x)


def of_own(forward, **modules):
    return lambda: around(Own(forward, **modules))


def whole(forward):
    """Before or after a network's layers."""

    return lambda: Own(forward, layers=around())


def convolution(outputs=4, **settings):
    return layer.Conv2d(4, outputs, 3, padding=1, **settings)


def attended(attention, x):
    rows = x.flatten(0, 2).float()
    return attention(rows, rows, rows)[0].unflatten(0, x.shape[:3])


def changed_in_place(_, x):
    x.mul_(2)
    return x


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (of_own(lambda m, x: x + m.a(x), a=convolution()), "2: .*: add of Own"),
        (of_own(lambda m, x: torch.cat((x, x), 2)), "2: .*: cat of Own"),
        (
            of_own(lambda m, x: [m.a(x), m.b(x)][1], a=convolution(), b=convolution()),
            "2.b: .*: its input is not what 2.a gives",
        ),
        (of_own(lambda m, x: [m.a(x), x][1], a=neuron.IFNode()), "3: .* is not what 2.a gives"),
        (
            of_own(lambda m, x: m.a(m.b(m.a(x))), a=neuron.IFNode(), b=convolution()),
            "2.a: .* called 2 times",
        ),
        (
            of_own(lambda m, x: m.a(x.flatten(1, 3))[0].reshape(x.shape), a=nn.LSTM(6, 6)),
            "2.a: .*LSTM",
        ),
        (of_own(changed_in_place), "3: .*: its input is not what 1 gives"),
        (of_own(lambda m, x: x.flip(0)), "2: .*: flip of Own"),
        (of_own(lambda m, x: torch.from_numpy(x.numpy())), "3: .*: its input is not what 1 gives"),
        (lambda: around(layer.Flatten(2), layer.SpikingSelfAttention(4, 2)), "3.qkv_.*: .*Conv1d"),
        (
            of_own(lambda m, x: attended(m.a, x), a=nn.MultiheadAttention(6, 2)),
            "2.a: .*attention_forward of Multi",
        ),
        (
            lambda: around(layer.LinearRecurrentContainer(neuron.IFNode(), 6, 6)),
            "2: .*LinearRecurrent",
        ),
        (
            lambda: around(layer.ElementWiseRecurrentContainer(neuron.IFNode(), torch.add)),
            "2: .*ElementWise",
        ),
        (lambda: around(layer.MaxPool2d(3, 2)), "2: .*: stride=2 of MaxPool2d"),
        (lambda: around(layer.MaxPool2d(2, dilation=2)), "2: .*: dilation=2 of MaxPool2d"),
        (lambda: around(layer.AvgPool2d(2, padding=1)), "2: .*: padding=1 of AvgPool2d"),
        (lambda: around(layer.BatchNorm2d(4)), "2: .*: place after=IFNode of BatchNorm2d"),
        (lambda: around(layer.AdaptiveAvgPool2d(4)), "2: .*: output_size=4"),
        (
            lambda: around(layer.MaxPool2d(2), layer.AvgPool2d(2)),
            "3: .*: place after=MaxPool2d of AvgP",
        ),
        (lambda: around(convolution(dilation=2)), "2: .*: dilation=.2, 2. of Conv2d"),
        (lambda: around(nn.ReLU()), "2: cannot be written as C: relu of ReLU$"),
        (whole(lambda m, x: m.layers(x).sum(0)), "model: .*: sum of Own"),
        (whole(lambda m, x: m.layers(x).mean(1)), "model: .*: mean of Own"),
        (whole(lambda m, x: m.layers(x / 255)), "model: .*: div of Own"),
        (whole(lambda m, x: m.layers(x.transpose(0, 1))), "model: .*: transpose of Own"),
        (whole(lambda m, x: m.layers(x[:1])), "model: .*: getitem of Own"),
        (whole(lambda m, x: (m.layers(x),)), "model: .*: its output is not what layers.3 gives"),
        (
            whole(lambda m, x: m.layers(x).flatten(0, 1)),
            r"model: its output .* is \[6, 3\], expected",
        ),
        (
            whole(lambda m, x: m.layers(x.to(torch.bool).float())),
            "model: .*: to of Own|float of Own",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_what_is_not_one_layer_after_another_is_refused(tmp_path, model, message):
    model = model()
    with torch.no_grad():
        model.train()(torch.rand(3, 2, 2, 6, 6))  # initialises, and leaves a state
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=f"^{message}"):
        export_c(model, tmp_path / "out", input_shape=(2, 6, 6))
    assert not list(tmp_path.iterdir()) and all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (None, r"input_shape=None: expected \(channels, height, width\) or"),
        ((6, 6), r"input_shape=\(6, 6\): expected"),
        ((2, 0, 6), r"input_shape=\(2, 0, 6\): expected"),
        ((2, 6.0, 6), r"input_shape=\(2, 6.0, 6\): expected"),
        ((3, 6, 6), r"0: cannot be run with an input of \(3, 6, 6\): Given groups=1"),
        ((2, 7, 6), r"3: cannot be run with an input of \(2, 7, 6\): "),
    ],
)
def test_other_input_shapes_are_refused(tmp_path, shape, message):
    model = nn.Sequential(layer.Conv2d(2, 4, 3), neuron.IFNode(), nn.Flatten(2), nn.Linear(64, 3))
    functional.set_step_mode(model, "m")
    with pytest.raises(ValueError, match=f"^{message}"):
        export_c(model, tmp_path, input_shape=shape)
    assert not list(tmp_path.iterdir())


def test_a_batch_norm_over_another_axis_is_refused(tmp_path):
    """Of as many features as there are recordings in what the network is run with."""
    model = nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3), neuron.IFNode(step_mode="m"))
    with pytest.raises(ValueError, match="^1: .*: input=.2, 3, 3. of BatchNorm1d"):
        export_c(model, tmp_path, input_shape=(5,))


@pytest.mark.parametrize("names", [("fc", "fc_0"), ("ä", "ö"), ("int", "0"), ("fc", "layer_0_fc_0")])
def test_layers_whose_names_are_alike_in_c_are_told_apart(names):
    """And those that C means something else by."""
    first = nn.Sequential(layer.Linear(6, 5), neuron.IFNode())
    model = nn.Sequential(OrderedDict(zip((*names, "last"), (first, layer.Linear(5, 3), neuron.IFNode()))))
    frames = counts((6,))
    assert_computed(enlivened(model, frames), frames, "-O0")


@pytest.mark.parametrize("value", [None, nn.Sequential, "net.safetensors"])
def test_what_is_no_network_is_refused(tmp_path, value):
    with pytest.raises(ValueError, match=f"model is a {type(value).__name__}, expected"):
        export_c(value, tmp_path, input_shape=(5,))
