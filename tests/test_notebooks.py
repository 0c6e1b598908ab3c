"""The notebooks, cell by cell in this process as a kernel executes them, with tiny parameters.

`test_forkserver.py` has one that goes the whole way, through papermill and a kernel of its own.
"""

import asyncio
import inspect
import json
import shutil
import types
from contextlib import chdir
from dataclasses import fields

import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import pytest
from conftest import PROJECT, TINY, small_study
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from jupyter_server.services.contents import largefilemanager
from papermill.inspection import inspect_notebook
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from traitlets.config import Config

import snnq
from snnq.study.folders import network_name
from snnq.study.gather import gather
from snnq.study.notebook import strip_when_saved
from snnq.study.profile import Study

pytestmark = pytest.mark.xdist_group("notebooks")  # which share a study that was trained once
NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
SERVER = PROJECT / "config/jupyter/jupyter_server_config.json"
STUDY = "results/quick"


@pytest.fixture(scope="module")
def shell():
    """What a kernel executes cells with."""
    found = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    yield found
    found.restore_sys_module_state()  # it put a module of its own in the place of __main__
    InteractiveShell.clear_instance()


@pytest.fixture
def execute(shell, monkeypatch):
    """A function (name, folder to be in, parameters) that executes a notebook in a new namespace
    and returns what it showed, and the number of its figures."""

    def executed(name: str, where, **parameters) -> tuple[str, int]:
        monkeypatch.chdir(where)
        notebook = load_notebook_node(str(PROJECT / "notebooks" / name))
        if parameters:
            notebook = parameterize_notebook(notebook, parameters)
        shell.reset(new_session=True)
        texts = []
        for cell in notebook.cells:
            if cell.cell_type == "code":
                with capture_output() as shown:
                    result = shell.run_cell(cell.source, store_history=True)
                result.raise_error()
                outputs = [result.result, *shown.outputs]
                texts += [shown.stdout, *map(_html, outputs)]
        return "\n".join(texts), len(plt.get_fignums())

    yield executed
    plt.close("all")


def _html(output) -> str:
    if hasattr(output, "_repr_html_"):
        return output._repr_html_() or ""
    return str(output or "")


def cells_of(name) -> list:
    return nbformat.read(PROJECT / "notebooks" / name, as_version=4).cells


def parameters_of(name) -> dict:
    (cell,) = [cell for cell in cells_of(name) if "parameters" in cell.metadata.get("tags", [])]
    found = {}
    exec(cell.source, found)
    del found["__builtins__"]
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory, recordings):
    """A folder with a finished study of full precision and 2 bits, tables, an ablation, and what
    else the notebooks read."""
    folder = tmp_path_factory.mktemp("project")
    small_study(folder, recordings)
    for name in ("published.csv", "recipe.csv"):
        to = folder / "results/reference" / name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / "results/reference" / name, to)
    shutil.copytree(PROJECT / "results/reference/bench", folder / "results/reference/bench")
    return folder


@pytest.fixture
def reference(project, tmp_path):
    """A folder that has such a study as the reference alone, with its packed networks."""
    to = tmp_path / "results/reference/quick"
    shutil.copytree(project / STUDY, to, ignore=shutil.ignore_patterns("runs"))
    shutil.copytree(PROJECT / "results/reference/bench", to.parent / "bench")
    (to / "networks").mkdir()
    for row in snnq.packed_networks(project / STUDY).itertuples():
        shutil.copy(row.path, to / f"networks/{network_name(row)}.safetensors")
    return tmp_path


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_are_stored_as_nbformat_writes_them_without_outputs(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    before = json.dumps(notebook)
    model = {"type": "notebook", "content": notebook}
    in_project = types.SimpleNamespace(root_dir=str(PROJECT))
    strip_when_saved(model, f"notebooks/{path.name}", in_project)
    assert json.dumps(notebook) == before  # nothing to strip
    nbformat.write(notebook, tmp_path / "again.ipynb")
    assert (tmp_path / "again.ipynb").read_bytes() == path.read_bytes()
    assert all(cell.id for cell in notebook.cells)
    text = [
        line
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for line in cell.source.split("\n")
    ]
    titles = [line for line in text if line.startswith("# ")]
    assert titles == [notebook.cells[0].source.split("\n")[0]]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_write_no_figures_and_name_no_places_of_ours(path):
    source = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)
    for word in ("figure_folder", "savefig", "table.csv", "../shared", "drawn gestures"):
        assert word not in source


