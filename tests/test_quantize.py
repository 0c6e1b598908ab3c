"""Networks whose layers are quantized."""

import copy

import pytest
import torch
from spikingjelly.activation_based import functional, layer
from torch import nn

import snnq


def spiking_model():
    torch.manual_seed(0)
    return snnq.build_model("nmnist", channels=2)


def test_quantize_keeps_the_first_layer_and_takes_the_others():
    model = snnq.quantize(spiking_model(), "ternary")
    assert list(snnq.quantizers(model)) == ["layers.4", "layers.10", "layers.13"]
    both = snnq.quantize(spiking_model(), "ternary", keep=("first", "last"))
    assert list(snnq.quantizers(both)) == ["layers.4", "layers.10"]
    named = snnq.quantize(spiking_model(), "ternary", keep=("layers.10",))
    assert list(snnq.quantizers(named)) == ["layers.0", "layers.4", "layers.13"]


def test_quantize_twice_is_quantize_once():
    model = snnq.quantize(spiking_model(), "2bit")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    after = snnq.quantize(model, "2bit").state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    with pytest.raises(ValueError, match="not to"):
        snnq.quantize(model, "4bit")


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (nn.Sequential(nn.ReLU()), {}, "no layer to quantize"),
        (nn.Sequential(nn.Linear(2, 2)), {}, "no layer to quantize"),
        (nn.Sequential(nn.Linear(2, 2)), {"keep": ("second",)}, "keep='second'"),
        (nn.Sequential(nn.Linear(2, 2)), {"keep": "first"}, "sequence of names"),
        (nn.Sequential(nn.Linear(2, 2)), {"keep": (), "levels": "two"}, "unknown level set"),
    ],
)
def test_quantize_refuses_nonsense(model, options, message):
    with pytest.raises(ValueError, match=message):
        snnq.quantize(model, **{"levels": "binary"} | options)


@pytest.mark.parametrize("levels", ["binary", "4bit"])
def test_quantized_layers_compute_with_quantized_weights_in_multi_step_mode(levels):
    frames = torch.rand(3, 2, 2, 8, 8)
    convolution = layer.Conv2d(2, 4, 3, bias=False)
    functional.set_step_mode(convolution, "m")
    model = snnq.quantize(nn.Sequential(convolution), levels, keep=()).eval()
    weight = convolution.weight.detach()
    assert len(weight.unique()) <= len(snnq.LEVELS[levels])
    expected = torch.stack([nn.functional.conv2d(step, weight) for step in frames])
    torch.testing.assert_close(model(frames), expected)


def test_state_dict_restores_a_trained_quantizer():
    model = snnq.quantize(spiking_model(), "2bit")
    snnq.set_temperature(model, 7.0)
    for quantizer in snnq.quantizers(model).values():
        quantizer.alpha.data.mul_(1.5)
        quantizer.beta.data.mul_(0.7)
    torch.manual_seed(1)
    other = snnq.quantize(snnq.build_model("nmnist", channels=2), "2bit")
    other.load_state_dict(copy.deepcopy(model.state_dict()))
    for name in snnq.quantizers(model):
        for mode in (True, False):
            ours, theirs = (m.train(mode).get_submodule(name).weight for m in (model, other))
            assert torch.equal(ours, theirs)


def test_state_of_another_level_set_is_refused():
    state = snnq.quantize(nn.Sequential(nn.Linear(4, 4)), (-1, 0, 1), keep=()).state_dict()
    other = snnq.quantize(nn.Sequential(nn.Linear(4, 4)), (-1, 0, 2), keep=())
    with pytest.raises(RuntimeError, match="level_values"):
        other.load_state_dict(state)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    torch.manual_seed(0)
    model = snnq.quantize(nn.Sequential(nn.Linear(64, 64)), "4bit", keep=(), temperature=20.0)
    soft, hard = (model.train(mode)[0].weight.detach() for mode in (True, False))
    model.to(dtype)
    close = {"atol": 0.1 * hard.abs().max().item(), "rtol": 0.02}
    weight = model.train()[0].weight
    assert weight.dtype == dtype
    torch.testing.assert_close(weight.float(), soft, **close)
    weight.sum().backward()
    assert model[0].parametrizations.weight.original.grad.isfinite().all()
    levels = model.eval()[0].weight.unique()
    assert levels.dtype == dtype and len(levels) <= 16


def test_moving_to_another_device_moves_every_tensor():
    model = snnq.quantize(nn.Sequential(nn.Linear(4, 4)), "ternary", keep=()).to("meta")
    assert {tensor.device.type for tensor in model.state_dict().values()} == {"meta"}
    assert model[0].weight.device.type == "meta"


@pytest.mark.parametrize("levels", ["binary", "ternary", "4bit"])
def test_a_network_of_ones_own_is_quantized_as_a_run_quantizes_its(levels):
    of_run = snnq.initial_network(snnq.Run(levels=levels, channels=2))
    own = snnq.quantize(snnq.initial_network(snnq.Run(levels="full", channels=2)), levels)
    for name, quantizer in snnq.quantizers(own).items():
        other = snnq.quantizers(of_run)[name]
        torch.testing.assert_close(quantizer.state_dict(), other.state_dict(), rtol=0, atol=0)
        assert quantizer.backward_temperature == other.backward_temperature
        assert not quantizer.beta.requires_grad and quantizer.alpha.requires_grad


@pytest.mark.parametrize("levels", ["binary", "ternary", "2bit", "4bit"])
def test_training_starts_from_weights_of_the_size_that_they_have(levels):
    torch.manual_seed(0)
    linear = nn.Linear(400, 100)
    size = linear.weight.norm().item()
    snnq.quantize(nn.Sequential(linear), levels, keep=())
    snnq.set_temperature(linear, snnq.Settings().temperature_initial)
    assert linear.train().weight.norm().item() == pytest.approx(size, rel=0.1)
