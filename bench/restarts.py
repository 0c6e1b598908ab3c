"""A small study that is stopped, spoilt and started again: which of its runs are run again?

    python bench/restarts.py

Claim: exactly those that must be. In a copy of the project, with a profile of four runs on 120
simulated digits, each event in turn; then Snakemake is started again, and the runs that it trains
are counted. Takes about four minutes on two cores.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import yaml
from compare import report

from snnq.study.profile import plan
from snnq.training.record import RECORD

PROJECT = Path(__file__).parent.parent
COPIED = ("Snakefile", "config", "notebooks", "results/reference", "snnq")
PROFILE = {
    "study": "restarts",
    "levels": ["full", "binary"],
    "seeds": [0, 1],
    "settings": {"channels": 2, "steps": 2},
    "pretraining": {"epochs": 2},
    "full": {"epochs": 2, "start": None},  # so these are the runs that the binary ones start from
    "quantized": {"epochs": 3},
    "benchmarks": {
        "nmnist": {"simulate": "--benchmark nmnist --limit 6", "settings": {"data": "data/digits"}}
    },
}


def main() -> None:
    argparse.ArgumentParser().parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name in COPIED:
            copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
            copy(PROJECT / name, place / name)
        os.chdir(place)
        rows = pd.DataFrame(_events())
    report("restarts", rows.assign(as_expected=rows["trained"] == rows["expected"]))
    if not rows["trained"].equals(rows["expected"]):
        sys.exit("other runs were trained than those that had to be")


def _events() -> Iterator[dict[str, object]]:
    full, binary = ([name for name in _runs(PROFILE) if f"-{kind}-" in name] for kind in ("full", "binary"))
    _kill_in_second_run([*full, *binary])
    left = [name for name in [*full, *binary] if not (_folder(name) / RECORD).exists()]
    yield _row("killed during the second run", left, _trained(PROFILE))
    yield _row("started again when finished", [], _trained(PROFILE))
    (_folder(binary[0]) / RECORD).unlink()
    yield _row("a record deleted", binary[:1], _trained(PROFILE))
    shutil.rmtree(_folder(binary[1]))
    yield _row("a run's folder deleted", binary[1:], _trained(PROFILE))
    changed = PROFILE | {"quantized": {"epochs": 2}}
    others = [name for name in _runs(changed) if name not in full]
    yield _row("a setting of the binary runs changed", others, _trained(changed))
    failing = PROFILE | {"seeds": [0], "quantized": {"learning_rate": 1e38}}
    (bad,) = [name for name in _runs(failing) if name not in full]
    yield _row("a run that fails", [bad] * 3, _trained(failing, fails=True))  # retried twice
    log = Path("results/restarts/logs", f"{bad}.txt")
    if "FloatingPointError" not in log.read_text() or (_folder(bad) / RECORD).exists():
        sys.exit(f"{log}: does not say why the run failed")
    mended = failing | {"seeds": [0, 1]}
    mended["quantized"] = {"epochs": 3}
    yield _row("mended", [], _trained(mended))


def _row(event: str, expected: list[str], trained: list[str]) -> dict[str, object]:
    print(f"{event}: {len(trained)} trained", flush=True)
    return {
        "event": event,
        "expected": " ".join(sorted(expected)),
        "trained": " ".join(sorted(trained)),
    }


def _runs(profile: dict) -> list[str]:
    return list(plan(profile).runs)


def _folder(run: str) -> Path:
    return Path("results/restarts/runs", run)


def _start(profile: dict, log: Path) -> subprocess.Popen:
    Path("config/restarts.yaml").write_text(yaml.safe_dump(profile))
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--nolock", "--keep-going"]
    command += ["--rerun-incomplete", "--configfile", "config/restarts.yaml"]
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    with log.open("w") as file:
        return subprocess.Popen(
            command, stdout=file, stderr=file, start_new_session=True, env=environment
        )


def _trained(profile: dict, fails: bool = False) -> list[str]:
    """The runs that Snakemake started to train until it ended, by name."""
    log = Path("log.txt")
    code = _start(profile, log).wait()
    if (code != 0) != fails:
        sys.exit(f"snakemake ended with {code}:\n{log.read_text()[-3000:]}")
    return re.findall(r"wildcards: name=(\S+)\n", log.read_text())


def _kill_in_second_run(runs: list[str]) -> None:
    """Kill Snakemake and all that it started once a second run has written its first epoch."""
    process = _start(PROFILE, Path("log.txt"))
    while sum((_folder(name) / "history.csv").exists() for name in runs) < 2:
        if process.poll() is not None:
            sys.exit("the study ended by itself")
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


if __name__ == "__main__":
    main()
