"""What a user sees of an object: short, and what it is."""

import json
from dataclasses import replace

import pytest
import torch
from conftest import write_recordings

import snnq
from snnq.storage.content import read


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ({}, "Run()"),
        ({"levels": "binary", "seed": 0}, "Run()"),
        ({"levels": "ternary", "epochs": 3}, "Run(levels='ternary', epochs=3)"),
        ({"benchmark": "cifar10dvs", "split": "80/20"}, "Run(benchmark='cifar10dvs')"),
        (
            {"levels": {"<1000": "4bit", "rest": "binary"}},
            "Run(levels=(('<1000', '4bit'), ('rest', 'binary')), biases=None)",
        ),
        (
            {"levels": "4bit"},
            "Run(levels='4bit', biases='uniform', harden=(0.5, 0.95))",
        ),
    ],
)
def test_a_run_shows_what_differs_from_the_defaults_and_is_read_again(settings, shown):
    run = snnq.Run(**settings)
    assert repr(run) == shown and eval(shown, {"Run": snnq.Run}) == run
    assert repr(replace(run, seed=7)) != shown


def test_settings_show_what_differs_from_the_defaults():
    settings = snnq.Settings(epochs=3, harden=[0, 1])
    assert repr(settings) == "Settings(epochs=3, harden=(0, 1))"
    assert eval(repr(settings), {"Settings": snnq.Settings}) == settings


@pytest.mark.parametrize(
    ("made", "called"),
    [
        (None, "N-MNIST, real"),
        ({"simulated": True, "images": "handwritten digits of scikit-learn"}, "digits, simulated"),
    ],
)
def test_recordings_and_frames_say_what_they_are_of(in_tmp, made, called):
    write_recordings(in_tmp / "data", per_class=2)
    if made:
        (in_tmp / "data/NMNIST/SOURCE.json").write_text(json.dumps(made))
    expected = f"Recordings({called}, test: 20 of 10,000 recordings, 10 classes, sensor 34×34, in data)"
    assert repr(snnq.Recordings("nmnist", "data", train=False)) == expected
    train, _ = snnq.load("nmnist", "data", steps=3, size=17)
    assert repr(train) == f"Frames({called}, train: 20 samples [3, 2, 17, 17] of 10 classes)"


def test_what_is_in_a_packed_file_is_shown_without_its_numbers(tmp_path):
    torch.manual_seed(0)
    model = snnq.quantize(snnq.build_model("nmnist", channels=2), "ternary")
    snnq.pack(model, tmp_path / "net.safetensors")
    content, _ = read(tmp_path / "net.safetensors")
    shown = repr(content)
    assert "'channels': 2" in shown and "levels: {'layers.4': 3, " in shown and "tensor(" not in shown
