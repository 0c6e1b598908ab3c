import math

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ends_as_one_that_was_not_stopped, fit, paper_quantizer
from hypothesis import given
from hypothesis import strategies as st

import snnq
from snnq.training.faults import reach_levels_of
from snnq.training.hardening import Hardening
from snnq.training.record import HISTOGRAMS
from snnq.training.run import Run

METHODS = {
    "sigmoid": ("binary", "ternary", "2bit", "4bit", (-2, 0, 1)),
    "sign": ("binary",),
    "lsq": ("binary", "ternary", "2bit", "4bit"),
    "dorefa": ("binary", "ternary", "2bit", "4bit"),
    "rescaw": ("binary", "ternary", "2bit", "4bit"),
    "twn": ("ternary",),
    "ttq": ("ternary",),
}
CASES = [(method, levels) for method, sets in METHODS.items() for levels in sets]


def layer(method, levels, seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = torch.nn.Sequential(torch.nn.Linear(6, 8))
    snnq.quantize(model, levels, (), snnq.QUANTIZERS[method])
    weight = model[0].parametrizations.weight.original.data
    return model, snnq.quantizers(model)["0"], weight


@pytest.mark.parametrize("method, levels", CASES)
def test_thresholds_are_where_the_level_changes(method, levels):
    _, quantizer, weight = layer(method, levels, 0)
    thresholds = quantizer.thresholds(weight).detach().double().numpy()
    assert len(thresholds) == len(quantizer.levels) - 1
    # Weights on a threshold itself, in float32, may fall to either side.
    off = np.abs(np.subtract.outer(weight.numpy(), thresholds)).min(-1) > 1e-6
    expected = np.searchsorted(thresholds, weight.numpy())
    np.testing.assert_array_equal(quantizer.level_indices(weight).numpy()[off], expected[off])


@given(st.sampled_from(CASES), st.lists(st.floats(0, 1), max_size=4), st.integers(0, 1000))
def test_the_surest_become_hard_and_stay(case, times, seed):
    model, quantizer, weight = layer(*case, seed)
    parameter = model[0].parametrizations.weight.original
    adam = torch.optim.Adam([parameter], 0.05)
    hardening = Hardening(model, adam, (0.1, 0.85))
    generator, hard = torch.Generator().manual_seed(seed), {}
    for time in sorted(times):
        hardening(time)
        passed = min(max((time - 0.1) / 0.75, 0), 1)
        stages = 50 * (1 - (1 - passed) ** 2)
        mask, w = quantizer.hardened, weight.double()
        # Where a stage begins just then, rounding says whether it has begun.
        shares = {math.floor(stages - 1e-9) / 50, math.floor(stages + 1e-9) / 50}
        assert min(abs(mask.sum().item() - share * mask.numel()) for share in shares) <= 1
        assert all(mask.view(-1)[place] and w.view(-1)[place] == held for place, held in hard.items())
        thresholds = quantizer.thresholds(weight).detach().double()
        distances = (w[..., None] - thresholds).abs().min(-1).values
        new = mask.clone()
        new.view(-1)[list(hard)] = False
        if new.any() and not mask.all():
            assert distances[new].min() >= distances[~mask].max() - 1e-6
        hard = {place: w.view(-1)[place].item() for place in mask.view(-1).nonzero().ravel().tolist()}
        seen = model.train()[0].weight
        assert torch.equal(seen[mask], quantizer.hard(weight)[mask])
        assert torch.equal(seen[~mask], quantizer.soft(weight)[~mask])
        towards = torch.randn(seen.shape, generator=generator)
        parameter.grad = None
        (seen * towards).sum().backward()
        assert not parameter.grad[mask].any()
        adam.step()


def hardened_network(memory_format, method, levels, faults):
    """A convolution in training, with what three steps have made of it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Conv2d(4, 6, 3))
        frames = torch.randn(3, 4, 5, 5)
    snnq.quantize(model, levels, (), snnq.QUANTIZERS[method]).train()
    if faults:
        reach_levels_of(model, snnq.draw_faults(model, 0.3))
    model.to(memory_format=memory_format)
    adam = torch.optim.Adam(model.parameters(), 0.05)
    hardening = Hardening(model, adam, (0.1, 0.9))
    for time in (0.3, 0.5, 0.7):
        adam.zero_grad()
        model(frames).square().sum().backward()
        adam.step()
        hardening(time)
    state = adam.state[model[0].parametrizations.weight.original]
    quantizer = snnq.quantizers(model)["0"]
    return [model[0].weight, quantizer.hardened, state["exp_avg"], *(p.grad for p in model.parameters())]


@pytest.mark.parametrize(
    ("method", "levels", "faults"),
    [
        ("sigmoid", "4bit", False),
        ("sigmoid", "4bit", True),
        ("sigmoid", "binary", True),
        ("lsq", "2bit", False),
    ],
)
def test_weights_with_channels_last_harden_as_others(method, levels, faults):
    expected, found = (
        hardened_network(of, method, levels, faults) for of in (torch.contiguous_format, torch.channels_last)
    )
    assert 0 < expected[1].sum() < expected[1].numel() and torch.equal(found[1], expected[1])
    assert not found[2][found[1]].any()
    for one, other in zip(found, expected):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_without_times_or_thresholds_nothing_is_hardened():
    model, quantizer, _ = layer("sigmoid", "binary", 0)
    adam = torch.optim.Adam(model.parameters())
    Hardening(model, adam, ())(1.0)
    assert quantizer.hardened is None
    model, quantizer, _ = layer("rounding", "binary", 0)
    Hardening(model, adam, (0.1, 0.9))(1.0)
    assert quantizer.hardened is None


@pytest.mark.parametrize(
    ("method", "levels", "harden", "between"),
    [
        ("sigmoid", "binary", None, {"0": (0.1, 0.85)}),
        ("sigmoid", "ternary", None, {"0": (0.1, 0.85)}),
        ("sigmoid", "2bit", None, {"0": (0.5, 0.95)}),
        ("sigmoid", "2bit", (0.2, 1), {"0": (0.2, 1)}),
        ("sigmoid", "binary", (), {}),
        ("sign", "binary", None, {}),
        ("sign", "binary", (0.2, 1), {"0": (0.2, 1)}),
    ],
)
def test_the_sigmoids_harden_by_default_and_other_methods_where_asked(
    method, levels, harden, between
):
    model, _, _ = layer(method, levels, 0)
    adam = torch.optim.Adam(model.parameters())
    assert Hardening(model, adam, harden).between == between


def test_each_layer_hardens_as_its_levels_want():
    model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Linear(8, 40))
    snnq.quantize(model, {"0": "4bit", "rest": "binary"}, ())
    hardening, shares = Hardening(model, torch.optim.Adam(model.parameters()), None), []
    for time in (0.0, 0.3, 0.6, 0.9, 0.96):
        hardening(time)
        masks = [quantizer.hardened for quantizer in snnq.quantizers(model).values()]
        shares.append([mask.float().mean().item() for mask in masks])
    many, few = np.transpose(shares)
    assert (many[:2] == 0).all() and 0 < many[2] < many[3] < 1 and many[4] == 1
    assert few[0] == 0 and 0 < few[1] < few[2] < 1 and (few[3:] == 1).all()


@pytest.mark.parametrize(
    ("settings", "biases", "harden"),
    [
        ({"levels": "binary"}, "kmeans", None),
        ({"levels": "full"}, "kmeans", None),
        ({"levels": (0, 1, 2)}, "kmeans", None),
        ({"levels": (0, 1, 2, 4)}, "uniform", (0.5, 0.95)),
        ({"levels": "4bit", "harden": ()}, "uniform", ()),
        ({"levels": "4bit", "biases": "kmeans"}, "kmeans", (0.5, 0.95)),
        ({"levels": "4bit", "quantizer": "lsq"}, "kmeans", None),
        ({"levels": {"last": "4bit", "rest": "2bit"}}, "uniform", (0.5, 0.95)),
        ({"levels": {"<1000": "full", "rest": "binary"}}, "kmeans", None),
        ({"levels": {"<1000": "4bit", "rest": "binary"}}, None, None),  # each layer its own
    ],
)
def test_a_run_records_the_recipe_of_its_levels(settings, biases, harden):
    run = Run(**settings)
    assert (run.biases, run.harden) == (biases, harden)
    assert Run.of(vars(run)) == run


def test_shares_that_cannot_be_are_refused():
    for value in ((0.5,), (0.5, 0.5), (0.9, 0.1), (-0.1, 1), (0, 1.1), "no", 0.5, (True, 1)):
        with pytest.raises(ValueError, match="harden=.*: expected two increasing shares of 1, or"):
            Run(harden=value)


@pytest.mark.parametrize("levels", ["binary", "2bit"])
def test_a_hardened_run_ends_as_the_network_that_it_trained(tiny, in_tmp, levels):
    settings = tiny | {"levels": levels, "full_epochs": 0, "epochs": 4, "learning_rate": 0.01}
    settings |= {"temperature_final": 8.0, "soft_every": 1}
    shares = {}
    for name, harden in (("soft", ()), ("hard", (0.5, 1.0))):
        fit(settings | {"harden": harden}, in_tmp / name)
        rows = pd.read_csv(in_tmp / name / HISTOGRAMS).set_index("epoch")
        shares[name] = rows["in_transition"]
    assert shares["soft"].loc[:2].tolist() == shares["hard"].loc[:2].tolist()
    assert shares["soft"].loc[4].min() > 0 and shares["hard"].loc[4].max() == 0
    history = snnq.read_history(in_tmp / "hard")
    assert history["test_accuracy"].iloc[-1] == history["test_accuracy_soft"].iloc[-1]


def test_a_run_stopped_while_it_hardens_ends_as_one_that_was_not(tiny, in_tmp, monkeypatch):
    settings = tiny | {"levels": "ternary", "full_epochs": 0, "harden": (0.0, 1.0)}
    ends_as_one_that_was_not_stopped(settings, in_tmp, monkeypatch, look=3)


@given(st.sampled_from(METHODS["sigmoid"]), st.floats(1, 200), st.integers(0, 1000))
def test_hardened_weights_are_at_their_levels_and_the_rest_on_the_staircase(levels, T, seed):
    """In one pass, as in float64 written out."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(7, 301, generator=generator)
    quantizer = paper_quantizer(weight, levels, T, biases="uniform").train()
    towards, mask = torch.randn(7, 301, generator=generator), torch.rand(7, 301, generator=generator) < 0.5
    found = {}
    for dtype in (torch.float32, torch.float64):
        w = weight.to(dtype).requires_grad_()
        quantizer.to(dtype).hardened = mask
        y = quantizer(w)
        parameters = [w, quantizer.alpha, quantizer.beta]
        found[dtype] = [y, *torch.autograd.grad((y * towards.to(dtype)).sum(), parameters)]
        if dtype == torch.float32:
            assert torch.equal(y[mask], quantizer.hard(w)[mask])
            quantizer.hardened = None
            assert torch.equal(y[~mask], quantizer(w)[~mask])
    w = weight.double().requires_grad_()
    quantizer.hardened = None
    moving = torch.where(mask, w.detach(), w)
    y = torch.where(mask, quantizer.hard(moving), quantizer.soft(moving))
    expected = [y, *torch.autograd.grad((y * towards.double()).sum(), [w, *parameters[1:]])]
    for one, other, exact in zip(*found.values(), expected):
        scale = exact.abs().max().item()
        torch.testing.assert_close(other, exact, rtol=1e-9, atol=1e-9 * scale)
        torch.testing.assert_close(one.double(), exact, rtol=1e-4, atol=1e-4 * scale)
    assert not found[torch.float32][1][mask].any()
