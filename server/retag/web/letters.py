"""How a browser is told its id: by the cookie, and by `Pin-Unauth` for pages on another site.

One cookie serves all tags of an ad account, and no script can read it. Where the shop's page is on another
site the cookie is blocked, and the signed id goes out in a header that only pages on the tag's own domains
may read; an empty one takes it back.
"""

from __future__ import annotations

from retag import identity
from retag.hits import Hit
from retag.ingest import Intake
from retag.keyring import Keyring
from retag.screen import Tag

Headers = list[tuple[bytes, bytes]]


class Letters:
    """Words answers with ids, signed with the server's keys."""

    def __init__(self, keys: Keyring) -> None:
        self.keys = keys

    def headers(self, hit: Hit, intake: Intake, trusted: bool) -> Headers:
        """What the browser is told of its id; `trusted` is whether the page's origin may have it."""
        tag = intake.tag
        found: Headers = []
        trusted = trusted and hit.fetch_site not in ("same-origin", "same-site")
        if intake.forget:
            found.append((b"set-cookie", self.cookie("", hit)))
            if trusted:
                found.append((b"pin-unauth", b""))
        elif tag is not None and intake.visitor is not None:
            if intake.fresh and hit.fetch_site != "cross-site":
                found.append(
                    (b"set-cookie", self.cookie(self.keys.visitor(tag.account).sign(intake.visitor), hit))
                )
            if trusted:
                found.append((b"pin-unauth", self.pin(tag, intake.visitor).encode()))
                if intake.click:
                    found.append((b"epik", intake.click.encode()))
        return found

    def pin(self, tag: Tag, visitor: bytes) -> str:
        """The id as pages on another site keep it: good for this tag alone."""
        return self.keys.tag(tag.account, tag.id).sign(visitor)

    def cookie(self, value: str, hit: Hit) -> bytes:
        """A Set-Cookie value; without Secure on plain http to a loopback host alone."""
        return identity.cookie_header(value, identity.is_plain(hit.host, hit.secure)).encode()
