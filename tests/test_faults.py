import math

import numpy as np
import pytest
import torch
from conftest import firing_network

import snnq
from snnq.deployment import faults

LAYER = "layers.10"  # linear, from 12 inputs to 2,048 neurons
WIDTHS = {"binary": 1, "2bit": 2, "3bit": 3, "4bit": 4, "pm2": 3, "pm4": 3}


def network(levels):
    model = firing_network()
    # With an α for T = 1, which is large, neurons fire.
    return (model if levels == "full" else snnq.quantize(model, levels, temperature=1.0)).eval()


def stored(levels):
    model = network(levels)
    return faults._stored(model, LAYER), model.get_submodule(LAYER).weight.detach()


def flipped_bit(content, bit):
    changed = content.copy()
    changed[bit // 8] ^= 1 << bit % 8
    return changed


@pytest.mark.parametrize("levels", [*snnq.LEVELS, "full"])
def test_without_faults_the_weights_are_the_networks(levels):
    memory, weight = stored(levels)
    assert torch.equal(memory.read(memory.content), weight)


@pytest.mark.parametrize("levels", WIDTHS)
def test_one_flipped_bit_is_another_level_of_one_weight(levels):
    memory, weight = stored(levels)
    alpha = snnq.quantizers(network(levels))[LAYER].alpha.detach()
    width, values = WIDTHS[levels], alpha * torch.tensor(snnq.LEVELS[levels])
    for bit in range(3 * width):
        faulty = memory.read(flipped_bit(memory.content, bit)).flatten()
        place, power = divmod(bit, width)
        index = (values == weight.flatten()[place]).nonzero().item() ^ (1 << power)
        expected = weight.flatten().clone()
        expected[place] = values[min(index, len(values) - 1)]
        assert torch.equal(faulty, expected)


def test_one_flipped_bit_of_ternary_weights_changes_five_at_most():
    memory, weight = stored("ternary")
    values = weight.unique()
    for bit in range(16):
        changed = flipped_bit(memory.content, bit)
        number, first = int(changed[bit // 8]) % 243, 5 * (bit // 8)
        expected = weight.flatten().clone()
        for k in range(5):
            expected[first + k] = values[number // 3**k % 3]
        assert torch.equal(memory.read(changed).flatten(), expected)


def test_float32_is_read_as_ieee_754_has_it():
    memory, weight = stored("full")
    first = weight.flatten()[0].item()
    (bits,) = np.array([first], "<f4").view("<u4")
    for bit in range(32):
        (expected,) = np.array([bits ^ np.uint32(1 << bit)], "<u4").view("<f4").tolist()
        read = memory.read(flipped_bit(memory.content, bit)).flatten()
        assert read[0].item() == (expected if math.isfinite(expected) else 0)
        assert torch.equal(read[1:], weight.flatten()[1:])
    for special in (math.inf, -math.inf, math.nan):
        changed = memory.content.copy()
        changed[:4] = np.array([special], "<f4").view(np.uint8)
        assert memory.read(changed).flatten()[0] == 0


@pytest.mark.parametrize("levels", ["2bit", "4bit", "full"])
def test_protected_signs_stay(levels):
    memory, weight = stored(levels)
    content = faults.flip_bits(memory, 0.5, np.random.default_rng(0), protect_signs=True)
    faulty = memory.read(content)
    assert (faulty != weight).any() and not (faulty * weight < 0).any()
    content = faults.flip_bits(memory, 0.5, np.random.default_rng(0), protect_signs=False)
    assert (memory.read(content) * weight < 0).any()


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.3, 1.0])
def test_bits_flip_at_the_rate(rate):
    memory, _ = stored("4bit")
    draws = [
        np.unpackbits(memory.content ^ faults.flip_bits(memory, rate, rng, False))
        for rng in np.random.default_rng(0).spawn(20)
    ]
    bits = np.array(draws)
    deviation = math.sqrt(rate * (1 - rate) / bits.size)
    assert abs(bits.mean() - rate) <= 4 * deviation
    if 0 < rate < 1:  # any bit may, not always the same
        assert len({draw.tobytes() for draw in draws}) == 20
        assert (bits.mean(0) > 0).mean() == pytest.approx(1 - (1 - rate) ** 20, abs=0.02)


def test_all_bits_of_binary_weights_flipped_are_negated_weights(noise):
    model = network("binary")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    negated = faults.evaluated_copy(model)
    for name in snnq.quantizers(model):
        negated.get_submodule(name).weight.data.neg_()
    table = snnq.accuracy_with_faults(model, noise, [0.0, 1.0], draws=2)
    weights = [model.get_submodule(name).weight.numel() for name in snnq.quantizers(model)]
    bits = sum(8 * math.ceil(count / 8) for count in weights)
    assert table["flipped"].tolist() == [0, 0, bits, bits]
    intact, inverted = snnq.evaluate(model, noise)[0], snnq.evaluate(negated, noise)[0]
    assert intact != inverted
    assert table["accuracy"].tolist() == [intact, intact, inverted, inverted]
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_faults_are_the_same_again_and_only_where_asked(noise):
    model = network("2bit")
    again = [snnq.accuracy_with_faults(model, noise, [0.1], layers=[LAYER]) for _ in range(2)]
    assert again[0].equals(again[1]) and again[0]["flipped"].nunique() > 1
    assert again[0]["flipped"].max() < 0.2 * 2 * model.get_submodule(LAYER).weight.numel()
    protected = snnq.accuracy_with_faults(network("binary"), noise, [1.0], protect_signs=True)
    assert protected["flipped"].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("levels", "options", "message"),
    [
        ("binary", {"rates": [1.5]}, r"rates=\[1.5\]: expected numbers from 0 to 1"),
        ("binary", {"draws": 0}, "draws=0: expected at least 1"),
        ("binary", {"layers": ["layers.1"]}, r"layers=\['layers.1'\]: expected some of layers.0"),
        ("full", {}, r"layers=\[\]: expected some of"),
        ("ternary", {"protect_signs": True}, "protect_signs: .* of layers.4 no bit is a sign"),
        ("pm2", {"protect_signs": True}, "no bit is a sign"),
    ],
)
def test_what_cannot_be_is_refused(noise, levels, options, message):
    with pytest.raises(ValueError, match=message):
        snnq.accuracy_with_faults(network(levels), noise, **({"rates": [0.1]} | options))
