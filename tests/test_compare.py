"""Runs side by side."""

import re
from dataclasses import replace

import matplotlib.pyplot as plt
import pandas as pd
import pytest
import torch
from conftest import small_study
from matplotlib.colors import to_hex
from torch import nn

import snnq
from snnq.__main__ import main
from snnq.figures.colors import looks
from snnq.study.side_by_side import word

pytestmark = pytest.mark.xdist_group("compare")  # which share runs that were trained once


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 10)

    def forward(self, frames):
        return self.layer(frames.flatten(2)[..., :4])


@pytest.fixture(scope="module")
def runs(tmp_path_factory, recordings):
    """A folder of runs in folders of any name; a seed, levels and a learning rate differ."""
    folder = tmp_path_factory.mktemp("compare")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        base = snnq.Run(data=str(recordings), channels=2, epochs=1, steps=2, device="cpu", levels="full")
        for name, run in {
            "a": base,
            "b": replace(base, seed=1),
            "c": replace(base, levels="binary", full_epochs=0, learning_rate=0.004),
        }.items():
            snnq.fit(run, folder / "runs" / name, progress=False)
    return folder / "runs"


def test_only_what_differs_is_shown_with_accuracy_and_bytes(runs):
    found = snnq.compare(runs)
    assert found.settings == ["levels", "full_epochs", "learning_rate", "seed"]
    assert found.table.index.tolist() == ["full, seed 0", "full, seed 1", "binary, seed 0"]
    for row, name in zip(found.table.itertuples(), "abc"):
        record = snnq.read_record(runs / name)
        assert row.folder == str(runs / name) and row.bytes == record["bytes"]
        assert row.accuracy == pytest.approx(100 * record["accuracy"]["last"])
        assert (row.low, row.high) == pytest.approx([100 * x for x in snnq.wilson(row.accuracy / 100, 40)])
    assert found.words()["full epochs"].tolist() == ["–", "–", "0"]
    assert found.words()["95 % CI"].str.fullmatch(r"[\d.]+ to [\d.]+").all()


def test_curves_have_a_line_for_each_run_and_a_colour_for_each_kind(runs):
    found = snnq.compare(runs)
    figure = found.curves()
    accuracy, loss = figure.axes
    colors = [line.get_color() for line in accuracy.get_lines() if len(line.get_xdata())]
    assert len(colors) == 3 and len(set(colors)) == 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["full", "binary"]
    history = snnq.read_history(runs / "c")
    shown = {tuple(line.get_ydata()) for line in loss.get_lines()}
    assert tuple(history["loss"]) in shown
    plt.close(figure)


def test_curves_of_many_runs_are_means_with_their_range(runs, monkeypatch):
    monkeypatch.setattr("snnq.figures.comparison.MOST_LINES", 2)
    found = snnq.compare(runs)
    figure = replace(found, histories=found.histories.assign(loss=[1.0, 2.0, 4.0])).curves()
    axis = figure.axes[1]
    assert [line.get_ydata()[0] for line in axis.get_lines() if len(line.get_xdata())] == [1.5, 4]
    edges = axis.collections[0].get_paths()[0].vertices[:, 1]
    assert (edges.min(), edges.max()) == (1, 2)
    plt.close(figure)


def test_level_sets_have_their_colours_and_what_else_differs_has_dashes(recordings, tmp_path):
    for channels in (2, 3):
        for levels in ("full", "ternary", "binary"):
            settings = {"data": str(recordings), "epochs": 1, "steps": 2, "device": "cpu"}
            run = snnq.Run(channels=channels, levels=levels, **settings)
            snnq.fit(run, tmp_path / f"{channels}{levels}", progress=False)
    found = snnq.compare(tmp_path)
    assert found.histories["others"].unique().tolist() == ["2 channels", "3 channels"]
    figure = found.curves()
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["full", "ternary", "binary", "2 channels", "3 channels"]
    lines = [line for line in figure.axes[0].get_lines() if len(line.get_xdata())]
    assert len({(line.get_color(), line.is_dashed()) for line in lines}) == 6
    expected = {to_hex(look["color"]) for look in looks(["full", "ternary", "binary"]).values()}
    assert {to_hex(line.get_color()) for line in lines} == expected
    plt.close(figure)


def test_a_condition_takes_some_of_them(runs):
    found = snnq.compare(runs).query("levels == 'full'")
    assert found.settings == ["seed"] and len(found.table) == 2
    assert set(found.histories["name"]) == set(found.table.index)
    assert snnq.compare(runs).query("seed == 1").table.index.tolist() == ["full, seed 1"]


def test_folders_of_runs_and_their_names_where_settings_do_not_tell_them_apart(runs):
    found = snnq.compare([runs / "a", runs / "b", str(runs / "a")])
    assert found.table.index.tolist() == ["seed 0", "seed 1"] and found.settings == ["seed"]
    assert set(found.histories["kind"]) == {"seed 0", "seed 1"}  # or they would be one
    alone = snnq.compare(runs / "a")
    assert alone.table.index.tolist() == ["a"] and alone.settings == []


