"""The command line: one file a command, one table. Each command's `--help` teaches it.

A command is a module with `ABOUT` (its help), `options(parser)` and `run(args)`, which returns the exit code.
"""

from __future__ import annotations

import argparse
import errno
import os
import sqlite3
import sys
from collections.abc import Sequence
from types import ModuleType

from retag import __version__, errors
from retag.cli import audiences, doctor, exporting, importing, init, keys, lists, serve, showing, snippet
from retag.store import sqlite

ABOUT = """A self-hosted retargeting tag: collect events, build audiences, export them.

    retag serve                       the shop, the console and an API key are printed
    retag export 2542000000001        the members of an audience
    retag COMMAND --help              what a command does, with examples

Data is in ./retag-data, or where --database or RETAG_DATABASE says."""

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
        prog="retag", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("--version", action="version", version=f"retag {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", title="commands")
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
    """Run one command and exit; what the world got wrong is one line and exit code 2."""
    args = parser().parse_args(argv if argv is not None else sys.argv[1:] or ["--help"])
    try:
        code = COMMANDS[args.command].run(args)
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except (errors.RetagError, sqlite3.Error, OSError) as error:
        print(f"retag: {told(error)}", file=sys.stderr)
        code = 2
    sys.exit(code)


def told(error: Exception) -> str:
    """An error in one line, with what to do about it."""
    if isinstance(error, sqlite3.Error):
        return str(sqlite.unusable("the database", error))
    remedy = REMEDIES.get(error.errno or 0) if isinstance(error, OSError) else None
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}. {remedy or 'Check the path.'}"
    return f"{error.strerror}. {remedy}" if isinstance(error, OSError) and remedy else str(error)


REMEDIES = {
    errno.EACCES: "Check its owner and rights.",
    errno.EPERM: "Check its owner and rights.",
    errno.EROFS: "Give a path on another disk.",
    errno.ENOSPC: "Make room on its disk.",
    errno.EISDIR: "Give a file.",
}
