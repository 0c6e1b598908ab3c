"""A study: the runs that a profile (`config/*.yaml`) asks for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from snnq.record import RECORD
from snnq.run import FULL, Run, refuse_unknown

KEYS = ("study", "benchmarks", "levels", "seeds", "settings", "full", "quantized")
OWN = ("simulate", "levels", "seeds", "settings", "full", "quantized")  # of one benchmark
FROM_FULL = "full"  # as `start`: the full-precision run of the same benchmark and seed


@dataclass(frozen=True)
class Study:
    """Runs by name, where their folders and the study's tables go, and where recordings are.

    Attributes
    ----------
    folder : Path
        `results/<study>`; the runs' folders are below it in `runs/`.
    simulate : dict of str to str
        Data folders that the study makes by simulation, with the arguments of
        `python -m snnq.simulate`.
    runs : dict of str to Run
    """

    folder: Path
    simulate: dict[str, str]
    runs: dict[str, Run]

    def record(self, name: str) -> str:
        """Path of a run's record."""
        return str(self.folder / "runs" / name / RECORD)


def plan(profile: Mapping[str, Any]) -> Study:
    """The runs of a profile: every benchmark, level set and seed that it lists.

    `settings` of the profile go to every run; those under `full` and `quantized` only to runs of
    that kind. Each of `benchmarks` may have all of these of its own, which come before the
    profile's, and `simulate`, how its recordings are made. With `start: full` a quantized run
    starts from the full-precision run of its seed.

    Raises
    ------
    ValueError
        A key that no profile has, a missing one, or settings that `Run` refuses.
    """
    refuse_unknown("key", profile, KEYS)
    missing = [key for key in KEYS if key not in profile]
    if missing:
        raise ValueError(f"missing {', '.join(missing)}")
    if not isinstance(profile["benchmarks"], Mapping):
        raise ValueError("benchmarks: expected each with settings of its own, like `nmnist: {}`")
    folder = Path("results", profile["study"])
    runs: dict[str, Run] = {}
    simulate: dict[str, str] = {}
    for benchmark, own in profile["benchmarks"].items():
        refuse_unknown("key", own, OWN)
        found = _runs_of(benchmark, own, profile, folder)
        runs |= found
        if "simulate" in own:
            simulate |= {run.data: own["simulate"] for run in found.values()}
    return Study(folder, simulate, runs)


def _runs_of(benchmark: str, own: Mapping, profile: Mapping, folder: Path) -> dict[str, Run]:
    runs: dict[str, Run] = {}
    full_runs: dict[int, str] = {}
    levels, seeds = (own.get(name, profile[name]) for name in ("levels", "seeds"))
    # Full precision first: the others may start from it.
    for levels, seed in product(sorted(levels, key=lambda levels: levels != FULL), seeds):
        settings: dict[str, Any] = {}
        for part in ("settings", "full" if levels == FULL else "quantized"):
            settings |= {**profile[part], **own.get(part, {})}
        settings |= {"benchmark": benchmark, "levels": levels, "seed": seed}
        from_full = settings.get("start") == FROM_FULL
        run = Run.of(settings | {"start": None} if from_full else settings)
        if from_full:
            if seed not in full_runs:
                raise ValueError(f"start: full, but levels lists no {FULL!r} run beside {levels!r}")
            run = replace(run, start=full_runs[seed])
        runs[run.name] = run
        if levels == FULL:
            full_runs[seed] = str(folder / "runs" / run.name)
    return runs
