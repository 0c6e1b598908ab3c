"""Carry out a study: recordings, training, tables, notebooks and figures.

What is done already is not done again, and a run that was stopped goes on. Ends with the study's
table and, where there is a reference for it, yours beside it.
"""

import argparse

from snnq.study.profiles import add_profiles

EXAMPLES = (
    "snnq study config/quick.yaml",
    "snnq study config/quick.yaml --ablations --cores 4",
    "snnq study config/paper.yaml config/simulated.yaml",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_profiles(parser)
    parser.add_argument("--cores", type=int, help="how many to use (all)")
    parser.add_argument(
        "--ablations", action="store_true", help="train the runs of the ablations too"
    )


def run(arguments: argparse.Namespace) -> None:
    from snnq.study.conduct import conduct
    from snnq.study.report import report

    study = conduct(arguments.profiles, arguments.cores, arguments.ablations)
    print(report(study.folder))
