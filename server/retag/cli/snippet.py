"""retag snippet."""

from __future__ import annotations

import argparse

from retag import errors
from retag.cli import database
from retag.clock import time_ms
from retag.store import registry, tag_files
from retag.web import tagfile
from retag.web.api.tags import snippet

ABOUT = """Print a tag's code for the shop's pages.

With --integrity the page names the file of today's configuration by its hash, and browsers run no other
(https://developer.mozilla.org/docs/Web/Security/Subresource_Integrity). A changed configuration is a new
file: print and paste again; pages with the old code keep the old file."""


def options(parser: argparse.ArgumentParser) -> None:
    database.option(parser)
    parser.add_argument("tag", nargs="?", type=int, help="the tag's id (default: the first)")
    parser.add_argument(
        "--address", metavar="URL", help="where browsers reach the server (default: RETAG_PUBLIC_URL)"
    )
    parser.add_argument("--integrity", action="store_true", help="name the file by its hash")


def run(args: argparse.Namespace) -> int:
    settings = database.settings(args, public_url=args.address)
    address = settings.public_url or "http://127.0.0.1:8000"
    now = time_ms()
    with database.opened(args) as cn:
        tags = registry.load_tags(cn)
        tag = args.tag or min(tags, default=None)
        if tag not in tags:
            raise errors.NotFound(f"There is no tag {tag or ''}: `retag init` makes one, the API others.")
        version = tagfile.TagFile(settings.path_name).version(tags)
        if args.integrity:
            database.write(cn, lambda cn: tag_files.keep(cn, version.name, version.plain, now))
    print(snippet(address, tag, version if args.integrity else None, settings.path_name))
    return 0
