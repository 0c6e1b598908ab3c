# The study as a graph: recordings → frames → runs → notebooks → tables and figures.
#
#     snakemake --cores all --configfile config/quick.yaml        (this is `make study`)
#
# A run's notebook is written to a log, which stays when the run fails, and copied when it succeeds.
# Its checkpoint is no output here: Snakemake deletes the outputs of jobs that fail.
import json
from dataclasses import asdict
from pathlib import Path

from snakemake.exceptions import WorkflowError

from snnq.checkpoint import SOURCES
from snnq.study import plan

try:
    STUDY = plan(config)
except ValueError as error:
    raise WorkflowError(f"{workflow.configfiles[0]}: {error}")

FOLDER = STUDY.folder
DATA = sorted({run.data for run in STUDY.runs.values()})
RECORDS = [STUDY.record(name) for name in STUDY.runs]
BUILDS = sorted(
    {
        f"python -m snnq.frames {run.benchmark} {run.data} --cut {run.cut}"
        + (f" --steps {run.steps}" if run.steps else "")
        + (f" --size {run.size}" if run.size else "")
        for run in STUDY.runs.values()
    }
)
RETRIES = 2  # two kernels that start at the same moment may choose the same port: one of them dies
PAPERMILL = "papermill --no-progress-bar --log-output"
KINDS = ["png", "pdf"]
QUANTIZER_FIGURES = ["staircase", "slope", "soft_to_hard", "trained_weights"]
RESULT_FIGURES = ["accuracy_against_bits", "accuracy_against_bytes", "hard_and_soft"]


def start_of(run):
    """Record of the run whose weights this one starts from, as a list of inputs."""
    return [f"{run.start}/run.json"] if run.start else []


rule all:
    input:
        RECORDS,
        FOLDER / "table.csv",
        FOLDER / "notebooks/1_quantizer.ipynb",


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
        threads: workflow.cores
        shell:
            "python -m snnq.simulate {output} {params.arguments}"


rule frames:
    # Every recording is read once before the first job, so a bad one stops the study here.
    input:
        DATA,
        SOURCES,
    output:
        touch(FOLDER / "frames.done"),
    params:
        builds=" && ".join(BUILDS),
    shell:
        "{params.builds}"


rule train:
    input:
        FOLDER / "frames.done",
        SOURCES,
        lambda wildcards: start_of(STUDY.runs[wildcards.name]),
        notebook="notebooks/3_train.ipynb",
    output:
        record=FOLDER / "runs/{name}/run.json",
        history=FOLDER / "runs/{name}/history.csv",
        weights=FOLDER / "runs/{name}/weights.safetensors",
        notebook=FOLDER / "runs/{name}/3_train.ipynb",
    params:
        settings=lambda wildcards: json.dumps(asdict(STUDY.runs[wildcards.name])),
        folder=lambda wildcards: str(FOLDER / "runs" / wildcards.name),
    log:
        FOLDER / "logs/{name}.ipynb",
    threads: 1
    retries: RETRIES
    shell:
        PAPERMILL + " {input.notebook} {log} -y {params.settings:q} -p folder {params.folder}"
        " && cp {log} {output.notebook}"


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
        expand("figures/quantizer_{figure}.{kind}", figure=QUANTIZER_FIGURES, kind=KINDS),
        notebook=FOLDER / "notebooks/1_quantizer.ipynb",
    retries: RETRIES
    log:
        FOLDER / "logs/1_quantizer.ipynb",
    params:
        only=json.dumps({"only": list(STUDY.runs)}),
    shell:
        PAPERMILL + " {input.notebook} {log} -p runs {FOLDER}/runs -p interactive False"
        " -y {params.only:q} && cp {log} {output.notebook}"


rule results:
    input:
        RECORDS,
        "snnq/table.py",
        "snnq/figures.py",
        "snnq/result_figures.py",
        notebook="notebooks/4_results.ipynb",
    output:
        expand("figures/{figure}.{kind}", figure=RESULT_FIGURES, kind=KINDS),
        table=FOLDER / "table.csv",
        notebook=FOLDER / "notebooks/4_results.ipynb",
    retries: RETRIES
    log:
        FOLDER / "logs/4_results.ipynb",
    params:
        only=json.dumps({"only": list(STUDY.runs)}),
    shell:
        PAPERMILL + " {input.notebook} {log} -p runs {FOLDER}/runs -y {params.only:q}"
        " -p table {output.table} && cp {log} {output.notebook}"
