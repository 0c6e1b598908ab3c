"""The notebooks, run as papermill runs them, with tiny parameters."""

import json
import shutil
import subprocess
import sys

import nbformat
import pandas as pd
import pytest
from conftest import PROJECT, write_recordings

import snnq
from snnq.study.gather import gather, gather_ablations
from snnq.study.profile import Study, Variant

NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))


def papermill(notebook, where, **parameters):
    command = [
        sys.executable,
        "-m",
        "papermill",
        str(PROJECT / "notebooks" / notebook),
        "out.ipynb",
    ]
    for name, value in parameters.items():
        command += ["-p", name, str(value)]
    return subprocess.run(command, cwd=where, capture_output=True, text=True)


def parameters_of(notebook) -> dict:
    for cell in nbformat.read(PROJECT / "notebooks" / notebook, as_version=4).cells:
        if "parameters" in cell.metadata.get("tags", []):
            found = {}
            exec(cell.source, found)
            del found["__builtins__"]
            return found
    raise AssertionError(f"{notebook} has no cell tagged parameters")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder in which notebook 3 trained a full-precision and a 2-bit run."""
    folder = tmp_path_factory.mktemp("study")
    write_recordings(folder / "data")
    for levels in ("full", "2bit"):
        done = papermill(
            "3_train.ipynb",
            folder,
            levels=levels,
            data="data",
            epochs=1,
            channels=2,
            steps=2,
            folder=f"runs/{levels}",
        )
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_are_stored_without_outputs(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_are_stored_without_outputs_and_with_one_title(path):
    cells = nbformat.read(path, as_version=4).cells
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
    text = [
        line for cell in cells if cell.cell_type == "markdown" for line in cell.source.split("\n")
    ]
    assert [line for line in text if line.startswith("# ")] == [cells[0].source.split("\n")[0]]


def test_notebook_3_has_the_defaults_of_a_run():
    parameters = parameters_of("3_train.ipynb")
    assert parameters.pop("folder") is None
    assert snnq.Run.of(parameters) == snnq.Run()
    assert parameters.keys() == snnq.Run.__dataclass_fields__.keys()


def test_notebook_3_trains_and_leaves_a_record(study):
    record = snnq.read_record(study / "runs/2bit")
    assert record["run"]["levels"] == "2bit"
    assert record["run"]["epochs"] == len(snnq.read_history(study / "runs/2bit")) == 1


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"levles": "ternary"}, "unknown parameter 'levles': did you mean 'levels'?"),
        ({"levels": "trinary"}, "levels='trinary': unknown level set"),
        ({"data": "nowhere"}, "nowhere/NMNIST/Train: no recordings of nmnist here"),
    ],
)
def test_notebook_3_refuses_bad_parameters(tmp_path, parameters, message):
    done = papermill("3_train.ipynb", tmp_path, **parameters)
    assert done.returncode != 0
    assert message in done.stderr.strip().splitlines()[-1]
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("compare_with", [None, "same"])
def test_notebook_2_shows_recordings_and_compares_them(study, recordings, compare_with):
    parameters = {"data": str(recordings), "recordings": 10}
    if compare_with:
        parameters["compare_with"] = str(recordings)
    done = papermill("2_events.ipynb", study, **parameters)
    assert done.returncode == 0, done.stderr
    text = json.dumps(nbformat.read(study / "out.ipynb", as_version=4))
    assert text.count("image/png") == 5
    assert "Real recordings, nmnist: 40 of 60,000 training recordings" in text
    assert ("spread" in text) is bool(compare_with)


@pytest.mark.parametrize("runs", ["runs", "nowhere"])
def test_notebook_1_draws_with_and_without_trained_networks(study, runs):
    settings = {"runs": runs, "figure_folder": f"figures-{runs}", "interactive": False}
    done = papermill("1_quantizer.ipynb", study, **settings)
    assert done.returncode == 0, done.stderr
    drawn = {path.name for path in (study / f"figures-{runs}").glob("*.png")}
    expected = {f"quantizer_{name}.png" for name in ("staircase", "slope", "soft_to_hard")}
    assert drawn == expected | ({"quantizer_trained_weights.png"} if runs == "runs" else set())


@pytest.fixture(scope="module")
def tables(study):
    """The tables of a study of the two runs, with an ablation of them."""
    runs = {
        levels: snnq.Run.of(snnq.read_record(study / f"runs/{levels}")["run"])
        for levels in ("full", "2bit")
    }
    rows = [Variant("neuron", "PLIF", "2bit"), Variant("neuron", "IF", "2bit")]
    found = Study(study, {}, runs, rows, {})
    gather(found)
    gather_ablations(found)
    return study


def test_notebook_4_writes_the_table_and_figures(tables):
    for name in ("results/published.csv", "results/bench/recipe.csv"):
        (tables / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, tables / name)
    done = papermill("4_results.ipynb", tables, study=".", figure_folder="f")
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tables / "table.csv")
    assert table["levels"].tolist() == ["full", "2bit"]
    assert set(table["recordings"]) == {"real"}
    names = ("accuracy_against_bits", "accuracy_against_bytes", "hard_and_soft")
    assert {path.stem for path in (tables / "f").iterdir()} == {*names, "weights_in_training"}
    text = json.dumps(nbformat.read(tables / "out.ipynb", as_version=4))
    assert "largest distance between soft and hard" in text
    assert "Shymyrbay et al." in text


def test_notebook_4_says_which_command_makes_what_is_missing(tmp_path):
    done = papermill("4_results.ipynb", tmp_path, study="results/paper", figure_folder="f")
    assert done.returncode != 0
    message = done.stderr.strip().splitlines()[-1]
    assert "`snakemake --cores all --configfile config/paper.yaml` makes them" in message
    assert not (tmp_path / "f").exists()


def test_notebook_5_draws_the_ablations_that_there_are(tables):
    done = papermill("5_ablations.ipynb", tables, study=".", figure_folder="a")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tables / "a").iterdir()} == {
        "ablation_neuron.png",
        "ablation_neuron.pdf",
    }
    text = json.dumps(nbformat.read(tables / "out.ipynb", as_version=4))
    assert text.count(".: no runs of this ablation") == 9


def test_notebook_5_says_which_command_makes_them(tmp_path):
    done = papermill("5_ablations.ipynb", tmp_path, study="results/paper", figure_folder="f")
    assert done.returncode == 0, done.stderr
    text = json.dumps(nbformat.read(tmp_path / "out.ipynb", as_version=4))
    assert "config/paper.yaml --config train_ablations=yes" in text
    assert not (tmp_path / "f").exists()


def test_notebook_6_measures_and_exports_the_trained_networks(study):
    settings = {"runs": "runs", "figure_folder": "d", "table_folder": "t"}
    done = papermill("6_deployment.ipynb", study, **settings, recordings=20, draws=2)
    assert done.returncode == 0, done.stderr
    names = ("bytes_by_layer", "operations_by_layer", "accuracy_against_faults")
    assert {path.stem for path in (study / "d").iterdir()} == set(names)
    costs, faults = (pd.read_csv(study / f"t/{name}.csv") for name in ("costs", "faults"))
    assert costs["weights_of"].unique().tolist() == ["full", "2bit"]
    network = snnq.trained_network(study / "runs/2bit")
    assert costs.query("weights_of == '2bit'")["bytes"].sum() == snnq.footprint(network)["bytes"].sum()
    assert faults.groupby(["weights_of", "signs", "rate"]).size().unique().tolist() == [2]
    assert set(faults["signs"]) == {"at risk", "protected"}
    text = json.dumps(nbformat.read(study / "out.ipynb", as_version=4), ensure_ascii=False)
    compiled = "2bit: 20 of 20 classes as in PyTorch"
    assert (compiled if shutil.which("gcc") else "There is no gcc here") in text


def test_notebook_6_says_which_command_trains_networks(tmp_path):
    done = papermill("6_deployment.ipynb", tmp_path, runs="nowhere")
    assert done.returncode != 0
    assert "`make study` trains them" in done.stderr.strip().splitlines()[-1]
