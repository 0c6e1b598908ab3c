from dataclasses import replace

import pytest

import snnq
from snnq.study.notebook import notebook_settings

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
        ({"batch_size": 0}, "batch_size=0"),
        ({"channels": 0}, "channels=0"),
        ({"steps": 0}, "steps=0"),
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
    ],
)
def test_bad_settings_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        snnq.Run(**setting)


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
        for change in ({"seed": 1}, {"epochs": 3}, {"keep": ()}, {"data": "x"}, {"levels": "2bit"})
    }
    assert len(others | {run.name}) == 6
    assert run.name == snnq.Run().name
    assert run.name.startswith("nmnist-binary-seed0-")


def test_notebook_settings_are_the_notebooks_own():
    namespace = {"epochs": 3, "something": 1, "In": ["", "epochs = 3\nsomething = 1"]}
    assert notebook_settings(namespace) == {"epochs": 3}


def test_what_papermill_was_told_to_set_is_not_passed_over():
    cell = '# Parameters\nlevles = "ternary"\nfolder = "x"\n'
    namespace = {"levels": "binary", "levles": "ternary", "folder": "x", "In": ["", cell]}
    settings = notebook_settings(namespace, besides=["folder"])
    assert settings == {"levels": "binary", "levles": "ternary"}
