"""A packed network as plain C99: net.h and net.c.

Prints the command that compiles them.
"""

import argparse
import shlex

EXAMPLES = (
    "snnq export-c results/runs/mine/packed.safetensors out",
    "snnq export-c results/runs/mine/packed.safetensors out --integer --membrane-bits 8",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", help="a file that snnq.pack or `snnq train` wrote")
    parser.add_argument("folder", help="where net.h and net.c go")
    parser.add_argument("--integer", action="store_true", help="without floating-point numbers")
    parser.add_argument(
        "--membrane-bits",
        type=int,
        help="of membrane potentials, 2 to 20, with --integer; those it was trained with, or 12",
    )


def run(arguments: argparse.Namespace) -> None:
    from snnq.deployment.export_c import export_c
    from snnq.deployment.integer import to_integer
    from snnq.storage.pack import unpack

    network = unpack(arguments.network)
    if arguments.integer:
        network = to_integer(network, arguments.membrane_bits)
    export_c(network, arguments.folder)
    files = f"{arguments.folder}/net.c", "-o", f"{arguments.folder}/net"
    print(shlex.join(["gcc", "-std=c99", "-O3", *files]))
