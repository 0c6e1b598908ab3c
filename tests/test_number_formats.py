"""Numbers of 8 bits: every code and every tie against ml_dtypes and SoftPosit, and chance."""

import math
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, chi2

from snnq.quantization import number_formats
from snnq.quantization.number_formats import (
    FLOATS,
    INT8,
    NUMBERS,
    POSITS,
    Rounding,
    numbers_of,
    posit,
)

LARGEST = {
    "float8_e4m3": 448.0,
    "float8_e5m2": 57344.0,
    "posit8_es0": 2.0**6,
    "posit8_es1": 2.0**12,
    "posit8_es2": 2.0**24,
}
REAL = st.floats(width=32, allow_nan=False, allow_infinity=False)


def to_nearest(values: list[float], name: str) -> list[float]:
    return Rounding(name)(torch.tensor(values)).tolist()


def every_exponent() -> torch.Tensor:
    """float32 with every sign, exponent and 8 bits of fraction, so that numbers, ties and what lies
    to either side of both are there."""
    bits = torch.arange(-(2**16), 2**16, dtype=torch.int32) << 15
    found = bits.view(torch.float32)
    return found[found.isfinite()]


@pytest.mark.parametrize("name", FLOATS)
def test_every_float_is_that_of_ml_dtypes(name, peer):
    peer("ml_dtypes", find_spec("ml_dtypes"))
    kind = getattr(import_module("ml_dtypes"), {"float8_e4m3": "float8_e4m3fn"}.get(name, name))
    theirs = np.arange(256, dtype=np.uint8).view(kind).astype(np.float32)
    assert numbers_of(name) == sorted(set(theirs[np.isfinite(theirs)].tolist()))
    x = every_exponent()
    x = x[x.abs() <= LARGEST[name]]  # beyond it theirs become infinite or NaN
    assert torch.equal(Rounding(name)(x), torch.tensor(x.numpy().astype(kind).astype(np.float32)))


@pytest.mark.parametrize("name", POSITS)
def test_every_posit_is_that_of_softposit(name, peer):
    peer("softposit", find_spec("softposit"))
    theirs = import_module("softposit")
    value, nearest = {
        0: (lambda code: theirs.posit8(bits=code), theirs.posit8),
        # Of 16 bits, it is the one of fewer without the zeros at its end.
        1: (lambda code: theirs.posit16(bits=code << 8), None),
        2: (lambda code: theirs.posit_2(x=8, bits=code), lambda x: theirs.posit_2(x, 8)),
    }[POSITS[name]]
    assert numbers_of(name) == sorted(float(value(code)) for code in range(256) if code != 128)  # NaR
    if nearest is None:
        ties = [float(theirs.posit16(bits=code << 7)) for code in range(1, 256)]
        assert ties == [float(posit(code, 9, 1)) for code in range(1, 256)]
    else:
        x = every_exponent()[::37]
        assert to_nearest(x.tolist(), name) == [float(nearest(one)) for one in x.tolist()]


@pytest.mark.parametrize("name", POSITS)
def test_ties_between_posits_go_to_the_even_code_and_what_is_beside_them_does_not(name):
    es = POSITS[name]
    for code in range(1, 127):
        low, tie, high = (float(posit(*of, es)) for of in ((code, 8), (2 * code + 1, 9), (code + 1, 8)))
        below, above = (float(np.nextafter(np.float32(tie), np.float32(to))) for to in (0, np.inf))
        even = low if code % 2 == 0 else high
        found = to_nearest([below, tie, above, -below, -tie, -above], name)
        assert found == [low, even, high, -low, -even, -high]


@pytest.mark.parametrize("name", LARGEST)
def test_what_is_larger_is_the_largest_and_what_is_not_finite_is_nan(name):
    most = LARGEST[name]
    assert to_nearest([most, 1.01 * most, 3e38, -3e38], name) == [most, most, most, -most]
    assert all(map(math.isnan, to_nearest([math.inf, -math.inf, math.nan], name)))
    least = Rounding(name).least(torch.ones(1)).item()
    assert least == min(one for one in numbers_of(name) if one > 0)
    smallest = least if name in POSITS else 0.0  # a posit does not become 0
    assert to_nearest([1e-45, -1e-30, 0.0], name) == [smallest, -smallest, 0.0]


@given(st.sampled_from(sorted(LARGEST)), st.lists(REAL, min_size=2, max_size=20))
def test_rounding_keeps_the_order_and_signs_and_rounds_once(name, values):
    values.sort()
    found = to_nearest(values, name)
    assert found == sorted(found) == to_nearest(found, name)
    assert found == [-one for one in to_nearest([-one for one in values], name)]
    numbers = np.array(numbers_of(name))
    below, above = numbers.searchsorted(values, "right") - 1, numbers.searchsorted(values)
    ends = numbers[below.clip(0)], numbers[above.clip(max=len(numbers) - 1)]
    assert all(y in sides for y, *sides in zip(found, *ends))  # one of its two neighbours


