"""A finished study taken into the reference."""

import json
import shutil
import subprocess
from contextlib import chdir
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from conftest import PROJECT
from nbformat.v4 import new_code_cell, new_notebook
from safetensors.numpy import load_file, save_file

import snnq
from snnq.study import reference
from snnq.study.gather import gather
from snnq.study.notebook import METADATA
from snnq.study.profile import plan
from snnq.study.reference import take_reference

pytestmark = pytest.mark.xdist_group("reference")  # which share a study that was trained once
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def git(*arguments):
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, recordings):
    """A folder with a finished study; its notebooks are a cell each."""
    profile = {
        "study": "test",
        "benchmarks": {"nmnist": {}},
        "levels": ["full", "binary"],
        "seeds": [0],
        "settings": {"data": str(recordings), "channels": 2, "steps": 2, "device": "cpu", "epochs": 1},
        "full": {},
        "quantized": {},
    }
    found, place = plan(profile), tmp_path_factory.mktemp("study")
    with chdir(place):
        for name, run in found.runs.items():
            folder = found.run_folder(name)
            snnq.fit(run, folder, progress=False)
            record = snnq.read_record(folder) | {"commit": COMMIT}
            (folder / "run.json").write_text(json.dumps(record))
            write_notebook(folder / "3_train.ipynb")
        gather(found)
        for name in ("costs", "operations", "faults", "fidelity", "layers"):
            (found.folder / f"{name}.csv").write_text("recordings,benchmark,channels,levels,layer\n")
        for name in reference.NOTEBOOKS:
            write_notebook(found.folder / f"notebooks/{name}.ipynb")
    return place


@pytest.fixture
def study(finished, in_tmp):
    """The study's folder, in a clean working tree of the test's own."""
    shutil.copytree(finished, in_tmp, dirs_exist_ok=True)
    (in_tmp / ".gitignore").write_text("results/*\n!results/reference/\ndata/\n")
    git("init", "-q")
    git("add", ".gitignore")
    git("commit", "-q", "-m", "x")
    return Path("results/test")


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
    names = {f"nmnist-{levels}-2channels-seed0" for levels in ("binary", "full")}
    networks = {path.name for path in (place / "networks").iterdir()}
    assert networks == {"README.md", *(f"{name}.{kind}" for name in names for kind in ("md", "safetensors"))}
    page = (place / "networks/README.md").read_text()
    assert all(f"[{name}]({name}.md)" in page for name in names) and "Not here" not in page


def test_a_card_says_what_a_network_is_and_how_to_load_it(study):
    place = take_reference(study) / "networks"
    record = snnq.read_record(next((study / "runs").glob("*binary*")))
    path = place / "nmnist-binary-2channels-seed0.safetensors"
    card = path.with_suffix(".md").read_text()
    accuracy, run = record["accuracy"]["last"], snnq.Run.of(record["run"])
    low, high = (100 * end for end in snnq.wilson(accuracy, 40))
    for stated in (
        f"{100 * accuracy:.2f} % of 40 test samples",
        f"interval {low:.2f} to {high:.2f}",
        f"| `{run}`, commit `{COMMIT}` |",
        "| N-MNIST, real; 30 to train on, 10 for validation |",
        "frames [2 time steps, N, 2, 34, 34]",
        f"| {path.stat().st_size:,} bytes; ",
        "MIT",
    ):
        assert stated in card
    found = {}
    exec(card.split("```")[1].removeprefix("python"), found)
    assert found["accuracy"] == pytest.approx(accuracy) and len(found["test"]) == 40
    assert found["network"].source == record["run"]


def test_networks_without_room_are_named(study, monkeypatch):
    monkeypatch.setattr(reference, "MOST_NETWORK_BYTES", 10_000)
    networks = take_reference(study) / "networks"
    assert {path.stem for path in networks.glob("*.safetensors")} == {"nmnist-binary-2channels-seed0"}
    page = (networks / "README.md").read_text()
    assert "more than 0.01 MB: nmnist-full-2channels-seed0. `snnq study config/test.yaml` trains" in page


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
    with pytest.raises(ValueError, match="bytes of notebooks, expected 6,000,000 at most"):
        take_reference(study)


