"""Hit: one request at the public door, as facts.

Nothing here is decided or trusted yet: bytes as they came, headers as they were, and the two things
only the server knows, when it arrived and from which address.
"""

from __future__ import annotations

import msgspec


class Hit(msgspec.Struct, frozen=True, gc=False):
    """What arrived. Times are UTC integer milliseconds; absent headers are empty strings."""

    method: str
    path: str
    query: bytes
    body: bytes
    received: int
    content_type: str = ""
    origin: str = ""
    referer: str = ""
    user_agent: str = ""
    cookie: str = ""
    purpose: str = ""
    """`Sec-Purpose`, else `Purpose`, `X-Purpose` or `X-Moz`, lower case."""
    fetch_site: str = ""
    """`Sec-Fetch-Site`, lower case."""
    gpc: bool = False
    """Whether any `Sec-GPC` header is exactly `1` (https://w3c.github.io/gpc/)."""
    dnt: bool = False
    host: str = ""
    secure: bool = False
    address: str = ""
    """The client's address, after trusted proxies. It is never stored."""
    country: str = ""
    """Where that address is: two capital letters, '' when it is not known."""
