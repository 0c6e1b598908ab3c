"""A finished study taken into the reference."""

import json
import subprocess

import nbformat
import pandas as pd
import pytest
from conftest import fit
from nbformat.v4 import new_code_cell, new_notebook

import snnq
from snnq.study import reference
from snnq.study.gather import gather
from snnq.study.profile import plan
from snnq.study.reference import take_reference

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def git(*arguments):
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def study(tiny, in_tmp):
    """A finished study in a clean working tree; its notebooks are a cell each."""
    settings = {name: value for name, value in tiny.items() if name != "epochs"}
    profile = {
        "study": "test",
        "benchmarks": {"nmnist": {}},
        "levels": ["full", "binary"],
        "seeds": [0],
        "settings": settings | {"epochs": 1},
        "full": {},
        "quantized": {},
    }
    found = plan(profile)
    for name, run in found.runs.items():
        folder = found.run_folder(name)
        fit(vars(run), folder)
        record = snnq.read_record(folder) | {"commit": COMMIT}
        (folder / "run.json").write_text(json.dumps(record))
        write_notebook(folder / "3_train.ipynb")
    gather(found)
    for name in ("costs", "operations", "faults", "fidelity", "layers"):
        (found.folder / f"{name}.csv").write_text("layer\n")
    for name in reference.NOTEBOOKS:
        write_notebook(found.folder / f"notebooks/{name}.ipynb")
    (in_tmp / ".gitignore").write_text("results/*\n!results/reference/\ndata/\n")
    git("init", "-q")
    git("add", ".gitignore")
    git("commit", "-q", "-m", "x")
    return found.folder


def write_notebook(path, source="1 + 1"):
    path.parent.mkdir(parents=True, exist_ok=True)
    notebook = new_notebook(cells=[new_code_cell(source)], metadata={"papermill": {"start": "now"}})
    nbformat.write(notebook, path)


def test_tables_notebooks_and_networks_with_cards(study, in_tmp):
    place = take_reference(study)
    assert place == reference.REFERENCE / "test"
    pd.testing.assert_frame_equal(pd.read_csv(place / "runs.csv"), pd.read_csv(study / "runs.csv"))
    kept, taken = (snnq.read_correct(folder) for folder in (study, place))
    assert {name: right.tolist() for name, right in taken.items()} == {
        name: right.tolist() for name, right in kept.items()
    }
    names = {path.stem for path in (place / "notebooks").iterdir()}
    assert names == {*reference.NOTEBOOKS, "3_train"}
    assert "papermill" not in (place / "notebooks/1_quantizer.ipynb").read_text()
    networks = sorted(path.name for path in (place / "networks").iterdir())
    assert networks == [
        f"nmnist-{levels}-seed0.{kind}" for levels in ("binary", "full") for kind in ("md", "safetensors")
    ]
    record = snnq.read_record(next((study / "runs").glob("*binary*")))
    card = (place / "networks/nmnist-binary-seed0.md").read_text()
    path = place / "networks/nmnist-binary-seed0.safetensors"
    for stated in (f"{100 * record['accuracy']['last']:.2f} %", COMMIT, str(path), "real recordings"):
        assert stated in card
    assert snnq.unpack(path).source == record["run"]


def test_what_was_there_before_is_replaced(study):
    take_reference(study)
    git("add", ".")
    (reference.REFERENCE / "test/old.csv").write_text("x")
    git("add", ".")
    git("commit", "-q", "-m", "reference")
    take_reference(study)
    assert not (reference.REFERENCE / "test/old.csv").exists()


def test_changes_that_are_not_committed_are_refused(study, in_tmp):
    (in_tmp / "new.py").touch()
    with pytest.raises(ValueError, match=r"1 changes that are not committed \(\?\? new.py"):
        take_reference(study)
    assert not reference.REFERENCE.exists()


@pytest.mark.parametrize("commit", [f"{COMMIT}-dirty", None])
def test_a_run_of_no_commit_is_refused(study, commit):
    runs = pd.read_csv(study / "runs.csv").assign(commit=commit)
    runs.to_csv(study / "runs.csv", index=False)
    with pytest.raises(ValueError, match="runs of no commit: nmnist-"):
        take_reference(study)


def test_an_unfinished_study_leaves_nothing(study):
    (study / "costs.csv").unlink()
    with pytest.raises(FileNotFoundError, match="costs.csv"):
        take_reference(study)
    assert list(reference.REFERENCE.iterdir()) == []


def test_a_notebook_that_names_a_path_of_this_machine_is_refused(study, in_tmp):
    write_notebook(study / "notebooks/4_results.ipynb", f"open('{in_tmp}/x')")
    with pytest.raises(ValueError, match="4_results.ipynb: names .*, a path of this machine"):
        take_reference(study)


def test_notebooks_that_are_too_large_are_refused(study):
    write_notebook(study / "notebooks/4_results.ipynb", "#" * reference.MOST_BYTES)
    with pytest.raises(ValueError, match="bytes of notebooks, expected 3,000,000 at most"):
        take_reference(study)
