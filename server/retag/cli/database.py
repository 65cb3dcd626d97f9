"""What commands share: the settings of the command line, and one connection to the database."""

from __future__ import annotations

import argparse
import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from retag import errors
from retag.settings import Settings
from retag.store import registry, sqlite

T = TypeVar("T")


def option(parser: argparse.ArgumentParser) -> None:
    """`--database`, else RETAG_DATABASE, else the default."""
    parser.add_argument(
        "--database",
        metavar="URL",
        help="sqlite:///PATH (default: RETAG_DATABASE, or retag-data/retag.db here)",
    )


def settings(args: argparse.Namespace, **more: Any) -> Settings:
    return Settings.load(os.environ, database=args.database, **more)


@contextlib.contextmanager
def opened(args: argparse.Namespace, make: bool = False) -> Iterator[sqlite3.Connection]:
    """A read-write connection to a migrated file; NotFound when there is none and `make` is not set."""
    path = Path(settings(args).path)
    if make:
        path.parent.mkdir(parents=True, exist_ok=True)
    elif not path.exists():
        raise errors.NotFound(f"There is no database at {path}: run `retag init` first.")
    with contextlib.closing(sqlite.opened(path)) as cn:
        try:
            yield cn
        except sqlite3.Error as error:
            raise sqlite.unusable(path, error) from error


def account(cn: sqlite3.Connection) -> int:
    found = registry.account_id(cn)
    if found is None:
        raise errors.NotFound("There is no ad account yet: run `retag init` first.")
    return found


def write(cn: sqlite3.Connection, job: Callable[[sqlite3.Connection], T]) -> T:
    """`job(cn)` in a transaction of its own, which waits for a running server's."""
    cn.execute("BEGIN IMMEDIATE")
    try:
        result = job(cn)
        cn.execute("COMMIT")
    except BaseException:
        if cn.in_transaction:  # a full disk has rolled it back already
            cn.execute("ROLLBACK")
        raise
    return result
