"""Who is on the other end: the client's address and scheme, behind the proxies that we trust and no others.

`X-Forwarded-For` is written by whoever likes to; only what a trusted proxy appended counts. So it is walked
from the right, and the first address that is no trusted proxy is the client. Nothing is trusted by default.
"""

from __future__ import annotations

import ipaddress

from retag.settings import Network

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
LONGEST_CHAIN = 32


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


class Peers:
    """Resolves a connection's peer and forwarding headers to the client.

    `speaks_for_all` is whether a peer may be an unknown proxy: it is loopback or private and none is trusted,
    so that its address says nothing about the client.
    """

    def __init__(self, trusted: tuple[Network, ...]) -> None:
        self.trusted = trusted

    def client(self, peer: str, forwarded: str) -> Address | None:
        """The client's address; None for a peer without one (a socket file)."""
        address = read(peer)
        if not self.trusted or not within(address, self.trusted):
            return address
        for hop in reversed(forwarded.split(",")[-LONGEST_CHAIN:]):
            found = read(hop)
            if found is None:
                return address  # garbage was written by someone before our proxies: go no further
            address = found
            if not within(found, self.trusted):
                return found
        return address

    def believes(self, peer: str) -> bool:
        """Whether this peer's forwarding headers count."""
        return bool(self.trusted) and within(read(peer), self.trusted)

    def speaks_for_all(self, client: Address | None) -> bool:
        return not self.trusted and (client is None or not client.is_global)
