"""Parting with a client, and staying with one that asks for another protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retag.web.protocol import DoorProtocol


class Parting:
    """What an ASGI cycle takes for its transport: it does not close on a body that is still coming."""

    def __init__(self, connection: DoorProtocol) -> None:
        self.connection = connection
        self.write = connection.transport.write
        self.is_closing = connection.transport.is_closing

    def close(self) -> None:
        if not self.connection.unread():
            self.connection.transport.close()


def without_upgrade(method: bytes, url: bytes, version: str, headers: list[tuple[bytes, bytes]]) -> bytes:
    """The head of the same request, not asking for another protocol."""
    lines = [b"%b %b HTTP/%b\r\n" % (method, url, version.encode())]
    for name, value in headers:
        if name == b"connection":
            value = b"close" if b"close" in value.lower() else b"keep-alive"
        if name not in (b"upgrade", b"http2-settings"):
            lines.append(b"%b: %b\r\n" % (name, value))
    return b"".join([*lines, b"\r\n"])
