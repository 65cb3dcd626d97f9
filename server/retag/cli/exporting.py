"""retag export."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import sys

from retag import errors
from retag.cli import database
from retag.formats import COLUMNS, FORMATS, Format, Row
from retag.store import members
from retag.store.reader import Reader

ABOUT = """Write an audience's members to standard output.

    retag export 2542000000001 --format csv > members.csv

Columns: visitor_id, since, until, last_event; times in UTC milliseconds. Rows and hash go to standard error.
Over the API: GET …/audiences/{id}/export, which also gives what changed since an earlier export."""


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("audience", type=int, help="its id: see `retag audiences`")
    parser.add_argument("--format", choices=FORMATS, default="csv")
    database.option(parser)


def run(args: argparse.Namespace) -> int:
    with database.opened(args):
        pass
    asyncio.run(stream(database.settings(args).path, args.audience, FORMATS[args.format]))
    return 0


async def stream(path: str, audience: int, form: Format) -> None:
    """Everything, in constant memory."""
    reader = Reader(path)
    try:
        as_of = await members.current(reader, database.now_ms())
        if await reader.one("SELECT 1 FROM audience WHERE id = ? AND removed IS NULL", (audience,)) is None:
            raise errors.NotFound(f"There is no audience {audience}: see `retag audiences`.")
        build = await members.build_at(reader, audience, as_of)
        found, rows = hashlib.sha256(), 0
        _put(form.head(COLUMNS), found)
        async for page in members.pages(reader, build, as_of):
            rows += len(page)
            _put(
                form.rows([Row(one.visitor, one.opens, one.closes, one.last) for one in page], COLUMNS), found
            )
        sys.stdout.buffer.write(form.trailer(str(as_of), rows, found.hexdigest()))
        sys.stdout.buffer.flush()
        print(f"{rows:,} members as of {as_of}, sha256 {found.hexdigest()}", file=sys.stderr)
    finally:
        await reader.close()


def _put(part: bytes, found: hashlib._Hash) -> None:
    found.update(part)
    sys.stdout.buffer.write(part)
