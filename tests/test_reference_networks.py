"""The networks that are kept in git do what their cards say, on recordings that are simulated anew."""

import re
from contextlib import chdir
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from conftest import PROJECT
from safetensors.numpy import load_file

import snnq
from snnq.__main__ import main
from snnq.study.gather import LABEL, PREDICTIONS, PREDICTIONS_ABLATIONS

pytestmark = pytest.mark.xdist_group("networks")  # which share recordings that take a while
REFERENCE = PROJECT / "results/reference"
STUDIES = sorted(path.parent.name for path in REFERENCE.glob("*/networks"))
NETWORKS = [
    pytest.param(row, id=f"{study}-{row.benchmark}-{row.channels}-{row.levels}")
    for study in STUDIES
    for row in snnq.packed_networks(REFERENCE / study, widest=False).itertuples()
]
GESTURES, KEPT = 2, 16  # of each class: simulated here, and in the study
ALIKE = 0.005  # the share of classes that may differ, since types of CPU round differently


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
    """`snnq.load` in a folder that gets the quick study's digits and some of its gestures, each of
    which depends on no other one."""
    folder = tmp_path_factory.mktemp("recordings")
    with chdir(folder):
        assert main(["simulate"]) == 0
        some = ["--benchmark", "dvsgesture", "--limit", str(GESTURES)]
        assert main(["simulate", "data/gestures", *some]) == 0

    @cache
    def loaded(*arguments, **options):
        with chdir(folder):
            return snnq.load(*arguments, **options)

    return loaded


def test_every_study_with_networks_is_tested_here():
    assert STUDIES == ["quick"]


@pytest.mark.parametrize("row", NETWORKS)
def test_a_network_reproduces_the_accuracy_on_its_card(row, load):
    card = Path(row.path).with_suffix(".md").read_text()
    _, test = eval(re.search(r"snnq\.(load\(.*\))", card)[1], {"load": load})
    rates, labels = snnq.predict(snnq.unpack(row.path), test)
    classes, labels = rates.argmax(1).numpy(), labels.numpy()
    kept, right = predicted("quick")[row.name]
    accuracy = re.search(r"accuracy \| ([\d.]+) %", card)[1]
    assert accuracy == f"{100 * (kept == right).mean():.2f}"
    if row.benchmark == "dvsgesture":
        places = np.add.outer(KEPT * np.arange(11), np.arange(GESTURES)).ravel()
        kept, right = kept[places], right[places]
    else:
        assert 100 * (classes == labels).mean() == pytest.approx(float(accuracy), abs=100 * ALIKE)
    assert np.array_equal(labels, right) and (classes != kept).mean() <= ALIKE
