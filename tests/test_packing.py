"""Networks packed into files and unpacked again."""

import itertools
import math
from dataclasses import asdict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

import snnq
from snnq.networks.models import NETWORKS
from snnq.storage.bits import pack_levels, unpack_levels, weight_bytes
from snnq.storage.inspect import contents, float32_file_bytes

DTYPES = (torch.uint8, torch.int16, torch.int32, torch.int64)
MIXED = {"<40": "4bit", "<600": (-1.5, 0.25, 2), "rest": "binary"}
LEVEL_SETS = (*snnq.LEVELS, (-1.5, 0.25, 2), (-8, -1, 0, 0.5, 2, 40), MIXED, tuple(range(-20, 21)))
KEEP = ((), ("first",), ("first", "last"))
shapes = st.lists(st.integers(0, 9), max_size=4)
level_counts = st.one_of(st.integers(2, 17), st.integers(2, 256))


def packed_by_hand(indices: list[int], levels: int) -> bytes:
    """The format's definition, in Python's own integers."""
    if levels == 3:
        groups = [indices[i : i + 5] for i in range(0, len(indices), 5)]
        return bytes(sum(index * 3**k for k, index in enumerate(group)) for group in groups)
    width = math.ceil(math.log2(levels))
    stream = sum(index << width * place for place, index in enumerate(indices))
    return stream.to_bytes(math.ceil(len(indices) * width / 8), "little")


@given(level_counts, shapes, st.sampled_from(DTYPES), st.integers(0, 2**31))
def test_unpacking_undoes_packing(levels, shape, dtype, seed):
    generator = torch.Generator().manual_seed(seed)
    indices = torch.randint(0, levels, shape, generator=generator).to(dtype)
    packed = pack_levels(indices, levels)
    assert bytes(packed.tolist()) == packed_by_hand(indices.flatten().tolist(), levels)
    assert packed.dtype == torch.uint8 and len(packed) == weight_bytes(indices.numel(), levels)
    unpacked = unpack_levels(packed, levels, indices.numel())
    assert torch.equal(unpacked.view(shape).to(dtype), indices)


@pytest.mark.parametrize(
    ("indices", "levels", "message"),
    [
        ([0, 2], 2, "indices from 0 to 2: expected 0 to 1"),
        ([-1, 2], 3, "indices from -1 to 2: expected 0 to 2"),
        ([256], 256, "expected 0 to 255"),
        ([0], 257, "257 levels: expected 2 to 256"),
        ([0], 1, "1 levels"),
    ],
)
def test_indices_that_do_not_fit_are_refused(indices, levels, message):
    with pytest.raises(ValueError, match=message):
        pack_levels(torch.tensor(indices), levels)


def random_network(network="plif", channels=2):
    """One whose neurons fire in every layer, and no number of which is what it starts from."""
    model = snnq.build_model("nmnist", channels=channels, network=network)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 1, 3)
            nn.init.uniform_(module.bias, 0, 1)
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
        elif isinstance(module, nn.Linear):
            module.weight.data.mul_(3).add_(0.1)
        elif hasattr(module, "w"):
            module.w.data.normal_()
    return model


def random_frames():
    return torch.poisson(torch.full((3, 2, 2, 34, 34), 0.7))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


@pytest.mark.parametrize("network", ["plif", "vgg11"])
@torch.no_grad()
def test_an_unpacked_network_is_the_packed_one_to_the_bit(network, path):
    torch.manual_seed(0)
    active = []
    every = zip(itertools.product(LEVEL_SETS, snnq.QUANTIZERS), itertools.cycle(KEEP))
    for (levels, name), keep in itertools.islice(every, 0, None, 1 if network == "plif" else 3):
        model = random_network(network)
        try:
            snnq.quantize(model, levels, keep, snnq.QUANTIZERS[name])
        except ValueError:  # a method for other level sets
            assert name not in ("sigmoid", "rounding")
            continue
        snnq.pack(model, path)
        model.eval()
        unpacked, frames = snnq.unpack(path), random_frames()
        rates = model(frames)
        assert torch.equal(unpacked(frames), rates)
        for layer, found in snnq.quantizers(unpacked).items():
            assert found.levels == snnq.quantizers(model)[layer].levels
            weights = (net.get_submodule(layer).weight for net in (unpacked, model))
            assert torch.equal(*weights)
        active.append(rates.any().item())
    assert len(active) > 10 and sum(active) > len(active) / 2


