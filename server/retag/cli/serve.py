"""retag serve."""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import sys
from pathlib import Path

from retag import app
from retag.cli import database
from retag.settings import FIELDS, Settings, unknown
from retag.store import registry, sqlite
from retag.web.api.tags import snippet

ABOUT = """Serve the tag, the door, the API and the console.

Every setting is an option here and a RETAG_ variable in the environment: see `retag settings`.
Without a database one is made, and its API key is printed, once."""


def options(parser: argparse.ArgumentParser) -> None:
    for name, variable, default, about in FIELDS:
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(
            flag,
            metavar="VALUE",
            help=f"{about} ({variable}, default {default or 'none'})".replace("%", "%%"),
        )


def run(args: argparse.Namespace) -> int:
    settings = Settings.load(os.environ, **{name: getattr(args, name) for name, *_ in FIELDS})
    for variable in unknown(os.environ):
        print(f"retag: {variable} is no setting: see `retag settings`", file=sys.stderr)
    tag = prepare(settings)
    app.serve(settings, on_start=lambda address: welcome(settings.public_url or address, tag))
    return 0


def prepare(settings: Settings) -> int:
    """See to it that there is an account with a tag; the tag's id."""
    Path(settings.path).parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite.connect(settings.path)) as cn:
        sqlite.migrate(cn)
        if registry.account_id(cn) is None:
            entropy = secrets.token_bytes(96)
            made = database.write(cn, lambda cn: registry.init(cn, database.now_ms(), entropy))
            print(f"API key (shown this once): {made.api_key}", flush=True)
        row = cn.execute("SELECT min(id) FROM tag").fetchone()
    return int(row[0])


def welcome(address: str, tag: int) -> None:
    """What a newcomer needs next."""
    print(f"Retag serves on {address}\n\nPaste this into your pages:\n\n{snippet(address, tag)}\n")
    print(f"A small shop to try it with: {address}/shop/\nThe console: {address}/console", flush=True)
