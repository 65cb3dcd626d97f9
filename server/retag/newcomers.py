"""Newcomers: the first requests of a new browser are one visitor, whatever order they and their answers take.

A browser without an id sends a random word of its own, the same from all its tabs for a minute. Requests that
share it, from one address and one user agent, share the visitor who was minted for the first of them.
The word alone opens nothing: whoever learns it would have to come from the same address within the minute.
"""

from __future__ import annotations

from collections.abc import Hashable

from retag.hits import Hit

LIFE = 60_000
"""Milliseconds."""
MOST = 10_000
SHORTEST, LONGEST = 24, 96
"""Characters: the tag's words, a time and sixteen bytes in decimals, have 36 to 68."""


class Newcomers:
    """Who was minted within the last minute, by their word. Bounded: the oldest are forgotten first."""

    def __init__(self) -> None:
        self._known: dict[Hashable, tuple[bytes, int]] = {}

    def find(self, account: int, hit: Hit, word: object) -> bytes | None:
        """The visitor of this word, or None."""
        visitor, minted = self._known.get(_key(account, hit, word), (None, 0))
        return visitor if hit.received - minted < LIFE else None

    def note(self, account: int, hit: Hit, word: object, visitor: bytes) -> None:
        """Remember for whom an id was minted; a word that is none is not."""
        if isinstance(word, str) and SHORTEST <= len(word) <= LONGEST and not self.find(account, hit, word):
            while len(self._known) >= MOST:
                del self._known[next(iter(self._known))]
            self._known[_key(account, hit, word)] = visitor, hit.received


def _key(account: int, hit: Hit, word: object) -> Hashable:
    return account, str(word)[: LONGEST + 1], hit.address, hit.user_agent
