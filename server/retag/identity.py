"""Visitor ids: mint, sign, verify, rotate. The only import of itsdangerous.

An id is 128 bits in UUIDv7's layout (RFC 9562): 48 bits of milliseconds, then random, so that inserts of the
same time land near each other. A signature is good for one purpose of one ad account, for as long as any key
of the list lives; only its canonical form is taken back, since base64's last character is malleable.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence

from itsdangerous import BadSignature
from itsdangerous import Signer as Itsdangerous

from retag import errors

LEAST_KEY = 32
SHAPE = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]\.[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
"""The canonical form: the last characters' spare bits are zero."""
COOKIE, PLAIN_COOKIE = "__Host-retag", "retag"
OURS = re.compile(rf"(?:^|;)\s*({COOKIE}|{PLAIN_COOKIE})=([^;]*)")
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
MAX_AGE = 395 * 86_400
"""Seconds: the most that browsers grant."""
REMEMBERED = 50_000
STEP = 0x9E3779B97F4A7C15
"""Odd, so that all numbers pass before one comes again."""


def mint(now_ms: int, entropy: bytes) -> bytes:
    """A new id from the time and at least 10 random bytes."""
    return mints(now_ms, entropy, 1)[0]


def mints(now_ms: int, entropy: bytes, count: int) -> list[bytes]:
    """New ids of one time, no two of them alike: the random part of each is the last one's, a step on."""
    if len(entropy) < 10:
        raise errors.Invalid("entropy", "must be at least 10 random bytes")
    number = int.from_bytes(entropy[:10], "big")
    return [_laid_out(now_ms, number + i * STEP) for i in range(count)]


def _laid_out(now_ms: int, number: int) -> bytes:
    high, low = number >> 68 & 0xFFF, number & ((1 << 62) - 1)
    time = (now_ms & ((1 << 48) - 1)) << 80
    return (time | (7 << 76) | (high << 64) | (2 << 62) | low).to_bytes(16, "big")


class Signer:
    """Signs ids for one purpose of one account; `keys` oldest to newest, the newest signs, all verify."""

    def __init__(self, keys: Sequence[bytes], account: int, purpose: str) -> None:
        if not keys or any(len(key) < LEAST_KEY for key in keys):
            raise errors.Invalid("signing keys", f"must be at least one, each of {LEAST_KEY} bytes or more")
        salt = f"retag.{purpose}.{account}".encode()
        self._signers = [_signer(key, salt) for key in keys]
        self._verified: dict[str, bytes] = {}

    def sign(self, visitor: bytes) -> str:
        """The id with its signature, 66 characters."""
        text = base64.urlsafe_b64encode(visitor).rstrip(b"=")
        return self._signers[-1].sign(text).decode()

    def verify(self, text: str) -> bytes | None:
        """The id, or None for anything that this list of keys did not sign for this purpose."""
        found = self._verified.get(text)
        if found is None and (found := self._check(text)) is not None:
            if len(self._verified) >= REMEMBERED:
                self._verified.clear()
            self._verified[text] = found
        return found

    def only(self, texts: Iterable[str]) -> bytes | None:
        """The id that these name together; None when there is none, or more than one.

        A page on another host of the same domain can plant a cookie beside ours, and no one can tell which
        is ours (https://www.rfc-editor.org/rfc/rfc6265#section-8.6): then neither is.
        """
        found: bytes | None = None
        for text in texts:
            known = self.verify(text)
            if known is not None and found is not None and known != found:
                return None
            found = known or found
        return found

    def _check(self, text: str) -> bytes | None:
        if not SHAPE.fullmatch(text):
            return None
        for signer in reversed(self._signers):
            try:
                payload = signer.unsign(text)
            except BadSignature:
                continue
            return base64.urlsafe_b64decode(payload + b"==")
        return None


def _signer(key: bytes, salt: bytes) -> Itsdangerous:
    """The key of this purpose is derived once: itsdangerous would do it again for every token."""
    derived = hmac.digest(key, salt, "sha256")
    return Itsdangerous(derived, salt=salt, digest_method=hashlib.sha256, key_derivation="none")


def is_plain(host: str, secure: bool) -> bool:
    """Whether the cookie goes without Secure, and so without `__Host-`: on plain http to a loopback host."""
    return not secure and (host in LOOPBACK or host.rpartition(":")[0] in LOOPBACK)


def cookie_header(value: str, plain: bool) -> str:
    """A Set-Cookie value; an empty `value` clears it."""
    name, flag = (PLAIN_COOKIE, "") if plain else (COOKIE, "Secure; ")
    age = MAX_AGE if value else 0
    return f"{name}={value}; Max-Age={age}; Path=/; {flag}HttpOnly; SameSite=Lax"


def cookies_of(header: str, plain: bool) -> set[str]:
    """Our cookie's values in a Cookie header; the protected name wins, the other counts where `plain`."""
    found = [(name, value.strip()) for name, value in OURS.findall(header)]
    safe = {value for name, value in found if name == COOKIE and value}
    return safe or {value for name, value in found if plain and name == PLAIN_COOKIE and value}
