"""The SQLite engine behind the journal: one read-write connection, used by the writer thread alone."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from retag import fold
from retag.clock import time_ms
from retag.draft import Draft, Settling, owed, whole
from retag.events import Event
from retag.store import collector, graves, log, settle, sqlite, wal
from retag.store.census import Census
from retag.store.desk import Desk
from retag.store.protocol import Folded
from retag.store.tail import Tail

T = TypeVar("T")

CHECKED_FIRST = 500_000_000
"""Files up to this size are checked before they are served, larger ones in the background."""
WAL_DUE = 30 << 20
"""Bytes of WAL to checkpoint at when idle."""
BUSY = 3
"""So much larger when busy: less than sqlite.WAL_KEPT, which is written over again and again."""
SETTLED = 512
"""Events of a draft that are settled at a time."""
PINNED_S = 0.5
LOOK_S = 0.02
"""How often the WAL's size is looked at: not after every commit."""
POISON = (OverflowError, UnicodeEncodeError, TypeError, ValueError, sqlite3.IntegrityError,
          sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError)  # fmt: skip
FATAL = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class SqliteStore:
    """`unsound` says what a check found, None while nothing has been."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).resolve()  # beside which SQLite puts the WAL, whatever links lead here
        self.unsound: str | None = None
        self.checking = False
        self.census = Census()
        self._tail = Tail()
        self._next_apart = 1
        self._draft: Draft | None = None
        self._halfway = False
        """A fold has been broken off: some of its portions are written."""
        self._pinned = 0.0
        self._looked = 0.0

    def open(self) -> None:
        """Check, open and migrate. Raises sqlite.Unusable."""
        if self.path.exists() and self.path.stat().st_size <= CHECKED_FIRST:
            self._check()
            if self.unsound:
                raise sqlite.Unusable(f"{self.path}: is damaged ({self.unsound}). {sqlite.DAMAGED}")
        self._cn = sqlite.opened(self.path)
        self._cn.shifts = []
        self._desk = Desk()
        self._refresh()
        if self.path.stat().st_size > CHECKED_FIRST:
            self.checking = True
            threading.Thread(target=self._check, name="retag-check", daemon=True).start()

    def _check(self) -> None:
        cn = sqlite.connect(self.path, readonly=True)
        try:
            self.unsound = sqlite.quick_check(cn)
        finally:
            cn.close()
            self.checking = False

    def _refresh(self) -> None:
        """Another process wrote (a key, an import), or this one starts: forget what is remembered."""
        version = self._data_version()
        self._tail = Tail(log.next_place(self._cn), log.progress(self._cn, "folded"))
        self._halfway = log.progress(self._cn, "settled") > self._tail.folded
        self._next_apart = log.next_place(self._cn, "bot_log")
        self._desk.stale = True
        self._desk.graves = graves.load(self._cn, self._desk.graves)
        self.census.forget()
        self._version = version  # only now: if a read failed, the next one tries again

    def _data_version(self) -> int:
        return int(self._cn.execute("PRAGMA data_version").fetchone()[0])

    def _begin(self) -> None:
        self._cn.execute("BEGIN IMMEDIATE")
        if self._data_version() != self._version:
            self._refresh()

    def _commit(self) -> None:
        shifts, self._cn.shifts = self._cn.shifts, []
        self._cn.execute("COMMIT")
        self.census.take(shifts or ())

    def _rollback(self) -> None:
        self._cn.shifts = []
        if self._cn.in_transaction:
            self._cn.execute("ROLLBACK")

    def append(self, events: Sequence[Event], apart: Sequence[Event]) -> None:
        """One transaction, on disk when it returns."""
        try:
            self._begin()
            if events:
                log.append(self._cn, "log", self._tail.next, events)
            if apart:
                log.append(self._cn, "bot_log", self._next_apart, apart)
            self._cn.execute("COMMIT")
        except BaseException:
            self._rollback()
            raise
        self._tail.add(events)
        self._next_apart += len(apart)

    def waiting(self) -> tuple[int, float]:
        return self._tail.waiting()

    @contextlib.contextmanager
    def _lightly(self) -> Iterator[None]:
        """Commits with synchronous=NORMAL: the next acknowledged commit syncs them, in order."""
        self._cn.execute("PRAGMA synchronous = NORMAL")
        try:
            yield
        finally:
            self._cn.execute("PRAGMA synchronous = FULL")

    def draft(self, now: int, most: int, portion: int = sys.maxsize) -> Iterator[None]:
        self._draft = None
        if self._halfway:
            return
        self._desk.refresh(self._cn)
        draft = Draft(self._desk, now, portion=portion)
        entries, upto = self._entries(most)
        for start in range(0, len(entries) or 1, SETTLED):
            if not self._write_ahead(draft, len(draft.parts)):
                return
            some = [settle.entry(*one) for one in entries[start : start + SETTLED]]
            one = Settling(self._desk, some, some[-1].seq if some else upto, draft.met())
            yield from one.reckon(self._cn)
            if one.moves:
                if not draft.batch:  # else the next draft begins with it
                    one.cut()
                    draft.add(one)
                break
            draft.add(one)
        yield from draft.take(self._cn)
        self._draft = draft

    def portions(self) -> Iterator[None]:
        draft = self._draft
        if draft is not None:
            for _ in range(draft.ahead):
                if not self._write_ahead(draft, 1):
                    return
                yield

    def _write_ahead(self, draft: Draft, parts: int) -> bool:
        """Write some parts of a draft before the others; or not, when another process has written."""
        if parts:
            with self._lightly(), self._folding():
                if self._desk.stale:
                    return False
                self._halfway = True
                draft.write(self._cn, parts)
        return True

    @contextlib.contextmanager
    def _folding(self) -> Iterator[None]:
        """A transaction of the fold's: what power loss takes back of it is done again from the log."""
        try:
            self._begin()
            yield
            self._commit()
        except BaseException:
            self._rollback()
            self._draft = None
            self._desk.stale = True
            raise

    def fold(self, now: int, most: int, bare: bool = False) -> Folded:
        draft, self._draft = self._draft, None
        left: Sequence[settle.Entry] = ()
        with self._lightly(), collector.paused():
            with self._folding():
                if draft is None or bare or self._desk.stale:
                    self._desk.refresh(self._cn)
                    draft, left = self._drafted(now, most, bare)
                counts, step = fold.advance(self._cn, self._desk, draft, left, now, bare)
                halfway = log.progress(self._cn, "settled") > draft.upto
            self._tail.fold(draft.upto)  # at once: what is folded twice is its own duplicate
            self._halfway = halfway
            events = len(draft.batch) + len(left)
            del draft, left  # before the collector looks at all that they hold
        return Folded(events, counts, step, self._tail.waiting()[0])

    def _drafted(self, now: int, most: int, bare: bool) -> tuple[Draft, Sequence[settle.Entry]]:
        """A draft, and the events left behind it because one in it changes hands."""
        folded = self._tail.folded
        settled = log.progress(self._cn, "settled") if self._halfway else 0
        if settled > folded:
            return owed(self._cn, self._desk, folded, settled, now, most, bare), ()
        entries, upto = self._entries(most)
        batch = [settle.entry(*one) for one in entries]
        draft = whole(self._cn, self._desk, batch, upto, now, bare)
        return draft, batch[len(draft.batch) :]

    def _entries(self, most: int) -> tuple[Sequence[log.Entry], int]:
        """The next events to be folded, and up to which place they are all."""
        entries = self._tail.first(most) or log.read(self._cn, self._tail.folded, most)
        return entries, entries[-1][0] if entries else self._tail.next - 1

    def write(self, job: Callable[[sqlite3.Connection], T], durable: bool = True) -> T:
        """`job(connection)` in one transaction; on disk when it returns, if `durable`."""
        if not durable:
            with self._lightly():
                return self.write(job)
        try:
            self._begin()
            if self._halfway:
                # A fold was broken off: no job is to find a part of it.
                self._rollback()
                self.fold(time_ms(), sys.maxsize)
                self._begin()
            result = job(self._cn)
            wipe = log.progress(self._cn, "wipe")
            self._commit()
            self._desk.graves = graves.load(self._cn, self._desk.graves)
        except BaseException:
            self._rollback()
            raise
        finally:
            self._desk.stale = True
        if wipe:
            self._wipe()
        return result

    def _wipe(self) -> None:
        """Leave no byte of the erased in the WAL; a reader that holds it makes this wait for the next try."""
        if sqlite.checkpoint(self._cn, "TRUNCATE"):
            log.set_progress(self._cn, "wipe", 0)

    def checkpoint(self, idle: bool, first: Callable[[], object] = lambda: None) -> None:
        """When the WAL has grown; when idle also retry a pending wipe."""
        now = time.monotonic()
        if now < self._looked + LOOK_S:
            return
        self._looked = now
        if idle and log.progress(self._cn, "wipe"):
            self._wipe()
        if now >= self._pinned and wal.reaches(f"{self.path}-wal", WAL_DUE * (1 if idle else BUSY)):
            first()
            # A long read pins the WAL: then every try would sync the file again, and free nothing.
            whole = sqlite.checkpoint(self._cn, "RESTART" if idle else "PASSIVE")
            self._pinned = 0.0 if whole else now + PINNED_S

    def banned(self, visitor: bytes) -> str | None:
        """`erased` or `opted_out` of a visitor who is gone or objected, else None. Any thread may ask."""
        graves = self._desk.graves
        if not graves.any:
            return None
        if graves.erased(visitor):
            return "erased"
        return "opted_out" if visitor in graves.opted_out else None

    def is_poison(self, error: BaseException) -> bool:
        return isinstance(error, POISON)

    def is_fatal(self, error: BaseException) -> bool:
        return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in FATAL

    def close(self) -> None:
        """Checkpoint and close; SQLite removes the WAL with the last connection."""
        self._cn.close()
