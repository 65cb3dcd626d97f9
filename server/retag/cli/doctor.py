"""retag doctor."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from retag import errors
from retag.cli import database
from retag.courier.places import Allowed, place
from retag.keyring import Keyring, WeakKeys
from retag.settings import Settings
from retag.store import registry, schedules, sqlite
from retag.web.countries import Countries
from retag.web.health import FULL

ABOUT = """Look for what keeps the tag from working well, and say what to do.

Exit code 1 when something must be mended; advice alone is 0."""

FIXED = (3, 51, 3)
"""SQLite versions before this one can corrupt a WAL when two processes write and checkpoint at once."""


def options(parser: argparse.ArgumentParser) -> None:
    database.option(parser)


def run(args: argparse.Namespace) -> int:
    settings = database.settings(args)
    faults = advice = 0
    for must, line in (*of_settings(settings), *of_database(settings)):
        faults, advice = faults + must, advice + (not must)
        print(f"{'MEND  ' if must else 'advice'}  {line}")
    print(f"{faults} to mend, {advice} to consider" if faults or advice else "All is well.")
    return 1 if faults else 0


def of_settings(settings: Settings) -> Iterator[tuple[bool, str]]:
    """(must be mended, what and how)."""
    if not settings.trusted_proxies:
        yield False, "no proxy is trusted: behind one, address limits are off; set RETAG_TRUSTED_PROXIES"
    if settings.countries:
        try:
            Countries(settings.countries)
        except errors.Invalid as error:
            yield True, str(error)
    if not settings.rate_limits:
        yield False, "rate limits are off: set RETAG_RATE_LIMITS=on outside load tests"
    if settings.public_url.startswith("http://"):
        yield False, "RETAG_PUBLIC_URL is plain http: cookies then work on loopback hosts only; use https"
    if sqlite3.sqlite_version_info < FIXED:
        yield False, f"SQLite {sqlite3.sqlite_version}: run no import or list load while serving a busy shop"


def of_database(settings: Settings) -> Iterator[tuple[bool, str]]:
    path = Path(settings.path)
    if not path.exists():
        yield True, f"there is no database at {path}: run `retag init`"
        return
    for each in (path, path.parent):
        if not os.access(each, os.W_OK):
            yield True, f"{each} cannot be written by this user: check its owner and rights"
    if path.stat().st_mode & 0o077:
        yield False, f"{path} holds the signing keys, and others on this machine may open it: chmod 600"
    free, needed = shutil.disk_usage(path.parent).free >> 20, max(settings.min_free_mb, FULL >> 20)
    if free < needed:
        yield True, f"{free} MB free on the disk: below {needed} MB new events get 503"
    try:
        with contextlib.closing(sqlite.connect(path, readonly=True)) as cn:
            yield from of_rows(cn)
            if sqlite.version(cn) == max(sqlite.migrations()):
                yield from of_schedules(cn, settings)
    except (errors.RetagError, sqlite3.Error) as error:
        yield True, str(error)


def of_rows(cn: sqlite3.Connection) -> Iterator[tuple[bool, str]]:
    if found := sqlite.quick_check(cn):
        yield True, f"the database is damaged ({found}): restore a backup"
        return
    if sqlite.version(cn) < max(sqlite.migrations()):
        yield True, "the database is empty, or of an older Retag: `retag init` brings it up to this one"
        return
    if registry.account_id(cn) is None:
        yield True, "the database has no ad account: run `retag init`"
    try:
        Keyring(registry.signing_keys(cn))
    except WeakKeys as error:
        yield True, str(error)
    for tag in registry.load_tags(cn).values():
        if not tag.domains:
            yield (
                False,
                f"tag {tag.id} has no domains: it takes events from any origin, and gives no id across sites",
            )
        if tag.consent != "required":
            yield (
                False,
                f"tag {tag.id} does not wait for consent: where the law asks for it, as the EU's does,"
                " PATCH its `consent` to `required`",
            )


def of_schedules(cn: sqlite3.Connection, settings: Settings) -> Iterator[tuple[bool, str]]:
    """Those that cannot deliver as things stand, and those whose last run failed."""
    rows = cn.execute(f"{schedules.SELECT} WHERE status = 'ACTIVE' ORDER BY id").fetchall()
    for one in map(schedules.decode, rows):
        try:
            place(one.destination, Allowed(settings.export_folder, settings.export_buckets))
        except errors.Invalid as error:
            yield True, f"scheduled export {one.id} cannot be delivered: {error}"
            continue
        last = cn.execute(
            f"{schedules.RUNS} WHERE schedule = ? ORDER BY id DESC LIMIT 1", (one.id,)
        ).fetchone()
        if last and (fault := schedules.decode_run(last).error):
            yield False, f"scheduled export {one.id} failed last: {fault}"
