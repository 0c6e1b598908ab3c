"""A study: the runs that a profile (`config/*.yaml`) asks for."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from snnq.recordings.benchmarks import SOURCE_FILE, get_benchmark
from snnq.study.sections import PARTS, checked
from snnq.training.identity import differences, frames_of_run, identity_of, recorded_identity
from snnq.training.record import HISTORY, RECORD
from snnq.training.run import FULL, Run

FROM_FULL = "full"  # as `start`: the full-precision run of the same benchmark and seed


@dataclass(frozen=True)
class Variant:
    """A run as a row of an ablation: by the name of the ablation and of what is changed in it."""

    ablation: str
    change: str
    run: str


@dataclass(frozen=True)
class Study:
    """Runs by name, where their folders and the study's tables go, and where recordings are.

    Attributes
    ----------
    folder : Path
        `results/<study>`; the runs' folders are below it in `runs/`.
    simulate : dict of str to str
        Data folders that the study makes by simulation, with the arguments of
        `snnq simulate`.
    runs : dict of str to Run
        Those of the table.
    ablations : list of Variant
        Rows of the ablations.
    ablation_runs : dict of str to Run
        Runs that the ablations need beside those of the table.
    """

    folder: Path
    simulate: dict[str, str]
    runs: dict[str, Run]
    ablations: list[Variant]
    ablation_runs: dict[str, Run]

    @property
    def all_runs(self) -> dict[str, Run]:
        """Those of the table and of the ablations."""
        return self.runs | self.ablation_runs

    def run_folder(self, name: str) -> Path:
        return self.folder / "runs" / name

    def is_finished(self, name: str) -> bool:
        """Whether a run has its record. Whether that is of these recordings, `finished` tells."""
        return (self.run_folder(name) / RECORD).exists()

    def epochs_done(self, name: str) -> int:
        if self.is_finished(name):
            return self.all_runs[name].epochs
        history = self.run_folder(name) / HISTORY
        return len(history.read_text().splitlines()) - 1 if history.exists() else 0

    def finished(self) -> set[str]:
        """Names of the runs that are finished, on the recordings as they are now.

        None whose start is of this study and is to be trained.
        """
        frames: dict[tuple, tuple[str, str] | None] = {}
        found: set[str] = set()
        for name, run in self.all_runs.items():  # starts come before what starts from them
            start = Path(run.start or "").name
            if self.is_finished(name) and (start in found or start not in self.all_runs):
                kind = run.benchmark, run.data, run.steps, run.cut, run.size, run.split
                if kind not in frames:  # all recordings are looked at: once, not for each run
                    frames[kind] = frames_of_run(run)
                there = recorded_identity(self.run_folder(name))
                if not differences(there, identity_of(run, frames[kind])):
                    found.add(name)
        return found


def plan(profile: Mapping[str, Any]) -> Study:
    """The runs of a profile: every benchmark, level set and seed that it lists.

    Level sets are as `Run` takes them: a name, a list of numbers, or for mixed precision a mapping.
    `settings` of the profile go to every run; those under `full` and `quantized` only to runs of
    that kind. Each of `benchmarks` may have all of these of its own, which come before the
    profile's, and `simulate`, how its recordings are made. With `start: full` a quantized run
    starts from the full-precision run of its seed.

    `ablations`, if there, names each with `changes`: by name, `settings`, `full` and `quantized`
    that come before the benchmark's own, the first change usually none. Each may have a
    `benchmark` (the profile's first), `levels` (binary) and `seeds` (the benchmark's).

    Raises
    ------
    ValueError
        A key that no profile has, a missing one, one that holds something else than it should,
        settings that `Run` refuses, or a folder for simulated recordings with others in it.
    """
    profile = checked(profile)
    folder = Path("results", profile["study"])
    runs: dict[str, Run] = {}
    simulate: dict[str, str] = {}
    for benchmark, own in profile["benchmarks"].items():
        found = _runs_of(benchmark, own, profile, folder)
        _refuse_braces(found)
        runs |= found
        if "simulate" in own:
            simulate |= {run.data: own["simulate"] for run in found.values()}
            _refuse_real(benchmark, {run.data for run in found.values()})
    ablations, needed = [], {}
    for name, ablation in profile["ablations"].items():
        for variant, found in _variants(name, ablation, profile, folder):
            needed |= found
            ablations += variant
    others = {name: run for name, run in needed.items() if name not in runs}
    return Study(folder, simulate, runs, ablations, others)


def _refuse_braces(runs: dict[str, Run]) -> None:
    for run in runs.values():
        if set("{}") & set(run.data):
            raise ValueError(f"data={run.data!r}: expected no braces, which Snakemake replaces")


def _refuse_real(benchmark: str, data: Iterable[str]) -> None:
    """Before a study trains on whatever lies where its simulated recordings are to be."""
    for root in sorted(data):
        folder = get_benchmark(benchmark).folder(root)
        if not (folder / SOURCE_FILE).exists() and folder.exists() and any(folder.iterdir()):
            raise ValueError(
                f"{folder}: has no {SOURCE_FILE}, so what lies there may be real, and the study"
                " simulates its own: move it, or name another data folder in the profile"
            )


def _variants(
    name: str, ablation: Mapping, profile: Mapping, folder: Path
) -> Iterator[tuple[list[Variant], dict[str, Run]]]:
    """For each change its rows, and the runs that they need."""
    benchmark = ablation.get("benchmark", next(iter(profile["benchmarks"])))
    if benchmark not in profile["benchmarks"]:
        raise ValueError(f"ablations: {name}: benchmark={benchmark!r} is none of the profile's")
    own = profile["benchmarks"][benchmark]
    levels = ablation.get("levels", ["binary"])
    seeds = ablation.get("seeds", own.get("seeds", profile["seeds"]))
    for change, settings in ablation["changes"].items():
        changed = {part: own.get(part, {}) | settings.get(part, {}) for part in PARTS}
        with_start = {"levels": list(dict.fromkeys([FULL, *levels])), "seeds": seeds}
        runs = _runs_of(benchmark, changed | with_start, profile, folder)
        rows = [Variant(name, change, n) for n, run in runs.items() if run.levels in levels]
        yield rows, runs


def _runs_of(benchmark: str, own: Mapping, profile: Mapping, folder: Path) -> dict[str, Run]:
    runs: dict[str, Run] = {}
    full_runs: dict[int, str] = {}
    levels, seeds = (own.get(name, profile[name]) for name in ("levels", "seeds"))
    # Full precision first: the others may start from it.
    for levels, seed in product(sorted(levels, key=lambda levels: levels != FULL), seeds):
        settings: dict[str, Any] = {}
        for given in (profile, own):
            for part in ("settings", "full" if levels == FULL else "quantized"):
                settings |= given.get(part, {})
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
