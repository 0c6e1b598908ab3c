"""Build the frames of a benchmark's recordings ahead of training.

Every recording is read, so that a bad one is named here. Frames are kept in data/frames.
"""

import argparse

EXAMPLES = (
    "snnq frames nmnist data/digits --steps 3",
    "snnq frames dvsgesture data --steps 20 --cut time --size 64",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("benchmark", help="nmnist, dvsgesture, cifar10dvs or ncaltech101")
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


def run(arguments: argparse.Namespace) -> None:
    from snnq.recordings.benchmarks import get_benchmark, source
    from snnq.recordings.frames import load

    benchmark, root = arguments.benchmark, arguments.root
    splits = load(benchmark, root, arguments.steps, arguments.cut, arguments.size)
    simulated = source(benchmark, root)["simulated"]
    for name, split, most in zip(("training", "test"), splits, get_benchmark(benchmark).recordings):
        of, how = ("", ", simulated") if simulated else (f" of {most:,}", "")
        print(f"{benchmark}: {len(split):,}{of} {name} recordings{how}")
