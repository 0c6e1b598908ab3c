"""A study: the runs that a profile (`config/*.yaml`) asks for."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from snnq.record import RECORD
from snnq.run import FULL, Run

KEYS = ("study", "simulate", "benchmarks", "levels", "seeds", "settings", "full", "quantized")
FROM_FULL = "full"  # as `start`: the full-precision run of the same benchmark and seed


@dataclass(frozen=True)
class Study:
    """Runs by name, where their folders and the study's tables go, and where recordings are.

    Attributes
    ----------
    folder : Path
        `results/<study>`; the runs' folders are below it in `runs/`.
    data : str
        The data folder of all runs.
    simulate : bool
        Whether the recordings there are the simulated digits, to be made by the study.
    runs : dict of str to Run
    """

    folder: Path
    data: str
    simulate: bool
    runs: dict[str, Run]

    def record(self, name: str) -> str:
        """Path of a run's record."""
        return str(self.folder / "runs" / name / RECORD)


def plan(profile: Mapping[str, Any]) -> Study:
    """The runs of a profile: every benchmark, level set and seed that it lists.

    `settings` of the profile go to every run; those under `full` and `quantized` only to runs of
    that kind. With `start: full` a quantized run starts from the full-precision run of its seed.

    Raises
    ------
    ValueError
        A key that no profile has, a missing one, or settings that `Run` refuses.
    """
    for key in profile:
        if key not in KEYS:
            close = difflib.get_close_matches(key, KEYS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"expected {', '.join(KEYS)}"
            raise ValueError(f"unknown key {key!r}: {hint}")
    missing = [key for key in KEYS if key not in profile]
    if missing:
        raise ValueError(f"missing {', '.join(missing)}")
    folder = Path("results", profile["study"])
    runs: dict[str, Run] = {}
    full_runs: dict[tuple[str, int], str] = {}
    # Full precision first: the others may start from it.
    level_sets = sorted(profile["levels"], key=lambda levels: levels != FULL)
    for benchmark, levels, seed in product(profile["benchmarks"], level_sets, profile["seeds"]):
        kind = "full" if levels == FULL else "quantized"
        settings = {**profile["settings"], **profile[kind]}
        settings |= {"benchmark": benchmark, "levels": levels, "seed": seed}
        from_full = settings.get("start") == FROM_FULL
        run = Run.of(settings | {"start": None} if from_full else settings)
        if from_full:
            if (benchmark, seed) not in full_runs:
                raise ValueError(f"start: full, but levels lists no {FULL!r} run beside {levels!r}")
            run = replace(run, start=full_runs[benchmark, seed])
        runs[run.name] = run
        if levels == FULL:
            full_runs[benchmark, seed] = str(folder / "runs" / run.name)
    return Study(folder, Run.of(profile["settings"]).data, bool(profile["simulate"]), runs)