def ablation(study, name, commit=COMMIT):
    """An ablation of the study's own runs, and predictions like theirs."""
    rows = pd.read_csv(study / "runs.csv").assign(commit=commit)
    rows.insert(1, "ablation", name)
    rows.insert(2, "change", rows["levels"])
    rows.to_csv(study / "ablations.csv", index=False)


@pytest.fixture
def with_reference(study):
    """The study, of which the reference in git has one ablation."""
    ablation(study, "first")
    for name in reference.OF_TABLES:
        parameters = new_code_cell('study = ""', metadata={"tags": ["parameters"]})
        used = new_code_cell("print(sorted(open(f'{study}/ablations.csv')), study)")
        notebook = new_notebook(cells=[parameters, used], metadata=METADATA)
        Path("notebooks").mkdir(exist_ok=True)
        nbformat.write(notebook, f"notebooks/{name}.ipynb")
    git("add", ".")
    git("commit", "-q", "-m", "notebooks")
    take_reference(study)
    git("add", ".")
    git("commit", "-q", "-m", "reference")
    return study


def test_ablations_are_added_to_those_that_are_there(with_reference):
    study, place = with_reference, reference.REFERENCE / "test"
    first = (place / "ablations.csv").read_text().splitlines()
    shutil.rmtree(study / "runs")  # the runs of earlier parts need not be there
    ablation(study, "second")
    assert reference.add_part(study) == place
    lines = (place / "ablations.csv").read_text().splitlines()
    assert lines[: len(first)] == first and len(lines) == 2 * len(first) - 1
    both = snnq.read_gathered(place, "ablations")
    assert both["ablation"].tolist() == ["first", "first", "second", "second"]
    assert set(snnq.read_correct(place)) == set(both["name"])
    for name in reference.OF_TABLES:
        text = (place / f"notebooks/{name}.ipynb").read_text()
        assert "second" in text and "results/reference/test\\n" in text and "partial" not in text
        assert "papermill" not in text
    untouched = nbformat.read(place / "notebooks/6_deployment.ipynb", as_version=4)
    assert untouched.cells[0].source == "1 + 1"


def test_an_ablation_that_is_there_is_replaced(with_reference):
    ablation(with_reference, "first", COMMIT[::-1])
    place = reference.add_part(with_reference)
    assert set(snnq.read_gathered(place, "ablations")["commit"]) == {COMMIT[::-1]}


def test_a_replaced_ablation_keeps_its_place(with_reference):
    for name in ("second", "first"):
        ablation(with_reference, name)
        place = reference.add_part(with_reference)
        git("add", ".")
        git("commit", "-q", "-m", name, "--allow-empty")
    found = snnq.read_gathered(place, "ablations")
    assert found["ablation"].tolist() == ["first", "first", "second", "second"]


def test_a_run_with_another_result_is_not_put_beside_the_first(with_reference):
    place = reference.REFERENCE / "test"
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    path = with_reference / "predictions.safetensors"
    classes = load_file(path)
    name = next(name for name in classes if "binary" in name)
    classes[name] = (classes[name] + 1) % 10
    save_file(classes, path)
    message = f"{name.partition('/')[2]}: trained again with another result than in {place}"
    with pytest.raises(ValueError, match=message):
        reference.add_part(with_reference)
    assert before == {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}


def test_notebooks_that_grow_too_large_with_ablations_are_refused(with_reference, monkeypatch):
    place = reference.REFERENCE / "test"
    monkeypatch.setattr(reference, "MOST_BYTES", sum(p.stat().st_size for p in place.glob("notebooks/*")))
    ablation(with_reference, "second")
    with pytest.raises(ValueError, match="bytes of notebooks, expected"):
        reference.add_part(with_reference)
    assert set(snnq.read_gathered(place, "ablations")["ablation"]) == {"first"}