def test_a_trained_network_predicts_the_same_from_its_file(tiny, in_tmp, path):
    run = snnq.Run(**tiny, levels="ternary")
    snnq.fit(run, in_tmp / "run", progress=False)
    model = snnq.trained_network(in_tmp / "run")
    snnq.pack(model, path, source={"run": asdict(run)})
    unpacked = snnq.unpack(path)
    _, test = snnq.load("nmnist", run.data, run.steps)
    for found, expected in zip(snnq.predict(unpacked, test), snnq.predict(model, test)):
        assert torch.equal(found, expected)
    assert snnq.Run.of(unpacked.source["run"]) == run


@pytest.mark.parametrize("levels", ["full", "binary", "ternary", "3bit", MIXED, LEVEL_SETS[-1]])
def test_packing_an_unpacked_network_gives_the_same_file(levels, tmp_path):
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    model = random_network()
    if levels != "full":
        snnq.quantize(model, levels)
    snnq.pack(model, first, source={"name": "Ω", "keep": ["first"]})
    snnq.pack(snnq.unpack(first), second)
    assert first.read_bytes() == second.read_bytes()


def test_weights_stay_packed_in_memory_and_fixed_in_training(path):
    snnq.pack(snnq.quantize(random_network(), "ternary"), path)
    state = torch.random.get_rng_state()
    model = snnq.unpack(path)
    assert torch.equal(torch.random.get_rng_state(), state) and not model.training
    for name, quantizer in snnq.quantizers(model).items():
        layer = model.get_submodule(name)
        held = layer.parametrizations.weight.original
        assert held.dtype == torch.uint8 and held.nbytes == math.ceil(layer.weight.numel() / 5)
        assert torch.equal(quantizer.train()(held), quantizer.eval()(held))
    model.train()(random_frames()).sum().backward()
    assert model.layers[0].weight.grad.any()  # what is not packed can go on to learn


@pytest.mark.parametrize(
    ("levels", "network"), [("full", "plif"), ("pm2", "plif"), ("2bit", "vgg11"), (MIXED, "plif"), (MIXED, "vgg11")]
)
def test_the_contents_are_all_that_is_in_the_file(levels, network, path):
    model = random_network(network)
    if levels != "full":
        snnq.quantize(model, levels, keep=("last",))
    snnq.pack(model, path)
    table, content = contents(path), path.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    assert table["bytes"].sum() + header == len(content)
    original = snnq.footprint(model)
    assert table["bytes_float32"].tolist() == original["bytes_float32"].tolist()
    alphas = original["levels"].notna() * 4
    values = original["levels"].fillna(0) * 4  # every level's value, in place of α
    assert (table["bytes"] - values == original["bytes"] - alphas).all()


@pytest.mark.parametrize("network", NETWORKS)
def test_size_of_the_float32_file(network, path):
    model = random_network(network, channels=3)
    state = {n: t for n, t in model.state_dict().items() if t.is_floating_point()}
    save_file(state, path)
    size = path.stat().st_size
    for levels in ("full", "ternary"):
        snnq.pack(model if levels == "full" else snnq.quantize(model, levels), path)
        assert float32_file_bytes(path) == size


def not_finite():
    model = random_network()
    model.layers[1].running_var[0] = torch.inf
    return model


def of_nan():
    model = nn.Linear(2, 2)
    model.bias.data[1] = torch.nan
    return model


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: None, "model is a NoneType, expected a torch.nn.Module"),
        (not_finite, "layers.1.norm: expected finite numbers"),
        (of_nan, "bias: expected finite numbers"),
        (lambda: nn.Linear(2, 2, device="meta"), "weight: on the meta device"),
        (lambda: nn.LazyLinear(2), "weight: its state is of UninitializedParameter"),
        (lambda: snnq.quantize(random_network(), range(257)), "257 levels: expected 2 to 256"),
    ],
)
def test_what_could_not_be_read_again_is_not_written(make, message, path):
    with pytest.raises(ValueError, match=f"{path}: .*{message}"):
        snnq.pack(make(), path)
    assert list(path.parent.iterdir()) == []


def test_a_source_that_json_cannot_hold_is_refused(path):
    with pytest.raises(ValueError, match=r"source=\{'a': \{1\}\}: expected what JSON can hold"):
        snnq.pack(random_network(), path, source={"a": {1}})
