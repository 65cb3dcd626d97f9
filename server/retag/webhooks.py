"""Webhooks: what is told, how it is signed, and where it may go. Pure: time and random bytes are arguments.

Signed as Standard Webhooks has it, so that any of its libraries verifies a delivery:
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import SplitResult, urlsplit

import msgspec

from retag import errors
from retag.settings import Network

ABOVE, BELOW, READY, FAILED, TEST = (
    "audience.above", "audience.below", "export.ready", "export.failed", "test",
)  # fmt: skip
EVENTS = (ABOVE, BELOW, READY, FAILED)
"""What a hook may ask for; `test` is sent on request alone."""
PREFIX = "whsec_"
SECRET_BYTES = 32
LONGEST_URL = 2_000
PRINTABLE = re.compile(r"[\x21-\x7e]+")
NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""IPv4 behind a translator: https://www.rfc-editor.org/rfc/rfc6052"""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def shown(secret: bytes) -> str:
    """A secret as it is given out, once."""
    return PREFIX + base64.b64encode(secret).decode()


def body(event: str, at: int, data: dict[str, Any]) -> bytes:
    """What is sent: `{type, timestamp, data}`; `at` in UTC ms."""
    when = datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")
    return msgspec.json.encode({"type": event, "timestamp": when.replace("+00:00", "Z"), "data": data})


def signature(secret: bytes, name: str, seconds: int, content: bytes) -> str:
    """HMAC-SHA256 over `name.seconds.content`."""
    signed = hmac.digest(secret, f"{name}.{seconds}.".encode() + content, hashlib.sha256)
    return "v1," + base64.b64encode(signed).decode()


def headers(secret: bytes, name: str, seconds: int, content: bytes) -> list[tuple[str, str]]:
    """Of one attempt: the name stays from attempt to attempt, the time and so the signature do not."""
    return [
        ("content-type", "application/json"),
        ("webhook-id", name),
        ("webhook-timestamp", str(seconds)),
        ("webhook-signature", signature(secret, name, seconds, content)),
    ]


def check_url(url: str, networks: tuple[Network, ...]) -> SplitResult:
    """The address of a receiver in its parts; errors.Invalid when nothing may be sent there.

    What its name resolves to is another question (`allowed`), asked at every delivery.
    """
    if len(url) > LONGEST_URL or not PRINTABLE.fullmatch(url):
        raise errors.Invalid("url", f"must be 1 to {LONGEST_URL} characters of ASCII without spaces")
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname or ""
        host.encode("idna")  # as the resolver will
    except ValueError as error:
        raise errors.Invalid("url", f"is no address: {error}") from None
    if parts.scheme != "https" and not (parts.scheme == "http" and networks):
        raise errors.Invalid("url", "must begin with https://")
    if not host or port == 0 or "@" in parts.netloc or parts.fragment:
        raise errors.Invalid("url", "must have a host, and neither a user name nor a fragment")
    if (literal := _read(host)) is not None:
        allowed([literal], parts.scheme == "https", networks)
    return parts


def allowed(addresses: Iterable[Address], secure: bool, networks: tuple[Network, ...]) -> None:
    """errors.Invalid when one of a host's addresses is not of the open Internet, or of `networks`.

    Every one must be: a name with a public and a private address is how a check is got around. Without TLS
    all must be in `networks`.
    """
    for address in addresses:
        inside = any(address in network for network in networks)
        if not inside and not (secure and is_public(address)):
            why = "is not a public address" if secure else "may not be sent to without TLS"
            remedy = "name its network in RETAG_WEBHOOK_NETWORKS to allow it"
            raise errors.Invalid("url", f"{address} {why}: {remedy}")


def is_public(address: Address) -> bool:
    """Whether an address is anybody's on the Internet; what IPv4 address hides inside it counts."""
    hidden = _within(address)
    if hidden is not None:
        return is_public(hidden)
    odd = address.is_multicast or address.is_reserved or address.is_unspecified
    return address.is_global and not odd and not getattr(address, "is_site_local", False)


def _within(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)


def _read(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
