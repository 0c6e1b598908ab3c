# The study as a graph: recordings → frames → runs → tables → notebooks and figures.
#
#     snnq study config/quick.yaml                  (this is `make study`: it starts Snakemake)
#     snakemake --configfile config/paper.yaml --workflow-profile config/slurm      (a cluster)
#
# What takes long is no output of a rule here, since Snakemake deletes a rule's outputs before it
# starts: recordings, frames and runs stand behind empty files that are named here `marks`. Each
# command looks for itself whether its work is done, by content, and then returns at once. Before
# anything is planned a mark is removed whose work is gone, or is of other recordings, and one is made
# for a run that is finished; so it does not matter when a run's marks were made.
#
# Steps depend on the sources of a notebook's cells, not on its file: JupyterLab saves that as soon as
# it is opened.
import json
import math
import shlex
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError

from snnq.recordings.benchmarks import SOURCE_FILE, folder_of
from snnq.simulation.simulate import VERSION as SIMULATION_VERSION
from snnq.study.forecast import read_profiles
from snnq.study.gather import PREDICTIONS, PREDICTIONS_ABLATIONS
from snnq.study.profile import plan
from snnq.study.sources import digest_of_sources
from snnq.training.identity import TRAINING_VERSION
from snnq.training.run import default_settings

JOB = {"gpu": 0, "mem_mb": 4000, "runtime": 120, "threads": 1} | (config.get("job") or {})
TRAIN_ABLATIONS = config.pop("train_ablations", False)
try:
    read_profiles(map(Path, workflow.configfiles))  # which refuses what YAML passes over
    STUDY = plan(config)
except ValueError as error:
    profiles = " ".join(map(str, workflow.configfiles)) or "no --configfile was given"
    raise WorkflowError(f"{profiles}: {error}")

FOLDER = STUDY.folder
MARKS = FOLDER / "marks"
PROFILES = shlex.join(map(str, workflow.configfiles))
RUNS = (STUDY.with_ablations() if TRAIN_ABLATIONS else STUDY).trained
MOST_THREADS = 8  # to simulate recordings, to build frames and to measure deployed networks
RETRIES = 2  # two kernels that start at the same moment may choose the same port: one of them dies
WARM = "python -m snnq.study.warm"  # in a process with all imports, where `snnq study` has one
PAPERMILL = f"{WARM} papermill --no-progress-bar"
NOTEBOOKS = ["1_quantizer", "2_events", "4_results", "5_ablations", "6_deployment"]
CODE = {path.stem: digest_of_sources(path) for path in Path("notebooks").glob("*.ipynb")}


def frames_of(run):
    """What says which frames a run is trained on, as notebook 2 takes it too."""
    names = ("benchmark", "data", "steps", "cut", "size")
    found = {name: getattr(run, name) for name in names} | {"split": other_split(run)}
    return {name: str(value) for name, value in found.items() if value is not None}


def frames_name(run):
    """Runs of one name are trained on the same frames."""
    benchmark, data, *cutting = frames_of(run).values()
    return f"{place_name(benchmark, data)}-{'-'.join(cutting).replace('/', '_')}"


def other_split(run):
    """A run's split, where it is not its benchmark's own."""
    return None if run.split == default_settings(run.benchmark)["split"] else run.split


def place_name(benchmark, data):
    """A benchmark in a folder as a file's name; "a/b" and "a_b" differ."""
    return f"{benchmark}/{data}".replace("_", "__").replace("/", "_")


FRAMES = {frames_name(run): run for run in RUNS.values()}
STARTS = Counter(run.start for run in RUNS.values())  # how many runs wait for one
SIMULATED = {place_name(*place): place for place in STUDY.simulate}


def simulated_for(run):
    return {place_name(run.benchmark, run.data)} & SIMULATED.keys()


def marks(kind, names):
    return [MARKS / kind / f"{name}.done" for name in names]


