"""The command `snnq`, also `python -m snnq`.

A subcommand `name` of a room is the module `<room>/<name>_command.py`, with its description as
docstring, `EXAMPLES`, `add_arguments(parser)` and `run(arguments)`. Only the one that was asked for
is imported, and it imports its room when it runs, so that no help has to wait for torch.
"""

import argparse
import difflib
import importlib
import os
import re
import sys
import warnings
from collections.abc import Sequence
from importlib import metadata
from types import ModuleType

COMMANDS = {  # name: room, one line for the help
    "simulate": ("simulation", "make recordings with a simulated camera"),
    "frames": ("recordings", "build frames of recordings ahead of training, which checks them"),
    "train": ("training", "train a network, or go on where a run was stopped"),
    "inspect": ("storage", "show what is inside a packed network's file"),
    "export-c": ("deployment", "write a packed network as plain C"),
    "export-fpga": ("deployment", "write a packed network as Verilog"),
    "study": ("study", "carry out a study: recordings, training, tables, notebooks, figures"),
    "compare": ("figures", "set any runs side by side: what differs, and what each reached"),
    "gather": ("study", "write the tables of a study's finished runs"),
    "forecast": ("study", "say how far a study is, and how long it will still take here"),
    "figures": ("figures", "draw a study's figures from its tables"),
    "reference": ("study", "for maintainers: take a study into results/reference"),
}
ERRORS = (ValueError, OSError, MemoryError, FloatingPointError)  # not those of a bug
FAILED, INTERRUPTED, NO_READER = 1, 128 + 2, 128 + 13  # the last two as a shell counts signals


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, by default the process's own; returns the exit code.

    Raises
    ------
    SystemExit
        0 after a help, 2 after a command line that cannot be read.
    """
    argv = sys.argv[1:] if argv is None else argv
    try:
        try:
            return _main([_with_dashes(text) for text in argv])
        finally:
            sys.stdout.flush()  # here, where a reader who left is no error
    except BrokenPipeError:  # `snnq inspect … | head` has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NO_READER


def parsers(chosen: str | None) -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """The parser of `snnq`, and that of a subcommand, the only one that knows its arguments."""
    parser = found = argparse.ArgumentParser(
        "snnq",
        description="Low-bit weight quantization in spiking neural networks.",
        epilog="`snnq COMMAND --help` has the arguments of a command, with examples.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="show the version and exit")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for name, (_, summary) in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=summary,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == chosen:
            found, module = command, module_of(name)
            command.description = module.__doc__
            command.epilog = "examples:\n" + "\n".join(f"  {line}" for line in module.EXAMPLES)
            module.add_arguments(command)
    return parser, found


def module_of(name: str) -> ModuleType:
    """The module of a subcommand."""
    return importlib.import_module(f"snnq.{COMMANDS[name][0]}.{name.replace('-', '_')}_command")


def _main(argv: list[str]) -> int:
    parser, command = parsers(argv[0] if argv else None)
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        command.error(f"unrecognized arguments: {' '.join(unknown)}{_hint(unknown, command)}")
    if arguments.version:
        print(f"snnq {metadata.version('snnq')}")
    elif arguments.command is None:
        parser.print_help()
    else:
        return _run(module_of(arguments.command), arguments, command.prog)
    return 0


def _run(module: ModuleType, arguments: argparse.Namespace, prog: str) -> int:
    def say(what: object) -> None:
        print(f"{prog}: {' '.join(str(what).split())}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: say(f"warning: {message}")
        try:
            module.run(arguments)
        except BrokenPipeError:
            raise
        except ERRORS as error:
            say(error if str(error) else type(error).__name__)
            return FAILED
        except KeyboardInterrupt as interrupt:
            say(interrupt if str(interrupt) else "interrupted")
            return INTERRUPTED
    return 0


def _with_dashes(text: str) -> str:
    """Options may be spelt as the settings are: --batch_size=4 is --batch-size=4."""
    name, *value = text.split("=", 1)
    return "=".join([name.replace("_", "-"), *value]) if name.startswith("--") else text


def _hint(unknown: list[str], command: argparse.ArgumentParser) -> str:
    """The option that the first unknown one resembles."""
    given = next((text for text in unknown if text.startswith("--")), "").split("=")[0]
    known = re.findall(r"--[\w-]+", command.format_help())
    close = difflib.get_close_matches(given, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


if __name__ == "__main__":
    sys.exit(main())
