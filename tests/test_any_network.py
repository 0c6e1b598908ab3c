"""Packing, integers, copies and faults of networks that are not `build_model`'s."""

import copy
import importlib.util
import json
import math

import numpy as np
import pytest
import torch
from conftest import mutated
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import functional, layer, neuron
from spikingjelly.activation_based.model import parametric_lif_net
from torch import nn
from torch.nn.utils import parametrizations, prune

import snnq
from snnq.quantization.evaluated import evaluated_state
from snnq.storage.inspect import contents, float32_file_bytes


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


# Networks of every kind, with an input of each


class Rates(nn.Module):
    """Another library's layers, called at each time step; the mean of the outputs."""

    def __init__(self, layers):
        super().__init__()
        self.layers = layers

    def forward(self, x):
        return torch.stack([self.layers(step) for step in x]).mean(0)


def of_snntorch():
    import snntorch

    spiking = {"beta": 0.9, "init_hidden": True, "learn_beta": True}
    layers = nn.Linear(6, 12), snntorch.Leaky(**spiking), nn.Linear(12, 4)
    return Rates(nn.Sequential(*layers)), torch.rand(3, 5, 6) * 20


def of_spikingjelly(model, shape):
    functional.set_step_mode(model, "m")
    return model, torch.rand(2, 1, *shape) * 4


def plif():
    made = parametric_lif_net.MNISTNet(2, neuron.LIFNode)
    for module in made.modules():
        if isinstance(module, nn.Linear):  # so that neurons fire up to the last ones
            module.weight.data.mul_(3).add_(0.1)
    return of_spikingjelly(made, (1, 28, 28))


