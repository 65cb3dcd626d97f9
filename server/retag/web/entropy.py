"""Random bytes for ids, fetched from the system a page at a time: a call for each request would cost more."""

from __future__ import annotations

import os

SIZE = 16
PAGE = 4096


class Entropy:
    def __init__(self) -> None:
        self._page = b""
        self._at = 0

    def take(self) -> bytes:
        """SIZE bytes, given to nobody else."""
        if self._at >= len(self._page):
            self._page, self._at = os.urandom(PAGE), 0
        self._at += SIZE
        return self._page[self._at - SIZE : self._at]
