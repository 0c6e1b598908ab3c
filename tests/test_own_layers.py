"""`quantize` on layers and networks of every kind that a user may have."""

import copy
import warnings

import pytest
import torch
from spikingjelly.activation_based import layer, neuron
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

import snnq
from snnq.quantization.methods import QUANTIZERS
from snnq.quantization.place import quantizer_input


def linear(*sizes):
    torch.manual_seed(0)
    return nn.Sequential(*(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:])))


def snapshot(model):
    """All that an attempt must leave as it was."""
    return {
        "classes": [type(module) for module in model.modules()],
        "modes": [module.training for module in model.modules()],
        "parameters": [(name, id(p), p.requires_grad) for name, p in model.named_parameters()],
        "random": torch.get_rng_state().tolist(),
    }


def on_levels(module, levels):
    """By hand: the weights in evaluation, and α times the levels."""
    quantizer = snnq.quantizers(module)[""]
    weight = module.eval().weight.detach()
    values = (quantizer.alpha * torch.tensor(levels)).tolist()
    return set(weight.unique().tolist()) <= set(values) and len(weight.unique()) > 1


# A7: parametrizations before ours, and whatever else a layer does with its weight


@pytest.mark.parametrize("kind", ["weight_norm", "spectral_norm", "orthogonal"])
def test_a_parametrization_before_ours_hides_no_quantizer(kind):
    model = linear(6, 8, 4)
    for module in model:
        getattr(parametrizations, kind)(module)
    snnq.quantize(model, "2bit", keep=())
    assert list(snnq.quantizers(model)) == ["0", "1"]
    snnq.set_temperature(model, 7.0)
    assert [q.temperature.item() for q in snnq.quantizers(model).values()] == [7, 7]
    stacks = [len(module.parametrizations.weight) for module in model]
    snnq.quantize(model, "2bit", keep=())
    assert [len(module.parametrizations.weight) for module in model] == stacks == [2, 2]
    assert on_levels(model[0], snnq.LEVELS["2bit"])
    model.train()(torch.randn(3, 6)).square().sum().backward()
    originals = [p for name, p in model.named_parameters() if "original" in name]
    assert originals and all(p.grad.abs().sum() > 0 for p in originals)


def test_the_input_of_a_quantizer_is_what_comes_before_it():
    plain, normed = linear(6, 8), linear(6, 8)
    parametrizations.weight_norm(normed[0])
    normed[0].parametrizations.weight.original0.data.mul_(3)
    expected = plain[0].weight * 3
    snnq.quantize(normed, "4bit", keep=())
    torch.testing.assert_close(quantizer_input(normed[0]), expected)


def test_a_parametrization_after_ours_is_said():
    model = snnq.quantize(linear(6, 8), "2bit", keep=())

    class Doubled(nn.Module):
        def forward(self, weight):
            return weight * weight.sum()

    parametrize.register_parametrization(model[0], "weight", Doubled())
    with pytest.raises(ValueError, match="0: its weight in evaluation is not .* after Doubled"):
        snnq.quantize(model, "2bit", keep=())


@pytest.mark.parametrize("kind", ["weight_norm", "prune"])
@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_weights_that_are_replaced_before_each_call_are_refused(kind):
    model = linear(6, 8, 4)
    if kind == "prune":
        prune.l1_unstructured(model[1], "weight", 0.5)
    else:
        nn.utils.weight_norm(model[1])
    before = snapshot(model)
    with pytest.raises(ValueError, match="1: its weight is no parameter but replaced"):
        snnq.quantize(model, "binary", keep=())
    assert snapshot(model) == before


def test_a_layer_that_computes_with_more_values_is_refused_by_name():
    class Windowed(nn.Conv2d):
        def forward(self, x):
            window = torch.tensor([0.5, 1.0, 0.5])
            return nn.functional.conv2d(x, self.weight * window[:, None] * window, self.bias)

    model = nn.Sequential(nn.Conv2d(2, 4, 3), Windowed(4, 4, 3))
    before = snapshot(model)
    with pytest.raises(ValueError, match="^1: Windowed makes of its weight, .* 2 levels, 6 values"):
        snnq.quantize(model, "binary", keep=())
    assert snapshot(model) == before
    snnq.quantize(model, "binary", keep=("1",))
    assert list(snnq.quantizers(model)) == ["0"]


