"""For maintainers: take a finished study of this machine into results/reference.

Everybody who opens the repository then sees its tables, executed notebooks and networks. Refused
where the working tree has changes that are not committed.
"""

import argparse
from pathlib import Path

EXAMPLES = ("snnq reference results/quick", "snnq reference results/desk --part")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", metavar="STUDY", type=Path, help="folder of a finished study")
    parser.add_argument(
        "--part",
        action="store_true",
        help="add its networks and ablations to the tables that are there; packed networks, their cards and"
        " notebook 6 stay as they are",
    )


def run(arguments: argparse.Namespace) -> None:
    from snnq.study.reference import add_part, take_reference

    take = add_part if arguments.part else take_reference
    print(f"{arguments.study}: taken to {take(arguments.study)}")
