"""The demo shop: a few static pages that wear the tag as a retailer's would.

Every address is a relative one: behind a proxy the pages are below a path that this server does not know.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css"}


class Shop:
    """The pages, read once; `TAG_ID` in them becomes the first tag's id."""

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
    return RedirectResponse("shop/")


def routes() -> list[Route]:
    return [Route("/", to_shop), Route("/shop", to_shop), Route("/shop/{page:path}", Shop().answer)]
