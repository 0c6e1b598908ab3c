"""Write the tables of a study's finished runs, from which its figures are drawn.

`snnq study` does it by itself; this is for studies that were trained elsewhere.
"""

import argparse
from pathlib import Path

EXAMPLES = (
    "snnq gather config/paper.yaml",
    "snnq gather config/quick.yaml --ablations",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "profiles",
        metavar="PROFILE",
        nargs="+",
        type=Path,
        help="config/*.yaml; a later one's settings come before an earlier one's",
    )
    parser.add_argument(
        "--ablations", action="store_true", help="write the table of the ablations instead"
    )


def run(arguments: argparse.Namespace) -> None:
    from snnq.study.forecast import read_profiles
    from snnq.study.gather import gather, gather_ablations
    from snnq.study.profile import plan

    study = plan(read_profiles(arguments.profiles))
    (gather_ablations if arguments.ablations else gather)(study)
