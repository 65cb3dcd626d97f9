"""retag serve."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from retag import app
from retag.settings import FIELDS, Settings, unknown
from retag.web.api.tags import snippet

ABOUT = """Serve the tag, the door, the API and the console.

    retag serve
    retag serve --database sqlite:////var/lib/retag/retag.db --host 0.0.0.0 --port 80

Every setting is an option here and a RETAG_ variable in the environment: see `retag settings`.
Without a database one is made, and its API key is printed, once. SIGTERM or Ctrl-C stops it: nothing that was
acknowledged is lost. Logs go to standard error, one JSON object a line, without anything about visitors."""


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
    settings.directory.mkdir(parents=True, exist_ok=True)
    app.serve(settings, on_start=lambda address, state: welcome(settings.public_url or address, state))
    return 0


def welcome(address: str, state: Any) -> None:
    """What a newcomer needs next."""
    tag = min(state.door.tags, default=0)
    code = snippet(address, tag, word=state.settings.path_name)
    print(f"Retag serves on {address}\n\nPaste this into your pages:\n\n{code}\n")
    print(f"A small shop to try it with:    {address}/shop/")
    print(f"The console, where it shows:    {address}/console")
    if tag:
        print(f"Ad account, in the API's paths: {state.door.tags[tag].account}")
    if state.made:
        print(f"API key, shown this once:       {state.made.api_key}")
    else:
        command = sys.argv[0] if sys.argv[0].endswith("retag") else "retag"
        print(f"Another API key:                {command} keys create --scope admin")
    sys.stdout.flush()
