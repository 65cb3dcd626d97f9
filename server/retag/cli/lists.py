"""retag lists."""

from __future__ import annotations

import argparse
import sqlite3

from tqdm import tqdm

from retag import errors
from retag.cli import database
from retag.clock import time_ms
from retag.store import lists, loading, records

ABOUT = """Load customer lists from files, and show them.

    retag lists load customers.csv --name Customers
    retag lists load left.csv --list 4000001 --remove
    retag lists show

A file has one record a line, or a CSV whose first column is the record: an e-mail address, a mobile ad id, or
the MD5, SHA-1 or SHA-256 of one. Loading a file again changes nothing but the counts."""
LOAD = f"""Add a file's records to a list, or remove them.

    retag lists load customers.csv --name Customers
    cut -d, -f2 crm.csv | retag lists load - --name Customers
    retag lists load phones.txt --name Phones --type PHONE
    retag lists load left.csv --list 4000001 --remove

{ABOUT[ABOUT.index("A file") :]}"""
SHOW = """Show every list with its id, what it holds, how many visitors it matched, type and name."""


def options(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    load, shown = (
        actions.add_parser(
            name, help=about.partition(".")[0], description=about, formatter_class=parser.formatter_class
        )
        for name, about in (("load", LOAD), ("show", SHOW))
    )
    load.add_argument(
        "file", type=argparse.FileType(encoding="utf-8", errors="replace"), help="- for standard input"
    )
    which = load.add_mutually_exclusive_group(required=True)
    which.add_argument("--name", help="of a new list")
    which.add_argument("--list", type=int, metavar="ID", help="an existing list")
    load.add_argument("--type", default="EMAIL", choices=records.TYPES, help="of a new list's records")
    load.add_argument("--remove", action="store_true", help="remove the records instead")
    for one in (load, shown):
        database.option(one)


def run(args: argparse.Namespace) -> int:
    with database.opened(args) as cn:
        ACTIONS[args.action](cn, args)
    return 0


def load(cn: sqlite3.Connection, args: argparse.Namespace) -> None:
    now, account = time_ms(), database.account(cn)
    if args.name:
        args.list = database.write(cn, lambda cn: lists.create(cn, account, args.name, args.type, now))
    done = loading.Progress(0, 0, 0, 0)
    with tqdm(unit=" records", unit_scale=True, miniters=0) as bar:  # drawn ten times a second
        for done in loading.load(cn, args.list, "REMOVE" if args.remove else "ADD", args.file, now):
            bar.set_postfix(waiting=done.waiting, refresh=False)
            bar.update(done.processed - bar.n)
    if not done.processed:
        raise errors.Invalid(args.file.name, "holds no record")
    shown = find(cn, args.list)
    print(
        f"List {shown.id}: {done.valid:,} valid, {done.invalid:,} invalid, {shown.matched:,} visitors matched"
    )


def find(cn: sqlite3.Connection, list_id: int) -> lists.CustomerList:
    row = cn.execute(f"SELECT {lists.COLUMNS} FROM customer_list WHERE id = ?", (list_id,)).fetchone()
    return lists.decode(row)


def show(cn: sqlite3.Connection, args: argparse.Namespace) -> None:
    for row in cn.execute(f"SELECT {lists.COLUMNS} FROM customer_list ORDER BY id").fetchall():
        one = lists.decode(row)
        counts = f"{one.uploaded:>10,} records  {one.matched:>10,} visitors"
        print(f"{one.id}  {counts}  {one.list_type:8}  {one.name}")


ACTIONS = {"load": load, "show": show}
