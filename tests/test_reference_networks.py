"""The networks that are kept in git do what their cards say, on recordings that are simulated anew."""

import re
from contextlib import chdir
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from conftest import PROJECT, REAL_DATA
from safetensors.numpy import load_file

import snnq
from snnq.__main__ import main
from snnq.study.predictions import LABEL, PREDICTIONS, PREDICTIONS_ABLATIONS

pytestmark = pytest.mark.xdist_group("networks")  # which share recordings that take a while
REFERENCE = PROJECT / "results/reference"
STUDIES = sorted(path.parent.name for path in REFERENCE.glob("*/networks"))
NETWORKS = [
    pytest.param(study, row, id=f"{study}-{row.benchmark}-{row.channels}-{row.levels}")
    for study in STUDIES
    for row in snnq.packed_networks(REFERENCE / study, widest=False).itertuples()
]
# How many of each class are simulated here, of those that a study has; all where not said.
FIRST = {"data/gestures": 2, "data/mnist": 100}
ALIKE = 0.005  # the share of classes that may differ, since types of CPU round differently
PICTURES = REAL_DATA / "images/mnist.npz"


def predicted(study: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What each of a study's runs predicted, and the right classes, by the run's name."""
    found = {}
    for name in (PREDICTIONS, PREDICTIONS_ABLATIONS):
        classes = load_file(REFERENCE / study / name)
        for key, of_run in classes.items():
            found[key.partition("/")[2]] = of_run, classes[f"{key.partition('/')[0]}/{LABEL}"]
    return found


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """`snnq.load` in a folder that gets the quick study's digits and some of its gestures, each of which
    depends on no other one; and the first of the desk study's digits, with a noise of their own."""
    folder = tmp_path_factory.mktemp("recordings")
    some = {data: ["simulate", data, "--limit", str(count)] for data, count in FIRST.items()}
    with chdir(folder):
        assert main(["simulate"]) == 0
        assert main([*some["data/gestures"], "--benchmark", "dvsgesture"]) == 0
        if PICTURES.exists():
            pictures = ["--images", str(PICTURES), "--skip", "1000"]
            assert main([*some["data/mnist"], "--benchmark", "nmnist", *pictures]) == 0

    @cache
    def loaded(benchmark, data, **options):
        if data == "data/mnist" and not PICTURES.exists():
            pytest.skip(f"no pictures in {PICTURES}")
        with chdir(folder):
            return snnq.load(benchmark, data, **options)

    return loaded


def test_every_study_with_networks_is_tested_here():
    assert STUDIES == ["desk", "quick"]


@pytest.mark.parametrize(("study", "row"), NETWORKS)
def test_a_network_reproduces_the_accuracy_on_its_card(study, row, load):
    card = Path(row.path).with_suffix(".md").read_text()
    kept, right = predicted(study)[row.name]
    accuracy = re.search(r"accuracy \| ([\d.]+) %", card)[1]
    assert accuracy == f"{100 * (kept == right).mean():.2f}"
    arguments = re.search(r"snnq\.(load\(.*\))", card)[1]
    _, test = eval(arguments, {"load": load})
    rates, labels = snnq.predict(snnq.unpack(row.path), test)
    classes, labels = rates.argmax(1).numpy(), labels.numpy()
    first = next((count for data, count in FIRST.items() if data in arguments), None)
    places = np.concatenate([np.flatnonzero(right == label)[:first] for label in np.unique(right)])
    assert np.array_equal(labels, right[places])
    share = (classes == labels).mean()
    if "data/mnist" in arguments:
        assert share == pytest.approx((kept == right)[places].mean(), abs=0.03)  # other noise
        return
    assert (classes != kept[places]).mean() <= ALIKE
    if first is None:
        assert share == pytest.approx(float(accuracy) / 100, abs=ALIKE)