class Residual(nn.Module):
    """A block in the manner of SEW-ResNet, between two layers; rates [N, 4]."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(layer.Conv2d(2, 4, 3), layer.BatchNorm2d(4), neuron.IFNode())
        self.conv, self.bn = layer.Conv2d(4, 4, 3, padding=1, bias=False), layer.BatchNorm2d(4)
        self.node = neuron.ParametricLIFNode()
        self.fc = layer.Linear(4 * 6 * 6, 4)

    def forward(self, x):
        x = self.stem(x)
        return self.fc((self.node(self.bn(self.conv(x))) + x).flatten(2)).mean(0)


class Odd(nn.Module):
    """What a state may hold beside the weights of layers: by names that the format has a use for,
    in other types, shared, in part of a tensor, infinite, and behind parametrizations."""

    def __init__(self):
        super().__init__()
        self.norm, self.values = nn.Parameter(torch.randn(4)), nn.Parameter(torch.randn(2))
        self.embedding, self.head = nn.Embedding(9, 4), nn.Linear(4, 9, bias=False)
        self.head.weight = self.embedding.weight
        self.bn = nn.BatchNorm1d(4, affine=False)
        self.bn.norm = nn.Parameter(torch.randn(4))
        self.again = self.inner = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Tanh())
        self.normed = parametrizations.weight_norm(nn.Linear(4, 4))
        self.spectral = parametrizations.spectral_norm(nn.Linear(4, 4))
        self.lstm = parametrizations.weight_norm(nn.LSTM(4, 4), "weight_hh_l0")
        self.register_buffer("mask", torch.tensor([0.0, -torch.inf, 0, 0]))
        self.register_buffer("whole", torch.randn(6))
        self.register_buffer("part", self.whole[1:5])
        self.register_buffer("row", torch.randn(1).expand(4))
        self.register_buffer("my_num_batches_tracked", torch.randn(4))
        for kind in ("bool", "int8", "int64", "uint16", "bfloat16", "double", "cfloat"):
            self.register_buffer(f"as_{kind}", (torch.randn(4) * 3).to(getattr(torch, kind)))

    def forward(self, tokens):
        x = self.again(self.inner(self.embedding(tokens) + self.norm + self.values.sum()))
        x = self.spectral(self.normed(self.bn(x) * self.bn.norm + self.part + self.row))
        x, _ = self.lstm(
            x + self.as_int8 + self.as_int64 + self.as_bool + self.as_double.float() + self.as_cfloat.real
        )
        return self.head(x * self.mask.exp() + self.as_bfloat16.float() + self.my_num_batches_tracked)


def convolutions():
    return nn.Sequential(
        nn.Conv1d(2, 4, 3, groups=2),
        nn.ConvTranspose1d(4, 4, 3, stride=2),
        nn.Unflatten(2, (3, 5)),
        nn.ConvTranspose2d(4, 3, 2, bias=False),
        nn.Unflatten(2, (2, 2)),
        layer.Conv3d(3, 4, 2),
        nn.Flatten(),
        layer.WSLinear(20, 5),
    ), torch.randn(2, 2, 9)


NETWORKS = {
    "snntorch": of_snntorch,
    "plif": plif,
    "residual": lambda: of_spikingjelly(Residual(), (2, 8, 8)),
    "odd": lambda: (Odd(), torch.arange(8)),
    "convolutions": convolutions,
    "layer": lambda: (nn.Linear(4, 3), torch.randn(2, 4)),
}
TIMED = ("snntorch", "residual")  # from frames [N_t, N, ...] to rates [N, classes]
KEPT = {"odd": ("embedding", "lstm", "head")}


@pytest.fixture(params=NETWORKS)
def name(request, peer):
    if request.param == "snntorch":
        peer("snntorch", importlib.util.find_spec("snntorch"))
    return request.param


def made(name, seed, levels=None):
    """A network, its state such that none is what it starts from, and an input."""
    torch.manual_seed(seed)
    model, x = NETWORKS[name]()
    for of, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(-1, 0.3)
            module.running_var.uniform_(0.2, 1)
    return (snnq.quantize(model, levels, KEPT.get(name, ())) if levels else model), x


@torch.no_grad()
def output(model, x):
    snnq.system.state.reset_state(model)
    found = model.eval()(x)
    snnq.system.state.reset_state(model)
    return found


def snapshot(model):
    """All that an attempt must leave as it was."""
    state = {name: (id(t), t.clone()) for name, t in model.state_dict(keep_vars=True).items()}
    return state, [(type(module), module.training) for module in model.modules()]


def same(one, other):
    tensors = (s[0] for s in (one, other))
    return one[1] == other[1] and all(
        a[0] == b[0] and torch.equal(a[1].nan_to_num(), b[1].nan_to_num())
        for a, b in zip(*(t.values() for t in tensors), strict=True)
    )


@pytest.mark.parametrize("levels", [None, "binary", "ternary", (-1.5, 0.25, 2)], ids=str)
def test_a_network_of_the_same_layers_is_filled_to_the_bit(name, levels, path, tmp_path):
    model, x = made(name, 0, levels)
    before = snapshot(model.train())
    snnq.pack(model, path, {"seed": 0})
    assert same(snapshot(model), before)
    expected = output(model, x)
    assert expected.any()
    for other in (None, "binary", "4bit"):
        into, _ = made(name, 1, other)
        assert name == "plif" or not torch.equal(output(into, x), expected)
        assert snnq.unpack(path, into=into) is into and not into.training
        assert torch.equal(output(into, x), expected)
        for of, quantizer in snnq.quantizers(model).items():
            assert torch.equal(into.get_submodule(of).weight, model.get_submodule(of).weight)
            assert snnq.quantizers(into)[of].levels == quantizer.levels
        snnq.pack(into, tmp_path / "again", {"seed": 0})
        assert (tmp_path / "again").read_bytes() == path.read_bytes()
        snnq.unpack(path, into=into)
        assert torch.equal(output(into, x), expected)
    with pytest.raises(ValueError, match=f"{path}: holds the numbers of a .*, not its layers"):
        snnq.unpack(path)


def test_what_is_shared_stays_shared_and_learns(path):
    model, x = made("odd", 0, "binary")
    snnq.pack(model, path)
    once = evaluated_state(model)
    assert "embedding.weight" in once and "head.weight" not in once
    assert "again.0.weight" in once and not any(name.startswith("inner.") for name in once)
    into, _ = made("odd", 1)
    snnq.unpack(path, into=into).train()
    assert into.head.weight is into.embedding.weight and into.again is into.inner
    into(x).square().nansum().backward()
    assert into.head.weight.grad.isfinite().all() and into.head.weight.grad.any()
    assert into.bn.num_batches_tracked == 1


def test_a_network_without_numbers_gets_them(path):
    model, x = made("convolutions", 0, "2bit")
    snnq.pack(model, path)
    with torch.device("meta"):
        into, _ = NETWORKS["convolutions"]()
    assert torch.equal(output(snnq.unpack(path, into=into), x), output(model, x))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("levels", ["ternary", "4bit", (-0.3, 0.1, 0.7)], ids=str)
def test_other_precisions(dtype, levels, path):
    def network(seed):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 9), nn.BatchNorm1d(9), nn.Linear(9, 3)).to(dtype)

    model, into = snnq.quantize(network(0), levels, keep=()), network(1)
    snnq.pack(model, path)
    snnq.unpack(path, into=into)
    x = torch.randn(5, 4, dtype=dtype)
    assert torch.equal(output(into, x), output(model, x)) and into[2].weight.dtype == dtype
    agree(model)
    table = snnq.footprint(model)
    others = (9 + 4 * 9 + 3) * dtype.itemsize  # biases and batch norm
    assert table["bytes"].sum() == others + sum(
        snnq.storage.bits.weight_bytes(n, len(snnq.quantizers(model)["0"].levels)) + dtype.itemsize
        for n in (36, 27)
    )
    with pytest.raises(ValueError, match=r"'0.bias': .*F?\d+ \[9\], expected F32 \[9\]"):
        snnq.unpack(path, into=network(1).float())


# Integers


def agree(model):
    """α · level, in NumPy and rounded once, is each weight that evaluation uses, to the bit."""
    found = snnq.integers(model)
    model.eval()
    assert list(found) == list(snnq.quantizers(model)) != []
    for name, integer in found.items():
        weight, levels = model.get_submodule(name).weight.detach(), integer.levels
        kind = torch.int8 if len(levels) <= 128 else torch.uint8
        assert integer.codes.dtype == kind and integer.codes.shape == weight.shape
        values = torch.tensor([integer.scale * level for level in levels], dtype=torch.float64)
        weights = values.to(weight.dtype).double().numpy()[integer.codes.numpy()]
        np.testing.assert_array_equal(weights, weight.double().numpy())
    return found


LEVEL_SETS = ("binary", "ternary", "3bit", "pm4", (-5, 3), (-0.3, 0.1, 0.7), range(-70, 80))


@pytest.mark.parametrize("method", snnq.QUANTIZERS)
def test_codes_levels_and_scale_are_the_weight(method, path):
    torch.manual_seed(0)
    taken = 0
    for levels in LEVEL_SETS:
        model, again = (nn.Sequential(nn.Conv2d(2, 8, 3), nn.Linear(6, 30)) for _ in range(2))
        try:
            snnq.quantize(model, levels, (), snnq.QUANTIZERS[method])
        except ValueError:
            assert method not in ("sigmoid", "lsq", "rounding")
            continue
        taken, found = taken + 1, agree(model)
        snnq.pack(model, path)
        for name, unpacked in agree(snnq.unpack(path, into=again)).items():
            assert torch.equal(unpacked.codes, found[name].codes)
            assert (unpacked.levels, unpacked.scale) == (found[name].levels, found[name].scale)
            of = snnq.quantizers(model)[name]
            if method not in ("ttq", "rescaw"):  # two scales; rounded twice
                assert unpacked.levels == pytest.approx(of.levels, rel=1e-6)
            if hasattr(of, "alpha") and 1 in of.levels:
                assert unpacked.scale == of.alpha.item()
    assert taken > 0


def test_more_levels_than_a_byte_holds_are_refused():
    model = snnq.quantize(nn.Sequential(nn.Linear(40, 40)), range(257), keep=())
    with pytest.raises(ValueError, match="0: 257 levels, expected at most 256"):
        snnq.integers(model)


# Any layers


LAYERS = {
    "linear": lambda a, b: nn.Linear(a, b),
    "unbiased": lambda a, b: nn.Linear(a, b, bias=False),
    "weight_norm": lambda a, b: parametrizations.weight_norm(nn.Linear(a, b)),
    "orthogonal": lambda a, b: parametrizations.orthogonal(nn.Linear(a, b)),
    "standardised": lambda a, b: layer.WSLinear(a, b),
}
level_sets = st.lists(
    st.floats(-8, 8, width=16), min_size=2, max_size=9, unique_by=lambda x: round(x, 2)
).map(sorted)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from([*LAYERS]), st.integers(2, 7)), min_size=1, max_size=3),
    st.one_of(st.sampled_from([*snnq.LEVELS]), level_sets),
    st.sampled_from(["sigmoid", "lsq", "rounding"]),
    st.sampled_from([torch.float32, torch.float64]),
    st.integers(0, 99),
)
def test_any_layers_and_levels_come_back_to_the_bit(
    tmp_path_factory, of, levels, method, dtype, seed
):
    def network():
        sizes = [3, *(size for _, size in of)]
        made = (LAYERS[kind](a, b) for (kind, _), a, b in zip(of, sizes, sizes[1:]))
        return nn.Sequential(*made).to(dtype)

    torch.manual_seed(seed)
    model, into, path = network(), network(), tmp_path_factory.getbasetemp() / "any.safetensors"
    try:
        snnq.quantize(model, levels, keep=(), quantizer=snnq.QUANTIZERS[method])
    except ValueError as error:  # levels of one sign, standardised weights of one value
        assert "expected" in str(error) or "values in a channel" in str(error)
        return
    snnq.pack(model, path)
    x = torch.randn(4, 3, dtype=dtype)
    assert torch.equal(output(snnq.unpack(path, into=into), x), output(model, x))
    agree(model)
    agree(into)


# What does not fit


def linear(*sizes, **options):
    return nn.Sequential(*(nn.Linear(a, b, **options) for a, b in zip(sizes, sizes[1:])))


@pytest.mark.parametrize(
    ("into", "message"),
    [
        (lambda: linear(4, 5, 4), r"1: shape \[3, 5\], expected \[4, 5\]"),
        (lambda: linear(4, 6, 3), r"1: shape \[3, 5\], expected \[3, 6\]"),
        (lambda: linear(3, 5, 3), r"'0.weight': F32 \[5, 4\], expected F32 \[5, 3\]"),
        (lambda: linear(4, 5, 3, 2), "'2.bias': no such tensor, expected F32"),
        (lambda: linear(4, 5), "layer '1': expected one of 0"),
        (lambda: linear(4, 5, 3, bias=False), r"'0.bias': F32 \[5\], expected no such tensor"),
        (lambda: linear(4, 5, 3).double(), r"'0.bias': F32 \[5\], expected F64 \[5\]"),
        (lambda: snnq.quantize(linear(4, 5, 4), "4bit"), r"1: shape \[3, 5\], expected \[4, 5\]"),
        (lambda: nn.Sequential(nn.LazyLinear(5), nn.Linear(5, 3)), "0.weight: .*Uninitialized"),
        (lambda: "net", "model is a str, expected a torch.nn.Module"),
        (lambda: snnq.build_model("nmnist", channels=1, size=8), "expected one of layers.0"),
    ],
)
def test_a_network_that_does_not_fit_is_left_as_it_is(into, message, path):
    snnq.pack(snnq.quantize(linear(4, 5, 3), "ternary"), path)
    network = into()
    plain = isinstance(network, nn.Sequential) and not isinstance(network[0], nn.LazyLinear)
    before = snapshot(network) if plain else None
    with pytest.raises(ValueError, match=f"{path}: .*{message}"):
        snnq.unpack(path, into=network)
    assert before is None or same(snapshot(network), before)


@pytest.mark.parametrize("levels", [(-2, -1, 0, 1, 2), "ternary"], ids=str)
def test_mutated_files_fill_a_network_or_leave_it(levels, path):
    torch.manual_seed(0)
    snnq.pack(snnq.quantize(linear(4, 5, 3), levels), path)
    content, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(100):
        network = snnq.quantize(linear(4, 5, 3), "binary")
        before = snapshot(network)
        path.write_bytes(mutated(content, rng))
        try:
            contents(path)
            snnq.unpack(path, into=network)
        except ValueError as error:
            refused += 1
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
            assert same(snapshot(network), before)
        else:
            assert network(torch.ones(2, 4)).shape == (2, 3)
    assert 50 < refused <= 100


class WithState(nn.Linear):
    def get_extra_state(self):
        return {"calls": 3}

    def set_extra_state(self, state):
        pass


def test_a_state_that_is_no_tensor_is_refused(path):
    model = snnq.quantize(nn.Sequential(WithState(2, 2), nn.Linear(2, 2)), "binary")
    with pytest.raises(ValueError, match="0._extra_state: its state is of dict, expected"):
        snnq.pack(model, path)
    model = snnq.quantize(linear(2, 2), "binary", keep=())
    model[0].register_buffer("values", torch.ones(2))
    with pytest.raises(ValueError, match="0.values: the format has the values of the levels there"):
        snnq.pack(model, path)
    assert not path.exists()


# What is in a file


def test_contents_of_any_networks_file(name, path):
    model, _ = made(name, 0, "ternary")
    snnq.pack(model, path)
    table, content = contents(path), path.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    assert table["bytes"].sum() + header == len(content)
    footprint = snnq.footprint(model).set_index("layer")
    assert dict(zip(table["layer"], table["numbers"])) == footprint["numbers"].to_dict()
    assert (table["levels"].notna().sum(),) == (len(snnq.quantizers(model)),)
    full = sum(4 * tensor.numel() for tensor in evaluated_state(model).values())
    assert 0 < float32_file_bytes(path) - full < 120 * len(evaluated_state(model)) + 16
    description = json.loads(json.loads(content[8:header])["__metadata__"]["snnq"])
    assert description["architecture"] is None
    assert description["class"].rpartition(".")[2] == type(made(name, 0)[0]).__name__


# Copies and faults


@torch.no_grad()
def test_a_copy_has_evaluated_weights_and_leaves_the_original(name):
    model, x = made(name, 0, "2bit")
    expected, before = output(model, x), snapshot(model.train())
    twin = copy.deepcopy(model)
    found = snnq.evaluated_copy(model)
    assert same(snapshot(model), before) and not found.training
    assert not any("parametrizations" in of for of in found.state_dict())
    for of in (found, model, twin):  # whose classes torch shares with the copy
        assert torch.equal(output(of, x), expected)


@pytest.mark.parametrize("name", TIMED, indirect=True)
def test_faults_in_any_network(name):
    model, x = made(name, 0, "binary")
    classes = output(model, x).shape[-1]
    data = [(frames, place % classes) for place, frames in enumerate(x.unbind(1))]
    negated = snnq.evaluated_copy(model)
    bits = 0
    for of in snnq.quantizers(model):
        bits += 8 * math.ceil(model.get_submodule(of).weight.numel() / 8)
        negated.get_submodule(of).weight.data.neg_()
    before = snapshot(model)
    table = snnq.accuracy_with_faults(model, data, [0.0, 1.0], draws=1)
    assert same(snapshot(model), before)
    assert table["flipped"].tolist() == [0, bits]
    accuracies = [snnq.evaluate(of, data)[0] for of in (model, negated)]
    assert table["accuracy"].tolist() == accuracies


class Weighed(nn.Module):
    """Frames [N_t, N, 4] to rates [N, 3]."""

    def __init__(self, dtype=torch.float32):
        super().__init__()
        self.linear = nn.Linear(4, 3, dtype=dtype)

    def forward(self, frames):
        return self.linear(frames.to(self.linear.weight.dtype)).mean(0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_all_bits_of_other_precisions_flip(dtype):
    data = [(torch.ones(2, 4), 0)]
    table = snnq.accuracy_with_faults(Weighed(dtype), data, [1.0], 1, ["linear"])
    assert table["flipped"].tolist() == [12 * 8 * dtype.itemsize]


def test_weights_that_are_mended_before_each_call_have_no_faults():
    model = Weighed()
    prune.l1_unstructured(model.linear, "weight", 0.5)
    with pytest.raises(ValueError, match=r"layers=\['linear'\]: expected some of "):
        snnq.accuracy_with_faults(model, [(torch.ones(2, 4), 0)], [0.1], layers=["linear"])
