"""Training in 8-bit arithmetic: a step by hand, what is kept, and runs."""

import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from conftest import PROJECT, Killed, at_call, fit, kill, results
from safetensors.torch import load_file
from spikingjelly.activation_based import layer, neuron, surrogate
from test_step import Calls, Reads, batch, network
from torch import nn

import snnq
from snnq.quantization import number_formats
from snnq.quantization.number_formats import POSITS, numbers_of
from snnq.study.forecast import read_profiles
from snnq.study.profile import plan
from snnq.training import arithmetic as setting
from snnq.training import gradients as training_gradients
from snnq.training import loop as training
from snnq.training.arithmetic import Arithmetic
from snnq.training.gradients import gradients
from snnq.training.optimizer import Optimizer
from snnq.training.penalties import with_penalties
from snnq.training.rounding import in_arithmetic, round_after_steps, weights_of
from snnq.training.step import Step

ALL = ("weights", "activations", "activation_gradients", "weight_gradients", "moments")
MIXED = "weights=int8,activations=posit8_es1,activation_gradients=float8_e5m2,weight_gradients=posit8"


@pytest.mark.parametrize(
    ("text", "shortest"),
    [
        ("float32", "float32"),
        ("rest=posit8", "posit8"),
        ("rest=posit8_es2,loss_scale=32768", "posit8"),
        ("posit8_es1:stochastic", "posit8_es1:stochastic"),
        ("weights=float8_e4m3, rest=float8", "float8"),
        ({"weights": "posit8", "moments": "float32"}, "weights=posit8_es2"),
        ({"activation_gradients": "int8", "loss_scale": 4}, "activation_gradients=int8,loss_scale=4"),
        ("moments=int8:stochastic", "moments=int8:stochastic"),
        ("weights=float32,rest=posit8", "weights=float32,rest=posit8"),
        ("rest=float8,loss_scale=2", "loss_scale=2,rest=float8"),
        (MIXED, MIXED + "_es2"),
        ("rest=int8,loss_scale=1", "int8"),
    ],
)
def test_the_setting_is_the_shortest_text_that_means_the_same(text, shortest):
    run = snnq.Run(arithmetic=text)
    assert run.arithmetic == shortest and replace(run).name == run.name
    assert str(Arithmetic.of(shortest)) == shortest
    assert (run.name == snnq.Run().name) == (shortest == "float32")


def test_components_have_the_formats_that_are_meant():
    found = Arithmetic.of("moments=float32,activations=int8:stochastic,rest=float8")
    formats = [str(getattr(found, name)) for name in ALL]
    assert formats == ["float8_e4m3", "int8:stochastic", "float8_e5m2", "float8_e5m2", "None"]
    assert found.loss_scale == 2**15 and Arithmetic.of("int8").loss_scale == 1
    assert Arithmetic.of("moments=posit8").loss_scale == 2**15
    assert Arithmetic.of("moments=int8,activations=posit8").loss_scale == 1
    assert setting.COMPONENTS == ALL


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"arithmetic": "float9"}, "arithmetic='float9': 'float9': expected one of float8_e4m3"),
        ({"arithmetic": "posit8:random"}, "'posit8:random': expected one of .* or with :stochastic"),
        ({"arithmetic": "weight=int8"}, "'weight': expected one of weights, activations"),
        ({"arithmetic": "rest=int8,loss_scale=3"}, "loss_scale=3: expected a power of two"),
        ({"arithmetic": "rest=int8,loss_scale=x"}, "loss_scale=x: expected a power of two"),
        ({"arithmetic": 8}, "arithmetic=8: expected a text"),
        ({"arithmetic": "int8", "precision": "bf16"}, "precision='bf16': expected float32 or tf32"),
    ],
)
def test_what_means_nothing_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        snnq.Run(**settings)


