"""What a study says while it runs."""

import json
import math

import pandas as pd
import pytest

from snnq.study import progress
from snnq.study.profile import plan

PROFILE = {
    "study": "test",
    "benchmarks": {"nmnist": {}},
    "levels": ["full", "binary"],
    "seeds": [0, 1],
    "settings": {"channels": 2, "steps": 2},
    "full": {"epochs": 10},
    "quantized": {"epochs": 20},
}


class Clock:
    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def study(recordings, in_tmp):
    return plan(PROFILE | {"settings": {**PROFILE["settings"], "data": str(recordings)}})


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(progress, "time", found)
    return found


def measured(full, binary):
    columns = {"recordings": "nmnist", "channels": 2, "levels": ["full", "binary"]}
    return pd.DataFrame(columns | {"seconds_per_epoch": [full, binary]})


def write_epochs(study, name, epochs):
    folder = study.run_folder(name)
    folder.mkdir(parents=True, exist_ok=True)
    folder.joinpath("history.csv").write_text("epoch\n" + "\n" * epochs)


def finish(study, name, seconds_per_epoch=1.0, accuracy=0.96111):
    run = study.runs[name]
    write_epochs(study, name, run.epochs)
    record = {
        "run": json.loads(json.dumps(vars(run))),
        "seconds": [seconds_per_epoch] * run.epochs,
        "data": {"simulated": False},
        "accuracy": {"last": accuracy},
    }
    study.run_folder(name).joinpath("run.json").write_text(json.dumps(record))


def names_of(study, levels):
    return [name for name, run in study.runs.items() if run.levels == levels]


def text_after(found, capsys):
    """What an update says, without the lines on how far all of it is."""
    found.update()
    return "".join(
        line for line in capsys.readouterr().out.splitlines(True) if not line.startswith("test: ")
    )


def test_the_time_left_is_divided_by_the_runs_side_by_side(study, clock):
    found = progress.Progress(study, 2, measured(3.0, 6.0))
    _, words = found.summary(progress.forecast(study, measured(3.0, 6.0)))
    # 2 × 10 epochs of 3 s, 2 × 20 of 6 s, and the starts of four jobs, two at a time
    seconds = (2 * 10 * 3 + 2 * 20 * 6 + 4 * progress.STARTING_SECONDS) / 2
    seconds += progress.DRAWING_SECONDS
    assert words == f"0 of 4 runs, 0 s passed, about {round(seconds / 60)} min left"


def test_a_study_that_has_not_begun_is_at_0_percent(study, clock):
    found = progress.Progress(study, 2, measured(1.0, 1.0))
    for pace in range(1, 200):  # whose sums are rounded one way or the other
        share, _ = found.summary(progress.forecast(study, measured(pace / 7, pace / 3)))
        assert f"{100 * share:.0f}" == "0"


def test_a_time_that_could_not_be_measured_is_unknown(study, clock):
    unknown = measured(math.nan, math.nan)
    found = progress.Progress(study, 2, unknown)
    share, words = found.summary(progress.forecast(study, unknown))
    assert words == "0 of 4 runs, 0 s passed, time left unknown" and share == 0


def test_what_is_seen_comes_before_what_was_measured(study, clock):
    found = progress.Progress(study, 1, measured(1000.0, 1.0))
    (name, _) = names_of(study, "full")
    for epochs, now in ((1, 100.0), (1, 110.0), (3, 140.0)):
        write_epochs(study, name, epochs)
        clock.now = now
        found.update()
    pace = found._pace().set_index("levels")["seconds_per_epoch"]
    assert pace["full"] == 20.0 and pace["binary"] == 1.0


def test_a_finished_run_is_said_once_with_its_accuracy(study, clock, capsys):
    found = progress.Progress(study, 1, measured(1.0, 1.0))
    assert text_after(found, capsys) == ""
    name = names_of(study, "full")[1]
    finish(study, name, seconds_per_epoch=3.0)
    said = "N-MNIST, real: full, 2 channels, seed 1: 96.11 % after 10 epochs (30 s)\n"
    assert text_after(found, capsys) == said
    assert text_after(found, capsys) == ""


def test_runs_that_were_finished_before_are_not_said(study, clock, capsys):
    finish(study, names_of(study, "full")[0])
    assert text_after(progress.Progress(study, 1, measured(1.0, 1.0)), capsys) == ""


def test_a_run_on_other_recordings_is_said_when_it_is_trained_anew(study, clock, capsys):
    name = names_of(study, "full")[0]
    finish(study, name)
    record = study.run_folder(name) / "run.json"
    old = json.loads(record.read_text()) | {"frames": ["other", "frames"]}
    record.write_text(json.dumps(old))
    found = progress.Progress(study, 1, measured(1.0, 1.0))
    assert text_after(found, capsys) == ""
    record.unlink()
    assert text_after(found, capsys) == ""
    finish(study, name)
    assert "full, 2 channels, seed 0" in text_after(found, capsys)


def test_where_there_is_no_terminal_a_line_at_once_and_each_minute(study, clock, capsys):
    found = progress.Progress(study, 1, measured(1.0, 1.0))
    said = []
    for clock.now in (0, 59, 61, 62, 122):
        finish(study, names_of(study, "full")[0])  # lines of runs do not take their place
        found.update()
        lines = capsys.readouterr().out.splitlines()
        said.append([line for line in lines if line.startswith("test: ")])
    assert [len(lines) for lines in said] == [1, 0, 1, 0, 1]
    assert said[0][0].startswith("test: ") and "1 of 4 runs, 0 s passed, about " in said[0][0]
    assert "1 min passed" in said[2][0]
