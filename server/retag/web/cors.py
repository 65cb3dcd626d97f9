"""Who may read an answer, and so a visitor's id: pages on the tag's own domains, and no stranger.

A configured domain gets its origin back, with credentials. A tag without domains answers `*` without
credentials, and no id crosses origins. Nothing is ever reflected for an origin that is not listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl

from retag.hits import Hit
from retag.screen import Tag, host_of, listed

Headers = list[tuple[bytes, bytes]]

EXPOSED = b"Pin-Unauth, Epik, Retag-Outcome, Retry-After"
ANYBODY: Headers = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"Retag-Outcome, Retry-After"),
]
PREFLIGHT: Headers = [
    (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
    (b"access-control-allow-headers", b"content-type"),
    (b"access-control-max-age", b"86400"),
]
MOST_KNOWN, LONGEST = 4096, 300


class Cors:
    """The CORS headers for a tag and an origin; the last few are remembered."""

    def __init__(self) -> None:
        self._known: dict[tuple[tuple[str, ...], str], Headers] = {}

    def trusted(self, tag: Tag | None, origin: str) -> bool:
        """Whether the page may be handed an id."""
        return self.headers(tag, origin) is not ANYBODY

    def headers(self, tag: Tag | None, origin: str) -> Headers:
        """Headers for one answer."""
        domains = tag.domains if tag else ()
        if not domains or not origin or len(origin) > LONGEST:
            return ANYBODY
        found = self._known.get((domains, origin))
        if found is None:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            found = self._known[domains, origin] = (
                _open_to(origin) if listed(domains, host_of(origin)) else ANYBODY
            )
        return found

    def preflight(self, tags: Mapping[int, Tag], hit: Hit) -> Headers:
        """A preflight has no body: the tag is the query's, else any that lists the origin."""
        named = dict(parse_qsl(hit.query[:2000].decode("latin-1"))).get("tid", "")
        tag = tags.get(int(named)) if named.isascii() and named.isdigit() and len(named) < 19 else None
        return [*self.of_any([tag] if tag else tags.values(), hit.origin), *PREFLIGHT]

    def of_any(self, tags: Iterable[Tag], origin: str) -> Headers:
        """Headers for an answer in no tag's name: a page on any tag's domain may read it."""
        return next((self.headers(tag, origin) for tag in tags if self.trusted(tag, origin)), ANYBODY)


def _open_to(origin: str) -> Headers:
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", EXPOSED),
        (b"vary", b"Origin"),
    ]