def test_a_figures_caption_is_below_it(shell):
    code = """
import matplotlib.pyplot as plt
from snnq.figures.style import note
figure = note(plt.figure(figsize=(1, 1)), "what it *shows*")
display(figure)
display(figure)
"""
    with capture_output() as shown:
        shell.run_cell(code).raise_error()
    plt.close("all")
    pictures, captions = shown.outputs[::2], shown.outputs[1::2]
    assert [one.data["text/plain"].startswith("<Figure") for one in pictures] == [True, True]
    assert [one.data["text/markdown"] for one in captions] == ["what it *shows*"] * 2


def test_notebook_3_has_the_defaults_of_a_run():
    parameters = parameters_of("3_train.ipynb")
    assert parameters.pop("folder") is None and parameters.pop("restart") is False
    assert snnq.Run.of(parameters) == snnq.Run()
    assert parameters.keys() - {"log"} == {field.name for field in fields(snnq.Run)}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_papermill_knows_every_parameter(path):
    """It reads them line by line: one that it does not know is a warning in each run's log."""
    assert inspect_notebook(path).keys() == parameters_of(path.name).keys()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"levles": "ternary"}, "unknown parameter 'levles': did you mean 'levels'?"),
        ({"levels": "trinary"}, "levels='trinary': unknown level set"),
        ({"data": "nowhere"}, "nowhere/NMNIST/Train: no recordings of nmnist here"),
    ],
)
def test_notebook_3_refuses_bad_parameters(execute, tmp_path, parameters, message):
    with pytest.raises((ValueError, FileNotFoundError)) as refused:
        execute("3_train.ipynb", tmp_path, **parameters)
    assert message in str(refused.value)
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("name", "written", "known"),
    [
        ("1_quantizer.ipynb", "stduy", "study"),
        ("2_events.ipynb", "recording", "recordings"),
        ("3_train.ipynb", "learning_rat", "learning_rate"),
        ("4_results.ipynb", "stduy", "study"),
        ("5_ablations.ipynb", "stduy", "study"),
        ("6_deployment.ipynb", "table_foldr", "table_folder"),
    ],
)
@pytest.mark.parametrize("injected", [True, False])
def test_a_misspelt_parameter_is_refused(execute, shell, tmp_path, name, written, known, injected):
    message = f"unknown parameter '{written}': did you mean '{known}'"
    if injected:
        with pytest.raises(ValueError, match=message):
            execute(name, tmp_path, **{written: 0.1})
        return
    # Typed into the notebook's own cell, which is executed again once it is right.
    shell.reset(new_session=True)
    cell = next(cell.source for cell in cells_of(name) if cell.cell_type == "code")
    check = f"import snnq; snnq.check_parameters(globals(), {list(parameters_of(name))})"
    for source, refused in ((f"{cell}\n{written} = 0.1", True), (cell, False)):
        assert shell.run_cell(source, store_history=True).success
        with capture_output() as shown:
            done = shell.run_cell(check, store_history=True)
        assert done.success is not refused
        assert (message in shown.stdout) is refused


def test_other_cells_are_no_parameters():
    settings = "import os\nstudy = f(study)\nx = 3"
    cells = ["study = 1", "other = 2", settings, "stduy = (", "%%bash\nls"]
    snnq.check_parameters({"In": cells}, ["study"])
    with pytest.raises(ValueError, match="unknown parameter 'b'"):
        snnq.check_parameters({"In": [*cells, "# Parameters\nb = 1\n"]}, ["study"])


@pytest.mark.parametrize("compare_with", [None, "same"])
def test_notebook_2_shows_recordings_and_compares_them(execute, project, recordings, compare_with):
    parameters = {"data": str(recordings), "recordings": 10}
    if compare_with:
        parameters["compare_with"] = str(recordings)
    text, figures = execute("2_events.ipynb", project, **parameters)
    assert figures == 6
    assert "N-MNIST, real: 40 of 60,000 training samples" in text and "official split" in text
    assert ("spread" in text) is bool(compare_with)


def test_notebook_1_draws_from_the_tables(execute, project):
    _, figures = execute("1_quantizer.ipynb", project)
    assert figures == 4


def test_notebook_4_shows_the_table_and_no_nan(execute, project):
    before = sorted(project.rglob("*"))
    text, figures = execute("4_results.ipynb", project)
    assert figures == 13
    assert "filter: words and numbers" in text
    assert "best on validation" in text and "not drawn" not in text
    assert "N-MNIST, real" in text and "Shymyrbay et al." in text
    assert "largest distance between soft and hard" in text
    assert "2bit against full precision: undetermined with 2 channels" in text  # of one seed
    assert ">nan" not in text and "+nan" not in text and "± nan" not in text
    assert sorted(project.rglob("*")) == before  # nothing written


