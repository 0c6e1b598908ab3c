"""Train a network, or go on with a run that was stopped.

The run's folder gets its record (run.json), a history with a row per epoch, its weights, and the
network packed. The options are the settings of `snnq.Run`, which `help(snnq.Run)` explains, those of
every training `help(snnq.Settings)`, with their defaults in parentheses.
"""

import argparse
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from snnq.quantization.rules import Levels
from snnq.recordings.frames_command import NAMES
from snnq.training.run import Run

EXAMPLES = (
    "snnq train --levels ternary --epochs 10 --data data/digits --folder results/runs/mine",
    "snnq train --levels=-2,-1,0,1,2 --keep first last --learning-rate 1e-3",
    "snnq train --levels '<1000=4bit,rest=binary' --folder results/runs/mixed",
    "snnq train --levels full --seed 1 --data path/to/recordings",
    "snnq train --levels 3bit --faults 'known, stuck_at_0=0.1, device=3'",
    "snnq train --benchmark folder --data my_recordings",
    "snnq train --benchmark cifar10dvs --network vgg11 --channels 128 --size 48 --steps 10",
)
HELP = {
    "benchmark": NAMES,
    "levels": "binary, ternary, 2bit, 3bit, 4bit, pm2, pm4, the levels themselves as in"
    " --levels=-2,-1,0,1,2, full for full precision, or those of each layer as in"
    " --levels '<1000=4bit,rest=binary'",
    "data": "data folder that holds the recordings, or gets them by download; none: data/digits for"
    " nmnist, data for the others",
    "seed": "of the first weights, the batches' order, augmentation and dropout",
    "order": "another number gives the same first weights another order of batches, augmentation and"
    " dropout",
    "epochs": "how often every training recording is seen",
    "full_epochs": "of a quantized run without a start, how many of its epochs come first, in full"
    " precision; none: half of them; 0: quantized from the first step",
    "full_learning_rate": "of those epochs; none: the learning rate of all",
    "batch_size": "recordings in a batch",
    "learning_rate": "of Adam, at the start; it falls to zero along a cosine",
    "network": "plif, vgg11, vgg11_gap, spiking_vgg11 or sew_resnet18",
    "channels": "of each convolution; 128 in the paper",
    "neuron": "plif, lif or if",
    "membrane_bits": "bits of a membrane potential, 2 to 20; none: floating point",
    "steps": "time steps; none: the benchmark's own",
    "cut": "time steps with equal numbers of events or of equal time: number or time",
    "size": "height and width of the frames; none: the sensor's",
    "split": "which recordings are the test: official, or where there is no such split the per cents of"
    " training and test such as 90/10; none: the benchmark's own, official or 80/20",
    "augmentation": "none, roll, affine, flip, nda, flip_nda, crop or flip_crop, of the training recordings",
    "start": "folder of a full-precision run whose weights to start from; none: from scratch",
    "keep": "layers that stay in full precision: first, last, or names of the network's",
    "quantizer": "sigmoid, or to compare it with sign, lsq, dorefa, twn, ttq, rounding, qsnn, rescaw,"
    " bso, tbso, qfalt or nearest",
    "temperature_schedule": "how T rises over the epochs: linear, cosine, exponential or constant",
    "temperature_initial": "T of the first epoch",
    "temperature_final": "T of the last epoch",
    "backward_temperature": "T that the slope is taken at in the backward pass; none: the same T",
    "biases": "how the thresholds between levels are set: kmeans or uniform; none: kmeans for up to"
    " three levels, uniform for more",
    "learned": "scales of the quantizer that are learned: alpha, beta, both or none at all",
    "validation": "share of the training recordings held out to choose an epoch on",
    "device": "auto (a GPU where there is one), cpu or cuda",
    "precision": "float32, tf32 (on a GPU) or bf16, of convolutions and linear layers in training",
    "arithmetic": "emulated numbers of 8 bits that all of a training computes with: float32, float8,"
    " posit8, int8, or those of each component as in weights=posit8,rest=float8:stochastic",
    "cuda_graph": "on a GPU, replay full batches from a CUDA graph: faster, and the same",
    "harden": "shares of the epochs between which weights become hard one by one; alone: never; not"
    " given: with sigmoid 0.1 0.85 for up to three levels and 0.5 0.95 for more, with others never",
    "faults": "of the memory that the weights will lie in, as in 'known, stuck_at_0=0.1, device=3': known,"
    " epoch or step (unknown ones, drawn so often), stuck_at_0, stuck_at_1, variability, device, map",
    "soft_every": "epochs between tests with soft weights; none: after the last epoch alone",
}
EXPECTED = {int: "a whole number", float: "a number"}
METAVARS = {int: "N", float: "X", str: "NAME"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s [options]"  # or each error comes with nine lines of them
    for field in fields(Run):
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            default=field.default,
            help=f"{HELP[field.name]} ({_shown(field.default)})",
            **_reading(field.type),
        )
    parser.add_argument(
        "--folder",
        metavar="FOLDER",
        type=Path,
        help="where the run's files go (results/runs/ and the run's name)",
    )
    parser.add_argument(
        "--restart",
        action="store_true",
        help="where the folder holds another run, train this one in its place",
    )
    parser.add_argument(
        "--log",
        metavar="NAME",
        type=_reader(str, True),
        help="tensorboard: write each epoch's row for TensorBoard too, into the run's folder (none)",
    )
    parser.add_argument("--quiet", action="store_true", help="without the summary before training, and its progress bar")


def run(arguments: argparse.Namespace) -> None:
    from snnq.training.fit import fit
    from snnq.training.parallel import joined
    from snnq.training.record import RECORD
    from snnq.training.summary import short_record, summary

    settings = {field.name: getattr(arguments, field.name) for field in fields(Run)}
    run = Run(**settings, log=arguments.log)
    folder = arguments.folder or Path("results/runs", run.name)
    with joined() as processes:
        if processes.main and not arguments.quiet and not (folder / RECORD).exists():
            print(summary(run), flush=True)
        fit(run, folder, progress=not arguments.quiet, restart=arguments.restart)
    if processes.main:
        print(short_record(folder))


def _reading(kind: Any) -> dict[str, Any]:
    """How an option of a setting's type is read."""
    if kind is bool:
        return {"action": argparse.BooleanOptionalAction}
    if kind == tuple[str, ...]:
        return {"nargs": "*", "metavar": "NAME"}
    if kind == tuple[float, ...] | None:
        return {"nargs": "*", "metavar": "SHARE", "type": _reader(float, False)}
    if kind == Levels:
        return {"metavar": "LEVELS"}
    kinds = get_args(kind) or (kind,)
    return {"type": _reader(kinds[0], NoneType in kinds), "metavar": METAVARS[kinds[0]]}


def _reader(kind: type, may_be_none: bool) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        if may_be_none and text == "none":
            return None
        try:
            return kind(text)
        except ValueError:
            expected = EXPECTED[kind] + (" or none" if may_be_none else "")
            raise argparse.ArgumentTypeError(f"{text!r}: expected {expected}") from None

    return read


def _shown(default: Any) -> str:
    return " ".join(default) if isinstance(default, tuple) else str(default).lower()