def test_a_study_of_nothing_but_ablations_has_its_tables_there(study, capsys):
    ablation(study, "first")
    place = reference.add_part(study)
    assert {path.name for path in place.iterdir()} == {"ablations.csv", "predictions_ablations.safetensors"}
    assert len(snnq.read_correct(place)) == 2
    assert f"{study}: its ablations alone; {place} has no networks" in capsys.readouterr().out


def test_ablations_that_are_not_there_leave_nothing(study):
    with pytest.raises(FileNotFoundError, match="ablations.csv"):
        reference.add_part(study)
    assert not reference.REFERENCE.exists()


def as_ternary(study):
    """The part of a study that has its binary network as a ternary one, beside full precision."""
    (study / "ablations.csv").unlink()
    for path in study.glob("*.csv"):
        path.write_text(path.read_text().replace("binary", "ternary"))
    path = study / "predictions.safetensors"
    classes = load_file(path)
    save_file({name.replace("binary", "ternary"): of for name, of in classes.items()}, path)


def test_a_network_is_added_to_those_that_are_there(with_reference):
    place = reference.REFERENCE / "test"
    before = {path.name: path.read_text().splitlines() for path in place.glob("*.csv")}
    (with_reference / "operations.csv").write_text(
        "recordings,benchmark,channels,levels,dense\n"
        '"N-MNIST, real",nmnist,2,full,7\n"N-MNIST, real",nmnist,2,binary,8\n'
    )
    shutil.copy(with_reference / "operations.csv", place)
    git("commit", "-a", "-q", "-m", "x")
    correct = snnq.read_correct(place)
    as_ternary(with_reference)
    reference.add_part(with_reference)
    table = pd.read_csv(place / "table.csv")
    assert table["levels"].tolist() == ["full", "ternary", "binary"]
    alone = pd.read_csv(with_reference / "table.csv")  # of full precision and ternary weights
    pd.testing.assert_frame_equal(table.iloc[:1], alone.iloc[:1])
    assert table["last_mean"][1] == alone["last_mean"][1]
    for name in ("runs", "histories", "transitions", "histograms", "staircases"):
        lines = (place / f"{name}.csv").read_text().splitlines()
        assert lines[: len(before[f"{name}.csv"])] == before[f"{name}.csv"]
        more = lines[len(before[f"{name}.csv"]) :]
        assert more and all("ternary" in line for line in more)
    assert pd.read_csv(place / "operations.csv")["levels"].tolist() == ["full", "binary", "ternary"]
    after = snnq.read_correct(place)
    assert len(after) == 3 and all((after[name] == of).all() for name, of in correct.items())


def test_of_wider_networks_alone_histograms_are_kept(with_reference):
    as_ternary(with_reference)
    for name in ("runs", "histories", "transitions", "histograms", "staircases"):
        rows = pd.read_csv(with_reference / f"{name}.csv")
        rows.assign(channels=4).to_csv(with_reference / f"{name}.csv", index=False)
    place = reference.add_part(with_reference)
    widths = {name: set(pd.read_csv(place / f"{name}.csv")["channels"]) for name in ("histories", "histograms")}
    assert widths == {"histories": {2, 4}, "histograms": {4}}


def test_more_seeds_of_a_network_that_is_there_are_refused(with_reference):
    runs = pd.read_csv(with_reference / "runs.csv")
    other = runs.assign(name=runs["name"].str.replace("seed0", "seed1"), seed=1)
    other.to_csv(with_reference / "runs.csv", index=False)
    with pytest.raises(ValueError, match="nmnist-binary-seed1.*: other runs of networks that are in"):
        reference.add_part(with_reference)


def cut_recordings(study):
    path = study / "predictions.safetensors"
    save_file({name: of[:-1] for name, of in load_file(path).items()}, path)


def other_labels(study):
    path = study / "predictions.safetensors"
    classes = load_file(path)
    save_file(classes | {"0/label": (classes["0/label"] + 1) % 10}, path)