def needs_of(run):
    """The marks of its frames, and of the run whose weights it starts from, where that is of this study."""
    name = Path(run.start or "").name
    start = marks("runs", [name]) if run.start == str(STUDY.run_folder(name)) else []
    return [*marks("frames", [frames_name(run)]), *start]


def priority_of(name):
    """First what others wait for, then wide networks: the last runs, side by side, are short ones."""
    return 1000 * STARTS[str(STUDY.run_folder(name))] + min(999, RUNS[name].channels)


def make_marks_true():
    there = {name for name, place in SIMULATED.items() if (folder_of(*place) / SOURCE_FILE).exists()}
    finished = STUDY.finished()
    for kind, true in (("recordings", there), ("runs", finished)):
        for mark in MARKS.glob(f"{kind}/*.done"):
            if mark.stem not in true:
                mark.unlink()
    for name, run in RUNS.items():  # starts come before what starts from them
        if name not in finished or not (STUDY.run_folder(name) / "3_train.ipynb").exists():
            continue
        (mark,), before = marks("runs", [name]), filter(Path.exists, needs_of(run))
        # Also those from elsewhere, or from before there were marks. A finished run is of these frames
        # and of its start's weights, so its mark may be the latest.
        if not mark.exists() or any(one.stat().st_mtime_ns > mark.stat().st_mtime_ns for one in before):
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()


if workflow.is_main_process:
    make_marks_true()


def build_frames(run):
    """The command that builds the frames of a run, if they are not there, and says what is wrong."""
    command = ["python", "-m", "snnq", "frames", run.benchmark, run.data, "--cut", run.cut]
    command += ["--steps", str(run.steps)] if run.steps else []
    command += ["--size", str(run.size)] if run.size else []
    return shlex.join(command + (["--split", run.split] if other_split(run) else []))


def as_yaml(run):
    """A run's settings in one line: papermill reads YAML, to which JSON's 1e-05 is a text."""
    settings = json.loads(json.dumps(asdict(run)))  # which makes lists of tuples
    settings |= {"log": run.log} if run.log else {}
    return yaml.safe_dump(settings, default_flow_style=True, width=math.inf).strip()


def room(*names):
    """The code of some rooms."""
    return [path for name in names for path in sorted(Path("snnq", name).rglob("*.py"))]


def tables(*names):
    return [FOLDER / f"{name}.csv" for name in names]


def ablations_there_are(wildcards):
    return tables("ablations") if TRAIN_ABLATIONS or tables("ablations")[0].exists() else []


GATHERING = expand("snnq/study/{name}.py", name=["gather", "tables", "frontier", "comparisons", "intervals"])


localrules:
    all,
    recordings,
    gather,
    gather_ablations,


rule all:
    input:
        marks("runs", RUNS),
        expand(FOLDER / "notebooks/{notebook}.ipynb", notebook=NOTEBOOKS),
        MARKS / "figures.done",


rule recordings:
    input:
        marks("frames", FRAMES),


for name, place in SIMULATED.items():

    rule:
        name:
            f"simulate_{name}"
        output:
            touch(MARKS / "recordings" / f"{name}.done"),
        params:
            command=shlex.join(["simulate", place[1], *shlex.split(STUDY.simulate[place])]),
            version=SIMULATION_VERSION,
        threads: MOST_THREADS
        shell:
            "python -m snnq {params.command}"


rule frames:
    # Every recording is read once before training on them starts, so a bad one stops it here.
    input:
        lambda wildcards: marks("recordings", simulated_for(FRAMES[wildcards.frames])),
    output:
        touch(MARKS / "frames/{frames}.done"),
    params:
        build=lambda wildcards: build_frames(FRAMES[wildcards.frames]),
    threads: MOST_THREADS
    shell:
        "{params.build}"