def test_weights_standardised_channel_by_channel_are_still_of_few_bits():
    """As SpikingJelly's are; each channel then has a scale and a shift of its own."""
    model = nn.Sequential(layer.WSConv2d(2, 4, 3), nn.Flatten(), layer.WSLinear(36, 4)).eval()
    snnq.quantize(model, "2bit", keep=())
    for module in (model[0], model[2]):
        assert all(len(channel.unique()) <= 4 for channel in module.get_weight())


def test_a_quantizer_that_is_off_its_levels_is_refused_by_name():
    class Off(snnq.SigmoidQuantizer):
        def hard(self, weight):
            return super().hard(weight) * (1 + 1e-6)

    model = linear(6, 8, 4)
    before = snapshot(model)
    with pytest.raises(ValueError, match="0: its weight in evaluation is not that of its levels"):
        snnq.quantize(model, "binary", keep=(), quantizer=Off)
    assert snapshot(model) == before
    with pytest.raises(ValueError, match="expected a LevelQuantizer"):
        snnq.quantize(model, "binary", keep=(), quantizer=lambda weight, levels: nn.Identity())
    assert snapshot(model) == before


# A8: a second call


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({}, {"quantizer": QUANTIZERS["lsq"]}, "by SigmoidQuantizer with .*, not by LSQQuantizer"),
        ({}, {"temperature": 3.0}, r"SigmoidQuantizer with \{'temperature': 3.0\}"),
        ({"temperature": 3.0}, {"temperature": 1.0}, r"not by .* with \{'temperature': 1.0\}"),
        ({"biases": "uniform"}, {"biases": "kmeans"}, "'biases': 'kmeans'"),
        ({}, {"levels": "4bit"}, "is quantized to .*, not to"),
    ],
)
def test_a_second_call_that_asks_for_something_else_is_refused(first, second, message):
    model = snnq.quantize(linear(6, 8, 4), **({"levels": "2bit", "keep": ()} | first))
    model, third = copy.deepcopy(model), nn.Linear(4, 4)
    before = snapshot(model)
    with pytest.raises(ValueError, match=message):
        snnq.quantize(model, **({"levels": "2bit", "keep": ()} | first | second))
    with pytest.raises(ValueError):  # and no layer that is not quantized yet is
        snnq.quantize(model.append(third), **({"levels": "2bit"} | first | second))
    assert type(model[2]) is nn.Linear
    assert snapshot(model[:2]) == before


def test_the_same_call_again_changes_nothing():
    options = {"levels": "2bit", "keep": (), "temperature": 3.0, "learned": ["alpha"]}
    model = snnq.quantize(linear(6, 8, 4), **options)
    snnq.set_temperature(model, 9.0)
    before, state = snapshot(model), copy.deepcopy(model.state_dict())
    snnq.quantize(model, **options)
    assert snapshot(model) == before
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_layers_may_have_different_levels_from_different_calls():
    model = linear(6, 8, 4)
    snnq.quantize(model, "binary", keep=("1",))
    snnq.quantize(model, "4bit", keep=("0",), quantizer=QUANTIZERS["lsq"])
    assert [len(q.levels) for q in snnq.quantizers(model).values()] == [2, 16]


# A9: transposed convolutions, and weights that are in no convolution or linear layer


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("of", [nn, layer], ids=["torch", "spikingjelly"])
def test_transposed_convolutions(dimensions, of):
    torch.manual_seed(0)
    kind = getattr(of, f"ConvTranspose{dimensions}d")
    module = kind(4, 6, 3, stride=2, groups=2, output_padding=1)
    model = snnq.quantize(nn.Sequential(module), "ternary", keep=()).eval()
    x = torch.randn(2, 4, *(5,) * dimensions)
    compute = getattr(nn.functional, f"conv_transpose{dimensions}d")
    expected = compute(x, module.weight, module.bias, 2, 0, 1, 2)
    torch.testing.assert_close(model(x), expected)
    assert on_levels(module, (-1, 0, 1))
    assert snnq.footprint(model)["kind"].tolist() == [f"ConvTranspose{dimensions}d"]


