"""Fact: one counted event as rules see it."""

from __future__ import annotations

from typing import Any

import msgspec


class Fact(msgspec.Struct, gc=False):
    """`time` is UTC ms, `source` and `platform` are codes of `events`, `data` the cleaned event data."""

    name: str
    time: int
    tag: int = 0
    source: int = 1
    platform: int = 1
    url: str = ""
    data: dict[str, Any] = msgspec.field(default_factory=dict)
