"""What a study pays for a job beside its training: started by itself, and forked.

    python bench/starts.py

Claim: a job that `snnq study` forks from a process with all imports takes less than half of what it
takes when papermill, a kernel and its imports are started for it. The job is notebook 3 of a run that
is finished; both are executed on one core. Takes two minutes.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from compare import compare, report

from snnq.study.forkserver import forking, with_forked_kernels

PROJECT = Path(__file__).parent.parent
ROUNDS = 4
SETTINGS = {"levels": "full", "epochs": 1, "channels": 16, "steps": 3, "restart": True}


def main() -> None:
    argparse.ArgumentParser().parse_args()
    os.chdir(PROJECT)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder, forking(sys.stderr):
        given = {**SETTINGS, "folder": f"{folder}/run"}
        notebook = [
            "papermill",
            "--no-progress-bar",
            "notebooks/3_train.ipynb",
            f"{folder}/out.ipynb",
        ]
        notebook += [word for name, value in given.items() for word in ("-p", name, str(value))]
        started, forked = [sys.executable, "-m"], [sys.executable, "-m", "snnq.study.warm"]
        environment = with_forked_kernels(os.environ)
        rows = compare(
            {
                "forked": lambda: _run([*forked, *notebook], environment),
                "started": lambda: _run([*started, *notebook], dict(os.environ)),
            },
            ROUNDS,
        )
    report("starts", rows)


def _run(command: list[str], environment: dict[str, str]) -> None:
    subprocess.run(command, env=environment, check=True, capture_output=True)


if __name__ == "__main__":
    main()
