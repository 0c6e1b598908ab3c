"""Write the tables of a study's finished runs, from which its figures are drawn.

`snnq study` does it by itself; this is for studies that were trained elsewhere.
"""

import argparse

from snnq.study.profiles import add_profiles, planned

EXAMPLES = (
    "snnq gather config/paper.yaml",
    "snnq gather config/quick.yaml --ablations",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_profiles(parser)
    parser.add_argument(
        "--ablations", action="store_true", help="write the table of the ablations instead"
    )


def run(arguments: argparse.Namespace) -> None:
    from snnq.study.gather import gather, gather_ablations

    study = planned(arguments.profiles, arguments.ablations)
    (gather_ablations if arguments.ablations else gather)(study)
