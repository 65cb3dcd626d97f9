"""retag export."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import os
import secrets
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

from retag import errors
from retag.cli import database
from retag.clock import time_ms
from retag.formats import FORMATS
from retag.press import printing
from retag.press.asking import OPS, Asked, members_job
from retag.press.codecs import CODECS, Stream
from retag.press.flow import EVER, Flow
from retag.press.job import Manifest
from retag.store import downloads
from retag.store.direct import Direct

ABOUT = """Write an audience's members to standard output, or to a file.

    retag export 2542000000001 --format csv > members.csv
    retag export 2542000000001 --format ndjson --compress gzip --output members.ndjson.gz
    retag export 2542000000001 --since TOKEN --output changes.csv

Columns: visitor_id, since, until, last_event; times in UTC milliseconds. The as_of, rows and hash go to
standard error: give that as_of as --since the next time to get only what changed. A file appears when it is
whole."""
WHO = "command line"


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("audience", type=int, help="its id: see `retag audiences`")
    parser.add_argument("--format", choices=FORMATS, default="csv")
    parser.add_argument("--fields", default="", help="columns, separated by commas")
    parser.add_argument("--as-of", default="", metavar="TOKEN", help="the set of an earlier export again")
    parser.add_argument("--since", default="", metavar="TOKEN", help="only what changed after that as_of")
    parser.add_argument("--op", default="", choices=OPS, help="with --since: one half of it")
    parser.add_argument("--spreadsheet", action="store_true", help="no free text is a formula")
    parser.add_argument("--compress", choices=CODECS)
    parser.add_argument("--output", type=Path, metavar="FILE", help="instead of standard output")
    database.option(parser)


def run(args: argparse.Namespace) -> int:
    names = ("format", "as_of", "since", "fields", "op", "spreadsheet")
    asked = Asked(**{name: getattr(args, name) for name in names})
    with database.opened(args) as cn:
        account = _account(cn, args.audience)
        with _opened(args.output, args.compress) as file:
            path = database.settings(args).path
            about = asyncio.run(written(path, account, args.audience, asked, file))
        database.write(cn, lambda cn: downloads.note(cn, about, WHO, time_ms()))
    missing = f", {about.missing:,} without what {about.format} needs" if about.missing else ""
    print(f"{about.rows:,} rows{missing}, as of {about.as_of}, sha256 {about.sha256}", file=sys.stderr)
    return 0


async def written(path: str, account: int, audience: int, asked: Asked, file: Any) -> Manifest:
    """Everything, in constant memory; what came of it."""
    with closing(Direct(path)) as reader:
        job = await members_job(reader, account, audience, asked, time_ms())
        await printing.write(reader, job, file, Flow(EVER), lambda _: None)
        return job.manifest


def _account(cn: sqlite3.Connection, audience: int) -> int:
    sql = "SELECT account FROM audience WHERE id = ? AND removed IS NULL"
    row = cn.execute(sql, (audience,)).fetchone()
    if row is None:
        raise errors.NotFound(f"There is no audience {audience}: see `retag audiences`.")
    return int(row[0])


class Packed:
    """A file whose bytes are compressed on their way."""

    def __init__(self, file: BinaryIO, stream: Stream) -> None:
        self.file, self.stream = file, stream

    def write(self, part: bytes) -> int:
        self.file.write(self.stream.compress(part))
        return len(part)


@contextlib.contextmanager
def _opened(path: Path | None, encoding: str | None) -> Iterator[Any]:
    """Where to write: standard output, or a file that appears when it is whole."""
    if path and path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    # Of its own: an export that takes longer than the time between two of them overlaps with the next.
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part") if path else None
    try:
        with part.open("wb") if part else contextlib.nullcontext(sys.stdout.buffer) as file:
            packed = Packed(file, CODECS[encoding].open()) if encoding else None
            yield packed or file
            file.write(packed.stream.flush() if packed else b"")
            file.flush()
        if part and path:
            part.replace(path)
    finally:
        if part:
            part.unlink(missing_ok=True)
