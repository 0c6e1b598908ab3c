import json
from dataclasses import asdict, dataclass, fields, replace
from fractions import Fraction
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import snnq
from snnq.study.notebook import notebook_settings
from snnq.training import run as run_module
from snnq.training.identity import differences, identity_of

NAN = float("nan")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"benchmark": "mnist"}, "benchmark='mnist': expected one of nmnist"),
        ({"levels": "1bit"}, "unknown level set"),
        ({"levels": [1, 0]}, "strictly increasing"),
        ({"epochs": 0}, "epochs=0: expected a whole number of at least 1"),
        ({"epochs": 1.5}, "epochs=1.5"),
        ({"epochs": "3"}, "epochs='3'"),
        ({"epochs": True}, "epochs=True"),
        ({"seed": -1}, "seed=-1"),
        ({"order": -1}, "order=-1: expected a whole number of at least 0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"channels": 0}, "channels=0"),
        ({"steps": 0}, "steps=0"),
        ({"full_epochs": -1}, "full_epochs=-1: expected a whole number of at least 0"),
        ({"full_epochs": 0.5}, "full_epochs=0.5: expected a whole number"),
        ({"epochs": 3, "full_epochs": 3}, "full_epochs=3: expected fewer than epochs=3"),
        ({"full_epochs": 3, "start": "a"}, "full_epochs=3: expected none where .*, start='a'"),
        ({"full_learning_rate": 0.1, "start": "a"}, "full_learning_rate=0.1: expected none where"),
        ({"full_learning_rate": 0}, "full_learning_rate=0: expected"),
        ({"soft_every": 0}, "soft_every=0: expected a whole number of at least 1"),
        ({"soft_every": 1.5}, "soft_every=1.5: expected a whole number"),
        ({"learning_rate": 0}, "learning_rate=0"),
        ({"learning_rate": NAN}, "learning_rate=nan"),
        ({"neuron": "relu"}, "neuron='relu': expected one of plif, lif, if"),
        ({"cut": "half"}, "cut='half'"),
        ({"augmentation": "mixup"}, "augmentation='mixup': expected one of none, roll, affine"),
        ({"temperature_schedule": "step"}, "temperature_schedule='step'"),
        ({"temperature_initial": 0}, "temperature_initial=0"),
        ({"temperature_final": 3000}, "temperature_final=3000"),
        ({"backward_temperature": -2}, "backward_temperature=-2"),
        ({"validation": 1.0}, "validation=1.0"),
        ({"validation": -0.1}, "validation=-0.1"),
        ({"keep": "first"}, "keep='first'"),
        ({"device": "tpu"}, "device='tpu'"),
        ({"biases": "means"}, "biases='means': expected one of kmeans, uniform"),
        ({"learned": ["gamma"]}, "learned=.*: expected a list of some of alpha, beta"),
        ({"learned": "alpha"}, "learned='alpha': expected a list of some of alpha, beta"),
        # What a later step would refuse, after the training even.
        ({"levels": range(257)}, "levels: 257 of them, expected 256 at most"),
        ({"levels": ["-1", "1"]}, "levels: '-1' among them, expected numbers"),
        ({"levels": [False, True]}, "levels: False among them"),
        ({"levels": [[-1, 1]]}, r"levels: \(-1, 1\) among them"),
        ({"levels": {-1, 1}}, "levels=.*: expected a name or a list of numbers"),
        ({"levels": None}, "levels=None"),
        ({"levels": [0, 1e-50]}, "levels=.*: expected numbers that float32 tells apart"),
        ({"levels": [0, 1e40]}, "levels=.*: expected numbers that float32 tells apart"),
        ({"levels": "(-1,)"}, "at least two levels"),
        ({"levels": "ternary", "quantizer": "sign"}, r"levels=.*expected \(-1, 1\) for SignQua"),
        ({"levels": [0, 1, 3], "quantizer": "dorefa"}, "expected evenly spaced ones"),
        ({"keep": ["layer.0"]}, "keep='layer.0': expected first, last or"),
        ({"keep": [f"layers.{i}" for i in (0, 4, 10, 13)]}, "no layer to quantize"),
        ({"size": 3}, "size=3: expected at least 4 for this network"),
        ({"benchmark": "dvsgesture", "size": 31}, "size=31: expected at least 32"),
        ({"seed": 2**64}, "seed=18446744073709551616: expected .* at most"),
        ({"seed": np.bool_(True)}, "seed=True: expected a whole number"),
        ({"channels": np.float64(2)}, "channels=2.0: expected a whole number"),
        ({"learning_rate": float("inf")}, "learning_rate=inf"),
        ({"learning_rate": "1e-3"}, "learning_rate='1e-3': .* in YAML 1e-3 is one, and 1.0e-3"),
        ({"data": 3}, "data=3: expected a text"),
        ({"start": 3}, "start=3: expected the folder of a run"),
        ({"benchmark": ["nmnist"]}, "benchmark=.*: expected a text"),
        ({"neuron": {}}, "neuron={}: expected a text"),
        ({"device": "meta"}, "device='meta': expected auto, cpu or cuda"),
        ({"precision": "fp16"}, "precision='fp16': expected one of float32, tf32, bf16"),
        ({"cuda_graph": "yes"}, "cuda_graph='yes': expected true or false"),
        ({"precision": None}, "precision=None: expected a text"),
    ],
)
def test_bad_settings_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        snnq.Run(**setting)


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ({"data": Path("data/x"), "start": Path("a")}, {"data": "data/x", "start": "a"}),
        ({"levels": range(-2, 3)}, {"levels": (-2, -1, 0, 1, 2)}),
        ({"levels": np.arange(-2, 3)}, {"levels": (-2, -1, 0, 1, 2)}),
        ({"levels": torch.tensor([-1.0, 0.5])}, {"levels": (-1.0, 0.5)}),
        ({"levels": [np.int8(-1), np.float32(0.5)]}, {"levels": (-1, 0.5)}),
        ({"levels": (Fraction(-1, 2), 1)}, {"levels": (-0.5, 1)}),
        ({"levels": "[-2,-1, 0, 1, 2]"}, {"levels": (-2, -1, 0, 1, 2)}),
        ({"levels": "-2,-1,0,1.5"}, {"levels": (-2, -1, 0, 1.5)}),
        ({"levels": str((-1.0, 0, 1e-05))}, {"levels": (-1.0, 0, 1e-05)}),
        ({"seed": np.int64(3), "epochs": torch.tensor(2)}, {"seed": 3, "epochs": 2}),
        ({"learning_rate": np.float64(0.1)}, {"learning_rate": 0.1}),
        ({"keep": np.array(["first"])}, {"keep": ("first",)}),
        ({"cut": np.str_("time")}, {"cut": "time"}),
        ({"device": torch.device("cuda:1")}, {"device": "cuda:1"}),
    ],
)
def test_natural_types_become_plain_ones(given, plain):
    run, expected = snnq.Run(**given), snnq.Run(**plain)
    assert (run, run.name) == (expected, expected.name)
    settings = json.loads(json.dumps(asdict(run)))
    assert snnq.Run.of(settings) == snnq.Run.of(yaml.safe_load(yaml.safe_dump(settings))) == run
    for name, value in plain.items():
        assert repr(getattr(run, name)) == repr(value)


