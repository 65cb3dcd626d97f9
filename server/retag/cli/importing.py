"""retag import."""

from __future__ import annotations

import argparse
import contextlib
import gc
import hashlib
import io
import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
from tqdm import tqdm

from retag import errors, history
from retag.cli import database
from retag.cli.rows import Unread, check, rows
from retag.clock import time_ms
from retag.events import Event
from retag.store import log
from retag.store.engine import SqliteStore
from retag.windows import DAY

ABOUT = """Import past events from NDJSON or CSV files (by the name: .csv is CSV).

    retag import events.ndjson orders.csv --map CustomerID=external_id --map InvoiceDate=time

Columns: time (required: Unix s, ms or µs, or ISO 8601), visitor or an identifier (em, ph, external_id),
event (default pagevisit), event_id, url, platform; everything else becomes event data, such as value,
currency, order_id, line_items. One line of NDJSON:

    {"time": 1795478400, "em": "ann@mail.example", "event": "checkout", "value": 19.9, "order_id": "X-1"}

CSV: the first line names the columns, commas separate them, the text is UTF-8. A file that can hold no
event, such as one without a time, is refused before anything goes in.
Bad lines go to FILE.rejects with their reasons, the rest goes in.
Interrupted, run it again: it goes on where it was. Importing a file twice changes nothing."""

BATCH = 10_000
ENDS = 65_536
REJECTS = " rejects"
"""Behind an import's name: how far the file of its rejects was."""


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--map", action="append", default=[], metavar="THEIRS=OURS", help="rename a column")
    parser.add_argument("--shift", action="store_true", help="move all times so that the last is now")
    database.option(parser)


def run(args: argparse.Namespace) -> int:
    if wrong := next((one for one in args.map if not all(one.partition("="))), None):
        raise errors.Invalid("--map", f"{wrong} should read THEIRS=OURS, such as CustomerID=external_id")
    renamed = dict(one.split("=", 1) for one in args.map)
    for file in args.files:
        check(file, renamed)
    with database.opened(args) as cn:
        account = database.account(cn)
    now = time_ms()
    reading = history.Reading(account, renamed, now)
    if args.shift:
        last = max(latest(file, reading) for file in args.files)
        reading = msgspec.structs.replace(reading, shift=now - last)
    settings = database.settings(args)
    store = SqliteStore(settings.path)
    store.open()
    gc.disable()  # millions of small containers, and no cycles among them
    try:
        for file in args.files:
            Import(store, file, reading, settings.retention_days).run()
    finally:
        gc.enable()
        store.close()
    return 0


def latest(file: Path, reading: history.Reading) -> int:
    """The last time in a file."""
    found = 0
    with file.open("rb") as lines:
        for _, row in rows(lines, file, 0):
            with contextlib.suppress(errors.RetagError):
                given = {reading.renamed.get(key, key): value for key, value in row.items()}
                found = max(found, history.time_of(given.get("time")))
    return found


class Rejects:
    """FILE.rejects: bad lines with their reasons, made when there is one.

    An import that stopped goes on behind byte `kept`: what is behind that it reads, and rejects, again.
    """

    def __init__(self, file: Path, kept: int) -> None:
        self.path = Path(f"{file}.rejects")
        self.file: io.TextIOBase | None = None
        self.count = 0
        if not kept:
            self.path.unlink(missing_ok=True)
        elif self.path.exists() and self.path.stat().st_size > kept:
            os.truncate(self.path, kept)

    def add(self, reason: str, line: Any) -> None:
        """One line. Raises OSError when the file cannot be written."""
        if self.file is None:
            self.file = self.path.open("a", encoding="utf-8")
        self.count += 1
        self.file.write(json.dumps({"reason": reason, "line": line}) + "\n")

    def flush(self) -> int:
        """Before an import's mark moves on, so that whoever kills it loses no reason: the file's size."""
        if self.file is None:
            return self.path.stat().st_size if self.path.exists() else 0
        self.file.flush()
        return self.file.tell()

    def close(self) -> None:
        if self.file is not None:
            self.file.close()


def known(file: Path, size: int) -> str:
    """By what a file is known again: a hash of its beginning and its end."""
    with file.open("rb") as content:
        found = hashlib.blake2b(content.read(ENDS), digest_size=8)
        content.seek(max(0, size - ENDS))
        found.update(content.read(ENDS))
    return found.hexdigest()


class Import:
    """One file on its way in."""

    def __init__(self, store: SqliteStore, file: Path, reading: history.Reading, days: int) -> None:
        self.store = store
        self.file = file
        self.reading = reading
        self.days = days
        self.size = file.stat().st_size
        self.name = f"import {known(file, self.size)} {self.size} {sorted(reading.renamed.items())}"
        self.taken = self.old = 0

    def run(self) -> None:
        """Everything from where it stopped, folded; prints what it came to."""
        start, kept = self.store.write(
            lambda cn: (log.progress(cn, self.name), log.progress(cn, self.name + REJECTS))
        )
        if start >= self.size > 0:
            print(f"{self.file}: 0 events taken, 0 lines rejected (imported before)")
            return
        bar = tqdm(total=self.size, initial=start, unit="B", unit_scale=True, desc=self.file.name)
        self.rejects = Rejects(self.file, kept if start else 0)
        with bar, self.file.open("rb") as lines, contextlib.closing(self.rejects):
            batch: list[Event] = []
            offset = start
            for number, (offset, row) in enumerate(rows(lines, self.file, start), 1):
                self._take(row, batch)
                if number % BATCH == 0:
                    self._store(batch, offset)
                    bar.update(offset - bar.n)
            self._store(batch, max(offset, self.size))
            bar.update(self.size - bar.n)
        self._fold()
        more = f": see {self.rejects.path}" if self.rejects.count else ""
        print(f"{self.file}: {self.taken:,} events taken, {self.rejects.count:,} lines rejected{more}")
        if self.old:
            words = f"older than the {self.days} days of RETAG_RETENTION_DAYS, and soon deleted"
            print(f"{self.old:,} of them are {words}. Into a new database, --shift moves them up to now.")

    def _take(self, row: dict[str, Any], batch: list[Event]) -> None:
        if isinstance(row, Unread):
            self.rejects.add(f"line: {row.reason}", row.text)
            return
        try:
            event = history.event_of(row, self.reading)
        except errors.RetagError as error:
            self.rejects.add(str(error), row)
        else:
            batch.append(event)
            self.old += event.time < self.reading.now - self.days * DAY

    def _store(self, batch: list[Event], offset: int) -> None:
        """Append, fold, and note how far the file is in; what is appended twice counts once."""
        if batch:
            self.store.append(batch, ())
            self.taken += len(batch)
            self._fold()
            batch.clear()
        kept = self.rejects.flush()

        def mark(cn: sqlite3.Connection) -> None:
            log.set_progress(cn, self.name, offset)
            log.set_progress(cn, self.name + REJECTS, kept)

        # Power loss may take the mark back: then the batch is read again, and counts once.
        self.store.write(mark, durable=False)

    def _fold(self) -> None:
        while self.store.waiting()[0]:
            self.store.fold(time_ms(), BATCH)
