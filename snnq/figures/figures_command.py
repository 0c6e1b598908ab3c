"""Draw every figure of a study from its tables, without training, as PNG and PDF.

Those whose table is not there are named.
"""

import argparse

EXAMPLES = (
    "snnq figures",
    "snnq figures results/quick results/quick/figures",
    "snnq figures results/quick mine frontier accuracy_against_bits",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "study",
        nargs="?",
        default="results/reference/quick",
        help="folder with the study's tables (%(default)s)",
    )
    parser.add_argument("folder", nargs="?", default="figures", help="where they go (%(default)s)")
    parser.add_argument("names", nargs="*", metavar="NAME", help="of those to draw (all)")


def run(arguments: argparse.Namespace) -> None:
    from pathlib import Path

    import matplotlib

    matplotlib.use("agg")  # files alone: a window would need a display
    from snnq.figures.catalogue import draw_all

    if not Path(arguments.study).is_dir():
        raise FileNotFoundError(f"study={arguments.study}: no such folder")
    drawn = draw_all(arguments.study, arguments.folder, arguments.names)
    print(f"{len(drawn)} figures in {arguments.folder}")