def test_names_of_runs_stay():
    """A study's folders are named after them."""
    for settings, name in (
        ({}, "nmnist-binary-seed0-44136fa3"),
        ({"levels": "4bit"}, "nmnist-4bit-seed0-fecd7517"),
        ({"levels": [-1, 0, 2.5]}, "nmnist-3levels-seed0-a7ed8951"),
        ({"benchmark": "ncaltech101"}, "ncaltech101-binary-seed0-034cb1ad"),
    ):
        assert snnq.Run(**settings).name == name


def test_settings_stay_in_their_order():
    """What is trained on what comes first, and then how, in records, tables and on the command line."""
    known = """benchmark levels data full_epochs full_learning_rate network channels neuron membrane_bits steps cut size split
    augmentation start keep quantizer backward_temperature biases learned validation seed order epochs
    batch_size learning_rate temperature_schedule temperature_initial temperature_final harden faults
    device precision arithmetic cuda_graph soft_every"""
    assert list(asdict(snnq.Run())) == known.split() == list(signature(snnq.Run).parameters)[:-1]
    ours = [field.name for field in fields(snnq.Settings)]
    assert ours == known.split()[-len(ours) :] and isinstance(snnq.Run(), snnq.Settings)
    assert set(snnq.Run.of(asdict(snnq.Settings())).__dict__) == {*known.split(), "log"}


def test_settings_are_checked_and_made_plain_without_a_run():
    assert snnq.Settings(epochs=np.int64(3), harden=[0, 1]) == snnq.Settings(epochs=3, harden=(0, 1))
    with pytest.raises(ValueError, match="unknown parameter 'epoch': did you mean 'epochs'"):
        snnq.Settings.of({"epoch": 3})
    with pytest.raises(ValueError, match="learning_rate=0: expected"):
        snnq.Settings(learning_rate=0)


