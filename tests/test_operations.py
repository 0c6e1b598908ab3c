"""Synaptic operations of any network, against connections tried one by one and against NeuroBench."""

import copy
import importlib
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn

import snnq
from snnq.deployment import neurobench
from snnq.networks.zoo import zoo

STEPS, RECORDINGS, CHANNELS = 3, 2, 4


def outgoing(module, shape, weights):
    """By input, to how many outputs a layer with these weights connects it: each input alone is put
    through the layer."""
    module = copy.deepcopy(module).double()
    module.weight.data, module.bias = weights.double(), None
    ones = torch.eye(shape.numel(), dtype=torch.float64).reshape(-1, *shape)
    with torch.no_grad():
        return (module(ones) != 0).flatten(1).sum(1).reshape(shape)


def counted_by_hand(module, weights, calls):
    """Dense, used and effective connections over all calls, and whether only spikes arrived."""
    total = torch.zeros(3, dtype=torch.float64)
    for x in calls:
        one = x.shape[1 - weights.ndim :]
        x = x.reshape(-1, *one)
        every, kept = (outgoing(module, one, of) for of in (torch.ones_like(weights), weights != 0))
        used = x != 0
        total += torch.stack([len(x) * every.sum(), (used * every).sum(), (used * kept).sum()])
    return total, all(set(x.unique().tolist()) <= {0, 1} for x in calls)


class Own(nn.Module):
    """A convolution, and a linear layer that sees tokens twice: the second time added to what it
    made of them. At every time step, or with all at once. It notes what its layers see."""

    def __init__(self, stem, tokens, loops):
        super().__init__()
        self.stem, self.shared = stem, nn.Linear(tokens, tokens)
        self.head, self.loops = nn.Linear(tokens, 3), loops
        self.calls = {"stem": [], "shared": [], "head": []}

    def through(self, name, x):
        self.calls[name].append(x)
        return self.get_submodule(name)(input=x)

    def step(self, x):
        tokens = (self.through("stem", x) > 0).float().flatten(2).mT  # [N, L, C]
        made = (self.through("shared", tokens) > 0).float()
        again = (self.through("shared", tokens + made) > 0).float()
        return self.through("head", again.mean(1))

    def forward(self, frames):
        if self.loops:
            return torch.stack([self.step(frame) for frame in frames])
        return self.step(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])


@st.composite
def convolutions(draw):
    """One of any kind that gives something out for five pixels a side, and its dimensions."""
    dimensions, side = draw(st.sampled_from([1, 2, 3])), draw(st.integers(1, 3))
    transposed, stride = draw(st.booleans()), draw(st.integers(1, 3))
    settings = {
        "stride": stride,
        "padding": draw(st.integers(0, side - 1)),
        "dilation": draw(st.integers(1, 2)),
        "groups": draw(st.sampled_from([1, 2])),
        "bias": draw(st.booleans()),
    }
    if transposed:
        settings["output_padding"] = draw(st.integers(0, stride - 1))
    kind = getattr(nn, f"Conv{'Transpose' if transposed else ''}{dimensions}d")
    return kind(CHANNELS, CHANNELS, side, **settings), dimensions


@settings(max_examples=40)
@given(convolutions(), st.booleans(), st.sampled_from([None, "ternary"]), st.integers(0, 99))
def test_operations_are_those_tried_one_by_one(convolution, loops, levels, seed):
    torch.manual_seed(seed)
    stem, dimensions = convolution
    stem.reset_parameters()
    model = Own(stem, CHANNELS, loops).eval()
    layers = copy.deepcopy(dict(model.named_children()))
    if levels:
        snnq.quantize(model, levels, keep=())
    frames = torch.poisson(torch.full((STEPS, RECORDINGS, CHANNELS, *(5,) * dimensions), 0.4))
    table = snnq.operations(model, frames).set_index("layer")
    assert list(table.index) == list(model.calls)
    for name, calls in model.calls.items():
        weights, found = model.get_submodule(name).weight.detach(), table.loc[name]
        expected, spiking = counted_by_hand(layers[name], weights, calls)
        assert (found[["dense", "synops", "effective"]] * RECORDINGS).tolist() == expected.tolist()
        assert found["operation"] == ("AC" if spiking else "MAC")


class Attending(nn.Module):
    """Attention reads the weights of its last layer, and never calls it."""

    def __init__(self):
        super().__init__()
        self.attention, self.head = nn.MultiheadAttention(4, 2), nn.Linear(4, 3)
        self.unused = nn.Conv1d(2, 2, 1)

    def forward(self, x):
        return self.head(self.attention(x, x, x)[0])


@pytest.mark.parametrize("levels", [None, "binary"])
@pytest.mark.parametrize("measure", [snnq.operations, snnq.costs, snnq.structure])
def test_layers_that_are_not_called_are_named_in_a_warning(levels, measure):
    model, frames = Attending(), torch.rand(STEPS, RECORDINGS, 4)
    if levels:
        snnq.quantize(model, levels, keep=("attention",))
    with pytest.warns(UserWarning) as found:
        table = measure(model, frames)
    (warning,) = found
    names = r"attention.out_proj \(Linear\), unused \(Conv1d\);"
    assert re.match(f"layers that are not in the table, .* never called: {names}", str(warning.message))
    assert measure is snnq.costs or warning.filename == __file__
    assert "head" in set(table["layer"])