@pytest.mark.parametrize("text", ["float8", "posit8_es1", "int8", MIXED])
def test_a_step_by_hand(text):
    """A linear layer and IF neurons over three time steps, forward and backward in float64."""
    arithmetic = Arithmetic.of(text)
    model = nn.Sequential(
        layer.Linear(5, 4, step_mode="m"),
        neuron.IFNode(surrogate_function=surrogate.ATan(), detach_reset=True, step_mode="m"),
    )
    generator = torch.Generator().manual_seed(3)
    frames, by_spikes = (torch.randn(*of, generator=generator) for of in ((3, 6, 5), (3, 6, 4)))
    weight, bias = (torch.randn(*of, generator=generator) for of in ((4, 5), (4,)))
    with torch.no_grad():
        model[0].weight.copy_(weight)
        model[0].bias.copy_(bias)
    with in_arithmetic(model, arithmetic):
        spikes = model(2 * frames)
        (spikes * by_spikes).sum().backward()

    def to(component, x):
        rounding = getattr(arithmetic, component)
        return rounding(x.float()).double() if rounding else x

    w, b = to("weights", weight.double()), to("weights", bias.double())
    x = to("activations", 2 * frames.double())
    y, v, h, s = to("activations", x @ w.T + b), torch.zeros(6, 4).double(), [], []
    for t in range(3):
        h.append(v + y[t])
        s.append((h[-1] >= 1).double())
        v = to("activations", h[-1] * (1 - s[-1]))
    assert torch.equal(spikes, torch.stack(s).float()) and 0.1 < spikes.mean() < 0.9
    by_h, by_y = None, [None] * 3
    for t in reversed(range(3)):
        slope = 1 / (1 + (torch.pi * (h[t] - 1)) ** 2)
        by_v = 0 if by_h is None else to("activation_gradients", by_h) * (1 - s[t])
        by_h = arithmetic.loss_scale * by_spikes[t].double() * slope + by_v
        by_y[t] = by_h
    by_y = to("activation_gradients", torch.stack(by_y))
    expected = torch.einsum("tno,tni->oi", by_y, x), by_y.sum((0, 1))
    for parameter, gradient in zip(model[0].parameters(), expected):
        gradient = to("weight_gradients", gradient) / arithmetic.loss_scale
        torch.testing.assert_close(parameter.grad.double(), gradient, rtol=1e-5, atol=1e-6)


def is_of(x: torch.Tensor, name: str) -> bool:
    return torch.isin(x, torch.tensor(numbers_of(name))).all().item()


@pytest.mark.parametrize("quantizer", [None, "sigmoid", "bso"])
def test_weights_and_moments_are_kept_in_their_formats(quantizer):
    model = network(quantizer)
    arithmetic = Arithmetic.of("weights=posit8_es1,moments=float8_e4m3,rest=float8")
    with in_arithmetic(model, arithmetic):
        optimizer = Optimizer(model, 1e-2, 10)
        round_after_steps(model, optimizer.all, arithmetic)
        step = Step(model, optimizer)
        before = [weight.clone() for weight in weights_of(model)]
        for _ in range(3):
            step(*batch())
        step.read()
    kept = weights_of(model)
    assert len(kept) == 4 and not all(map(torch.equal, before, kept))
    for weight in kept:
        assert is_of(weight, "posit8_es1")
        state = optimizer.descent.state.get(weight, {})  # one that flips has none
        for moment in ("exp_avg", "exp_avg_sq") if state else ():
            root = state[moment] if moment == "exp_avg" else state[moment].sqrt()
            assert is_of(root * 2**15, "float8_e4m3")
            # No root of a gradient that is not 0 is 0.
            assert ((state["exp_avg"] != 0) <= (root != 0)).all()
    assert not is_of(model.layers[1].bias, "posit8_es1")


@pytest.mark.parametrize("text", ["moments=float8", "moments=posit8", "moments=int8"])
def test_moments_alone_follow_gradients_as_small_as_they_are(text):
    """Adam's weights after ten steps, beside torch's own with float32 moments."""
    generator = torch.Generator().manual_seed(3)
    gradients = 1e-5 * (1 + torch.rand(10, 4, 5, generator=generator))
    moved = {}
    for arithmetic in map(Arithmetic.of, (text, "float32")):
        model = nn.Sequential(layer.Linear(5, 4, bias=False, step_mode="m"))
        nn.init.zeros_(model[0].weight)
        optimizer = torch.optim.Adam(model.parameters(), 1e-3)
        round_after_steps(model, [optimizer], arithmetic)
        for gradient in gradients:
            model[0].weight.grad = gradient.clone()
            optimizer.step()
        moved[str(arithmetic)] = model[0].weight.detach()
    of_8_bits, of_float32 = moved.values()
    torch.testing.assert_close(of_8_bits, of_float32, rtol=0.1, atol=0)


