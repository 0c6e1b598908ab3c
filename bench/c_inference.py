"""The C program against PyTorch's float32 evaluation: the same network and recordings, one core.

    python bench/c_inference.py [data folder] [--run results/runs/c_inference]

On the binary N-MNIST network with 128 channels at T = 10, trained for two epochs (in three minutes
or so, unless the folder holds it already), so that its neurons fire as often as trained ones do.
Both take one recording after the other: PyTorch in this process, on weights that are plain float32
already; the C program as a process that starts anew and reads its recordings from a file each
time. Claim: at least 2 times faster.

Columns: seconds per recording; ratio to the C program's; synaptic operations, as the C program
counts them (weights added up), per recording and per second; megabytes: the process's peak
resident memory (`wait4`), of PyTorch the float32 parameters alone; same_class: for how many of
the recordings both name the same class.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import torch
from compare import compare, report

import snnq
from snnq.deployment.export_c import export_c, write_frames

STEPS = 10
# A process starts with the peak of the one that it comes from, which must be a small one.
PEAK = r"""
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct rusage used;
    if (argc > 1 && !fork())
        return execv(argv[1], argv + 1);
    wait4(-1, NULL, 0, &used);
    fprintf(stderr, "%ld\n", used.ru_maxrss);
}
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="?", default="data/digits")
    parser.add_argument("--run", default="results/runs/c_inference", help="of the trained network")
    parser.add_argument("--recordings", type=int, default=100)
    arguments = parser.parse_args()
    run = snnq.Run(levels="binary", data=arguments.data, channels=128, steps=STEPS, epochs=2)
    snnq.fit(run, arguments.run)
    torch.set_num_threads(1)
    model = snnq.trained_network(arguments.run)
    frames = snnq.load("nmnist", arguments.data, STEPS)[1].frames[: arguments.recordings]
    with tempfile.TemporaryDirectory() as folder:
        program, path = compiled(model, Path(folder)), Path(folder) / "frames.bin"
        in_float32 = snnq.evaluated_copy(model)
        write_frames(path, frames)
        classes, operations = np.array([line[:2] for line in lines_of(program, path)], int).T
        candidates = {
            "C": lambda: lines_of(program, path),
            "PyTorch float32": evaluation(in_float32, frames),
        }
        table = compare(candidates)
        peak = peak_of(program, path)
    table["seconds"] /= len(frames)
    table["operations"] = operations.mean()
    table["operations_per_second"] = operations.mean() / table["seconds"]
    table["megabytes"] = [peak / 1e6, sum(p.nbytes for p in in_float32.parameters()) / 1e6]
    table["same_class"] = (classes == candidates["PyTorch float32"]()).sum()
    report("c_inference", table.assign(recordings=len(frames), threads=1))


def compiled(model: torch.nn.Module, folder: Path) -> Path:
    export_c(model, folder)
    gcc("-Wall", "-Wextra", "-Werror", folder / "net.c", "-o", folder / "net")
    return folder / "net"


def gcc(*arguments: str | Path, standard: str = "c99") -> None:
    subprocess.run(["gcc", f"-std={standard}", "-O3", *arguments], check=True)


def lines_of(program: Path, path: Path) -> list[list[str]]:
    out = subprocess.run([program, path], capture_output=True, text=True, check=True).stdout
    return [line.split() for line in out.splitlines()]


def evaluation(model: torch.nn.Module, frames: np.ndarray):
    """The classes of all frames, one recording at a time."""

    @torch.no_grad()
    def one_by_one() -> list[int]:
        batches = (torch.from_numpy(frames[i : i + 1].copy()) for i in range(len(frames)))
        return [int(model(batch.transpose(0, 1).float()).argmax()) for batch in batches]

    return one_by_one


def peak_of(program: Path, path: Path) -> int:
    """Bytes of resident memory that the program takes at most."""
    watcher = program.parent / "watcher"
    watcher.with_suffix(".c").write_text(PEAK)
    gcc(watcher.with_suffix(".c"), "-o", watcher, standard="gnu99")
    done = subprocess.run([watcher, program, path], capture_output=True, text=True, check=True)
    return 1024 * int(done.stderr)


if __name__ == "__main__":
    main()