@given(st.lists(st.integers(-127 * 8, 127 * 8), max_size=20), st.integers(-60, 60))
def test_integers_are_on_the_grid_of_their_tensor(eighths, exponent):
    x = torch.tensor([127 * 8, *eighths], dtype=torch.float64) / 8  # exact, and with ties
    expected = x.round() * 2.0**exponent
    found = Rounding(INT8)((x * 2.0**exponent).float())
    torch.testing.assert_close(found.double(), expected, rtol=3e-7, atol=0)


def test_integers_of_nothing_are_nothing():
    rounding = Rounding(INT8)
    assert rounding(torch.zeros(3)).tolist() == [0.0] * 3
    assert rounding(torch.tensor([1.0, math.nan])).isnan().all()
    assert rounding.least(torch.tensor([2.54, -1.0])).item() == pytest.approx(0.02)


@pytest.fixture(params=[True, False], ids=["compiled", "tensors"])
def either_way(request, monkeypatch):
    """By compiled loops, and by tensor operations as on a GPU."""
    monkeypatch.setattr(number_formats, "loops_take", lambda _: request.param)


@pytest.mark.parametrize("name", LARGEST)
def test_both_ways_are_the_same_to_the_bit_in_any_order_of_memory(name, monkeypatch):
    x = torch.cat([every_exponent(), torch.tensor([math.nan, math.inf, -math.inf])])
    x = x[: len(x) // 64 * 64].view(8, 8, -1).transpose(0, 2)  # as channels last, say
    compiled = Rounding(name)(x)
    monkeypatch.setattr(number_formats, "loops_take", lambda _: False)
    assert torch.equal(compiled.nan_to_num(1e9), Rounding(name)(x).nan_to_num(1e9))


def test_chance_is_even_and_of_the_generator_and_blocks_are_not_alike():
    """A number of gaps of 0 to 1 goes up with each probability; the order of places does not show."""
    torch.manual_seed(0)
    rounding = Rounding("posit8_es0", stochastic=True)
    draws = [rounding(torch.full((2**18,), 1 + 1 / 64)) > 1 for _ in range(2)]
    counts = torch.stack([*draws[0].view(64, -1), *draws[1].view(64, -1)]).sum(1)  # of 4,096, ½ each
    assert 0.001 < chi2.cdf(((counts - 2048) ** 2 / 1024).sum().item(), 128) < 0.999
    agree = [(draws[0] == draws[1]).sum(), (draws[0][:-1] == draws[0][1:]).sum()]
    agree.append((draws[0][: 2**16] == draws[0][2**16 : 2**17]).sum())  # the next thread's
    assert all(binomtest(int(n), of).pvalue > 1e-3 for n, of in zip(agree, (2**18, 2**18 - 1, 2**16)))
    torch.manual_seed(0)
    assert torch.equal(rounding(torch.full((2**18,), 1 + 1 / 64)) > 1, draws[0])


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("x", [0.3, -0.77, 0.5004, 3.3e-3, 0.0009])
def test_chance_is_right_in_the_mean(name, x):
    torch.manual_seed(0)
    numbers = [i / 127 for i in range(-127, 128)] if name == INT8 else numbers_of(name)
    tensor = torch.full((4001,), x)
    tensor[-1] = 1.0  # whose scale int8 takes
    found = Rounding(name, stochastic=True)(tensor)[:-1].double()
    low, high = max(n for n in numbers if n <= x), min(n for n in numbers if n >= x)
    assert all(one in (pytest.approx(low), pytest.approx(high)) for one in found.unique().tolist())
    up = int((found > (low + high) / 2).sum())
    assert binomtest(up, len(found), (x - low) / (high - low)).pvalue > 1e-3


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("name", LARGEST)
def test_chance_leaves_numbers_where_they_are(name):
    numbers = torch.tensor(numbers_of(name))
    rounding = Rounding(name, stochastic=True)
    assert torch.equal(rounding(numbers), numbers)
    most = LARGEST[name]
    assert rounding(torch.tensor([3e38, -2 * most])).tolist() == [most, -most]
    assert rounding(torch.tensor([math.inf, math.nan])).isnan().all()


def test_other_formats_are_refused():
    with pytest.raises(ValueError, match="'posit9': expected one of float8_e4m3"):
        Rounding.of("posit9")
    assert str(Rounding.of("int8:stochastic")) == "int8:stochastic"
