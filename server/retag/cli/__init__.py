"""The command line: one file a command, one table. Each command's `--help` teaches it.

A command is a module with `ABOUT` (its help), `options(parser)` and `run(args)`, which returns the exit code.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from retag import __version__, errors
from retag.cli import audiences, doctor, exporting, importing, init, keys, lists, serve, showing, snippet

COMMANDS: dict[str, ModuleType] = {
    "init": init,
    "serve": serve,
    "snippet": snippet,
    "import": importing,
    "export": exporting,
    "audiences": audiences,
    "lists": lists,
    "keys": keys,
    "doctor": doctor,
    "settings": showing,
}


def parser() -> argparse.ArgumentParser:
    """Every command with its help."""
    top = argparse.ArgumentParser(
        prog="retag", description="A self-hosted retargeting tag: collect, build audiences, export them."
    )
    top.add_argument("--version", action="version", version=f"retag {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        about: str = module.ABOUT
        one = commands.add_parser(
            name,
            help=about.strip().splitlines()[0],
            description=about,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.options(one)
    return top


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and exit; a RetagError is one line and exit code 2."""
    args = parser().parse_args(argv)
    try:
        code = COMMANDS[args.command].run(args)
    except errors.RetagError as error:
        print(f"retag: {error}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)
