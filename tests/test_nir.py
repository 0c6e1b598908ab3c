import importlib.util
import re
from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest
import torch
from conftest import PROJECT, mutated
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import functional, layer, neuron
from test_export_c import random_frames, random_network, trained_ternary
from torch import nn
from torch.nn import functional as F

import snnq
from snnq.deployment.nir_export import DT
from snnq.simulation.pictures import digits
from snnq.simulation.presets import DIGITS
from snnq.simulation.simulate import simulate_pictures
from snnq.system.state import reset_state

if importlib.util.find_spec("nir"):
    import nir

SIDES = 9, 8
IMAGES = (2, 6, 6)
NETWORKS = PROJECT / "results/reference/quick/networks"


@pytest.fixture(autouse=True)
def needed(peer):
    peer("nir", importlib.util.find_spec("nir"))


def written(model, folder, shape, target=None):
    """The graph of a network, as it is read again."""
    snnq.export_nir(model, folder / "net.nir", shape, target)
    return nir.read(folder / "net.nir")


@torch.no_grad()
def at_each_step(model, frames):
    """What a network of layers gives [N_t, N, …] from rest."""
    reset_state(model)
    return model.eval()(frames)


def halves(shape, rng, most=4):
    """Numbers that float32 adds up exactly, whatever the order."""
    return torch.from_numpy(rng.integers(-most, most + 1, shape) / 2.0).float()


def exact(module, rng):
    """With numbers of which float32 rounds none: some potentials are just the threshold."""
    if isinstance(module, (nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.BatchNorm1d)):
        for parameter in module.parameters():
            parameter.data = halves(parameter.shape, rng)
    if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm1d)):
        module.eps = 0.0
        module.running_mean = halves(module.running_mean.shape, rng)
        module.running_var = torch.from_numpy(
            4.0 ** rng.integers(-1, 2, module.num_features)
        ).float()
    return module


@st.composite
def neurons(draw):
    options = {
        "v_threshold": draw(st.sampled_from([0.5, 1.0, 1.5])),
        "v_reset": draw(st.sampled_from([0.0, -0.5])),
    }
    kind = draw(st.sampled_from([neuron.IFNode, neuron.LIFNode, neuron.ParametricLIFNode]))
    if kind is not neuron.IFNode:
        options["decay_input"] = draw(st.booleans())
    if kind is neuron.LIFNode:
        options["tau"] = draw(st.sampled_from([2.0, 4.0]))
    return kind(**options)


@st.composite
def networks(draw):
    """Layers that stand one behind the other, for frames of 4 channels."""

    def one_of(*choices):
        return draw(st.sampled_from(choices))

    maps, outputs, voters = one_of(2, 4), one_of(2, 6), one_of(1, 2)
    convolution = layer.Conv2d(
        4,
        maps,
        one_of(1, 2, 3),
        stride=one_of(1, 2, (2, 1)),
        padding=one_of(0, 1, (0, 2), "valid"),
        dilation=one_of(1, 2),
        bias=one_of(True, False),
    )
    pool = one_of(
        nn.Identity(),
        layer.MaxPool2d(2),
        layer.MaxPool2d(2, stride=1, padding=1),
        layer.AvgPool2d(2, stride=1),
        layer.Dropout(0.5),
    )
    images = [convolution, *one_of([], [layer.BatchNorm2d(maps)]), draw(neurons()), pool]
    images = nn.Sequential(*images, layer.Flatten())
    functional.set_step_mode(images, "m")
    inputs = images.eval()(torch.zeros(1, 1, 4, *SIDES)).shape[-1]
    reset_state(images)
    norm = one_of([], [layer.BatchNorm1d(outputs)])
    classes = [layer.Linear(inputs, outputs, bias=one_of(True, False)), *norm, draw(neurons())]
    model = nn.Sequential(images, nn.Sequential(*classes), layer.VotingLayer(voters))
    functional.set_step_mode(model, "m")
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return model.apply(lambda module: exact(module, rng)).eval()


