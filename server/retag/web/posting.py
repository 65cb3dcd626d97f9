"""One POST to a webhook's receiver: to an address that was checked, in bounded time, and nowhere else.

The name is resolved once, every address it has is checked, and the connection goes to a checked one: so no
second answer of the resolver can lead inside (DNS rebinding). Redirects are not followed, proxies of the
environment not used, and of the answer nothing but the status is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import SplitResult

import h11

from retag import __version__, errors, webhooks
from retag.settings import Network

WITHIN_S = 10.0
"""For all of it: resolving, connecting, sending and the answer."""
MOST_ANSWER = 65_536
MOST_ADDRESSES = 3
"""How many of a host's addresses are tried."""
Resolve = Callable[[str, int], Awaitable[list[str]]]


async def resolve(host: str, port: int) -> list[str]:
    """Every address of a host, in the order in which to try them."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


class Post:
    """`networks` may be sent to although they are not public, and without TLS."""

    def __init__(self, networks: tuple[Network, ...], resolver: Resolve = resolve) -> None:
        self.networks, self.resolve = networks, resolver
        self.tls = ssl.create_default_context()

    async def __call__(self, url: str, headers: Sequence[tuple[str, str]], body: bytes) -> int:
        """The status of the answer.

        Raises errors.RetagError when it may not be sent there, else OSError, TimeoutError or
        h11.RemoteProtocolError.
        """
        async with asyncio.timeout(WITHIN_S):
            parts = webhooks.check_url(url, self.networks)
            secure = parts.scheme == "https"
            port = parts.port or (443 if secure else 80)
            addresses = await self._addresses(parts.hostname or "", port, secure)
            reader, writer = await self._connect(addresses, port, parts.hostname if secure else None)
            try:
                return await _exchange(reader, writer, _request(parts, headers, body), body)
            finally:
                writer.transport.abort()

    async def _addresses(self, host: str, port: int, secure: bool) -> list[str]:
        found = await self.resolve(host, port)
        if not found:
            raise OSError(f"{host} has no address")
        webhooks.allowed(map(ipaddress.ip_address, found), secure, self.networks)
        return found[:MOST_ADDRESSES]

    async def _connect(
        self, addresses: list[str], port: int, name: str | None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """To the first address that answers; with TLS, for the name of the address asked for."""
        tls = self.tls if name else None
        for address in addresses[:-1]:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(WITHIN_S / MOST_ADDRESSES):
                    return await asyncio.open_connection(address, port, ssl=tls, server_hostname=name)
        return await asyncio.open_connection(addresses[-1], port, ssl=tls, server_hostname=name)


def _request(parts: SplitResult, headers: Sequence[tuple[str, str]], body: bytes) -> h11.Request:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    ours = [
        ("host", parts.netloc),
        ("user-agent", f"Retag/{__version__}"),
        ("content-length", str(len(body))),
        ("connection", "close"),
    ]
    return h11.Request(method="POST", target=target, headers=[*ours, *headers])


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: h11.Request, body: bytes
) -> int:
    """Send, then read to the end of the answer, or as much of it as we care to."""
    peer = h11.Connection(h11.CLIENT)
    for part in (request, h11.Data(body), h11.EndOfMessage()):
        writer.write(peer.send(part) or b"")
    await writer.drain()
    status, left = None, MOST_ANSWER
    while left > 0 and not isinstance(event := peer.next_event(), h11.EndOfMessage | h11.ConnectionClosed):
        if event is h11.NEED_DATA:
            received = await reader.read(4096)
            left -= len(received) or 1
            peer.receive_data(received)
        elif isinstance(event, h11.Response):
            status = event.status_code
    if status is None:
        raise errors.RetagError("the answer has no status")
    return status
