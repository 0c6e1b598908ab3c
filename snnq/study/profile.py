"""A study: the runs that a profile (`config/*.yaml`) asks for."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from snnq.recordings.benchmarks import BENCHMARKS, SOURCE_FILE, folder_of, title_of
from snnq.study.grid import Grid, refuse_both, refuse_other_widths, runs_of
from snnq.study.sections import checked
from snnq.training.identity import differences, frames_of_run, identity_of, recorded_identity
from snnq.training.parts import FULL_FOLDER
from snnq.training.record import HISTORY, RECORD
from snnq.training.run import Run


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
    simulate : dict of (str, str) to str
        Benchmarks, each with the data folder, whose recordings the study makes by simulation, with the
        arguments of `snnq simulate`.
    runs : dict of str to Run
        Those of the table.
    ablations : list of Variant
        Rows of the ablations.
    ablation_runs : dict of str to Run
        Runs that the ablations need beside those of the table.
    pretraining : dict of str to Run
        Full-precision runs that others start from, of which there are no rows.
    """

    folder: Path
    simulate: dict[tuple[str, str], str]
    runs: dict[str, Run]
    ablations: list[Variant]
    ablation_runs: dict[str, Run]
    pretraining: dict[str, Run] = field(default_factory=dict)

    @property
    def trained(self) -> dict[str, Run]:
        """Those of the table, after those of the pretraining that they start from."""
        starts = {Path(run.start or "").name for run in self.runs.values()}
        return {name: run for name, run in self.pretraining.items() if name in starts} | self.runs

    def with_ablations(self) -> Self:
        """The same study with the runs of the ablations among those of the table.

        Raises ValueError where it has none.
        """
        if not self.ablations:
            raise ValueError("--ablations: expected a profile with `ablations`")
        return replace(self, runs=self.runs | self.ablation_runs, ablation_runs={})

    @property
    def all_runs(self) -> dict[str, Run]:
        """Those of pretraining, table and ablations."""
        return self.pretraining | self.runs | self.ablation_runs

    def run_folder(self, name: str) -> Path:
        return self.folder / "runs" / name

    def is_finished(self, name: str) -> bool:
        """Whether a run has its record. Whether that is of these recordings, `finished` tells."""
        return (self.run_folder(name) / RECORD).exists()

    def epochs_done(self, name: str) -> int:
        if self.is_finished(name):
            return self.all_runs[name].epochs
        folder = self.run_folder(name)
        return max(_rows(folder / HISTORY), _rows(folder / FULL_FOLDER / HISTORY))

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
    """The runs of a profile: every benchmark, level set, width, seed and order that it lists.

    `levels` and `seeds` are lists, and so are `channels` and `orders` where there are any; seeds may
    be lists by width, as in `{32: [0, 1], rest: [0, 1, 2]}`. Level sets
    are as `Run` takes them: a name, a list of numbers, or for mixed precision a mapping.
    `settings` of the profile go to every run; those under `full` and `quantized` only to runs of
    that kind. Each of `benchmarks` may have all of these of its own, which come before the
    profile's, and `simulate`, how its recordings are made. Its name is that of a benchmark, unless
    its settings have one, as for two folders of one's own:

        benchmarks:
          lab: {settings: {benchmark: folder, data: recordings/lab}}
          field: {settings: {benchmark: folder, data: recordings/field}}

    With `pretraining`, settings of full-precision runs beside `settings`, all runs start from the
    one of their benchmark, width and seed, full precision included, so that it has seen as many
    epochs; but for those whose settings have a `start` of their own, or `start: null`.

    `ablations`, if there, names each with `changes`: by name, `settings`, `full`, `quantized` and
    `pretraining` that come before the benchmark's own, the first change usually none. Each may
    have a `benchmark` (the profile's first), and lists: `levels` (binary), `channels`, `seeds` and
    `orders` (the benchmark's). A change's own `channels`, say, takes the place of the list;
    elsewhere what is in a list is in no settings.

    Raises
    ------
    ValueError
        A key that no profile has, a missing one, one that holds something else than it should,
        settings that `Run` refuses or that are in a list too, seeds of a width that no run has, two
        of `benchmarks` whose recordings tables call the same, or a folder for simulated recordings
        with others in it.
    """
    profile = checked(profile)
    folder = Path("results", profile["study"])
    table, needed = Grid({}, {}), Grid({}, {})
    simulate: dict[tuple[str, str], str] = {}
    called: dict[str, str] = {}
    of_benchmark: dict[str, Grid] = {}  # with those of the ablations
    for benchmark, own in profile["benchmarks"].items():
        refuse_both(benchmark, own, profile)
        grid = of_benchmark[benchmark] = runs_of(benchmark, own, profile, folder)
        _refuse_braces(grid.runs)
        _refuse_same_title(benchmark, grid.runs, called)
        table |= grid
        if "simulate" in own:
            places = {(run.benchmark, run.data) for run in grid.runs.values()}
            _refuse_real(places)
            simulate |= dict.fromkeys(places, own["simulate"])
    ablations = []
    for name, ablation in profile["ablations"].items():
        benchmark = _benchmark_of(name, ablation, profile)
        found = Grid({}, {})
        for variants, grid in _variants(name, benchmark, ablation, profile, folder):
            found |= grid
            ablations += variants
        refuse_other_widths(f"ablations: {name}: ", ablation.get("seeds"), found.runs.values())
        of_benchmark[benchmark] |= found
        needed |= found
    for benchmark, own in profile["benchmarks"].items():
        runs = of_benchmark[benchmark].runs.values()
        refuse_other_widths(f"benchmarks: {benchmark}: ", own.get("seeds"), runs)
    refuse_other_widths("", profile["seeds"], (table | needed).runs.values())
    others = {name: run for name, run in needed.runs.items() if name not in table.runs}
    pretraining = table.pretraining | needed.pretraining
    return Study(folder, simulate, table.runs, ablations, others, pretraining)


