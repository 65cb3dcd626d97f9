"""retag export."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import sys

from retag import errors
from retag.cli import database
from retag.formats import FORMATS, Format, Row, Shown
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
        known = "SELECT account FROM audience WHERE id = ? AND removed IS NULL"
        audience_row = await reader.one(known, (audience,))
        if audience_row is None:
            raise errors.NotFound(f"There is no audience {audience}: see `retag audiences`.")
        build = await members.build_at(reader, audience, as_of)
        account, found, rows = audience_row[0], hashlib.sha256(), 0
        _put(form.head(form.columns), found)
        async for page in members.pages(reader, build, as_of):
            shown = await _shown(reader, account, page, form)
            lines = form.rows(page, form.columns, shown)
            rows += len(lines)
            _put("".join(lines).encode(), found)
        about = {"as_of": str(as_of), "rows": rows, "sha256": found.hexdigest()}
        sys.stdout.buffer.write(form.trailer(about))
        sys.stdout.buffer.flush()
        print(f"{rows:,} members as of {as_of}, sha256 {found.hexdigest()}", file=sys.stderr)
    finally:
        await reader.close()


async def _shown(reader: Reader, account: int, page: list[Row], form: Format) -> Shown:
    if not form.kinds:
        return {}
    return await members.shown(reader, account, [row[0] for row in page], form.kinds)


def _put(part: bytes, found: hashlib._Hash) -> None:
    found.update(part)
    sys.stdout.buffer.write(part)