def by_the_equations(graph, x):
    """What NIR says of nodes that stand one behind the other, in Euler steps and float64."""
    following, name, x = dict(graph.edges), "input", x.double()
    while (name := following[name]) != "output":
        node = graph.nodes[name]
        if isinstance(node, (nir.IF, nir.LIF)):
            x = neurons_by_the_equations(node, x, graph.metadata["dt"])
        elif isinstance(node, nir.Affine):
            x = x @ torch.from_numpy(node.weight.T).double() + torch.from_numpy(node.bias)
        elif isinstance(node, nir.Flatten):
            x = x.flatten(2 + node.start_dim)
        else:
            x = image_by_the_equations(node, x.flatten(0, 1)).unflatten(0, x.shape[:2])
    return x


def image_by_the_equations(node, x):
    step = tuple(map(int, node.stride))
    padding = node.padding if isinstance(node.padding, str) else tuple(map(int, node.padding))
    if isinstance(node, nir.Conv2d):
        weight, bias = torch.from_numpy(node.weight).double(), torch.from_numpy(node.bias).double()
        return F.conv2d(x, weight, bias, step, padding, tuple(map(int, node.dilation)))
    divisor = 1 if isinstance(node, nir.SumPool2d) else None
    return F.avg_pool2d(
        x, tuple(map(int, node.kernel_size)), step, padding, divisor_override=divisor
    )


def neurons_by_the_equations(node, x, dt):
    v, spikes = torch.from_numpy(node.v_reset), []
    for current in x:
        change = torch.from_numpy(node.r) * current
        if isinstance(node, nir.LIF):
            change = (torch.from_numpy(node.v_leak) - v + change) / torch.from_numpy(node.tau)
        v = v + dt * change
        spikes.append((v > torch.from_numpy(node.v_threshold)).double())
        v = torch.where(spikes[-1] > 0, torch.from_numpy(node.v_reset), v)
    return torch.stack(spikes)


@settings(max_examples=20)
@given(networks())
def test_the_graph_and_what_is_read_of_it_fire_as_the_network(tmp_path_factory, model):
    """To the bit: where a potential is at the threshold, too."""
    folder = tmp_path_factory.getbasetemp()
    frames = torch.poisson(torch.full((4, 3, 4, *SIDES), 0.5), generator=torch.manual_seed(0))
    expected = at_each_step(model, frames)
    graph = written(model, folder, (4, *SIDES))
    assert torch.equal(by_the_equations(graph, frames), expected.double())
    assert torch.equal(at_each_step(snnq.from_nir(folder / "net.nir"), frames), expected)


@pytest.mark.parametrize(
    "pool",
    [
        layer.MaxPool2d(3, stride=2, padding=1),
        layer.MaxPool2d((2, 1)),
        layer.AvgPool2d(3, stride=(1, 2), padding=1),
        layer.AvgPool2d(2, divisor_override=1),
        layer.AdaptiveAvgPool2d((3, 2)),
    ],
    ids=str,
)
def test_pools_of_spikes(tmp_path, pool):
    spikes = (torch.rand(3, 2, *IMAGES, generator=torch.manual_seed(0)) < 0.3).float()
    model = sequence(neuron.IFNode(), pool, layer.Flatten())
    graph, expected = written(model, tmp_path, IMAGES), at_each_step(model, spikes)
    torch.testing.assert_close(by_the_equations(graph, spikes), expected.double())
    assert torch.equal(at_each_step(snnq.from_nir(tmp_path / "net.nir"), spikes), expected)
    assert 0.1 < expected.mean() < 2


@pytest.mark.parametrize(
    ("levels", "quantizer", "bits"),
    [
        ("binary", snnq.SigmoidQuantizer, 1),
        ("pm2", snnq.SigmoidQuantizer, 3),
        ("4bit", snnq.QUANTIZERS["lsq"], 4),
        ("ternary", trained_ternary, 2),
    ],
)
def test_weights_are_levels_times_a_scale_of_each_channel(tmp_path, levels, quantizer, bits):
    frames = random_frames(9)
    model = random_network(frames, levels, quantizer, benchmark="nmnist", channels=5, size=9)
    graph = written(model.train(), tmp_path, (2, 9, 9))
    assert all(module.training for module in model.modules())
    model.eval()
    found = {name for name, node in graph.nodes.items() if "levels" in node.metadata}
    assert found == set(snnq.quantizers(model)) == {"layers.4", "layers.10", "layers.13"}
    for name in found:
        node, metadata = graph.nodes[name], graph.nodes[name].metadata
        scales = metadata["scales"].reshape(-1, *[1] * (node.weight.ndim - 1))
        values = scales * metadata["levels"][metadata["codes"]]
        np.testing.assert_allclose(node.weight, values, rtol=1e-6)
        assert metadata["bits"] == bits and node.weight.dtype == np.float32
    norm, weight = model.layers[5], model.layers[4].weight.detach().double()
    factor = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    folded = weight * factor[:, None, None, None]
    np.testing.assert_allclose(graph.nodes["layers.4"].weight, folded.detach().numpy(), rtol=1e-6)


