"""A study carried out, with another program in Snakemake's place."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import nullcontext

import pandas as pd
import pytest
import yaml

from snnq.study import conduct as conducting
from snnq.study.conduct import StudyFailed, conduct
from snnq.study.forecast import KIND
from snnq.study.profiles import planned

PROFILE = {
    "study": "test",
    "levels": ["full"],
    "seeds": [0],
    "settings": {"channels": 2, "steps": 2, "epochs": 1},
    "full": {},
    "quantized": {},
}
MEASURED = pd.DataFrame([["nmnist", 2, "full", 1.0]], columns=[*KIND, "seconds_per_epoch"])
FAILED = """
rule train:
    log: results/test/logs/other.ipynb, results/test/logs/other.txt
Error in rule train:
    jobid: 3
    input: a.ipynb
    log: results/test/logs/run.ipynb, results/test/logs/run.txt (check log file(s) for details)
    shell:
        papermill
snnq frames: data/x.bin: 3 bytes, expected a recording
"""


SAVES = """
import pathlib, signal, time
def stop(*_):
    pathlib.Path("saved").touch()
    raise SystemExit(1)
signal.signal(signal.SIGINT, stop)
pathlib.Path("ready").touch()
time.sleep(60)
"""


@pytest.fixture
def profile(recordings, in_tmp):
    settings = PROFILE["settings"] | {"data": str(recordings)}
    content = PROFILE | {"benchmarks": {"nmnist": {}}, "settings": settings}
    path = in_tmp / "test.yaml"
    path.write_text(yaml.safe_dump(content))
    (in_tmp / "Snakefile").touch()
    return path


@pytest.fixture
def snakemake(monkeypatch):
    """Puts Python code in Snakemake's place; the commands that it was started with."""
    started = []

    def put(code: str) -> list[list[str]]:
        def start(command, log, held):
            started.append(command)
            return subprocess.Popen(
                [sys.executable, "-c", code], stdout=log, stderr=log, start_new_session=True
            )

        monkeypatch.setattr(conducting, "_started", start)
        monkeypatch.setattr(conducting, "forking", lambda log: nullcontext(-1))
        monkeypatch.setattr(conducting, "POLL_SECONDS", 0.05)
        monkeypatch.setattr(conducting, "measure", lambda study: MEASURED)
        return started

    return put


def test_recordings_come_first_and_then_all(profile, snakemake, capfd):
    commands = snakemake("print('a line of Snakemake')")
    study = conduct([profile], cores=3)
    assert [command[0] for command in commands] == ["recordings", "all"]
    assert all(command[command.index("--cores") + 1] == "3" for command in commands)
    assert "a line of Snakemake" not in capfd.readouterr().out
    assert (study.folder / "study.log").read_text() == "a line of Snakemake\n" * 2


def test_what_failed_is_named_with_its_reason(profile, snakemake, in_tmp):
    logs = in_tmp / "results/test/logs"
    logs.mkdir(parents=True)
    (logs / "run.txt").write_text("Traceback\n\nFloatingPointError: epoch 1: loss=nan\n")
    (logs / "other.txt").write_text("all is well\n")
    snakemake(f"print({FAILED!r}); raise SystemExit(1)")
    with pytest.raises(StudyFailed) as failed:
        conduct([profile])
    message = str(failed.value)
    assert "results/test/logs/run.ipynb: FloatingPointError: epoch 1: loss=nan" in message
    assert "snnq frames: data/x.bin: 3 bytes, expected a recording" in message
    assert "results/test/study.log says more" in message and "other" not in message


def test_a_study_is_carried_out_in_the_projects_root_alone(profile, snakemake, in_tmp):
    commands = snakemake("pass")
    (in_tmp / "Snakefile").unlink()
    before = sorted(in_tmp.rglob("*"))
    for path in (profile, in_tmp / "none.yaml"):  # which another folder has none of, usually
        with pytest.raises(FileNotFoundError, match=f"{in_tmp}: no Snakefile here; .* the project's root"):
            conduct([path])
    assert commands == [] and sorted(in_tmp.rglob("*")) == before


def test_one_study_at_a_time(profile, snakemake):
    commands = snakemake("pass")
    with open(".study.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError, match="another study is being carried out here"):
            conduct([profile])
    assert commands == []
    conduct([profile])


def test_the_lock_stays_with_snakemake(in_tmp, monkeypatch):
    waiting = in_tmp / "waiting"
    waiting.write_text("#!/bin/sh\nexec sleep 60\n")
    waiting.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(waiting))
    with conducting._alone() as lock, open("log", "w") as log:
        process = conducting._started(["all"], log, [lock.fileno()])
    try:
        with pytest.raises(BlockingIOError), conducting._alone():
            pass
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    with conducting._alone():
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_study_stops_its_jobs(profile, snakemake, in_tmp, number):
    snakemake(SAVES)

    def when_ready():
        while not (in_tmp / "ready").exists():
            pass
        os.kill(os.getpid(), number)

    threading.Thread(target=when_ready, daemon=True).start()
    with pytest.raises(KeyboardInterrupt, match="test: stopped; the same command goes on from here"):
        conduct([profile])
    assert (in_tmp / "saved").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_study_that_is_stopped_while_its_jobs_start_stops_them(
    profile, snakemake, in_tmp, monkeypatch, number
):
    snakemake(SAVES)
    start = conducting._started

    def interrupted(*arguments):
        process = start(*arguments)
        while not (in_tmp / "ready").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), number)  # before anybody knows of the process
        return process

    monkeypatch.setattr(conducting, "_started", interrupted)
    with pytest.raises(KeyboardInterrupt, match="test: stopped; the same command goes on from here"):
        conduct([profile])
    assert (in_tmp / "saved").exists()


def test_what_fails_while_jobs_run_stops_them(profile, snakemake, in_tmp, monkeypatch):
    def fail(study):
        while not (in_tmp / "ready").exists():
            pass
        raise ValueError("no such device")

    first = "import pathlib\nseen = pathlib.Path('seen')\nif seen.exists():\n    exec(SAVES)\nseen.touch()"
    snakemake(f"SAVES = {SAVES!r}\n{first}")
    monkeypatch.setattr(conducting, "measure", fail)
    with pytest.raises(ValueError, match="no such device"):
        conduct([profile])
    assert (in_tmp / "saved").exists()


def test_a_profile_that_asks_for_what_there_is_not(in_tmp):
    (in_tmp / "Snakefile").touch()
    path = in_tmp / "test.yaml"
    path.write_text("study: test\n")
    with pytest.raises(ValueError, match="test.yaml: .*missing benchmarks"):
        conduct([path])
    path.write_text("study: test\nlevels: [full]\nseeds: [0]\nbenchmarks: {nmnist: {}}\n")
    for asked in (conduct, planned):
        with pytest.raises(ValueError, match="test.yaml: --ablations: expected"):
            asked([path], ablations=True)
    assert not (in_tmp / "results").exists()
