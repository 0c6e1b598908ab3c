# The study as a graph: recordings → frames → runs → notebooks → tables and figures.
#
#     snakemake --cores all --configfile config/quick.yaml        (this is `make study`)
#     snakemake --cores all --configfile config/quick.yaml --config train_ablations=yes
#     snakemake --configfile config/paper.yaml --workflow-profile config/slurm      (a cluster)
#
# The runs' folders are not in git, the tables that are gathered from them are. Those of the
# ablations are only made anew with train_ablations, and otherwise drawn as they are.
#
# A run's notebook is written to a log, which stays when the run fails, and copied when it succeeds.
# Its checkpoint is no output here: Snakemake deletes the outputs of jobs that fail.
import json
import math
from dataclasses import asdict
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError

from snnq.checkpoint import SOURCES
from snnq.forecast import report_while_running
from snnq.gather import gather, gather_ablations
from snnq.study import plan


def frames_name(run):
    """Runs of one name are trained on the same frames."""
    cut = "-".join(str(value) for value in (run.steps, run.cut, run.size) if value is not None)
    return f"{run.benchmark}-{run.data.replace('/', '_')}-{cut}"


JOB = {"gpu": 0, "mem_mb": 4000, "runtime": 120, "threads": 1} | config.pop("job", {})
TRAIN_ABLATIONS = config.pop("train_ablations", False)
try:
    STUDY = plan(config)
except ValueError as error:
    raise WorkflowError(f"{workflow.configfiles[0]}: {error}")

FOLDER = STUDY.folder
ALL_RUNS = STUDY.runs | (STUDY.ablation_runs if TRAIN_ABLATIONS else {})
RECORDS = [STUDY.record(name) for name in STUDY.runs]
ABLATION_RECORDS = [STUDY.record(name) for name in {v.run for v in STUDY.ablations}]
ABLATIONS = FOLDER / "ablations.csv"
FRAMES = {frames_name(run): run for run in ALL_RUNS.values()}
BUILD_THREADS = 8  # at most, to simulate recordings and to build frames
RETRIES = 2  # two kernels that start at the same moment may choose the same port: one of them dies
PAPERMILL = "papermill --no-progress-bar --log-output"
KINDS = ["png", "pdf"]
QUANTIZER_FIGURES = ["staircase", "slope", "soft_to_hard", "trained_weights"]
RESULT_FIGURES = [
    "accuracy_against_bits",
    "accuracy_against_bytes",
    "hard_and_soft",
    "weights_in_training",
]
DEPLOYMENT_FIGURES = ["bytes_by_layer", "operations_by_layer", "accuracy_against_faults"]
# The figures that the README shows are the quick study's.
FIGURES = Path("figures") if STUDY.folder.name == "quick" else FOLDER / "figures"


def start_of(run):
    """Record of the run whose weights this one starts from, as a list of inputs."""
    return [f"{run.start}/run.json"] if run.start else []


def build_frames(run):
    """The command that builds the frames of a run, if they are not there, and says what is wrong."""
    command = f"python -m snnq.frames {run.benchmark} {run.data} --cut {run.cut}"
    command += f" --steps {run.steps}" if run.steps else ""
    return command + (f" --size {run.size}" if run.size else "")


def as_yaml(run):
    """A run's settings in one line: papermill reads YAML, to which JSON's 1e-05 is a text."""
    settings = json.loads(json.dumps(asdict(run)))  # which makes lists of tuples
    return yaml.safe_dump(settings, default_flow_style=True, width=math.inf).strip()


def drawn_ablations(wildcards):
    """The table of ablations where there is one, or where it is to be made."""
    return [ABLATIONS] if TRAIN_ABLATIONS or ABLATIONS.exists() else []


localrules:
    all,
    gather,
    gather_ablations,


onstart:
    report_while_running(STUDY)


rule all:
    input:
        RECORDS,
        ABLATION_RECORDS if TRAIN_ABLATIONS else [],
        FOLDER / "table.csv",
        FOLDER / "notebooks/1_quantizer.ipynb",
        FOLDER / "notebooks/5_ablations.ipynb",
        FOLDER / "notebooks/6_deployment.ipynb",


for data, arguments in STUDY.simulate.items():

    rule:
        name:
            f"simulate_{Path(data).name}"
        input:
            "snnq/benchmarks.py",
            "snnq/camera.py",
            "snnq/cameras.py",
            "snnq/gestures.py",
            "snnq/pictures.py",
            "snnq/simulate.py",
            "snnq/writers.py",
        output:
            directory(data),
        params:
            arguments=arguments,
        threads: BUILD_THREADS
        shell:
            "python -m snnq.simulate {output} {params.arguments}"


rule frames:
    # Every recording is read once before training on them starts, so a bad one stops it here. Only
    # simulated recordings are an input: a folder of real ones gets a later time with each file.
    input:
        lambda wildcards: [d for d in STUDY.simulate if d == FRAMES[wildcards.frames].data],
    output:
        touch(FOLDER / "frames/{frames}.done"),
    params:
        build=lambda wildcards: build_frames(FRAMES[wildcards.frames]),
    threads: BUILD_THREADS
    shell:
        "{params.build}"