def _rows(history: Path) -> int:
    return len(history.read_text().splitlines()) - 1 if history.exists() else 0


def _refuse_braces(runs: dict[str, Run]) -> None:
    for run in runs.values():
        if set("{}") & set(run.data):
            raise ValueError(f"data={run.data!r}: expected no braces, which Snakemake replaces")


def _refuse_same_title(key: str, runs: dict[str, Run], called: dict[str, str]) -> None:
    """Tables tell recordings apart by what they are called; `called` says by which key so far."""
    for run in runs.values():
        title = title_of(run.benchmark, run.data)
        if (other := called.setdefault(title, key)) != key:
            raise ValueError(
                f"benchmarks: {key}: tables call its recordings {title!r}, as those of {other}; expected"
                " another benchmark, or a folder of another name"
            )


def _refuse_real(places: Iterable[tuple[str, str]]) -> None:
    """Before a study trains on whatever lies where its simulated recordings are to be."""
    for benchmark, root in sorted(places):
        folder = folder_of(benchmark, root)
        if benchmark not in BENCHMARKS:
            raise ValueError(
                f"{folder}: recordings of your own are not simulated; expected no `simulate` beside"
                f" benchmark={benchmark!r}"
            )
        if not (folder / SOURCE_FILE).exists() and folder.exists() and any(folder.iterdir()):
            raise ValueError(
                f"{folder}: has no {SOURCE_FILE}, so what lies there may be real, and the study"
                " simulates its own: move it, or name another data folder in the profile"
            )


def _benchmark_of(name: str, ablation: Mapping, profile: Mapping) -> str:
    benchmark = ablation.get("benchmark", next(iter(profile["benchmarks"])))
    if benchmark not in profile["benchmarks"]:
        raise ValueError(f"ablations: {name}: benchmark={benchmark!r} is none of the profile's")
    return benchmark


def _variants(
    name: str, benchmark: str, ablation: Mapping, profile: Mapping, folder: Path
) -> Iterator[tuple[list[Variant], Grid]]:
    """For each change its rows, and the runs that they need."""
    own = profile["benchmarks"][benchmark]
    lists = own | {"levels": ["binary"]} | ablation
    for change, settings in ablation["changes"].items():
        parts = {part: own.get(part, {}) | given for part, given in settings.items()}
        grid = runs_of(benchmark, lists | parts, profile, folder, settings)
        yield [Variant(name, change, run) for run in grid.runs], grid