class Recurrent(nn.Module):
    """As other libraries have them: matrices that are parameters of the cell."""

    def __init__(self):
        super().__init__()
        self.input_weights = nn.Parameter(torch.randn(4, 3))


@pytest.mark.parametrize(
    "other",
    [
        nn.LSTM(3, 4),
        nn.GRU(3, 4),
        nn.RNN(3, 4),
        nn.LSTMCell(3, 4),
        nn.GRUCell(3, 4),
        nn.RNNCell(3, 4),
        nn.MultiheadAttention(4, 2),
        nn.Embedding(3, 4),
        nn.Bilinear(2, 3, 4),
        layer.DropConnectLinear(3, 4),
        Recurrent(),
        nn.ParameterList([torch.randn(3, 3)]),
        parametrizations.weight_norm(nn.GRU(3, 4), "weight_hh_l0"),
    ],
    ids=lambda module: type(module).__name__,
)
def test_other_weights_are_named_in_one_warning(other):
    def model():
        return nn.ModuleDict({"stem": nn.Linear(2, 2), "head": nn.Linear(2, 2), "cell": other})

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        snnq.quantize(copy.deepcopy(model()), "binary")
    assert len(caught) == 1 and caught[0].filename == __file__
    kind = parametrize.type_before_parametrizations(other).__name__
    assert "stay in full precision" in str(caught[0].message)
    assert f"cell ({kind.removeprefix('Parametrized')}" in str(caught[0].message).replace(
        "Parametrized", ""
    )
    silent = snnq.quantize(copy.deepcopy(model()), "binary", keep=("first", "cell"))
    assert list(snnq.quantizers(silent)) == ["head"]


def test_factors_of_norms_and_of_neurons_are_no_weights():
    model = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm([3, 4]), nn.BatchNorm2d(3), nn.PReLU(3))
    model.append(neuron.ParametricLIFNode())
    snnq.quantize(model, "binary", keep=())  # a warning would be an error


def test_what_is_in_a_kept_module_is_kept():
    model = nn.ModuleDict({"encoder": linear(2, 3, 4), "head": linear(4, 2)})
    snnq.quantize(model, "binary", keep=("encoder",))
    assert list(snnq.quantizers(model)) == ["head.0"]


# A10: which layer is the first


class HeadDefinedFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.head, self.body, self.stem = nn.Linear(4, 2), nn.Linear(4, 4), nn.Linear(3, 4)
        self.norm, self.node, self.dropout = nn.BatchNorm1d(4), neuron.LIFNode(), nn.Dropout()
        self.unused = nn.Linear(2, 2)

    def forward(self, x):
        return self.head(self.dropout(self.node(self.body(self.norm(self.stem(x))))))


def test_with_an_example_first_and_last_are_the_order_of_execution():
    torch.manual_seed(0)
    x = torch.randn(5, 3)
    by_definition = snnq.quantize(HeadDefinedFirst(), "binary")
    assert "head" not in snnq.quantizers(by_definition)
    model = HeadDefinedFirst().train()
    model.body.eval()
    model.node(torch.ones(7, 4))  # a state of another batch size
    state, before = copy.deepcopy(model.state_dict()), snapshot(model)
    with pytest.raises(ValueError, match="keep='none'"):
        snnq.quantize(model, "binary", ("first", "none"), example=x)
    assert snapshot(model) == before
    snnq.quantize(model, "binary", keep=("first", "last"), example=x)
    assert list(snnq.quantizers(model)) == ["body", "unused"]
    assert model.node.v == 0 and before["random"] == torch.get_rng_state().tolist()
    plain = {name: v for name, v in model.state_dict().items() if "parametrizations" not in name}
    assert all(torch.equal(value, state[name]) for name, value in plain.items())
    assert model.training and not model.body.training and model.stem.training
    assert not snnq.quantizers(model)["body"].training and snnq.quantizers(model)["unused"].training
    assert not model.stem._forward_pre_hooks


