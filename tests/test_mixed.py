"""Mixed precision: levels for each layer, from the mapping to the tables and figures of a study."""

import json
import math
from collections import OrderedDict
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import fit
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import snnq
from snnq.figures.catalogue import draw
from snnq.quantization.levels import resolve_levels
from snnq.quantization.rules import label_of, read_levels
from snnq.recordings.frames import Frames
from snnq.study.folders import network_name
from snnq.study.gather import gather, gather_ablations, read_gathered
from snnq.study.profile import plan
from snnq.study.report import report
from snnq.study.tables import number_of_levels
from snnq.training.plain import plain_levels

MIXED = {"<1000": "4bit", "last": [-1, 0, 1.5], "rest": "binary"}
LABEL = "binary, last: (-1, 0, 1.5), <1000: 4bit"
NAMES = ("stem", "body", "body.0", "body.2", "body.2.0", "head")
SIZES = {"stem": 12, "body.0": 32, "body.2.0": 64, "head": 16}
KEYS = (*NAMES, "first", "last", "<5", "<12", "<13", "<32", "<65", "rest")
level_sets = st.sampled_from(["binary", "ternary", "4bit", "full", (-2, 0, 0.5), "[-1, 0, 3]"])
mappings = st.dictionaries(st.sampled_from(KEYS), level_sets, min_size=1, max_size=6)


def network():
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Linear(8, 8, bias=False))
    body = nn.Sequential(nn.Linear(4, 8, bias=False), nn.ReLU(), inner)
    parts = {"stem": nn.Linear(3, 4), "body": body, "head": nn.Linear(8, 2)}
    return nn.Sequential(OrderedDict(parts))


def by_hand(mapping, keep):
    """The levels of each layer that is not kept, one rule after the other."""
    kept, found = set(), {}
    for name in keep:
        kept |= {of for of in SIZES if of == name or of.startswith(name + ".")}
        kept |= {"stem"} if name == "first" else {"head"} if name == "last" else set()
    for layer, weights in SIZES.items():
        names = [key for key in mapping if layer == key or layer.startswith(key + ".")]
        limits = [int(key[1:]) for key in mapping if key[0] == "<" and weights < int(key[1:])]
        if names:
            levels = mapping[max(names, key=len)]
        elif layer == "stem" and "first" in mapping:
            levels = mapping["first"]
        elif layer == "head" and "last" in mapping:
            levels = mapping["last"]
        elif limits:
            levels = mapping[f"<{min(limits)}"]
        else:
            levels = mapping.get("rest", "full")
        if layer not in kept and levels != "full":
            found[layer] = levels
    return found, kept


def contradicts(mapping, kept):
    """Whether it gives levels by name to layers that are all kept."""
    places = {"first": {"stem"}, "last": {"head"}}
    for key, levels in mapping.items():
        named = {of for of in SIZES if of == key or of.startswith(key + ".")}
        named = named or places.get(key, set())
        if named and named <= kept and levels != "full":
            return True
    return False


@given(mappings, st.sets(st.sampled_from(["first", "last", "body", "body.0"])), st.randoms())
def test_each_layer_gets_the_most_specific_levels(mapping, keep, random):
    model = network()
    expected, kept = by_hand(mapping, keep)
    pairs = list(mapping.items())
    random.shuffle(pairs)
    given = random.choice([dict, list])(pairs)
    if not expected or contradicts(mapping, kept):
        with pytest.raises(ValueError, match=r"no layer to quantize|keep leaves"):
            snnq.quantize(model, given, keep)
        assert not snnq.quantizers(model)
        return
    for _ in range(2):  # a second time it changes nothing
        snnq.quantize(model, given, keep)
        found = {name: quantizer.levels for name, quantizer in snnq.quantizers(model).items()}
        assert found == {name: resolve_levels(levels) for name, levels in expected.items()}


