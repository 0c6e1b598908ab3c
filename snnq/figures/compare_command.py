"""Set any finished runs side by side.

Prints the settings that differ, the accuracy on the test samples after the last epoch with its 95 %
Wilson interval, and the packed network's size; the curves go to a file where one is named.
"""

import argparse
from pathlib import Path

EXAMPLES = (
    "snnq compare results/runs",
    "snnq compare results/runs/one results/runs/other --figure curves.png",
    "snnq compare results/quick",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs",
        metavar="FOLDER",
        type=Path,
        nargs="+",
        help="of a run, of runs, or of a study",
    )
    parser.add_argument("--figure", metavar="FILE", type=Path, help="where the curves go (nowhere)")


def run(arguments: argparse.Namespace) -> None:
    import matplotlib

    matplotlib.use("agg")  # files alone: a window would need a display
    from snnq.figures.comparison import compare
    from snnq.system.files import write_atomically

    found = compare(arguments.runs)
    print(found)
    if arguments.figure is not None:
        kind = arguments.figure.suffix.removeprefix(".") or "png"
        write_atomically(
            arguments.figure, lambda path: found.curves().savefig(path, format=kind)
        )