rule train:
    # The notebook is written to a log, which stays when the run fails, and copied when it succeeds.
    input:
        lambda wildcards: needs_of(RUNS[wildcards.name]),
    output:
        touch(MARKS / "runs/{name}.done"),
    params:
        settings=lambda wildcards: as_yaml(RUNS[wildcards.name]),
        folder=lambda wildcards: str(STUDY.run_folder(wildcards.name)),
        code=CODE["3_train"],
        version=TRAINING_VERSION,
    log:
        notebook=FOLDER / "logs/{name}.ipynb",
        text=FOLDER / "logs/{name}.txt",
    priority:
        lambda wildcards: priority_of(wildcards.name)
    threads: JOB["threads"]
    resources:
        gpu=JOB["gpu"],
        mem_mb=JOB["mem_mb"],
        runtime=JOB["runtime"],
    retries: RETRIES
    shell:
        PAPERMILL + " notebooks/3_train.ipynb {log.notebook:q} -y {params.settings:q}"
        " -p folder {params.folder:q} -p restart True > {log.text:q} 2>&1"
        " && cp {log.notebook:q} {params.folder:q}/3_train.ipynb"


rule gather:
    input:
        marks("runs", STUDY.runs),
        GATHERING,
    output:
        tables("runs", "histories", "transitions", "histograms", "staircases", "table", "frontier"),
        FOLDER / PREDICTIONS,
    params:
        profiles=PROFILES,
    shell:
        WARM + " snnq gather {params.profiles}"


if TRAIN_ABLATIONS:

    rule gather_ablations:
        input:
            marks("runs", {variant.run for variant in STUDY.ablations}),
            GATHERING,
        output:
            tables("ablations"),
            FOLDER / PREDICTIONS_ABLATIONS,
        params:
            profiles=PROFILES,
        shell:
            WARM + " snnq gather --ablations {params.profiles}"


FIRST = next(iter(STUDY.runs.values()))
NEEDS = {
    "1_quantizer": [tables("histograms", "staircases"), room("quantization")],
    "2_events": [marks("frames", FRAMES), room("recordings")],
    "4_results": [
        tables("runs", "histories", "transitions", "histograms", "staircases", "table"),
        ablations_there_are,
        room("study"),
    ],
    "5_ablations": [ablations_there_are, tables("runs"), room("study")],
    "6_deployment": [tables("runs"), room("deployment", "storage")],
}
LONGEST = "6_deployment"  # and what the figures wait for: it is first
ALSO_WRITES = {"6_deployment": tables("costs", "layers", "operations", "faults", "fidelity")}
PARAMETERS = {
    "1_quantizer": f"-p study {FOLDER}",
    "2_events": shlex.join(
        word for name, value in frames_of(FIRST).items() for word in ("-p", name, value)
    ),
    "4_results": f"-p study {FOLDER}",
    "5_ablations": f"-p study {FOLDER}",
    "6_deployment": f"-p study {FOLDER}",
}

for notebook in NOTEBOOKS:

    rule:
        name:
            notebook
        input:
            *NEEDS[notebook],
            room("figures"),
        output:
            ALSO_WRITES.get(notebook, []),
            notebook=FOLDER / f"notebooks/{notebook}.ipynb",
        params:
            source=f"notebooks/{notebook}.ipynb",
            given=PARAMETERS[notebook],
            code=CODE[notebook],
        log:
            notebook=FOLDER / f"logs/{notebook}.ipynb",
            text=FOLDER / f"logs/{notebook}.txt",
        priority:
            notebook == LONGEST
        threads: MOST_THREADS if notebook == LONGEST else 1
        retries: RETRIES
        shell:
            PAPERMILL + " {params.source} {log.notebook:q} {params.given} > {log.text:q} 2>&1"
            " && cp {log.notebook:q} {output.notebook:q}"


rule figures:
    input:
        tables("histories", "transitions", "histograms", "staircases", "table"),
        tables("costs", "layers", "operations", "faults", "fidelity"),
        ablations_there_are,
        room("figures"),
    output:
        touch(MARKS / "figures.done"),
    params:
        folders=shlex.join([str(FOLDER), str(FOLDER / "figures")]),
    shell:
        WARM + " snnq figures {params.folders}"
