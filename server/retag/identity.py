"""Visitor ids: minted in time order, signed for one purpose and ad account, verified strictly.

An id is 16 bytes in UUIDv7's layout (RFC 9562 §5.7). Signed it is `base64url(id).base64url(HMAC-SHA256)`, 66
characters. Only that canonical spelling is accepted back: the last character of base64 carries spare bits, and
itsdangerous takes padding and stray characters too. Keys go from oldest to newest; the newest signs, all verify.
The only import of itsdangerous.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence

from itsdangerous import BadSignature
from itsdangerous import Signer as Hmac

from retag.errors import RetagError

KEY_BYTES = 32
COOKIE, PLAIN_COOKIE = "__Host-retag", "retag"
LIFE_S = 395 * 86_400
"""Fixed from the day of issue: https://www.cnil.fr (13 months) and below the browsers' 400 days."""
FORM = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]\.[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
"""A canonical token: the last characters have their spare bits at zero."""
MOST_KNOWN = 50_000


class WeakKeys(RetagError):
    """The server must not start: nobody could tell its ids from forged ones."""


def mint(now: int, entropy: bytes) -> bytes:
    """A new id: `now` in UTC milliseconds, then at least 10 random bytes."""
    random = bytearray(entropy[:10])
    random[0] = random[0] & 0x0F | 0x70
    random[2] = random[2] & 0x3F | 0x80
    return now.to_bytes(6, "big") + bytes(random)


def check_keys(keys: Sequence[bytes]) -> None:
    """Raise WeakKeys unless there is a key and all are long and not of one byte."""
    if not keys:
        raise WeakKeys("There is no signing key. Run `retag init`.")
    if any(len(key) < KEY_BYTES or len(set(key)) < 8 for key in keys):
        raise WeakKeys(f"A signing key is weak: keys need {KEY_BYTES} random bytes. Run `retag init` anew.")


class Signer:
    """Signs and verifies ids for one purpose and ad account; verified tokens are remembered, bounded."""

    def __init__(self, keys: Sequence[bytes], account: int, purpose: str) -> None:
        check_keys(keys)
        salt = f"retag.{purpose}.{account}".encode()
        self._hmac = Hmac(list(keys), salt=salt, key_derivation="hmac", digest_method=hashlib.sha256)
        self._known: dict[str, bytes] = {}

    def sign(self, visitor: bytes) -> str:
        return self._hmac.sign(base64.urlsafe_b64encode(visitor).rstrip(b"=")).decode("ascii")

    def verify(self, text: str) -> bytes | None:
        """The id, or None for anything but our own token in its canonical form."""
        known = self._known.get(text)
        return known if known is not None else self._verify(text)

    def _verify(self, text: str) -> bytes | None:
        if not FORM.fullmatch(text):
            return None
        try:
            value = self._hmac.unsign(text)
        except BadSignature:
            return None
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        visitor = self._known[text] = base64.urlsafe_b64decode(value + b"==")
        return visitor


class Keyring:
    """The server's keys, and a signer for each purpose and ad account."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        check_keys(keys)
        self._keys = tuple(keys)
        self._signers: dict[tuple[int, str], Signer] = {}

    def signer(self, account: int, purpose: str) -> Signer:
        found = self._signers.get((account, purpose))
        if found is None:
            found = self._signers[account, purpose] = Signer(self._keys, account, purpose)
        return found

    def visitor(self, account: int) -> Signer:
        """For the cookie, which serves all tags of the account."""
        return self.signer(account, "visitor")

    def tag(self, account: int, tag: int) -> Signer:
        """For `Pin-Unauth`, which is good for one tag."""
        return self.signer(account, f"tag.{tag}")


def cookie_values(header: str) -> list[str]:
    """Every value of our cookie in a Cookie header, either name."""
    if "retag=" not in header:
        return []
    pairs = (part.strip().partition("=") for part in header.split(";"))
    return [value for name, _, value in pairs if name in (COOKIE, PLAIN_COOKIE)]


def cookie_header(value: str, *, secure: bool) -> str:
    """A Set-Cookie value; an empty one clears. Without `secure` only a loopback host is meant."""
    name, more = (COOKIE, "; Secure") if secure else (PLAIN_COOKIE, "")
    return f"{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={LIFE_S if value else 0}{more}"