@given(mappings)
def test_a_label_says_it_all_and_is_read_again(mapping):
    levels = plain_levels(mapping)
    assert read_levels(label_of(levels)) == levels
    as_option = ",".join(f"{key}={of}" for key, of in mapping.items())
    assert read_levels(as_option) == plain_levels(as_option) == levels
    assert plain_levels(json.loads(json.dumps(levels))) == levels


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (
            {"body.1": "binary"},
            "levels: 'body.1': expected first, last, rest, <N .* or one of stem",
        ),
        ({"bod": "binary", "rest": "binary"}, "levels: 'bod': expected"),
        ({"<0": "binary", "rest": "binary"}, "levels: '<0': expected"),
        ({"< 9": "binary", "rest": "binary"}, "levels: '< 9': expected"),
        ({3: "binary", "rest": "binary"}, "levels: '3': expected"),
        ({"stem": "one", "rest": "binary"}, "levels: 'stem': levels='one': unknown level set"),
        ({"rest": [1, 0]}, r"levels: 'rest': levels=\(1.0, 0.0\): expected strictly increasing"),
        ({"rest": None}, "levels: 'rest': levels=None: expected a name or a sequence of numbers"),
        ({"rest": {"stem": "binary"}}, "levels: 'rest': levels=.*: expected a name"),
        ([("rest", "binary"), ("rest", "2bit")], "levels: 'rest' is there twice, expected once"),
        (
            {"first": "2bit", "rest": "binary"},
            "levels: 'first': keep leaves stem in full precision",
        ),
        ({"body": "full"}, "no layer to quantize: of 4 .* levels={'body': 'full'} leave none"),
        ({"<5": "binary"}, "no layer to quantize"),
        ({}, "no layer to quantize"),
    ],
)
def test_what_is_wrong_with_a_mapping_is_said_and_no_layer_is_quantized(mapping, message):
    model = network()
    with pytest.raises(ValueError, match=message):
        snnq.quantize(model, mapping)
    assert not snnq.quantizers(model)


def test_a_method_that_does_not_take_a_layers_levels_names_it():
    model, sign = network(), snnq.QUANTIZERS["sign"]
    with pytest.raises(ValueError, match="^body.2.0: levels=.*: expected .* for SignQuantizer"):
        snnq.quantize(model, {"body.2": "4bit", "rest": "binary"}, quantizer=sign)
    assert not snnq.quantizers(model)
    snnq.quantize(model, {"body.2": "full", "rest": "binary"}, quantizer=sign)
    assert list(snnq.quantizers(model)) == ["body.0", "head"]


def test_another_mapping_for_quantized_layers_is_refused():
    model = snnq.quantize(network(), {"head": "4bit", "rest": "binary"})
    with pytest.raises(ValueError, match=r"head is quantized to .*, not to \(-1, 1\)"):
        snnq.quantize(model, {"rest": "binary"})
    snnq.quantize(model, {"head": "full", "rest": "binary"})  # which is left to another call


def test_other_weights_are_said_to_stay_in_full_precision():
    def model():
        return nn.ModuleDict({"stem": nn.Linear(2, 2), "cell": nn.LSTMCell(2, 2)})

    quantized = snnq.quantize(model(), {"cell": "full", "rest": "binary"}, keep=())
    assert list(snnq.quantizers(quantized)) == ["stem"]  # without the warning, which were an error
    with pytest.raises(ValueError, match="levels: 'cell': expected first, last"):
        snnq.quantize(model(), {"cell": "binary", "rest": "binary"}, keep=())


def test_with_an_example_last_is_what_the_network_calls_last():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.stem = nn.Linear(4, 2), nn.Linear(3, 4)

        def forward(self, x):
            return self.head(self.stem(x))

    mapping = {"last": "4bit", "rest": "binary"}
    for example, four_bits in ((None, "stem"), (torch.zeros(1, 3), "head")):
        model = snnq.quantize(Backwards(), mapping, keep=(), example=example)
        found = [name for name, of in snnq.quantizers(model).items() if len(of.levels) == 16]
        assert found == [four_bits]


def test_a_layer_that_is_not_initialised_is_named():
    model = network().append(nn.LazyLinear(4))
    with pytest.raises(ValueError, match="3: its weight is not initialised"):
        snnq.quantize(model, {"<20": "4bit", "rest": "binary"})


# A run


@pytest.mark.parametrize(
    "given",
    [
        MIXED,
        dict(reversed(MIXED.items())),
        list(MIXED.items()),
        MIXED | {"last": np.array([-1, 0, 1.5], object)},
        "<1000=4bit, last=-1,0,1.5, rest=binary",
        LABEL,
    ],
)
def test_equal_mappings_are_the_same_run(given):
    run = snnq.Run(levels=given, channels=4)
    assert run.levels == (("last", (-1.0, 0.0, 1.5)), ("<1000", "4bit"), ("rest", "binary"))
    assert run.name == snnq.Run(levels=MIXED, channels=4).name
    assert run.name.startswith("nmnist-mixed-seed0-") and hash(run)
    settings = json.loads(json.dumps(asdict(run)))
    for again in (settings, yaml.safe_load(yaml.safe_dump(settings))):
        assert snnq.Run.of(again) == run and snnq.Run.of(again).name == run.name


