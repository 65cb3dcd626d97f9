"""`/console`: the page where people look. One static page, and one feed that it asks with an API key.

The page's only script and style are inside it, named in the policy by their hashes: nothing else can run, and
nothing can be loaded from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import re
from importlib import resources

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from retag import errors
from retag.web.api import auth
from retag.web.api.call import refusal, reply
from retag.web.arrivals import Arrivals


def page() -> str:
    return (resources.files("retag.web") / "static" / "console" / "index.html").read_text("utf-8")


def hashes(html: str, element: str) -> str:
    """The CSP sources of the page's inline `script` or `style`."""
    found = re.findall(rf"<{element}>(.*?)</{element}>", html, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in found]
    return " ".join(f"'sha256-{digest}'" for digest in digests)


def policy(html: str) -> str:
    return (
        f"default-src 'none'; script-src {hashes(html, 'script')}; style-src {hashes(html, 'style')}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


class Console:
    """The page, and what it shows: the account's last arrivals and the server's counts by outcome."""

    def __init__(self, arrivals: Arrivals) -> None:
        self.arrivals = arrivals
        self.html = page()
        self.headers = {
            "content-security-policy": policy(self.html),
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cache-control": "no-cache",
        }

    async def show(self, _: Request) -> Response:
        return Response(self.html, media_type="text/html", headers=self.headers)

    async def feed(self, request: Request) -> Response:
        """`{account, seen, counts, lost, arrivals}`: arrivals after number `after`, oldest first."""
        try:
            caller = await auth.identify(request)
            await auth.require(request, "audiences:read", caller.account)
        except errors.RetagError as error:
            return refusal(error, {})
        after = request.query_params.get("after", "0")
        number = int(after) if after.isascii() and after.isdigit() and len(after) < 16 else 0
        feed = {
            "account": str(caller.account),
            "seen": self.arrivals.seen,
            "counts": self.arrivals.counts,
            "lost": self.arrivals.lost,
            "arrivals": msgspec.to_builtins(self.arrivals.since(number, caller.account)),
        }
        return reply(feed, {})