def test_notebook_5_draws_the_ablations_that_there_are(execute, project):
    text, figures = execute("5_ablations.ipynb", project)
    assert figures == 1
    assert "undetermined" in text and "nan" not in text.replace("<", " ").split()
    assert text.count("no runs of such an ablation") == 6  # sections of 7, with the rest
    assert "0 of 1 comparisons in 1 ablations" in text


@pytest.mark.parametrize("name", ["1_quantizer", "4_results", "6_deployment"])
def test_notebooks_say_which_command_makes_a_study(execute, tmp_path, name):
    message = "results/paper/runs.csv: .*`make paper` makes them"
    with pytest.raises(FileNotFoundError, match=message):
        execute(f"{name}.ipynb", tmp_path, study="results/paper")


def test_notebook_5_says_which_command_makes_ablations(execute, project, tmp_path):
    shutil.copytree(project / "results/reference", tmp_path / "results/reference")
    text, figures = execute("5_ablations.ipynb", tmp_path)
    assert "`make ablations` makes them" in text and figures == 0


def test_notebook_6_measures_and_exports_the_packed_networks(execute, project):
    text, figures = execute("6_deployment.ipynb", project, recordings=20, draws=2, table_folder="t")
    assert figures == 8
    names = "costs", "faults", "fidelity", "operations", "layers", "traces"
    tables = (pd.read_csv(project / f"t/{name}.csv") for name in names)
    costs, faults, fidelity, operations, layers, traces = tables
    assert set(fidelity["levels"]) == {"2bit"} and set(fidelity["test_recordings"]) == {20}
    assert fidelity["layer"].is_unique and fidelity["distance"].between(0, 1).all()
    assert costs["weights_of"].unique().tolist() == ["full", "2bit"]
    of_networks = costs.groupby("weights_of")["effective"].sum()
    assert operations.set_index("levels")["effective"].to_dict() == pytest.approx(of_networks.to_dict())
    assert layers.groupby("weights_of")["bytes"].sum().equals(costs.groupby("weights_of")["bytes"].sum().astype(int))
    assert set(traces["weights_of"]) == {"full", "2bit"} and traces["step"].max() == 2
    packed = snnq.packed_networks(project / STUDY).set_index("levels")["path"]
    small = costs[costs["weights_of"] == "2bit"]
    assert small["bytes"].sum() == snnq.footprint(snnq.unpack(packed["2bit"]))["bytes"].sum()
    assert set(costs["recordings"]) == {"N-MNIST, real"} and set(faults["test_recordings"]) == {20}
    assert faults.groupby(["weights_of", "signs", "rate"]).size().unique().tolist() == [2]
    assert set(faults["signs"]) == {"at risk", "protected"}
    assert "1e-05" in text and "0.000010" not in text
    compiled = "2bit: 20 of 20 classes as in PyTorch"
    assert (compiled if shutil.which("gcc") else "There is no gcc here") in text
    assert "12 bits" in text and "/ 2" in text and "Flexi-NeurA" in text


@pytest.mark.parametrize("levels", ["full", "2bit"])
def test_a_study_of_one_level_set_has_nothing_beside_it(execute, project, tmp_path, levels):
    (folder,) = (project / STUDY / "runs").glob(f"*-{levels}-*")
    record = snnq.read_record(folder)
    study = Study(tmp_path / STUDY, {}, {folder.name: snnq.Run.of(record["run"])}, [], {})
    shutil.copytree(folder, study.run_folder(folder.name))
    shutil.copytree(project / "results/reference", tmp_path / "results/reference")
    with chdir(tmp_path):
        gather(study)
    without = {"confusions", "firing_distance_by_layer", "spikes_and_membranes"}
    if levels == "full":
        without |= {"quantizer_slope", "quantizer_trained_weights", "hard_and_soft", "scales_by_epoch"}
        without |= {"weights_in_transition", "weights_in_training", "weights_on_levels"}
    texts = []
    for name in ("1_quantizer", "4_results", "6_deployment"):
        texts.append(execute(f"{name}.ipynb", tmp_path)[0])
        plt.close("all")
    lines = [line for text in texts for line in text.splitlines() if ": not drawn; " in line]
    assert {line.partition(":")[0] for line in lines} == without
    assert "trained for this device" not in texts[-1] and not any("+nan" in text for text in texts)


def test_notebook_6_says_what_is_not_written_as_c(execute, project, recordings, tmp_path):
    settings = TINY | {"data": str(recordings), "epochs": 1, "membrane_bits": 6}
    run = snnq.Run(levels="2bit", full_epochs=0, **settings)
    study = Study(tmp_path / STUDY, {}, {run.name: run}, [], {})
    shutil.copytree(project / "results/reference", tmp_path / "results/reference")
    with chdir(tmp_path):
        snnq.fit(run, study.run_folder(run.name), progress=False)
        gather(study)
    text, _ = execute("6_deployment.ipynb", tmp_path, recordings=20, draws=2)
    plt.close("all")
    if shutil.which("gcc"):
        assert "membrane_bits=6: C in floating point has none" in text
    assert "Flexi-NeurA" in text  # the last table


