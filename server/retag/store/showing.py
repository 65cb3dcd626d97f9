"""Showing: which identifiers attach to whom. Pure.

Identifiers attach to the visitor who showed them; visitors are never merged. A server's event goes to the
visitor last seen with its strongest identifier. An identifier that suddenly joins too many visitors (a shared
test address, a placeholder nobody listed) is quarantined: it attaches to nobody more and finds nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from retag import people
from retag.events import Event
from retag.windows import DAY

TOO_MANY = 50
"""New visitors of one identifier within a day."""
MOST_SHOWN = 200
"""Identifiers of one visitor; further ones attach to nobody, so that no page can file them without end."""
REFRESH = 3_600_000
"""A visitor last seen with an identifier is noted again after an hour."""

Identifier = tuple[int, int, bytes]
"""`(account, kind, value)`."""
decode = msgspec.json.Decoder(list[tuple[int, str]]).decode
CUSTOMER = people.KINDS["external_id"]
CLICKS = frozenset(people.CLICKS.values())
HEXADECIMAL = frozenset((32, 40, 64))


def of(event: Event) -> list[Identifier]:
    """The identifiers in an event; digests as bytes, other values as text."""
    if not event.people:
        return []
    return [(event.account, kind, value_of(kind, text)) for kind, text in decode(event.people)]


def value_of(kind: int, text: str) -> bytes:
    """A hexadecimal digest as its bytes, anything else as UTF-8; a click id is no digest."""
    if len(text) in HEXADECIMAL and kind not in CLICKS:
        try:
            return bytes.fromhex(text)
        except ValueError:
            pass
    return text.encode()


class Showings:
    """Who showed what: as loaded, and as this batch leaves it."""

    def __init__(self, ranks: Mapping[int, int], quarantined: Iterable[Identifier] = ()) -> None:
        self.known: dict[Identifier, dict[bytes, int]] = {}
        self.quarantined = set(quarantined)
        self.changed: dict[tuple[Identifier, bytes], int] = {}
        self.links: list[tuple[Identifier, bytes]] = []
        self.caught: dict[Identifier, int] = {}
        self.shown: dict[bytes, int] = {}
        self.customers: set[bytes] = set()
        self._ranks = ranks

    def load(self, identifier: Identifier, visitor: bytes, seen: int) -> None:
        self.known.setdefault(identifier, {})[visitor] = seen

    def owner(self, shown: list[Identifier]) -> bytes | None:
        """The visitor last seen with the strongest identifier that anybody showed.

        A customer number that nobody showed is a new customer's: whoever showed another one is somebody else,
        though they share an address.
        """
        new = False
        for one in sorted(shown, key=lambda i: self._ranks.get(i[1], 99)):
            known = {} if one in self.quarantined else self.known.get(one, {})
            if found := [item for item in known.items() if not new or item[0] not in self.customers]:
                return max(found, key=lambda item: (item[1], item[0]))[0]
            new = new or (one[1] == CUSTOMER and one not in self.quarantined)
        return None

    def useless(self, shown: list[Identifier]) -> bool:
        """Whether there are identifiers and every one is quarantined."""
        return bool(shown) and all(one in self.quarantined for one in shown)

    def attach(self, shown: list[Identifier], visitor: bytes, time: int) -> None:
        """Note that the visitor showed these."""
        for one in shown:
            if one in self.quarantined:
                continue
            known = self.known.setdefault(one, {})
            before = known.get(visitor)
            if before is None and self._full(visitor):
                continue
            if before is not None and time - before < REFRESH and (len(known) == 1 or before > time):
                continue
            if one[1] == CUSTOMER:
                self.customers.add(visitor)
            known[visitor] = max(time, before or 0)
            self.changed[one, visitor] = known[visitor]
            if before is None:
                self.links.append((one, visitor))
                self._guard(one, known, time)

    def _full(self, visitor: bytes) -> bool:
        """Whether the visitor may show nothing new; else this is one more."""
        shown = self.shown[visitor] = self.shown.get(visitor, 0) + 1
        return shown > MOST_SHOWN

    def _guard(self, one: Identifier, known: dict[bytes, int], time: int) -> None:
        if sum(seen > time - DAY for seen in known.values()) > TOO_MANY:
            self.quarantined.add(one)
            self.caught[one] = time
