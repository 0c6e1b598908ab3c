"""A packed network as Verilog, of integers alone, with a test bench and a Makefile.

Prints how to simulate it. With --report it is simulated, synthesized and placed, which takes
minutes, and what that gives is printed.
"""

import argparse

EXAMPLES = (
    "snnq export-fpga results/runs/mine/packed.safetensors out",
    "snnq export-fpga results/runs/mine/packed.safetensors out --report frames.bin",
    "snnq export-fpga results/runs/mine/packed.safetensors out --lanes 1 --queue 2 --most 31 --one-port 512",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", help="a file that snnq.pack or `snnq train` wrote")
    parser.add_argument("folder", help="where the files go")
    parser.add_argument(
        "--membrane-bits",
        type=int,
        help="of membrane potentials, 2 to 20; those it was trained with, or 12",
    )
    parser.add_argument(
        "--lanes", type=int, default=16, help="neurons that a layer computes at a time (%(default)s)"
    )
    parser.add_argument(
        "--queue", type=int, default=16, help="events that may wait for a layer (%(default)s)"
    )
    parser.add_argument(
        "--most", type=int, default=255, help="greatest count of a pixel in a time step (%(default)s)"
    )
    parser.add_argument(
        "--one-port",
        type=int,
        metavar="WORDS",
        help="from which size on memories are never read and written at once, as iCE40's large ones",
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
    options = {name: getattr(arguments, name) for name in ("lanes", "queue", "most", "one_port")}
    export_fpga(network, arguments.folder, **options)
    if arguments.report:
        print(fpga_report(arguments.folder, arguments.report, arguments.target).to_string())
    else:
        print(f"make -C {arguments.folder} FRAMES=frames.bin")