@pytest.mark.parametrize("network", ["plif", "vgg11"])
def test_a_quantized_network_fires_as_before(tmp_path, network):
    """But where rounding decides: batch norm is in the weights."""
    options = {"benchmark": "cifar10dvs", "channels": 4, "size": 19, "network": network}
    frames = random_frames(19, recordings=2, steps=3)
    model = random_network(frames, "binary", **options)
    snnq.export_nir(model, tmp_path / "net.nir", (2, 19, 19))
    frames = frames.transpose(0, 1).float()
    found = at_each_step(snnq.from_nir(tmp_path / "net.nir"), frames).mean(0)
    torch.testing.assert_close(found, model(frames), rtol=1e-4, atol=1e-5)


def test_what_is_flattened_between_layers_is_flattened_in_the_graph(tmp_path):
    class Flattening(nn.Module):
        def __init__(self):
            super().__init__()
            self.input = layer.Conv2d(2, 3, 3, step_mode="m")
            self.output = layer.Linear(12, 5, step_mode="m")

        def forward(self, frames):
            return self.output(self.input(frames).flatten(2)).mean(0)

    model, frames = Flattening(), torch.rand(3, 2, 2, 4, 4)
    graph = written(model, tmp_path, (2, 4, 4))
    kinds = {name: type(node).__name__ for name, node in graph.nodes.items()}
    assert kinds == {
        "input": "Input",
        "input_": "Conv2d",
        "output.flatten": "Flatten",
        "output_": "Affine",
        "output": "Output",
    }
    found = at_each_step(snnq.from_nir(tmp_path / "net.nir"), frames).mean(0)
    torch.testing.assert_close(found, model(frames))


def test_a_network_that_was_read_is_quantized_trained_and_written_again(tmp_path):
    torch.manual_seed(0)
    frames = random_frames(8).transpose(0, 1).float()
    snnq.export_nir(snnq.build_model("nmnist", channels=2, size=8), tmp_path / "net.nir", (2, 8, 8))
    model = snnq.quantize(snnq.from_nir(tmp_path / "net.nir"), "binary").train()
    model(frames).mean(0).square().sum().backward()
    assert all((value.grad is not None) == value.requires_grad for value in model.parameters())
    graph = written(model, tmp_path, (2, 8, 8))
    found = {name for name, node in graph.nodes.items() if "levels" in node.metadata}
    assert found == {"layers_4", "layers_10", "layers_13"}
    again = at_each_step(snnq.from_nir(tmp_path / "net.nir"), frames)
    torch.testing.assert_close(again, at_each_step(model, frames))


def sequence(*layers):
    model = nn.Sequential(*layers).eval()
    functional.set_step_mode(model, "m")
    return model


class Twice(nn.Sequential):
    def forward(self, frames):
        return super().forward(super().forward(frames))


class Reshaping(nn.Sequential):
    def forward(self, frames):
        return super().forward(frames.reshape(*frames.shape[:2], 6, 2, 6))


