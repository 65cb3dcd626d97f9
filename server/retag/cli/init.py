"""retag init."""

from __future__ import annotations

import argparse
import secrets

import msgspec

from retag.cli import database
from retag.clock import time_ms
from retag.store import registry

ABOUT = """Make a database with an ad account, a tag, signing keys and a new API key.

Run again it keeps the ids and makes another key. The key is shown once: only its hash is kept.
It has every scope; `retag keys create` makes narrower ones."""


def options(parser: argparse.ArgumentParser) -> None:
    database.option(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    with database.opened(args, make=True) as cn:
        entropy = secrets.token_bytes(96)
        made = database.write(cn, lambda cn: registry.init(cn, time_ms(), entropy))
    if args.json:
        print(msgspec.json.encode(made).decode())
    else:
        print(f"Ad account  {made.ad_account_id}\nTag         {made.tag_id}\nAPI key     {made.api_key}")
        print("The key is shown this once. Next: retag serve")
    return 0