def changed(table, **columns):
    """What changes a table of a study."""

    def change(study):
        rows = pd.read_csv(study / f"{table}.csv")
        for name, value in columns.items():
            rows[name] = value(rows)
        rows.to_csv(study / f"{table}.csv", index=False)

    return change


def without_columns(study):
    pd.read_csv(study / "runs.csv").drop(columns="bytes_float32").to_csv(study / "runs.csv", index=False)


def twice(study):
    rows = pd.read_csv(study / "runs.csv")
    pd.concat([rows, rows]).to_csv(study / "runs.csv", index=False)


def fewer_of_an_ablation(study):
    pd.read_csv(study / "ablations.csv").iloc[:1].to_csv(study / "ablations.csv", index=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed("runs", last=lambda rows: rows["last"] / 2), "trained again with another result than in"),
        (changed("runs", test_recordings=lambda rows: 7), "other test recordings than in"),
        (cut_recordings, "other test recordings than in"),
        (other_labels, "other test recordings than in"),
        (without_columns, "runs.csv: no bytes_float32; expected the columns of"),
        (twice, "runs.csv: nmnist-.* is there twice"),
        (fewer_of_an_ablation, "ablation 'first' without 1 of the runs that .* has .full, .* seed 0"),
        (lambda study: (study / "ablations.csv").write_text(""), "ablations.csv: an empty file"),
    ],
    ids=["accuracy", "size", "fewer", "labels", "columns", "twice", "ablation", "empty"],
)
def test_a_part_that_does_not_belong_is_refused(with_reference, change, message):
    place = reference.REFERENCE / "test"
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    change(with_reference)
    with pytest.raises(ValueError, match=message):
        reference.add_part(with_reference)
    assert before == {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}


def test_an_ablation_trained_anew_elsewhere_takes_the_place_of_the_other(study):
    ablation(study, "first")
    place = reference.add_part(study)
    git("add", ".")
    git("commit", "-q", "-m", "x")
    changed("ablations", last=lambda rows: rows["last"] / 2)(study)
    reference.add_part(study)
    found, there = (pd.read_csv(folder / "ablations.csv")["last"].tolist() for folder in (study, place))
    assert found == pytest.approx(there)


def test_tables_of_before_there_were_orders_are_added(with_reference):
    as_ternary(with_reference)
    for name in ("runs", "histories", "transitions", "histograms", "staircases"):
        rows = pd.read_csv(with_reference / f"{name}.csv").drop(columns="order")
        rows.to_csv(with_reference / f"{name}.csv", index=False)
    place = reference.add_part(with_reference)
    for name in ("runs", "histories", "histograms", "staircases"):
        rows = pd.read_csv(place / f"{name}.csv")
        assert rows["order"].tolist() == [0] * len(rows) and {"binary", "ternary"} <= set(rows["levels"])


@pytest.mark.parametrize("at", ["final", "partial"])
def test_an_interrupted_swap_leaves_the_reference(with_reference, monkeypatch, at):
    place = reference.REFERENCE / "test"
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    ablation(with_reference, "second")
    rename = Path.rename

    def interrupted(self, target):
        if at in (self.name.removeprefix(".test."), "final" if self == place else ""):
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "rename", interrupted)
        reference.add_part(with_reference)
    assert before == {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    (place.parent / ".test.partial").mkdir()  # as a killed process leaves it, which git does not see
    git("config", "core.excludesFile", str(PROJECT / ".gitignore"))
    reference.add_part(with_reference)
    assert set(snnq.read_gathered(place, "ablations")["ablation"]) == {"first", "second"}
    assert [path.name for path in place.parent.iterdir()] == ["test"]


def test_the_same_networks_once_more_change_nothing(with_reference):
    place = reference.REFERENCE / "test"
    names = ("*.csv", "predictions.safetensors", "networks/*")
    before = {path: path.read_bytes() for name in names for path in place.glob(name)}
    reference.add_part(with_reference)
    assert before == {path: path.read_bytes() for name in names for path in place.glob(name)}
