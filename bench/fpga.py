"""What trained networks take on FPGAs, and how long a recording takes there.

    python bench/fpga.py data/mnist results/desk/runs/RUN [RUN ...] [--target ice40] [--folder out]

Each network is made one of integers, written as Verilog, simulated with Verilator on recordings of
the test set, synthesized with Yosys and placed with nextpnr (minutes each; where the folder
holds the same network already, not again). `SEED=2` before the command places by another chance than
SEED=1. No board is measured.

Columns: the run's levels and channels; accuracy of the network of integers, over the whole test
set, and what `snnq.fpga_report` says. On an iCE40 UP5K, which has little of everything, layers compute
one neuron at a time, and large memories have one port.
"""

import argparse
import os
from pathlib import Path

import pandas as pd
from compare import report

import snnq

OPTIONS = {
    "ecp5": {"lanes": 32},
    "ice40": {"lanes": 1, "queue": 2, "most": 31, "one_port": 512},
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs on N-MNIST")
    parser.add_argument("--target", choices=OPTIONS, default="ecp5")
    parser.add_argument("--membrane-bits", type=int, default=12)
    parser.add_argument("--recordings", type=int, default=100)
    parser.add_argument("--folder", type=Path, default=Path("results/fpga"), help="of the Verilog")
    arguments = parser.parse_args()
    rows = [row_of(run, arguments) for run in arguments.runs]
    report(f"fpga_{arguments.target}", pd.DataFrame(rows))


def row_of(run: Path, arguments: argparse.Namespace) -> dict:
    settings = snnq.read_record(run)["run"]
    folder = arguments.folder / f"{run.name}-{arguments.target}"
    network = snnq.to_integer(snnq.unpack(run / "packed.safetensors"), arguments.membrane_bits)
    options = OPTIONS[arguments.target]
    snnq.export_fpga(network, folder, **options)
    _, test = snnq.load("nmnist", arguments.data, settings["steps"])
    every = max(1, len(test) // arguments.recordings)
    snnq.write_frames(folder / "frames.bin", test.frames[::every])
    return {
        "levels": settings["levels"],
        "channels": settings["channels"],
        "steps": settings["steps"],
        "membrane_bits": arguments.membrane_bits,
        "data": snnq.recordings_name("nmnist", snnq.source("nmnist", arguments.data)),
        "accuracy": snnq.evaluate(network, test)[0],
        "lanes": options["lanes"],
        "placing_seed": int(os.environ.get("SEED", 1)),  # which the Makefile takes
        **snnq.fpga_report(folder, folder / "frames.bin", arguments.target),
    }


if __name__ == "__main__":
    main()
