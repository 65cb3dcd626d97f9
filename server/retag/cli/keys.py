"""retag keys."""

from __future__ import annotations

import argparse
import secrets
import sqlite3
from datetime import UTC, datetime

from retag.cli import database
from retag.clock import time_ms
from retag.store import registry

ABOUT = """Make, list and revoke API keys.

    retag keys create --scope events:write --name shop-backend
    retag keys list
    retag keys revoke PREFIX

A key is shown once, when it is made; what is kept is its hash and its public prefix.
A running server knows it at once.

Scopes: events:write      send events (the Conversions API)
        audiences:read    see tags, audiences, customer lists and the console
        audiences:write   make and change them
        exports:read      download members, who are people
        admin             everything, erasure and /metrics included"""
CREATE = f"""Make a key and show it once.

    retag keys create --scope events:write --name shop-backend
    retag keys create --scope audiences:read --scope exports:read --name ads

{ABOUT[ABOUT.index("Scopes:") :]}"""
REVOKE = """Refuse a key from now on; a running server does at once.

    retag keys revoke abcd2345

The prefix is the public part, as `retag keys list` shows it; of a key that you hold, what is between its
second and third underscore. The whole key will do too."""
LIST = """Show every key, without its secret: prefix, day it was made, state, scopes, name."""


def options(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    create, revoke, show = (
        actions.add_parser(
            name,
            help=about.partition(".")[0].partition(";")[0],
            description=about,
            formatter_class=parser.formatter_class,
        )
        for name, about in (("create", CREATE), ("revoke", REVOKE), ("list", LIST))
    )
    create.add_argument(
        "--scope", action="append", required=True, choices=registry.SCOPES, help="may be repeated"
    )
    create.add_argument("--name", default="", help="what the key is for")
    revoke.add_argument("prefix", help="its public prefix, as `list` shows it, or the whole key")
    for one in (create, revoke, show):
        database.option(one)


def run(args: argparse.Namespace) -> int:
    with database.opened(args) as cn:
        ACTIONS[args.action](cn, args)
    return 0


def create(cn: sqlite3.Connection, args: argparse.Namespace) -> None:
    account, now, entropy = database.account(cn), time_ms(), secrets.token_bytes(40)
    scopes = list(dict.fromkeys(args.scope))
    name = args.name or ", ".join(scopes)
    print(database.write(cn, lambda cn: registry.create_key(cn, account, name, scopes, now, entropy)))


def show(cn: sqlite3.Connection, args: argparse.Namespace) -> None:
    for key in registry.list_keys(cn):
        made = datetime.fromtimestamp(key.created / 1000, UTC).strftime("%Y-%m-%d")
        state = "revoked" if key.revoked else "in use"
        print(f"{key.prefix}  {made}  {state:8}{' '.join(key.scopes)}  {key.name}")


def revoke(cn: sqlite3.Connection, args: argparse.Namespace) -> None:
    prefix = registry.prefix_of(args.prefix) or args.prefix
    database.write(cn, lambda cn: registry.revoke_key(cn, prefix, time_ms()))
    print(f"{prefix} is revoked")


ACTIONS = {"create": create, "list": show, "revoke": revoke}