@pytest.mark.parametrize("method", ["qfalt", "nearest"])
@pytest.mark.parametrize("text", ["posit8", "float8", "int8", "weight_gradients=posit8_es1,loss_scale=1024"])
def test_the_gradient_of_a_penalty_is_that_of_float32_rounded(text, method):
    model, arithmetic = network(method), Arithmetic.of(text)
    loss = with_penalties(model, lambda rates, labels: 0 * rates.sum())
    with in_arithmetic(model, arithmetic):
        gradients(model, *batch(), weights_of(model), loss=loss)
    found = [weight.grad for weight in weights_of(model)]
    gradients(model, *batch(), weights_of(model), loss=loss)  # of weights that are still rounded
    exact = [weight.grad for weight in weights_of(model)]
    scale, rounding = arithmetic.loss_scale, arithmetic.weight_gradients
    for one, of_float32 in zip(found[1:], exact[1:]):
        assert of_float32.any() and torch.equal(one, rounding(scale * of_float32) / scale)
    assert not any("penalty" in vars(quantizer) for quantizer in snnq.quantizers(model).values())


@pytest.mark.parametrize("levels", [None, "binary"])
def test_within_values_are_rounded_and_after_it_the_network_is_as_before(levels):
    model = network("sigmoid" if levels else None)
    frames, labels = batch()
    kinds = [type(module) for module in model.modules()]
    rounded, arithmetic = [], Arithmetic.of("posit8_es1")
    with in_arithmetic(model, arithmetic):
        watched = [model.layers[0], model.layers[1], model.layers[10]]
        hooks = [one.register_forward_hook(lambda *io: rounded.append(io[-1])) for one in watched]
        gradients(model, frames, labels, list(model.parameters()))
        for name in snnq.quantizers(model):
            rounded.append(model.get_submodule(name).weight)
        for hook in hooks:
            hook.remove()
        membranes = model.layers[2].single_step_functional_forward((frames,), (frames * 0,))[1]
    assert all(is_of(one, "posit8_es1") for one in (*rounded, *membranes))
    assert [type(module) for module in model.modules()] == kinds
    hooks = ("_forward_hooks", "_forward_pre_hooks")
    assert not any(getattr(module, of) for module in model.modules() for of in hooks)
    expected = snnq.build_model("nmnist", channels=2)
    assert set(vars(model.layers[2])) == set(vars(expected.layers[2]))
    by_hand = [p.grad.clone() for p in model.parameters()]
    gradients(model, frames, labels, list(model.parameters()))
    assert not any(map(torch.equal, by_hand, [p.grad for p in model.parameters()][:3]))


def test_in_float32_nothing_is_touched():
    model = network()
    with in_arithmetic(model, Arithmetic()):
        assert not any(module._forward_hooks for module in model.modules())
    optimizer = Optimizer(model, 1e-2, 10)
    round_after_steps(model, optimizer.all, Arithmetic())
    assert not optimizer.descent._optimizer_step_post_hooks


@pytest.mark.parametrize("text", ["posit8:stochastic", "int8", "float8"])
def test_a_step_in_an_arithmetic_reads_nothing(text, monkeypatch):
    monkeypatch.setattr(number_formats, "loops_take", lambda _: False)  # as on a GPU
    model, arithmetic = network(), Arithmetic.of(text)
    with in_arithmetic(model, text):
        optimizer = Optimizer(model, 1e-3, 10)
        round_after_steps(model, optimizer.all, arithmetic)
        step = Step(model, optimizer)
        step(*batch())  # the first makes tables and Adam's state
        with Reads() as reads, Calls() as calls:
            step(*batch())
    assert reads.found.total() == calls.found.total() == 0


def test_evaluation_is_to_the_nearest():
    model, arithmetic = network(), Arithmetic.of("posit8:stochastic")
    data = list(zip(batch()[0].unbind(1), range(4)))
    with in_arithmetic(model, arithmetic):
        first, second = (snnq.predict(model, data)[0] for _ in range(2))
    with snnq.in_arithmetic(model, "posit8"):
        assert torch.equal(first, second) and torch.equal(first, snnq.predict(model, data)[0])


