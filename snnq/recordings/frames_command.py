"""Build the frames of a benchmark's recordings ahead of training.

Every recording is read, so that a bad one is named here. Frames are kept in data/frames.
"""

import argparse

NAMES = (
    "nmnist, dvsgesture, cifar10dvs, ncaltech101, folder (recordings of your own, in a folder per class)"
    " or tonic:CLASS (a dataset class of tonic)"
)
EXAMPLES = (
    "snnq frames nmnist data/digits --steps 3",
    "snnq frames dvsgesture data --steps 20 --cut time --size 64",
    "snnq frames cifar10dvs data --steps 10 --size 48 --split 90/10",
    "snnq frames folder my_recordings",
    "snnq frames tonic:SHD data --steps 100 --cut time",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("benchmark", help=NAMES)
    parser.add_argument("root", help="data folder that holds the recordings, or gets them")
    parser.add_argument(
        "--steps", metavar="N", type=int, help="time steps (the benchmark's own)"
    )
    parser.add_argument(
        "--cut",
        metavar="NAME",
        default="number",
        help="time steps with equal numbers of events or of equal time: number or time (number)",
    )
    parser.add_argument(
        "--size", metavar="N", type=int, help="height and width of the frames (the sensor's)"
    )
    parser.add_argument(
        "--split",
        metavar="SHARES",
        help="where it is not official, per cents of training and test such as 90/10 (80/20)",
    )


def run(arguments: argparse.Namespace) -> None:
    from snnq.recordings.benchmarks import get_benchmark, source
    from snnq.recordings.frames import load
    from snnq.recordings.splits import complete_split, resolved_split

    benchmark, root = arguments.benchmark, arguments.root
    cutting = arguments.steps, arguments.cut, arguments.size
    splits = load(benchmark, root, *cutting, split=arguments.split)
    simulated, found = source(benchmark, root)["simulated"], get_benchmark(benchmark, root)
    complete = complete_split(found, resolved_split(found, arguments.split))
    for name, split, most in zip(("training", "test"), splits, complete):
        of, how = ("", ", simulated") if simulated else ("" if found.is_found else f" of {most:,}", "")
        print(f"{benchmark}: {len(split):,}{of} {name} recordings{how}")
    if found.is_found:
        print(f"{benchmark}: sensor {found.width} × {found.height}, classes {', '.join(found.classes)}")