@dataclass(frozen=True, kw_only=True)
class LaterRun(snnq.Run):
    """As `Run` will be when it has one setting more."""

    momentum: float = 0.9


@pytest.mark.parametrize(
    ("settings", "epochs"),
    [
        ({"epochs": 28}, 14),
        ({"epochs": 5}, 2),
        ({"epochs": 1}, 0),
        ({"full_epochs": 3}, 3),
        ({"full_epochs": 0}, 0),
        ({"start": "a"}, 0),
        ({"levels": "full", "full_epochs": 3}, 0),
    ],
)
def test_a_quantized_run_from_scratch_begins_in_full_precision(settings, epochs):
    assert snnq.Run(**settings).epochs_in_full == epochs


def test_a_setting_that_comes_later_renames_no_run_and_makes_none_another(monkeypatch):
    """Each finished run would be trained again."""
    before, later = snnq.Run(levels="2bit", seed=3), LaterRun(levels="2bit", seed=3)
    there = identity_of(before, None)
    monkeypatch.setattr(run_module, "Run", LaterRun)
    assert later.name == before.name
    assert differences(there, identity_of(later, None)) == []
    other = replace(later, momentum=0.5)
    assert other.name != before.name
    assert differences(there, identity_of(other, None)) == ["momentum is 0.9 there and 0.5 here"]


@pytest.mark.parametrize(
    ("benchmark", "own"), [("nmnist", "official"), ("cifar10dvs", "80/20")]
)
def test_the_benchmarks_own_split_is_the_one_of_runs_before_there_were_others(benchmark, own):
    run = snnq.Run(benchmark=benchmark)
    assert run.split == own and run == snnq.Run(benchmark=benchmark, split=own)
    there = {name: value for name, value in identity_of(run, None).items() if name != "split"}
    assert differences(there, identity_of(run, None)) == []
    if benchmark == "cifar10dvs":
        other = replace(run, split="90/10")
        assert other.name != run.name
        different = ["split is '80/20' there and '90/10' here"]
        assert differences(there, identity_of(other, None)) == different


@pytest.mark.parametrize("benchmark", ["nmnist", "dvsgesture"])
def test_a_default_that_is_given_is_the_same_name(benchmark):
    run = snnq.Run(benchmark=benchmark)
    assert snnq.Run(**asdict(run)).name == run.name
    assert replace(run, data="elsewhere").name != run.name


def test_a_run_leaves_the_random_state_as_it_was():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    snnq.Run(levels=(-3, 0, 3))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_misspelt_setting_is_refused_with_its_neighbour():
    with pytest.raises(ValueError, match="unknown parameter 'levles': did you mean 'levels'?"):
        snnq.Run.of({"levles": "binary"})
    with pytest.raises(ValueError, match="unknown parameter 'momentum': expected one of"):
        snnq.Run.of({"momentum": 0.9})


def test_lists_as_json_gives_them_are_the_same_run():
    run = snnq.Run(levels=(-1, 0, 1), keep=("first", "last"))
    assert snnq.Run.of({"levels": [-1, 0, 1], "keep": ["first", "last"]}) == run


def test_every_setting_changes_the_name():
    run = snnq.Run()
    others = {
        replace(run, **change).name
        for change in (
            {"seed": 1}, {"order": 1}, {"epochs": 3}, {"keep": ()}, {"data": "x"}, {"levels": "2bit"},
        )  # fmt: skip
    }
    assert len(others | {run.name}) == 7
    assert run.name == snnq.Run().name
    assert run.name.startswith("nmnist-binary-seed0-")


def test_notebook_settings_are_the_notebooks_own():
    namespace = {"epochs": 3, "something": 1, "In": ["", "epochs = 3", "something = 1"]}
    assert notebook_settings(namespace) == {"epochs": 3}
    assert notebook_settings({"log": "tensorboard"}) == {"log": "tensorboard"}


@pytest.mark.parametrize(
    "cell", ['# Parameters\nlevles = "ternary"\nfolder = "x"\n', "epochs = 3\nlevles = 2"]
)
def test_a_misspelt_parameter_is_not_passed_over(cell):
    namespace = {"levels": "binary", "levles": "ternary", "folder": "x", "In": ["", cell]}
    with pytest.raises(ValueError, match="unknown parameter 'levles': did you mean 'levels'"):
        notebook_settings(namespace, besides=["folder"])