@pytest.mark.parametrize("levels", ["full", "binary"])
def test_a_run_in_8_bits_resumes_to_the_same_end(tiny, in_tmp, monkeypatch, levels):
    settings = tiny | {"levels": levels, "arithmetic": "posit8_es1:stochastic", "batch_size": 12}
    fit(settings, in_tmp / "undisturbed")
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0)
    loss_of = at_call(5, kill, training_gradients.loss_of)
    monkeypatch.setattr(training_gradients, "loss_of", loss_of)
    with pytest.raises(Killed):
        fit(settings, in_tmp / "run")
    torch.manual_seed(123)  # whatever state the new process has
    fit(settings, in_tmp / "run")
    assert results(in_tmp / "run") == results(in_tmp / "undisturbed")
    weights = load_file(in_tmp / "run/weights.safetensors")
    kept = [of for name, of in weights.items() if of.ndim > 1 and "hardened" not in name]
    assert len(kept) == 4 and all(is_of(one, "posit8_es1") for one in kept)
    model, run = snnq.trained_network(in_tmp / "run"), snnq.Run(**settings)
    predicted = load_file(in_tmp / "run/predictions.safetensors")["hard"]
    _, test = snnq.load("nmnist", run.data, 2)
    with snnq.in_arithmetic(model, run.arithmetic):
        assert torch.equal(snnq.predict(model, test)[0].argmax(1).to(predicted), predicted)


def test_neurons_of_others_are_refused():
    class Neuron(nn.Module):
        def reset_mem(self):
            pass

    with pytest.raises(ValueError, match="0 is a Neuron: expected SpikingJelly's neurons"):
        with in_arithmetic(nn.Sequential(Neuron()), "int8"):
            pass


@pytest.mark.parametrize("bias", [False, True])
def test_memory_is_that_of_a_count_by_hand(bias):
    model = nn.Sequential(
        layer.Linear(5, 4, bias=bias, step_mode="m"), neuron.IFNode(step_mode="m")
    )
    table = snnq.step_memory(model, torch.rand(3, 6, 5), "weights=int8,moments=int8")
    weights, y = 20 + 4 * bias, 3 * 6 * 4
    numbers = [weights, 3 * 6 * 5 + 2 * y, y + y // 3, weights, 2 * weights, 0]
    assert table["numbers"].tolist() == numbers
    assert table["bytes"].tolist() == [n * b for n, b in zip(numbers, (1, 4, 4, 4, 1, 16))]
    assert table["component"].tolist() == [*ALL, "others"]
    assert model[0].weight.grad is None


def test_the_table_of_arithmetics_has_the_memory_of_their_steps():
    runs = pd.DataFrame(
        {"change": change, "arithmetic": text, "levels": levels, "seed": seed, "last": last + seed / 100}
        for change, text, last in (("float32", "float32", 0.9), ("8 bits", "posit8", 0.9001))
        for levels in ("full", "binary")
        for seed in range(3)
    )
    runs = runs.assign(ablation="arithmetic", recordings="x", name="", on_validation=0.5, channels=2)
    runs = runs.assign(benchmark="nmnist", network="plif", neuron="plif", size=math.nan, steps=2)
    runs = runs.assign(batch_size=8, keep=[("first",)] * len(runs))
    other = runs.assign(ablation="another", arithmetic="float32")
    table = snnq.arithmetic_table(pd.concat([runs, other]))
    assert table["ablation"].unique().tolist() == ["arithmetic"] and len(table) == 4
    model, frames = network().train(), torch.zeros(2, 8, 2, 34, 34)
    full = table[table["levels"] == "full"].set_index("change")
    for change, arithmetic in (("float32", "float32"), ("8 bits", "posit8")):
        assert full["step_bytes"][change] == snnq.step_memory(model, frames, arithmetic)["bytes"].sum()
    assert 3.9 < full["step_bytes"]["float32"] / full["step_bytes"]["8 bits"] < 4
    assert full["difference"]["8 bits"] == pytest.approx(0.01)
    for without in (other, other.drop(columns="arithmetic")):
        assert snnq.arithmetic_table(without).empty


@pytest.mark.parametrize("profile", ["arithmetic", "arithmetic_mnist"])
def test_in_a_study_of_arithmetics_all_of_a_network_is_trained_in_one(profile):
    study = plan(read_profiles([PROJECT / f"config/{profile}.yaml"]))
    runs = {**study.runs, **study.ablation_runs}.values()
    assert all(study.pretraining[Path(run.start).name].arithmetic == run.arithmetic for run in runs)


def test_the_study_of_arithmetics_has_every_format_and_every_component():
    runs = plan(read_profiles([PROJECT / "config/arithmetic.yaml"])).all_runs.values()
    compared = {Arithmetic.of(run.arithmetic) for run in runs}
    alone = {Arithmetic.of(f"{name}={of}") for name in ALL for of in ("posit8", "float8")}
    whole = [*POSITS, "int8", "float8"]
    assert compared >= alone | {Arithmetic.of(f"{name}:stochastic") for name in whole}
