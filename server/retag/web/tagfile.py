"""The tag file, and the demo shop that wears it: static files of the package, read once.

`/tag.js` may be kept for an hour and is then asked for again by its hash; `/ct/core.js` is the same file at
the path of Pinterest's own. The shop's pages get the first tag's id, exactly as a retailer would paste it.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import Any

import brotli
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
CACHE = "public, max-age=3600, stale-while-revalidate=86400"


class TagFile:
    """The script, plain and compressed."""

    def __init__(self) -> None:
        self.plain = (resources.files("retag.web") / "static" / "tag" / "tag.js").read_bytes()
        self.small = brotli.compress(self.plain)
        self.etag = f'"{hashlib.sha256(self.plain).hexdigest()[:16]}"'

    async def answer(self, request: Request) -> Response:
        headers = {
            "cache-control": CACHE,
            "etag": self.etag,
            "vary": "accept-encoding",
            "x-content-type-options": "nosniff",
            "cross-origin-resource-policy": "cross-origin",
            "access-control-allow-origin": "*",
        }
        if request.headers.get("if-none-match") == self.etag:
            return Response(status_code=304, headers=headers)
        if "br" in request.headers.get("accept-encoding", ""):
            headers["content-encoding"] = "br"
            return Response(self.small, headers=headers, media_type=TYPES["js"])
        return Response(self.plain, headers=headers, media_type=TYPES["js"])


class Shop:
    """The demo shop's pages."""

    def __init__(self) -> None:
        folder = resources.files("retag.web") / "static" / "shop"
        self.files = {file.name: file.read_bytes() for file in folder.iterdir() if "." in file.name}

    async def answer(self, request: Request) -> Response:
        name = request.path_params["page"] or "index.html"
        body = self.files.get(name)
        if body is None:
            return Response("No such page.", status_code=404, media_type="text/plain")
        if name.endswith(".html"):
            body = body.replace(b"TAG_ID", str(tag_of(request.app.state)).encode())
        headers = {"cache-control": "no-cache", "x-content-type-options": "nosniff"}
        return Response(body, headers=headers, media_type=TYPES.get(name.rpartition(".")[2], "text/plain"))


def tag_of(state: Any) -> int:
    """The first tag's id, 0 when there is none."""
    return min(state.door.tags, default=0)


async def to_shop(_: Request) -> Response:
    return RedirectResponse("/shop/")


def routes() -> list[Route]:
    """The tag under both of its addresses, and the shop."""
    tag = TagFile()
    return [
        Route("/tag.js", tag.answer),
        Route("/ct/core.js", tag.answer),
        Route("/shop", to_shop),
        Route("/shop/{page:path}", Shop().answer),
    ]