def test_a_study_and_its_tables_alone_are_the_same(tmp_path, recordings):
    study = small_study(tmp_path, recordings).folder
    trained, found = snnq.compare(study / "runs"), snnq.compare(study)
    assert trained.table["folder"].tolist() == found.table["folder"].tolist()
    (study / "runs").rename(tmp_path / "elsewhere")
    kept = snnq.compare(study)
    assert kept.table["folder"].tolist() == [f.rpartition("/")[2] for f in trained.table["folder"]]
    values = [found.table.drop(columns="folder") for found in (trained, kept)]
    pd.testing.assert_frame_equal(*values, check_dtype=False, rtol=1e-5)
    histories = [found.histories for found in (trained, kept)]
    pd.testing.assert_frame_equal(*histories, check_dtype=False, rtol=1e-4)


def test_networks_of_ones_own_are_told_apart_by_their_levels(tmp_path, runs):
    data = [(torch.rand(2, 4), label) for label in range(10)]
    for name in ("full", "ternary"):
        torch.manual_seed(0)
        model = Own()
        if name != "full":
            snnq.quantize(model, name, keep=())
        settings = snnq.Settings(epochs=1, batch_size=5, device="cpu")
        snnq.train(model, data, None, data, settings, tmp_path / name, progress=False)
    found = snnq.compare(tmp_path)
    assert found.settings == ["levels"] and found.table.index.tolist() == ["full", "ternary"]
    assert snnq.compare([tmp_path, runs])._repr_html_().count("<tr>") == 1 + 5


def own_run(folder, levels, test):
    data = [(torch.rand(2, 4), label) for label in range(10)]
    model = snnq.quantize(Own(), levels, keep=())
    settings = snnq.Settings(epochs=1, batch_size=5, device="cpu")
    snnq.train(model, data, None, data if test else None, settings, folder, progress=False)


def test_a_run_without_a_test_set_has_dashes(tmp_path):
    for levels, test in (("binary", True), ("ternary", False)):
        own_run(tmp_path / levels, levels, test)
    found = snnq.compare(tmp_path)
    shown = found.words().set_index("levels")[["accuracy (%)", "95 % CI"]]
    assert shown.loc["ternary"].tolist() == ["–", "–"] and "–" not in shown.loc["binary"].tolist()
    assert found.table.loc["ternary", ["accuracy", "low", "high"]].isna().all()
    assert found.query("accuracy >= 0").table["levels"].tolist() == ["binary"]
    accuracy, loss = found.curves().axes
    drawn = [[line for line in axis.get_lines() if len(line.get_xdata())] for axis in (accuracy, loss)]
    assert [len(lines) for lines in drawn] == [1, 2]
    plt.close()


def test_runs_of_which_none_has_a_test_set(tmp_path):
    for levels in ("binary", "ternary"):
        own_run(tmp_path / levels, levels, test=False)
    found = snnq.compare(tmp_path)
    assert (found.words()[["accuracy (%)", "95 % CI"]] == "–").all(axis=None)
    assert len(found.curves().legends[0].get_texts()) == 2
    plt.close()
    alone = snnq.compare(tmp_path / "binary")
    assert alone.words()["accuracy (%)"].tolist() == ["–"] and alone.curves().axes
    plt.close()


def test_the_command_prints_the_table_and_draws(runs, tmp_path, capsys):
    assert main(["compare", str(runs), "--figure", str(tmp_path / "curves.png")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and lines[0].split()[:3] == ["levels", "full", "epochs"]
    assert str(runs / "c") in lines[3] and (tmp_path / "curves.png").stat().st_size > 10_000
    assert main(["compare", str(tmp_path)]) == 1
    assert f"{tmp_path}: no finished run here, nor a study" in capsys.readouterr().err


def test_the_table_of_a_notebook_has_a_filter_and_no_tags_of_others(runs):
    shown = snnq.compare(runs)
    shown.table.loc["full, seed 0", "levels"] = "<script>"
    html = shown._repr_html_()
    assert html.startswith('<div><input type="search"') and "&lt;script&gt;" in html
    assert not re.search(r"<script|https?:", html)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "–"), (float("nan"), "–"), (14.0, "14"), (0.008, "0.008"), ((), "none"), (("first", "last"), "first, last")],
)
def test_settings_in_words(value, expected):
    assert word(value) == expected


def test_a_condition_that_no_run_fulfils_leaves_an_empty_table_and_no_figure(runs):
    none, drawn = snnq.compare(runs).query("accuracy > 200"), plt.get_fignums()
    assert none.table.empty and none._repr_html_().count("<tr>") == 1 and "Empty" in repr(none)
    with pytest.raises(ValueError, match="no run to draw.*`query`"):
        none.curves()
    assert plt.get_fignums() == drawn