def test_there_is_one_way_to_write_the_same():
    assert snnq.Run(levels={"rest": "ternary"}) == snnq.Run(levels="ternary")
    assert snnq.Run(levels={"rest": "full"}) == snnq.Run(levels="full")
    with_rest = snnq.Run(levels={"last": "binary", "rest": "full"})
    assert with_rest == snnq.Run(levels={"last": "binary"})
    assert with_rest.name != snnq.Run(levels={"last": "binary", "rest": "2bit"}).name


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"levels": {"layers.5": "binary"}}, "levels: 'layers.5': expected first, last, rest"),
        ({"levels": {"rest": "1bit", "last": "2bit"}}, "levels='1bit': unknown level set"),
        ({"levels": {"<9": range(257), "rest": "2bit"}}, "'<9': levels: 257 of them, expected 256"),
        (
            {"levels": {"last": [0, 1e-50]}},
            "'last': levels=.*: expected numbers that float32 tells",
        ),
        ({"levels": {"last": [True, 2]}}, "'last': levels: True among them"),
        ({"levels": {"last": None}}, "'last': levels=None: expected a name or a list"),
        ({"levels": {"first": "2bit"}}, "levels: 'first': keep leaves layers.0"),
        ({"levels": {}}, "levels="),
        ({"levels": "last=2bit,last=4bit"}, "levels: 'last' is there twice"),
        # No layer of 32 channels has so few weights, though one of the narrow network would.
        ({"levels": {"<1000": "binary"}, "channels": 32}, "no layer to quantize"),
        ({"levels": MIXED, "quantizer": "sign", "channels": 4}, "expected .* for SignQuantizer"),
    ],
)
def test_bad_mappings_of_a_run_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        snnq.Run(**settings)


@pytest.mark.parametrize("channels", [1, 4, 10, 11, 32])
def test_a_rule_by_size_means_the_runs_own_width(channels):
    """Of 9·channels² weights in the second convolution; the other layers have more."""
    run = snnq.Run(levels={"<1000": "4bit", "rest": "binary"}, channels=channels)
    counts = [len(of.levels) for of in snnq.quantizers(snnq.initial_network(run)).values()]
    assert counts == [16 if 9 * channels**2 < 1000 else 2, 2, 2]
    if channels > 10:  # so a method for two levels takes it
        snnq.Run(**asdict(run) | {"quantizer": "sign"})
    else:
        with pytest.raises(ValueError, match="layers.4: levels=.*SignQuantizer"):
            snnq.Run(**asdict(run) | {"quantizer": "sign"})


def test_memory_faults_flip_the_bits_of_each_layers_own_levels():
    frames = np.random.default_rng(0).poisson(0.5, (4, 2, 2, 8, 8)).astype(np.uint8)
    model = snnq.build_model("nmnist", channels=3, size=8)
    snnq.quantize(model, {"layers.4": "4bit", "last": "ternary", "rest": "binary"})
    flipped = snnq.accuracy_with_faults(model, Frames("test", frames, np.arange(4)), [1.0], 1)
    bits = {"layers.4": 4, "layers.10": 1, "layers.13": 8 / 5}
    weights = {name: model.get_submodule(name).weight.numel() for name in bits}
    expected = sum(8 * math.ceil(weights[name] * bits[name] / 8) for name in bits)
    assert flipped["flipped"].tolist() == [expected]


# A study


