"""A packed network as Verilog, of integers alone, with a test bench and a Makefile.

Prints how to simulate it. With --report it is simulated, synthesized and placed, which takes
minutes, and what that gives is printed.
"""

import argparse

EXAMPLES = (
    "snnq export-fpga results/runs/mine/packed.safetensors out",
    "snnq export-fpga results/runs/mine/packed.safetensors out --report frames.bin",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", help="a file that snnq.pack or `snnq train` wrote")
    parser.add_argument("folder", help="where the files go")
    parser.add_argument(
        "--membrane-bits", type=int, default=12, help="of membrane potentials, 2 to 20 (%(default)s)"
    )
    parser.add_argument(
        "--lanes", type=int, default=16, help="neurons that a layer computes at a time (%(default)s)"
    )
    parser.add_argument(
        "--report", metavar="FRAMES", help="recordings to simulate, a file of snnq.write_frames"
    )
    parser.add_argument(
        "--target", default="ecp5", help="what to place it on: ecp5 (LFE5U-85F) or ice40 (UP5K)"
    )


def run(arguments: argparse.Namespace) -> None:
    from snnq.deployment.export_fpga import export_fpga
    from snnq.deployment.fpga_report import fpga_report
    from snnq.deployment.integer import to_integer
    from snnq.storage.pack import unpack

    network = to_integer(unpack(arguments.network), arguments.membrane_bits)
    export_fpga(network, arguments.folder, lanes=arguments.lanes)
    if arguments.report:
        print(fpga_report(arguments.folder, arguments.report, arguments.target).to_string())
    else:
        print(f"make -C {arguments.folder} FRAMES=frames.bin")
