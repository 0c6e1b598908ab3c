"""A study from its profile to its tables: Snakemake does the work, and a person can follow it."""

import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TextIO

import torch

from snnq.study.forecast import measure, read_profiles
from snnq.study.forkserver import forking, with_forked_kernels
from snnq.study.profile import Study
from snnq.study.profiles import planned
from snnq.study.progress import Progress
from snnq.system.interruption import handling

LOCK = Path(".study.lock")
SNAKEFILE = "Snakefile"  # of the project, in its root; Snakemake takes it from where it is started
POLL_SECONDS = 1.0
JOB = {"gpu": 0, "threads": 1}  # what a run takes where its profile's `job` does not say


class StudyFailed(ValueError):
    """Some steps of a study failed; the message names them, and where to read why."""


def conduct(
    profiles: Sequence[Path],
    cores: int | None = None,
    ablations: bool = False,
    options: Iterable[str] = (),
) -> Study:
    """Make a study's recordings, train its runs, draw its tables, notebooks and figures.

    What is done already is not done again, and a run that was stopped goes on.

    Parameters
    ----------
    profiles : sequence of Path
        `config/*.yaml`; later ones come before earlier ones.
    cores : int, optional
        How many to use; all that this process may use where not given.
    ablations : bool
        Whether to train the runs of the ablations too.
    options : iterable of str
        Handed on to Snakemake.

    Returns
    -------
    Study

    Raises
    ------
    ValueError, OSError
        A profile that cannot be read, or asks for what there is not; or another folder than the
        project's root. Nothing is written then.
    BlockingIOError
        Another study is being carried out in this folder.
    StudyFailed
    """
    if not Path(SNAKEFILE).exists():
        raise FileNotFoundError(
            f"{Path.cwd()}: no {SNAKEFILE} here; a study is carried out in the project's root, so go there"
            " first, as in `cd snnq`"
        )
    study = planned(profiles, ablations)
    job = JOB | (read_profiles(profiles).get("job") or {})
    cores = cores or len(os.sched_getaffinity(0))
    settings = ["--cores", str(cores), "--nolock", "--keep-going", "--rerun-incomplete"]
    settings += ["--resources", "gpu=1", "--configfile", *map(str, profiles), *options]
    settings += ["--config", "train_ablations=yes"] if ablations else []
    side_by_side = 1 if job["gpu"] else max(1, cores // job["threads"])
    with _alone() as lock, _log(study) as log, forking(log) as server:
        held = [lock.fileno(), server]
        print(f"{study.folder.name}: recordings and frames", flush=True)
        _run(["recordings", *settings], study, log, held)
        torch.set_num_threads(job["threads"])
        watched = partial(_progress, study, side_by_side)
        _run(["all", *settings], study, log, held, watched)
    return study


def _progress(study: Study, side_by_side: int) -> Progress:
    return Progress(study, side_by_side, measure(study))


def _started(arguments: list[str], log: TextIO, held: Sequence[int]) -> subprocess.Popen:
    """Snakemake with a target and settings."""
    # In a session of its own, so that Ctrl-C comes to it once, from here. It holds the lock and the
    # fork server as well, which stay with it if this process is killed.
    command = [sys.executable, "-m", "snakemake", *arguments]
    environment = with_forked_kernels(os.environ)
    return subprocess.Popen(
        command, stdout=log, stderr=log, start_new_session=True, pass_fds=held, env=environment
    )


def _run(
    arguments: list[str],
    study: Study,
    log: TextIO,
    held: Sequence[int],
    watched: Callable[[], Progress] | None = None,
) -> None:
    """Snakemake to its end; it is told to stop where this process is.

    Raises StudyFailed with what failed.
    """
    process, progress, start, asked = None, None, log.tell(), []

    def interrupt(*_) -> None:
        asked.append(True)
        if process:  # or it is being started, and nobody would know whom to stop
            raise KeyboardInterrupt

    try:
        with handling(interrupt):
            process = _started(arguments, log, held)
            if asked:
                raise KeyboardInterrupt
            progress = watched() if watched else None  # while Snakemake starts
            while process.poll() is None:
                time.sleep(POLL_SECONDS)
                if progress:
                    progress.update()
        if progress:
            progress.update()
    except BaseException as error:
        if process:
            _stop(process)
        if not isinstance(error, KeyboardInterrupt):
            raise
        raise KeyboardInterrupt(
            f"{study.folder.name}: stopped; the same command goes on from here"
        ) from None
    finally:
        if progress:
            progress.close()
    if process.returncode:
        raise StudyFailed("; ".join(_failures(study, Path(log.name), start)))


def _stop(process: subprocess.Popen) -> None:
    """Ask all that Snakemake started to save and end, and wait for it."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
    while process.poll() is None:
        try:
            process.wait()
        except KeyboardInterrupt:  # a second one: at once
            os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def _alone() -> Iterator[TextIO]:
    """One study at a time in a folder; the lock goes with the processes, however they end."""
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(f"{Path.cwd()}: another study is being carried out here") from None
        yield lock


@contextmanager
def _log(study: Study) -> Iterator[TextIO]:
    study.folder.mkdir(parents=True, exist_ok=True)
    with (study.folder / "study.log").open("a") as log:
        yield log


def _failures(study: Study, log: Path, start: int) -> list[str]:
    """What failed, a line each."""
    with log.open() as file:
        file.seek(start)
        text = file.read()
    lines = dict.fromkeys(re.findall(r"^snnq \S+: .*", text, re.MULTILINE))
    for path in re.findall(r"Error in rule \S+:\n(?:    .*\n)*?    log: \S+, (\S+)", text):
        lines[_reason(Path(path))] = None
    found = list(lines) or text.split("\n")[-4:]  # Snakemake itself, where no step has failed
    return [*found, f"{study.folder.name}: not all of it could be done; {log} says more"]


def _reason(log: Path) -> str:
    """The last line of what a notebook's execution printed, which says why it failed."""
    found = log.read_text().strip().splitlines() if log.exists() else []
    return f"{log.with_suffix('.ipynb')}: {found[-1] if found else 'failed'}"
