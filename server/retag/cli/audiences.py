"""retag audiences."""

from __future__ import annotations

import argparse

from retag.cli import database
from retag.clock import time_ms
from retag.store import audiences

ABOUT = """List the audiences with their sizes now.

They are made and changed over the API: POST /v5/ad_accounts/{id}/audiences."""


def options(parser: argparse.ArgumentParser) -> None:
    database.option(parser)


def run(args: argparse.Namespace) -> int:
    now = time_ms()
    with database.opened(args) as cn:
        rows = cn.execute(f"{audiences.SELECT} WHERE a.removed IS NULL ORDER BY a.id").fetchall()
        for audience in map(audiences.decode, rows):
            sql = "SELECT count(*) FROM member WHERE build = ? AND opens <= ? AND closes > ?"
            size = cn.execute(sql, (audience.build, now, now)).fetchone()[0]
            state = "ready" if audience.ready else f"{audience.progress:.0%} filled in"
            print(f"{audience.id}  {size:>10,}  {audience.type:13}  {state}  {audience.name}")
    return 0