def test_an_example_that_reaches_no_layer_is_said():
    class Idle(nn.Linear):
        pass

    model = nn.ModuleDict({"a": Idle(2, 2)})
    model.forward = lambda x: x
    with pytest.raises(ValueError, match="example: no convolution or linear layer was called"):
        snnq.quantize(model, "binary", example=torch.zeros(1))


# C19: all or nothing


def tied(model):
    model[2].weight = model[1].weight


def made_lazy(model):
    model[1] = nn.LazyLinear(4)


def on_meta(model):
    model[1].to("meta")


def complex_numbers(model):
    model[1].weight = nn.Parameter(model[1].weight.detach() + 0j)


def of_zeros(model):
    nn.init.zeros_(model[1].weight)


def of_nan(model):
    model[1].weight.data[0, 0] = torch.nan


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def empty(model):
    model[1].weight.data = torch.empty(4, 0)


def too_small_for_half(model):
    model[1].weight.data.mul_(1e-5)
    model[1].half()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (of_zeros, "not all zero"),
        (of_nan, "finite"),
        (empty, "not all zero"),
        (made_lazy, "not initialised; run the network once"),
        (on_meta, "meta device"),
        (tied, "shares its weight with 2: name them all in keep"),
        (complex_numbers, "torch.complex64, expected floating-point"),
        (too_small_for_half, "beta=inf: not finite in torch.float16"),
    ],
)
@pytest.mark.parametrize("quantizer", ["sigmoid", "sign", "lsq"])
def test_a_layer_that_cannot_be_quantized_is_named_and_none_is_changed(change, message, quantizer):
    model = linear(4, 4, 4, 4).train()
    change(model)
    if change is too_small_for_half and quantizer != "sigmoid":
        pytest.skip("its α is as small as the weights, which half precision holds")
    before = snapshot(model)
    with pytest.raises(ValueError, match=f"^1: .*{message}"):
        snnq.quantize(model, "binary", keep=(), quantizer=QUANTIZERS[quantizer])
    assert snapshot(model) == before
    kept = ("1", "2") if change is tied else ("1",)
    snnq.quantize(model, "binary", keep=kept, quantizer=QUANTIZERS[quantizer])
    assert "0" in snnq.quantizers(model)


def test_a_wrong_option_changes_nothing():
    model = linear(4, 4, 4)
    before = snapshot(model)
    with pytest.raises(TypeError, match="temprature"):
        snnq.quantize(model, "binary", keep=(), temprature=3)
    assert snapshot(model) == before


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("levels", ["binary", "4bit"])
def test_other_precisions_are_quantized_as_they_are(dtype, levels):
    model = snnq.quantize(linear(32, 16).to(dtype), levels, keep=())
    weight = model.eval()[0].weight
    assert weight.dtype == dtype and 2 <= len(weight.unique()) <= len(snnq.LEVELS[levels])
    model.train()[0].weight.float().sum().backward()


def test_frozen_weights_stay_frozen():
    model = linear(4, 4)
    model[0].weight.requires_grad_(False)
    weight = model[0].weight
    snnq.quantize(model, "binary", keep=())
    assert model[0].parametrizations.weight.original is weight and not weight.requires_grad
    assert on_levels(model[0], (-1, 1))


def test_weights_tied_with_no_layer_are_refused_too():
    model = nn.ModuleDict({"embedding": nn.Embedding(5, 4), "head": nn.Linear(4, 5)})
    model["head"].weight = model["embedding"].weight
    with pytest.raises(ValueError, match="head: shares its weight with embedding"):
        snnq.quantize(model, "binary", keep=("embedding",))
