"""How far a study is, and how long it will still take on this machine.

Measures a training step of each kind of run that none has been finished of, and says what the rest
of the study takes, one run at a time.
"""

import argparse

from snnq.study.profiles import add_profiles, planned

EXAMPLES = (
    "snnq forecast config/paper.yaml",
    "snnq forecast config/paper.yaml config/simulated.yaml",
    "snnq forecast config/quick.yaml --ablations",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_profiles(parser)
    parser.add_argument("--ablations", action="store_true", help="with the runs of the ablations")


def run(arguments: argparse.Namespace) -> None:
    import torch

    from snnq.study.forecast import MEASURED, forecast, measure, summary
    from snnq.system.files import write_atomically
    from snnq.training.device import device_of

    study = planned(arguments.profiles, arguments.ablations)
    measured = measure(study)
    write_atomically(study.folder / MEASURED, lambda path: measured.to_csv(path, index=False))
    table = forecast(study, measured)
    device = device_of(next(iter(study.runs.values())))
    print(table.to_string(index=False, float_format="%.3g"))
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{summary(table)} (on this {name})")
