import numpy as np
import pandas as pd
import pytest
import torch
from conftest import fit
from hypothesis import given
from hypothesis import strategies as st

import snnq
from snnq.quantization.settling import Settling
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


@given(st.sampled_from(CASES), st.floats(0.1, 1), st.integers(0, 1000))
def test_weights_leave_the_gaps_on_their_own_side(case, share, seed):
    model, quantizer, weight = layer(*case, seed)
    before, levels = weight.clone().numpy(), quantizer.level_indices(weight)
    greatest = 1.25 * max(map(abs, quantizer.levels))
    thresholds = quantizer.thresholds(weight).detach().double().numpy()
    Settling(model)(share)
    for w, old, level in zip(*(x.ravel() for x in (weight.double().numpy(), before, levels))):
        lower, upper = thresholds[:level], thresholds[level:]
        assert (lower < w + 1e-7).all() and (w < upper + 1e-7).all()
        for threshold in thresholds:
            others = np.abs(thresholds[thresholds != threshold] - threshold)
            gap = min([share * 0.05 * np.abs(before).max() / greatest, *(others / 4)])
            assert abs(w - threshold) > gap - 1e-6
            if abs(old - threshold) < gap - 1e-6:  # moved, and no further than it had to be
                assert abs(w - threshold) == pytest.approx(gap, abs=1e-6)
        if min(np.abs(thresholds - old)) > 0.05 * np.abs(before).max() / greatest:
            assert w == old


def test_closed_gaps_and_methods_without_thresholds_leave_weights_alone():
    model, _, weight = layer("sigmoid", "binary", 0)
    before = weight.clone()
    Settling(model)(0.0)
    assert torch.equal(weight, before)
    for method in ("rounding", "qsnn", "bso", "tbso"):
        without, _, weight = layer(method, "binary", 0)
        Settling(without)(1.0)
        assert torch.equal(weight, before)


def test_gaps_grow_in_the_last_epochs():
    run = Run(epochs=8, settle=0.5)
    assert [run.settled(epoch) for epoch in (0, 4, 5.5, 7, 8)] == [0, 0, 0.5, 1, 1]
    assert Run(epochs=8, settle=0.0).settled(8) == 0
    assert Run(epochs=2, settle=1.0).settled(0.75) == 0.5


def test_a_run_that_settles_ends_with_no_weight_in_transition(tiny, in_tmp):
    settings = tiny | {"levels": "ternary", "epochs": 4, "learning_rate": 0.01}
    shares = {}
    for settle in (0.0, 0.5):
        fit(settings | {"settle": settle}, in_tmp / str(settle))
        rows = pd.read_csv(in_tmp / str(settle) / HISTOGRAMS).set_index("epoch")
        shares[settle] = rows["in_transition"]
    # The same until the gaps open.
    assert shares[0.0].loc[:2].tolist() == shares[0.5].loc[:2].tolist()
    assert shares[0.0].loc[4].max() > 0 and shares[0.5].loc[4].max() == 0
    history = snnq.read_history(in_tmp / "0.5")
    assert history["test_accuracy"].iloc[-1] == history["test_accuracy_soft"].iloc[-1]