def test_notebook_6_leaves_the_reference_as_it_is(execute, reference, recordings, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in reference.rglob("*")}
    hidden = recordings / "NMNIST.hidden"
    (recordings / "NMNIST").rename(hidden)
    try:
        text, figures = execute("6_deployment.ipynb", reference)
    finally:
        hidden.rename(recordings / "NMNIST")
    assert "results/reference/quick; `make study` makes yours" in text
    assert f"no recordings of nmnist in {recordings}: `make study` makes them" in text
    assert figures == 1 and "firing_distance_by_layer: not drawn" in text  # of bits of membranes
    assert {path: path.stat().st_mtime_ns for path in reference.rglob("*")} == before


def test_a_study_is_the_reference_where_there_is_no_own(reference, project, monkeypatch, capsys):
    monkeypatch.chdir(reference)
    assert str(snnq.study_folder(STUDY)) == "results/reference/quick"
    assert "`make study` makes yours" in capsys.readouterr().out
    assert str(snnq.study_folder("results/reference/quick")) == "results/reference/quick"
    rows = snnq.packed_networks("results/reference/quick")
    assert rows["levels"].tolist() == ["full", "2bit"]
    monkeypatch.chdir(project)
    assert str(snnq.study_folder(STUDY)) == STUDY and capsys.readouterr().out == ""


def as_jupyterlab_saves(path) -> dict:
    """A stored notebook's content after it was run in JupyterLab."""
    notebook = json.loads(json.dumps(nbformat.read(path, as_version=4)))
    kernel = notebook["metadata"]["kernelspec"] | {"display_name": "Python 3 (ipykernel)"}
    notebook["metadata"] = {
        "kernelspec": kernel,
        "language_info": {"name": "python", "version": "3.11.2", "file_extension": ".py"},
        "widgets": {"application/vnd.jupyter.widget-state+json": {"state": {}}},
    }
    for number, cell in enumerate(notebook["cells"], start=1):
        cell["metadata"] |= {"editable": True, "collapsed": False}
        if cell["cell_type"] == "code":
            shown = {"output_type": "stream", "name": "stdout", "text": "1\n"}
            cell |= {"execution_count": number, "outputs": [shown]}
    return notebook


@pytest.fixture
def opened(tmp_path):
    """A project's copy of the notebooks, in a folder that holds other copies as well."""
    for name in ("notebooks", "results/quick/notebooks", "elsewhere"):
        shutil.copytree(PROJECT / "notebooks", tmp_path / name)
    (tmp_path / "Snakefile").touch()
    return tmp_path


@pytest.mark.parametrize("root", [".", "notebooks"])  # JupyterLab's, `make lab` opens the first
@pytest.mark.parametrize("manager", ["LargeFileManager", "AsyncLargeFileManager"])
def test_notebooks_are_saved_as_they_were_stored(opened, root, manager):
    config = Config(json.loads(SERVER.read_text()))
    contents = getattr(largefilemanager, manager)(root_dir=str(opened / root), config=config)
    for path in NOTEBOOKS:
        content = as_jupyterlab_saves(path)
        model = {"type": "notebook", "format": "json", "content": content}
        saved(contents, model, f"{'' if root == 'notebooks' else 'notebooks/'}{path.name}")
        assert (opened / "notebooks" / path.name).read_bytes() == path.read_bytes()
    content["cells"][0]["source"] = "# Edited"
    saved(contents, model, f"{'' if root == 'notebooks' else 'notebooks/'}{path.name}")
    edited = nbformat.read(opened / "notebooks" / path.name, as_version=4)
    assert edited.cells[0].source == "# Edited"


@pytest.mark.parametrize("folder", ["results/quick/notebooks", "elsewhere"])
def test_other_notebooks_keep_their_outputs(opened, folder):
    config = Config(json.loads(SERVER.read_text()))
    contents = largefilemanager.LargeFileManager(root_dir=str(opened), config=config)
    content = as_jupyterlab_saves(NOTEBOOKS[0])
    model = {"type": "notebook", "format": "json", "content": content}
    saved(contents, model, f"{folder}/{NOTEBOOKS[0].name}")
    assert nbformat.read(opened / folder / NOTEBOOKS[0].name, as_version=4).cells[1].outputs


def saved(contents, model, path) -> None:
    found = contents.save(model, path)
    if inspect.isawaitable(found):
        asyncio.run(_result(found))


async def _result(awaitable):
    return await awaitable