rule train:
    input:
        lambda wildcards: FOLDER / f"frames/{frames_name(ALL_RUNS[wildcards.name])}.done",
        SOURCES,
        lambda wildcards: start_of(ALL_RUNS[wildcards.name]),
        notebook="notebooks/3_train.ipynb",
    output:
        record=FOLDER / "runs/{name}/run.json",
        history=FOLDER / "runs/{name}/history.csv",
        weights=FOLDER / "runs/{name}/weights.safetensors",
        packed=FOLDER / "runs/{name}/packed.safetensors",
        notebook=FOLDER / "runs/{name}/3_train.ipynb",
    params:
        settings=lambda wildcards: as_yaml(ALL_RUNS[wildcards.name]),
        folder=lambda wildcards: str(FOLDER / "runs" / wildcards.name),
    log:
        FOLDER / "logs/{name}.ipynb",
    threads: JOB["threads"]
    resources:
        gpu=JOB["gpu"],
        mem_mb=JOB["mem_mb"],
        runtime=JOB["runtime"],
    retries: RETRIES
    shell:
        PAPERMILL + " {input.notebook} {log} -y {params.settings:q} -p folder {params.folder}"
        " && cp {log} {output.notebook}"


rule gather:
    input:
        RECORDS,
        "snnq/gather.py",
        "snnq/table.py",
    output:
        expand(FOLDER / "{table}.csv", table=["runs", "histories", "histograms"]),
    run:
        gather(STUDY)


if TRAIN_ABLATIONS:

    rule gather_ablations:
        input:
            ABLATION_RECORDS,
            "snnq/gather.py",
            "snnq/table.py",
        output:
            ABLATIONS,
        run:
            gather_ablations(STUDY)


rule quantizer:
    input:
        RECORDS,
        "snnq/level_quantizer.py",
        "snnq/quantizer.py",
        "snnq/staircase.py",
        "snnq/lookup.py",
        "snnq/figures.py",
        notebook="notebooks/1_quantizer.ipynb",
    output:
        expand(FIGURES / "quantizer_{figure}.{kind}", figure=QUANTIZER_FIGURES, kind=KINDS),
        notebook=FOLDER / "notebooks/1_quantizer.ipynb",
    retries: RETRIES
    log:
        FOLDER / "logs/1_quantizer.ipynb",
    params:
        only=json.dumps({"only": list(STUDY.runs)}),
    shell:
        PAPERMILL + " {input.notebook} {log} -p runs {FOLDER}/runs -p interactive False"
        " -p figure_folder {FIGURES} -y {params.only:q} && cp {log} {output.notebook}"


rule results:
    input:
        rules.gather.output,
        "results/published.csv",
        "results/bench/recipe.csv",
        "snnq/table.py",
        "snnq/figures.py",
        "snnq/result_figures.py",
        notebook="notebooks/4_results.ipynb",
    output:
        expand(FIGURES / "{figure}.{kind}", figure=RESULT_FIGURES, kind=KINDS),
        table=FOLDER / "table.csv",
        notebook=FOLDER / "notebooks/4_results.ipynb",
    retries: RETRIES
    log:
        FOLDER / "logs/4_results.ipynb",
    shell:
        PAPERMILL + " {input.notebook} {log} -p study {FOLDER} -p figure_folder {FIGURES}"
        " && cp {log} {output.notebook}"


rule ablations:
    input:
        drawn_ablations,
        "snnq/ablation.py",
        "snnq/ablation_figures.py",
        "snnq/figures.py",
        notebook="notebooks/5_ablations.ipynb",
    output:
        notebook=FOLDER / "notebooks/5_ablations.ipynb",
    retries: RETRIES
    log:
        FOLDER / "logs/5_ablations.ipynb",
    shell:
        PAPERMILL + " {input.notebook} {log} -p study {FOLDER} -p figure_folder {FIGURES}"
        " && cp {log} {output.notebook}"


rule deployment:
    input:
        RECORDS,
        expand(
            "snnq/{module}.py",
            module="bits cost deployment_figures export_c faults figures packed packed_format"
            " packing speed stages".split(),
        ),
        "snnq/c/net.c",
        "snnq/c/net.h",
        notebook="notebooks/6_deployment.ipynb",
    output:
        expand(FIGURES / "{figure}.{kind}", figure=DEPLOYMENT_FIGURES, kind=KINDS),
        expand(FOLDER / "{table}.csv", table=["costs", "faults"]),
        notebook=FOLDER / "notebooks/6_deployment.ipynb",
    retries: RETRIES
    log:
        FOLDER / "logs/6_deployment.ipynb",
    params:
        only=json.dumps({"only": list(STUDY.runs)}),
    shell:
        PAPERMILL + " {input.notebook} {log} -p runs {FOLDER}/runs -p table_folder {FOLDER}"
        " -p figure_folder {FIGURES} -y {params.only:q} && cp {log} {output.notebook}"