def infinite(model):
    model[0].weight.data[0] = torch.inf
    return model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (sequence(nn.Conv2d(2, 2, 3)), "0: cannot be run with an input of (2, 6, 6)"),
        (sequence(layer.Conv2d(2, 2, 3), nn.ReLU()), "1: cannot be written as NIR: relu of ReLU"),
        (sequence(layer.Conv2d(2, 2, 3), neuron.QIFNode()), "1: cannot be written as NIR: QIF"),
        (sequence(layer.Conv2d(2, 2, 3, groups=2)), "0: cannot be written as NIR: groups=2 of"),
        (sequence(layer.Conv2d(2, 2, (3, 1))), "0: cannot be written as NIR: kernel_size=(3, 1)"),
        (
            sequence(layer.Conv2d(2, 2, 3, padding=1, padding_mode="reflect")),
            "0: cannot be written as NIR: padding_mode=reflect of Conv2d",
        ),
        (sequence(neuron.IFNode(v_reset=None)), "0: cannot be written as NIR: v_reset=None of IFN"),
        (sequence(layer.BatchNorm2d(2)), "0: cannot be written as NIR: place after=Input of Batch"),
        (
            sequence(layer.Conv2d(2, 2, 3), layer.BatchNorm2d(2, track_running_stats=False)),
            "1: cannot be written as NIR: track_running_stats=False",
        ),
        (
            sequence(layer.Conv2d(2, 2, 3), layer.MaxPool2d(2)),
            "1: cannot be written as NIR: input without spikes",
        ),
        (
            sequence(neuron.IFNode(), layer.MaxPool2d(2, ceil_mode=True)),
            "1: cannot be written as NIR: ceil_mode=True of MaxPool2d",
        ),
        (
            sequence(layer.AvgPool2d(2, padding=1, count_include_pad=False)),
            "0: cannot be written as NIR: count_include_pad=False of AvgPool2d",
        ),
        (sequence(layer.AdaptiveAvgPool2d(4)), "0: cannot be written as NIR: output_size=4 of"),
        (
            Reshaping(layer.AvgPool2d(1, step_mode="m")),
            "0: cannot be written as NIR: inputs=[6, 2, 6] of AvgPool2d",
        ),
        (sequence(layer.Flatten(2, 3)), "0: cannot be written as NIR: inputs=[36] of Flatten"),
        (sequence(layer.Linear(6, 2)), "0: cannot be written as NIR: inputs=[6] of Linear"),
        (
            Twice(neuron.IFNode(step_mode="m")),
            "0: cannot be written as NIR: it is called more than",
        ),
        (infinite(sequence(layer.Conv2d(2, 2, 3))), "0: its weight is not all finite"),
    ],
)
def test_what_is_no_node_is_named_before_anything_is_written(tmp_path, model, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        snnq.export_nir(model, tmp_path / "net.nir", IMAGES)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("target", "layers", "message"),
    [
        (
            "snntorch",
            [neuron.IFNode()],
            "0: snntorch does not read NIR's IF as it is meant: it gets",
        ),
        ("norse", [layer.AvgPool2d(2)], "0: norse does not read NIR's AvgPool2d as it is meant"),
        ("sinabs", [neuron.LIFNode()], "0: sinabs does not read NIR's LIF as it is meant: it"),
        (
            "norse",
            [neuron.LIFNode(), layer.MaxPool2d(2, padding=1)],
            "1: norse does not read NIR's SumPool2d as it is meant: its padding",
        ),
        ("lava", [neuron.IFNode()], "target='lava': expected one of snntorch, norse, spikingjelly"),
    ],
)
def test_what_an_importer_does_not_read_is_named(tmp_path, target, layers, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        snnq.export_nir(sequence(*layers), tmp_path / "net.nir", IMAGES, target)
    assert not list(tmp_path.iterdir())
    snnq.export_nir(sequence(*layers), tmp_path / "net.nir", IMAGES)


def graph_of(*nodes, edges=None):
    named = (
        {"input": nir.Input(np.array([3]))} | dict(nodes) | {"output": nir.Output(np.array([3]))}
    )
    edges = edges or [*zip(named, [*named][1:])]
    return nir.NIRGraph(named, edges, type_check=False)


def lif(tau=2 * DT, r=1.0, v_leak=0.0, v_threshold=1.0, v_reset=0.0):
    values = {"tau": tau, "r": r, "v_leak": v_leak, "v_threshold": v_threshold, "v_reset": v_reset}
    return nir.LIF(**{what: np.broadcast_to(value, 3).copy() for what, value in values.items()})


@pytest.mark.parametrize(
    ("nodes", "edges", "message"),
    [
        (
            lambda: [("a.b", nir.Scale(np.ones(3)))],
            None,
            "a.b: Scale: expected one of Conv2d, Affine",
        ),
        (lambda: [("a", lif(v_threshold=[1.0, 1, 2]))], None, "a: LIF: v_threshold: expected the "),
        (lambda: [("a", lif(tau=DT))], None, "a: LIF: tau is 1.0 time steps: expected more than 1"),
        (lambda: [("a", lif(r=-1.0))], None, "a: LIF: r=-1.0: expected more than 0"),
        (lambda: [("a", lif(v_leak=0.5))], None, "a: LIF: v_leak=0.5: expected v_reset, 0.0"),
        (
            lambda: [("a.b", lif()), ("a_b", lif())],
            None,
            "a_b: LIF: a layer cannot be called a_b, or no second one",
        ),
        (lambda: [("forward", lif())], None, "forward: LIF: a layer cannot be called forward"),
        (lambda: [("a", lif(r=np.nan))], None, "a: LIF: its r is not all finite"),
        (lambda: [("a", nir.Affine(np.ones((2, 3)), np.ones(3)))], None, "a: Affine: "),
        (
            lambda: [("a", lif())],
            [("input", "a"), ("a", "a"), ("a", "output")],
            "a: expected one way into it",
        ),
        (
            lambda: [("a", lif()), ("b", lif())],
            [("input", "a"), ("b", "output")],
            "b: expected one way from an input to an output",
        ),
        (lambda: [("a", lif())], [("input", "a")], "a: expected one way from an input to an out"),
        (
            lambda: [("a", nir.Flatten(np.array([2, 2, 3]), start_dim=2))],
            None,
            "a: Flatten: from 2 to -1: expected all axes",
        ),
    ],
)
def test_a_node_that_is_not_known_is_named(tmp_path, nodes, edges, message):
    path = tmp_path / "net.nir"
    nir.write(path, graph_of(*nodes(), edges=edges))
    with pytest.raises(ValueError, match=re.escape(f"{path}: {message}")):
        snnq.from_nir(path)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "net.nir"
    with pytest.raises(FileNotFoundError, match="net.nir: no such file"):
        snnq.from_nir(path)
    path.write_bytes(b"no graph")
    with pytest.raises(ValueError, match="net.nir: no NIR file"):
        snnq.from_nir(path)
    nir.write(path, graph_of(("a", lif())))
    with pytest.raises(ValueError, match="dt=0: expected seconds, above 0"):
        snnq.from_nir(path, dt=0)


def test_mutated_files_are_read_or_refused(tmp_path):
    model = sequence(layer.Conv2d(2, 3, 3), neuron.LIFNode(), layer.Flatten(), layer.Linear(48, 2))
    path, rng = tmp_path / "net.nir", np.random.default_rng(0)
    snnq.export_nir(model, path, IMAGES)
    content, refused = path.read_bytes(), 0
    for _ in range(40):
        path.write_bytes(mutated(content, rng))
        try:
            snnq.from_nir(path)
        except ValueError as error:
            assert str(error).startswith(f"{path}: ")
            refused += 1
    assert 15 < refused < 40


@pytest.mark.parametrize("kind", ["IF", "LIF"])
@given(
    r=st.floats(0.5, 3), rest=st.floats(-1, 1), threshold=st.floats(0.2, 2), tau=st.floats(1.5, 9)
)
@settings(max_examples=10)
def test_neurons_are_those_of_the_equations(tmp_path_factory, kind, r, rest, threshold, tau):
    """NIR's, in Euler steps of 2 ms and float64; other libraries' neurons rest where they like."""
    path, dt = tmp_path_factory.getbasetemp() / "neurons.nir", 2e-3
    node = lif(tau * dt, r, rest, rest + threshold, rest)
    if kind == "IF":
        node = nir.IF(node.r / dt, node.v_threshold, node.v_reset)
    nir.write(path, graph_of(("neurons", node)))
    x = torch.normal(0.5, 1.0, (20, 1, 3), generator=torch.manual_seed(0))
    found = at_each_step(snnq.from_nir(path, dt), x)
    expected = neurons_by_the_equations(node, x.double(), dt)
    assert torch.equal(found.double(), expected)


def test_a_potential_at_nirs_threshold_is_no_spike(tmp_path):
    nir.write(tmp_path / "net.nir", graph_of(("a", nir.IF(np.full(3, 1 / DT), np.ones(3)))))
    found = at_each_step(snnq.from_nir(tmp_path / "net.nir"), torch.ones(3, 1, 3))
    assert found.flatten(1).tolist() == [[0, 0, 0], [1, 1, 1], [0, 0, 0]]


@pytest.fixture(scope="session")
def hundred_digits(tmp_path_factory):
    """Frames [N_t, 100, 2, 34, 34] of simulated recordings that were not trained on."""
    root, pictures = tmp_path_factory.mktemp("hundred"), digits()
    simulate_pictures("nmnist", root, pictures[:1] + pictures[-100:], "digits", setting=DIGITS)
    _, test = snnq.load("nmnist", root, steps=3, cache=root / "frames")
    return torch.tensor(test.frames).transpose(0, 1).float()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of norse and its importer
@pytest.mark.parametrize("library", ["snnq", "snntorch", "norse", "spikingjelly"])
def test_a_trained_network_fires_the_same_in_other_simulators(
    tmp_path, peer, hundred_digits, library
):
    for needed in ("nirtorch", library):
        peer(needed, importlib.util.find_spec(needed))
    from nir_peers import compared

    model = snnq.unpack(min(NETWORKS.glob("*nmnist*binary*.safetensors")))
    target = None if library == "snnq" else library
    snnq.export_nir(model, tmp_path / "net.nir", (2, 34, 34), target)
    found = compared(model, hundred_digits, tmp_path / "net.nir", library)
    assert found["recordings"] == 100 and found["spikes"] > 0.01 * found["compared"]
    assert found["different"] < 1e-5 * found["spikes"] and found["other_classes"] == 0
    assert found["values"] == 2


SPIKING = {
    "if": partial(neuron.IFNode, v_threshold=0.8),
    "reset below 0": partial(neuron.LIFNode, tau=3.0, v_threshold=0.3, v_reset=-0.3),
    "input not decayed": partial(neuron.LIFNode, tau=1.7, decay_input=False),
}
POOLS = {"max": layer.MaxPool2d(2), "average": layer.AvgPool2d(2)}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("kind", SPIKING)
@pytest.mark.parametrize("library", ["snntorch", "norse", "spikingjelly"])
def test_other_neurons_and_pools_in_other_simulators(tmp_path, peer, library, kind, pool):
    for needed in ("nirtorch", library):
        peer(needed, importlib.util.find_spec(needed))
    from nir_peers import IMPORTERS, step_by_step

    torch.manual_seed(0)
    images = [layer.Conv2d(2, 4, 3), layer.BatchNorm2d(4, momentum=1.0), SPIKING[kind]()]
    classes = [layer.Linear(16, 6), layer.BatchNorm1d(6, momentum=1.0), SPIKING[kind]()]
    model = sequence(*images, POOLS[pool], layer.Flatten(), *classes, layer.Linear(6, 3))
    frames = torch.rand(8, 50, *IMAGES)
    model.train()(frames)  # so that batch norm gives its neurons inputs of a spread of 1
    refused = (library, kind) == ("snntorch", "if") or (library, pool) == ("norse", "average")
    with pytest.raises(ValueError, match="as it is meant") if refused else nullcontext():
        snnq.export_nir(model, tmp_path / "net.nir", IMAGES, library)
    if not refused:
        expected = at_each_step(model, frames)
        assert len(expected.flatten(0, 1).unique(dim=0)) > 10
        found = step_by_step(frames)(IMPORTERS[library](tmp_path / "net.nir"))
        torch.testing.assert_close(found, expected.mean(0), rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("library", "node"), [("snntorch", neuron.IFNode()), ("norse", layer.AvgPool2d(2))]
)
def test_what_is_refused_for_an_importer_is_not_read_by_it(tmp_path, peer, library, node):
    """snnTorch 1.0.0 raises; norse 1.1.0 leaves out the pooling and one side of it."""
    for needed in ("nirtorch", library):
        peer(needed, importlib.util.find_spec(needed))
    from nir_peers import IMPORTERS, step_by_step

    model = sequence(layer.Conv2d(2, 3, 3), node, layer.Flatten(), layer.Linear(12, 2))
    if isinstance(node, neuron.IFNode):
        model[3] = layer.Linear(48, 2, step_mode="m")
    frames, found = torch.ones(2, 3, *IMAGES), None
    snnq.export_nir(model, tmp_path / "net.nir", IMAGES)
    try:
        found = step_by_step(frames)(IMPORTERS[library](tmp_path / "net.nir"))
    except (AssertionError, RuntimeError):
        return
    assert found.shape != at_each_step(model, frames)[0].shape


@pytest.mark.parametrize("shape", [(), (2, 6.0, 6), (2, 0, 6)])
def test_what_is_no_shape_is_refused(tmp_path, shape):
    with pytest.raises(ValueError, match="input_shape=.*: expected whole numbers above 0"):
        snnq.export_nir(sequence(neuron.IFNode()), tmp_path / "net.nir", shape)