@pytest.fixture(scope="module")
def study(recordings, tmp_path_factory):
    """Full precision, binary and mixed levels, trained for an epoch and gathered."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("mixed"))
        small = {"data": str(recordings), "channels": 4, "epochs": 1, "steps": 2, "device": "cpu"}
        changes = {"PLIF": {}, "no validation": {"settings": {"validation": 0.0}}}
        profile = {
            "study": "test",
            "benchmarks": {"nmnist": {}},
            "levels": ["binary", "full", MIXED],
            "seeds": [0],
            "settings": small,
            "ablations": {"validation": {"levels": [MIXED], "changes": changes}},
            "full": {},
            "pretraining": {"epochs": 1},
        }
        found = plan(profile)
        for name, run in found.all_runs.items():
            fit(vars(run), found.run_folder(name))
        gather(found)
        gather_ablations(found)
        yield found


def mixed_run(study):
    return next(run for run in study.runs.values() if len(run.levels) == 3)


def test_a_record_gives_the_same_run_and_network(study):
    run = mixed_run(study)
    folder = study.run_folder(run.name)
    assert snnq.Run.of(snnq.read_record(folder)["run"]) == run
    assert study.finished() == set(study.all_runs)
    trained, packed = snnq.trained_network(folder), snnq.unpack(folder / "packed.safetensors")
    for model in (trained, packed):
        counts = {name: len(of.levels) for name, of in snnq.quantizers(model).items()}
        assert counts == {"layers.4": 16, "layers.10": 2, "layers.13": 3}
    frames = torch.poisson(torch.full((2, 3, 2, 34, 34), 0.5))
    with torch.no_grad():
        assert torch.equal(trained(frames), packed(frames))
    assert snnq.Run.of(packed.source) == run


def test_tables_have_its_label_and_its_bits(study):
    model = snnq.trained_network(study.run_folder(mixed_run(study).name))
    bits = {"layers.4": 4, "layers.10": 1, "layers.13": math.log2(3)}
    weights = {name: model.get_submodule(name).weight.numel() for name in bits}
    mean = sum(bits[name] * weights[name] for name in bits) / sum(weights.values())
    for folder in (None, study.folder):
        runs = read_gathered(folder, "runs") if folder else snnq.read_runs("results/test/runs")
        table = snnq.results_table(runs[runs["name"].isin(study.runs)])
        assert table["levels"].tolist() == ["full", LABEL, "binary"]
        assert table["bits"].tolist() == pytest.approx([32, mean, 1])
        assert table["bytes"].is_monotonic_decreasing and table["seeds"].tolist() == [1, 1, 1]
    assert set(read_gathered(study.folder, "ablations")["levels"]) == {LABEL}
    assert snnq.ablation_table(read_gathered(study.folder, "ablations"))["seeds"].tolist() == [1, 1]
    assert LABEL in report(study.folder)
    assert snnq.packed_networks(study.folder)["levels"].tolist() == ["full", LABEL, "binary"]
    for table in ("histories", "histograms", "staircases"):
        assert LABEL in set(read_gathered(study.folder, table)["levels"])


def test_networks_of_the_reference_are_named_by_all_rules(study):
    runs = read_gathered(study.folder, "runs").itertuples()
    names = {network_name(run) for run in runs}
    mixed = "nmnist-binary-last--1-0-1.5-under1000-4bit-4channels-seed0"
    assert names == {"nmnist-full-4channels-seed0", "nmnist-binary-4channels-seed0", mixed}


def test_its_staircases_are_those_of_each_layer(study, tmp_path):
    rows = read_gathered(study.folder, "staircases")
    mixed = rows[rows["levels"] == LABEL].set_index("layer")
    assert mixed["layer_levels"].map(len).to_dict() == {
        "layers.4": 16, "layers.10": 2, "layers.13": 3,
    }  # fmt: skip
    assert [len(row.thresholds) + 1 == len(row.layer_levels) for row in mixed.itertuples()] == [
        True
    ] * 3
    for table in ("runs", "histories", "histograms", "staircases", "table", "ablations"):
        found = pd.read_csv(study.folder / f"{table}.csv")
        if table in ("histograms", "staircases"):
            found = found[found["levels"] == LABEL]
        found.to_csv(tmp_path / f"{table}.csv", index=False)
    drawn = {"quantizer_trained_weights", "weights_in_training", "hard_and_soft", "frontier"}
    for figure in drawn | {"accuracy_against_bits", "ablation_validation"}:
        assert draw(figure, tmp_path).axes


def test_level_sets_are_sorted_where_the_network_is_not_known():
    rules = "binary, <1000: 4bit"
    assert 2 < number_of_levels(rules) < number_of_levels("ternary")
    assert number_of_levels("ternary") < number_of_levels("ternary, <1000: 4bit") < 4
    assert number_of_levels("2bit") < number_of_levels("full, last: binary") < 2**32
