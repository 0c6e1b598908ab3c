"""Recordings per second of the simulated camera, against the same as array operations.

    python bench/simulation.py ../shared/data [--recordings 400] [--benchmarks cifar10dvs …]

Both make whole folders on all cores, from the start of the processes that share the work to the
last file; the files are compared, and hold the same bytes. Ten times as many of N-MNIST's small
recordings. Then the peak memory, of all processes together, for 500 and for 2,000 recordings.
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from unittest.mock import patch

import joblib
import numpy_camera
import pandas as pd
import psutil
from compare import in_turns, report

from snnq.recordings.benchmarks import BENCHMARKS
from snnq.simulation import gestures, simulate
from snnq.simulation.pictures import read_pictures

PICTURES = {
    "nmnist": "mnist.npz",
    "cifar10dvs": "cifar10_gray.npz",
    "ncaltech101": "caltech101_gray.zip",
}
MEMORY_OF = "cifar10dvs", (500, 2_000)
FACTORS = {"nmnist": 10}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "data", type=Path, help=f"holds images/ with {', '.join(PICTURES.values())}"
    )
    parser.add_argument("--recordings", metavar="N", type=int, default=400)
    parser.add_argument("--rounds", metavar="N", type=int, default=3)
    parser.add_argument("--benchmarks", nargs="+", default=list(BENCHMARKS))
    parser.add_argument("--make", nargs=2, help=argparse.SUPPRESS)  # what, into which folder
    arguments = parser.parse_args()
    if arguments.make:
        make(*arguments.make, arguments.benchmarks[0], arguments.data, arguments.recordings)
        return
    rows = [compared(name, arguments) for name in arguments.benchmarks]
    report("simulation", pd.DataFrame(rows))
    name, counts = MEMORY_OF
    if name in arguments.benchmarks:
        peaks = [{"recordings": n, "peak_mb": peak(name, arguments.data, n)} for n in counts]
        report("simulation_memory", pd.DataFrame(peaks))


def compared(name: str, arguments: argparse.Namespace) -> dict:
    """A row of the table: recordings per second before and after, and their ratio."""
    count, digests = arguments.recordings * FACTORS.get(name, 1), {}
    if name == "dvsgesture":  # as many of each gesture, and in training as in the test
        count -= count % (2 * gestures.GESTURES)

    def clock(camera: str) -> float:
        with tempfile.TemporaryDirectory() as folder:
            said, _ = making(camera, folder, name, arguments.data, count).communicate()
            digests[camera] = digest(Path(folder))
        return float(said)

    clock("compiled")  # which compiles, where the machine code was not kept
    clocks = {camera: lambda camera=camera: clock(camera) for camera in ("numpy", "compiled")}
    seconds = in_turns(clocks, arguments.rounds)
    before, after = (count / median(seconds[camera]) for camera in clocks)
    assert digests["numpy"] == digests["compiled"]
    return {
        "benchmark": name,
        "recordings": count,
        "numpy_per_second": before,
        "compiled_per_second": after,
        "ratio": after / before,
    }


def making(camera: str, folder: str, name: str, data: Path, count: int) -> subprocess.Popen:
    """A process that makes recordings; see `make`."""
    what = [str(data), "--benchmarks", name, "--recordings", str(count), "--make", camera, folder]
    command = [sys.executable, __file__, *what]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def make(camera: str, folder: str, name: str, data: Path, count: int) -> None:
    """Simulate recordings of one benchmark with either camera, evenly from its pictures; prints the
    seconds that it took."""
    if camera == "numpy":
        delayed = joblib.delayed
        joblib.delayed = lambda job: delayed(partial(with_arrays, job))
    if name == "dvsgesture":
        work = partial(simulate.simulate_gestures, folder, 0, count // (2 * gestures.GESTURES))
    else:
        pictures = read_pictures(data / "images" / PICTURES[name])
        some = pictures[:: len(pictures) // count][:count]
        work = partial(simulate.simulate_pictures, name, folder, some, "bench")
    start = time.perf_counter()
    work()
    print(time.perf_counter() - start)


def with_arrays(job, *arguments):
    """A job of the simulation with the camera and the drawing as array operations."""
    with (
        patch.object(simulate, "record_pictures", numpy_camera.record_pictures),
        patch.object(simulate, "record_scene", numpy_camera.record_scene),
        patch.object(gestures, "looks", numpy_camera.looks),
    ):
        return job(*arguments)


def digest(folder: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        found.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return found.hexdigest()


def peak(name: str, data: Path, count: int) -> float:
    """MB that all processes of a simulation take together at most, looked at all the time."""
    most = 0
    with tempfile.TemporaryDirectory() as folder:
        process = making("compiled", folder, name, data, count)
        tree = psutil.Process(process.pid)
        while process.poll() is None:
            most = max(most, sum(map(unshared, [tree, *tree.children(recursive=True)])))
            time.sleep(0.05)
    return most / 2**20


def unshared(process: psutil.Process) -> int:
    try:
        return process.memory_full_info().uss
    except psutil.Error:  # it has ended
        return 0


if __name__ == "__main__":
    main()
