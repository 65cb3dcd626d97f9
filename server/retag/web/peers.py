"""Who is on the other end: the client's address and scheme, behind the proxies that we trust and no others.

`X-Forwarded-For` is written by whoever likes to; only what a trusted proxy appended counts. So it is walked
from the right, and the first address that is no trusted proxy is the client. Nothing is trusted by default.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

import msgspec
from starlette.requests import Request

from retag.settings import Network

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
LONGEST_CHAIN, LONGEST_HEADER = 32, 1000


def read(text: str) -> Address | None:
    """An address with or without port, brackets or zone; IPv4 inside IPv6 as IPv4; None when it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def within(address: Address | None, networks: tuple[Network, ...]) -> bool:
    return address is not None and any(address in network for network in networks)


def block(address: Address) -> str:
    """Whom a rate limit by address counts: one IPv4 address, or an IPv6 subscriber's /64."""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False))


class Client(msgspec.Struct, frozen=True):
    """Who asks: the address, whom a rate limit by address counts, and whether that is anybody in particular.

    `anyone` is true when the peer is loopback or private and no proxy is trusted: it may be a proxy that
    speaks for everybody. `believed` is whether the peer's forwarding headers count. `country` is two capital
    letters, '' when it is not known.
    """

    address: str
    block: str
    anyone: bool
    believed: bool
    country: str = ""


def client_of(request: Request) -> Client:
    """Who asks, by the app's `peers`."""
    peer = request.client.host if request.client else ""
    found: Client = request.app.state.peers.client(peer, ",".join(request.headers.getlist("x-forwarded-for")))
    return found


class Peers:
    """Resolves a connection's peer and its forwarding header to the client; remembers the last few.

    `country_of` says where an address is.
    """

    def __init__(
        self,
        trusted: tuple[Network, ...],
        country_of: Callable[[str], str] = lambda _: "",
        most: int = 4096,
    ) -> None:
        self.trusted = trusted
        self._country_of = country_of
        self._most = most
        self._known: dict[tuple[str, str], Client] = {}

    def client(self, peer: str, forwarded: str) -> Client:
        """The client behind this peer."""
        forwarded = forwarded[-LONGEST_HEADER:] if self.trusted else ""
        known = self._known.get((peer, forwarded))
        if known is None:
            if len(self._known) >= self._most:
                self._known.clear()
            known = self._known[peer, forwarded] = self._resolve(peer, forwarded)
        return known

    def _resolve(self, peer: str, forwarded: str) -> Client:
        near = read(peer)
        believed = within(near, self.trusted)
        found = self._walk(near, forwarded) if believed else near
        anyone = not self.trusted and (found is None or not found.is_global)
        if found is None:
            return Client("", "", anyone, believed)
        return Client(str(found), block(found), anyone, believed, self._country_of(str(found)))

    def _walk(self, address: Address | None, forwarded: str) -> Address | None:
        for hop in reversed(forwarded.split(",")[-LONGEST_CHAIN:]):
            found = read(hop)
            if found is None:
                return address  # garbage was written by someone before our proxies: go no further
            address = found
            if not within(found, self.trusted):
                return found
        return address
