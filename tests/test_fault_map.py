"""Fault maps: what is drawn, what can be reached, and files."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import snnq
from snnq.storage.bits import pack_levels, unpack_levels
from snnq.storage.fault_map import LayerFaults, _sets_of_byte

LEVELS = ("binary", "ternary", "2bit", "pm2", "3bit", "pm4", "4bit")


def network(levels, width=40):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(7, width), torch.nn.Linear(width, 5))
    return snnq.quantize(model, levels, ())


def read_from_bytes(indices, levels, stuck_at_0, stuck_at_1):
    """Of a packed file whose bytes have stuck bits, as `accuracy_with_faults` reads flipped ones."""
    packed = pack_levels(indices, levels) & ~stuck_at_0 | stuck_at_1
    found = unpack_levels(packed, levels, indices.numel())
    return found.long().clamp(max=levels - 1).view(indices.shape)


@pytest.mark.parametrize("levels", LEVELS)
def test_levels_are_misread_as_the_bytes_of_the_packed_file_are(levels, tmp_path):
    model = network(levels)
    faults = snnq.draw_faults(model, 0.1, 0.2, device=3)
    snnq.save_faults(faults, tmp_path / "map.safetensors")
    stored = load_file(tmp_path / "map.safetensors")
    for name, layer in faults.items():
        count = len(layer.levels)
        indices = torch.randint(count, layer.shape)
        masks = [stored[f"{name}.{part}"] for part in ("stuck_at_0", "stuck_at_1")]
        assert all(mask.shape == pack_levels(indices, count).shape for mask in masks)
        expected = read_from_bytes(indices, count, *masks)
        assert torch.equal(layer.misread(indices), expected) and (expected != indices).any()


@pytest.mark.parametrize("levels", [name for name in LEVELS if name != "ternary"])
def test_a_weight_reaches_what_some_code_of_its_own_is_read_as(levels):
    count = len(snnq.LEVELS[levels])
    width = (count - 1).bit_length()
    pairs = [(a, b) for a in range(2**width) for b in range(2**width) if not a & b]
    masks = torch.tensor(pairs, dtype=torch.uint8).T
    shape = torch.Size([len(pairs)])
    reachable = LayerFaults(snnq.LEVELS[levels], shape, *masks).reachable
    for place, (zero, one) in enumerate(pairs):
        read = {min(code & ~zero | one, count - 1) for code in range(2**width)}
        own = reachable.sets[int(reachable.rows[place])]
        assert set(own.nonzero().view(-1).tolist()) == read


@given(st.integers(0, 255), st.integers(0, 255))
def test_every_combination_of_the_sets_of_a_byte_can_be_read(zero, one):
    zero &= ~one
    read = {(code & ~zero | one) % 243 for code in range(256)}
    sets = [np.flatnonzero(own) for own in _sets_of_byte(zero, one)]
    combinations = {
        sum(int(k) * 3**place for place, k in enumerate(chosen)) for chosen in itertools.product(*sets)
    }
    assert combinations and combinations <= read
    # No larger choice of sets: each that has one level more has a combination that is not read.
    for place, k in itertools.product(range(5), range(3)):
        if k not in sets[place]:
            larger = [[*own, k] if i == place else own for i, own in enumerate(sets)]
            assert any(
                sum(int(k) * 3**i for i, k in enumerate(chosen)) not in read
                for chosen in itertools.product(*larger)
            )


def test_the_sets_of_a_byte_that_is_sound_or_stuck_throughout():
    assert _sets_of_byte(0, 0).all()
    assert _sets_of_byte(255, 0).tolist() == [[True, False, False]] * 5
    # The lowest bit stuck at 0 leaves even sums, so each weight keeps 0 and 2.
    assert _sets_of_byte(1, 0).tolist() == [[True, False, True]] * 5


@pytest.mark.parametrize("rates", [(0.0, 0.0), (0.1, 0.0), (0.05, 0.3), (0.7, 0.3)])
def test_bits_are_stuck_at_their_rates_and_never_at_both(rates):
    faults = snnq.draw_faults(network("4bit", 800), *rates)
    zero, one = (
        np.unpackbits(np.concatenate([getattr(layer, part) for layer in faults.values()])[:, None], 1)
        for part in ("stuck_at_0", "stuck_at_1")
    )
    bits = sum(layer.bits for layer in faults.values())
    assert bits == 4 * 12 * 800 and not (zero & one).any()
    for found, rate in ((zero.sum(), rates[0]), (one.sum(), rates[1])):
        assert abs(found - rate * bits) <= 4 * math.sqrt(bits * rate * (1 - rate))
    assert sum(layer.stuck for layer in faults.values()) == zero.sum() + one.sum()


def test_errors_are_normal_with_the_variability():
    faults = snnq.draw_faults(network("binary", 800), variability=0.2)
    errors = torch.cat([layer.error.flatten() for layer in faults.values()])
    assert errors.std().item() == pytest.approx(0.2, rel=0.05) and abs(errors.mean()) < 0.01


def test_a_device_is_the_same_again_and_another_is_not():
    maps = [snnq.draw_faults(network("2bit"), 0.2, device=device) for device in (1, 1, 2)]
    same, other = (
        all(torch.equal(maps[0][name].stuck_at_0, one[name].stuck_at_0) for name in one)
        for one in maps[1:]
    )
    assert same and not other


@pytest.mark.parametrize("levels", LEVELS)
def test_a_map_comes_back_from_its_file(levels, tmp_path):
    model, path = network(levels), tmp_path / "map.safetensors"
    faults = snnq.draw_faults(model, 0.1, 0.1, 0.3)
    snnq.save_faults(faults, path)
    for name, layer in snnq.read_faults(path, model).items():
        assert (layer.levels, layer.shape) == (faults[name].levels, faults[name].shape)
        for part in ("stuck_at_0", "stuck_at_1", "error"):
            assert torch.equal(getattr(layer, part), getattr(faults[name], part))


def test_the_memory_of_an_unpacked_network_is_the_same(tmp_path):
    model = snnq.quantize(snnq.build_model("nmnist", channels=2, size=8), "ternary")
    snnq.pack(model, tmp_path / "net.safetensors")
    unpacked = snnq.unpack(tmp_path / "net.safetensors")
    maps = [snnq.draw_faults(one, 0.2) for one in (model, unpacked)]
    assert maps[0].keys() == maps[1].keys()
    assert all(torch.equal(maps[0][n].stuck_at_0, maps[1][n].stuck_at_0) for n in maps[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stuck_at_0": 1.5}, "stuck_at_0=1.5: expected a number from 0 to 1"),
        ({"stuck_at_0": 0.6, "stuck_at_1": 0.5}, "expected a sum of at most 1"),
        ({"variability": -1.0}, "variability=-1.0: expected a finite number"),
    ],
)
def test_rates_that_cannot_be_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        snnq.draw_faults(network("binary"), **options)
    with pytest.raises(ValueError, match="no layer is quantized"):
        snnq.draw_faults(torch.nn.Linear(2, 2), 0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda map: map.pop("0.stuck_at_0"), "'0.stuck_at_0': not there, expected torch.uint8"),
        (lambda map: map.update({"9.error": map["0.error"].clone()}), "'9.error': expected faults of 0"),
        (lambda map: map.update({"0.stuck_at_0": map["0.stuck_at_0"][1:]}), r"\[104\], expected"),
        (lambda map: map.update({"0.stuck_at_1": 255 - 0 * map["0.stuck_at_1"]}), "stuck at 0 and at 1"),
        (lambda map: map["0.error"].fill_(math.nan), "0.error: expected finite numbers"),
    ],
)
def test_files_that_do_not_fit_are_refused(change, message, tmp_path):
    model, path = network("3bit"), tmp_path / "map.safetensors"
    snnq.save_faults(snnq.draw_faults(model, 0.2, variability=0.1), path)
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    with pytest.raises(ValueError, match=f"map.safetensors: .*{message}"):
        snnq.read_faults(path, model)


def test_no_file_and_no_safetensors_file_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        snnq.read_faults(tmp_path / "map.safetensors", network("binary"))
    (tmp_path / "map.safetensors").write_text("no map")
    with pytest.raises(ValueError, match="no fault map"):
        snnq.read_faults(tmp_path / "map.safetensors", network("binary"))