def test_spikes_that_may_be_negative_accumulate():
    model = nn.Sequential(nn.Flatten(2), nn.Linear(4, 3))
    frames = torch.tensor([-1.0, 0, 1, 1]).expand(2, 5, 4)
    assert snnq.operations(model, frames)["operation"].tolist() == ["AC"]
    assert snnq.operations(model, 2 * frames)["operation"].tolist() == ["MAC"]


def test_a_dataset_and_its_inputs_are_the_same_to_every_measurement():
    torch.manual_seed(0)
    stem = nn.Conv2d(CHANNELS, CHANNELS, 3)
    model = snnq.quantize(Own(stem, CHANNELS, True), "2bit").eval()
    inputs = torch.poisson(torch.full((STEPS, 7, CHANNELS, 6, 6), 0.4))
    dataset = [(frames, 0) for frames in inputs.transpose(0, 1)]
    for measure in (snnq.operations, snnq.costs):
        assert measure(model, inputs).equals(measure(model, dataset))
    assert (snnq.speed(model, inputs) > 0).all()
    with pytest.raises(ValueError, match=r"data has the shape \[3, 7\]: expected inputs"):
        snnq.operations(model, inputs[:, :, 0, 0, 0])


def test_a_network_without_weights_has_no_operations():
    class Silent(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, x):
            return self.scale * x.flatten(2)

    table = snnq.operations(Silent(), torch.ones(2, 3, 4))
    assert table.empty and "nanojoules" in table
    summary = snnq.cost_summary(snnq.costs(Silent(), torch.ones(2, 3, 4)))
    assert summary["dense"] == 0 and summary.isna().sum() == 2


NODE = {"spiking_neuron": neuron.LIFNode}
STAGES = {"in_channels": 2, "num_classes": 5}
ZOO = {
    "parametric_lif_net": lambda: zoo("parametric_lif_net").NMNISTNet(4, **NODE),
    "spiking_vgg": lambda: nn.Sequential(
        zoo("spiking_vgg").SpikingVGG.make_layers([4, "M", 8, 8, "M"], True, neuron=neuron.IFNode),
        layer.Flatten(),
        layer.Linear(8 * 64, 5),
    ),
    "spiking_resnet": lambda: nn.Sequential(
        zoo("spiking_resnet").BasicBlock(2, 2, **NODE), layer.Flatten(), layer.Linear(2 * 1024, 5)
    ),
    "sew_resnet": lambda: nn.Sequential(
        zoo("sew_resnet").Bottleneck(8, 2, cnf="ADD", base_width=128, groups=2, **NODE),
        zoo("sew_resnet").BasicBlock(8, 8, cnf="ADD", **NODE),
        layer.Flatten(),
        layer.Linear(8 * 1024, 5),
    ),
    "ms_resnet": lambda: zoo("ms_resnet").MSResNet(layers=(1, 1, 2), base_channels=4, **STAGES),
    "spikformer": lambda: zoo("spikformer").Spikformer(
        img_size_h=32, img_size_w=32, embed_dims=16, num_heads=2, depths=1, **STAGES
    ),
    "qkformer": lambda: zoo("qkformer").QKFormer(
        embed_dims=16, num_heads=(1, 2, 2), depths=(1, 1, 1), **STAGES
    ),
}
CHANNELS_IN = {"spiking_vgg": 3, "sew_resnet": 8}


@pytest.mark.parametrize("family", ZOO)
def test_neurobench_agrees_on_the_zoo(peer, monkeypatch, family):
    peer("neurobench", importlib.util.find_spec("neurobench"))
    monkeypatch.setattr(neurobench, "BATCH", 2)  # so that there are two, each from rest
    torch.manual_seed(0)
    model = ZOO[family]()
    functional.set_step_mode(model, "m")
    for norm in model.modules():
        if isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(norm.bias, 0, 2)  # activity everywhere
    snnq.quantize(model, "ternary")
    side = 34 if family == "parametric_lif_net" else 32
    frames = torch.poisson(torch.full((4, 2, CHANNELS_IN.get(family, 2), side, side), 0.3))
    data = [(recording, 0) for recording in frames]
    found = neurobench.neurobench_results(model, data)
    summary = snnq.cost_summary(snnq.costs(model, data))
    operations = found["SynapticOperations"]  # which it adds up in float32
    assert operations["Dense"] == pytest.approx(summary["dense"], rel=1e-6)
    assert operations["Effective_ACs"] == pytest.approx(summary["effective_acs"], rel=1e-6)
    assert operations["Effective_MACs"] == pytest.approx(summary["effective_macs"], rel=1e-6)
    assert found["ConnectionSparsity"] == pytest.approx(summary["connection_sparsity"], abs=5e-5)
    assert found["ActivationSparsity"] == pytest.approx(summary["activation_sparsity"])
    assert 0 < summary["activation_sparsity"] < 1 and summary["effective_acs"] > 0
