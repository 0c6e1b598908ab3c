"""Recordings of a simulated camera in a benchmark's own files.

Pictures are shown to it as they were to the real camera: scikit-learn's handwritten digits, or your
own as an .npz file, a .zip or a folder with one folder per class. For dvsgesture, people are drawn.
A missing mnist.npz for nmnist, or cifar10.npz for cifar10dvs, is fetched from OpenML.
"""

import argparse
from pathlib import Path

from snnq.recordings.places import DIGITS

EXAMPLES = (
    "snnq simulate data/digits",
    "snnq simulate data/mine --benchmark cifar10dvs --images pictures.zip --limit 100",
    "snnq simulate data/mine --benchmark dvsgesture",
    "snnq simulate data/simulated/nmnist --images data/pictures/mnist.npz",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "root",
        type=Path,
        nargs="?",
        default=Path(DIGITS),
        help="data folder that gets the recordings (data/digits)",
    )
    parser.add_argument(
        "--benchmark",
        metavar="NAME",
        default="nmnist",
        help="nmnist, dvsgesture, cifar10dvs or ncaltech101 (nmnist)",
    )
    parser.add_argument(
        "--images", metavar="FILE", type=Path, help="pictures (for nmnist, scikit-learn's digits)"
    )
    parser.add_argument(
        "--limit", metavar="N", type=int, help="at most so many of each class and split (all)"
    )
    parser.add_argument(
        "--without",
        metavar="FOLDER",
        type=Path,
        help="data folder of real N-MNIST recordings, whose pictures to leave out of MNIST's",
    )
    parser.add_argument(
        "--skip",
        metavar="N",
        type=int,
        default=0,
        help="leave out training pictures numbered up to N (0)",
    )
    parser.add_argument(
        "--seed", metavar="N", type=int, default=0, help="of the pixels and the noise (0)"
    )


def run(arguments: argparse.Namespace) -> None:
    print(f"simulated recordings in {_simulated(arguments)}")


def _simulated(arguments: argparse.Namespace) -> Path:
    from snnq.recordings.benchmarks import get_benchmark
    from snnq.simulation.openml import fetch_pictures
    from snnq.simulation.pictures import digits, read_pictures
    from snnq.simulation.presets import DIGITS, SETTINGS
    from snnq.simulation.selection import chosen
    from snnq.simulation.simulate import simulate_gestures, simulate_pictures

    benchmark, images = get_benchmark(arguments.benchmark).name, arguments.images
    if arguments.limit is not None and arguments.limit < 1:
        raise ValueError(f"--limit {arguments.limit}: expected at least 1")
    if arguments.skip < 0:
        raise ValueError(f"--skip {arguments.skip}: expected 0 or more")
    if arguments.without is not None and benchmark != "nmnist":
        raise ValueError(f"--without {arguments.without}: expected with --benchmark nmnist alone")
    if arguments.without is not None and images is None:
        raise ValueError(
            f"--without {arguments.without}: expected with --images of MNIST's pictures alone, not with"
            " scikit-learn's digits"
        )
    if benchmark == "dvsgesture":
        if images is not None:
            raise ValueError(f"--images {images}: expected none, people are drawn for dvsgesture")
        if arguments.skip:
            raise ValueError(f"--skip {arguments.skip}: expected 0, people are drawn for dvsgesture")
        return simulate_gestures(arguments.root, arguments.seed, arguments.limit)
    if images is None and benchmark != "nmnist":
        raise ValueError(f"--images: expected pictures for {benchmark}")
    if images is not None:
        fetch_pictures(images, benchmark)
    pictures = digits() if images is None else read_pictures(images)
    name = "handwritten digits of scikit-learn (load_digits)" if images is None else images.name
    some = chosen(pictures, arguments.limit, arguments.without, arguments.skip)
    setting = DIGITS if images is None else SETTINGS[benchmark]
    return simulate_pictures(benchmark, arguments.root, some, name, arguments.seed, setting)
