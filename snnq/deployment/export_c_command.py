"""A packed network as plain C99: net.h and net.c.

Prints the command that compiles them.
"""

import argparse

EXAMPLES = ("snnq export-c results/runs/mine/packed.safetensors out",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", help="a file that snnq.pack or `snnq train` wrote")
    parser.add_argument("folder", help="where net.h and net.c go")


def run(arguments: argparse.Namespace) -> None:
    from snnq.deployment.export_c import export_c
    from snnq.storage.pack import unpack

    export_c(unpack(arguments.network), arguments.folder)
    print(f"gcc -std=c99 -O3 {arguments.folder}/net.c -o {arguments.folder}/net")
