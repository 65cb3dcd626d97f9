"""The whole river: bytes in at one end, export lines out at the other, on a real server."""

from __future__ import annotations

import hashlib
import json
import pathlib
import socket
import urllib.request
from typing import Any

from door import CHROME
from server import Server, serving
from serving import until


def raw(server: Server, request: str) -> tuple[int, dict[str, str]]:
    """Bytes over a socket: (status, headers) of the answer."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request.encode())
        answer = b""
        while part := connection.recv(65536):
            answer += part
    head, *lines = answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    pairs = (line.partition(": ") for line in lines)
    return int(head.split()[1]), {name.lower(): value for name, _, value in pairs}


def beacon(server: Server, cookie: str, *events: dict[str, Any]) -> str:
    """Send events as the tag does; the visitor's cookie, old or new."""
    body = json.dumps([{"tid": str(server.tag), **event} for event in events])
    status, headers = raw(
        server,
        f"POST /v3/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nUser-Agent: {CHROME}\r\n"
        f"Content-Type: text/plain\r\nCookie: {cookie}\r\nContent-Length: {len(body)}\r\n\r\n{body}",
    )
    assert (status, headers["retag-outcome"]) == (204, f"accepted={len(events)}")
    return cookie


def pixel(server: Server) -> str:
    """A first visit by an image; the cookie that it gives."""
    status, headers = raw(
        server,
        f"GET /v3/?tid={server.tag}&event=pagevisit&noscript=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"User-Agent: {CHROME}\r\nConnection: close\r\n\r\n",
    )
    assert (status, headers["content-type"]) == (200, "image/gif")
    return headers["set-cookie"].partition(";")[0]


def ask(server: Server, path: str, body: Any = None) -> bytes:
    url = f"{server.url}/v5/ad_accounts/{server.account}{path}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"authorization": f"Bearer {server.key}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: bytes = answer.read()
    return found


def test_bytes_in_export_lines_out(tmp_path: pathlib.Path) -> None:
    """Three visit, two add to cart, one of them buys: the abandoned cart is one visitor."""
    with serving(tmp_path, rate_limits="off") as server:
        rule = {"all": [{"event": "addtocart", "retention_days": 30}], "none": [{"event": "checkout"}]}
        made = json.loads(
            ask(server, "/audiences", {"name": "Carts", "audience_type": "VISITOR", "rule": rule})
        )
        _, left, bought = pixel(server), pixel(server), pixel(server)
        for cookie in (left, bought):
            beacon(server, cookie, {"event": "AddToCart", "ed": {"product_id": "hat", "value": "9,50"}})
        order = {"event": "Checkout", "ed": {"order_id": "1", "value": 9.5, "order_quantity": 1}}
        beacon(server, bought, {"event": "page"}, order)
        path = f"/audiences/{made['id']}"
        until(lambda: json.loads(ask(server, path))["size"] == 1)
        export = ask(server, f"{path}/export?format=ndjson")
        *lines, trailer = [json.loads(line) for line in export.splitlines()]
        assert len(lines) == trailer["rows"] == 1
        assert trailer["sha256"] == hashlib.sha256(export[: export.rindex(b'{"as_of"')]).hexdigest()
        assert lines[0].keys() == {"visitor_id", "since", "until", "last_event"}
        assert lines[0]["until"] == lines[0]["last_event"] + 30 * 86_400_000
        csv = ask(server, f"{path}/export?format=csv&as_of={trailer['as_of']}").decode().splitlines()
        assert csv[0].startswith("visitor_id,since,until,last_event")
        assert lines[0]["visitor_id"] in csv[1]
