"""The tag file: each tag's configuration baked into the committed build, served from memory.

Its bytes depend on the configuration alone, never on a visitor, a query or a header. `/tag.js` and
`/ct/core.js` (the original path) are kept for an hour, then asked for again by hash; `/t/HASH.js` is the
same file for good, with its integrity: a changed configuration is a new address. A word of the owner's own
(RETAG_PATH_NAME) names all of them once more, and the beacon, in ways that no block list knows.
Nothing here sets a cookie.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import brotli
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from retag import scrub
from retag.clock import time_ms
from retag.screen import Tag
from retag.store import tag_files

MODULES = ("products", "consent", "engagement", "forms")
"""What a tag's configuration may switch on, in the order of loading."""
SWITCHED = ("title", "hash")
"""Modules that an option of their name switches on."""
OPTIONS = ("hash", "google", "vendor")
"""File-wide options: count hash routes, follow Google's consent mode, the IAB vendor id."""
NAME = re.compile(r"[^\s&=#]+")
"""What the name of a query parameter may be in an address."""
HINT = "//# allFunctionsCalledOnLoad"
"""Chromium then compiles all of it off the main thread: https://v8.dev/blog/explicit-compile-hints"""
HOUR = "public, max-age=3600, stale-while-revalidate=86400"
FOREVER = "public, max-age=31536000, immutable"
READY = 8
"""Versions that are held compressed."""


@dataclass(frozen=True)
class Version:
    """One file in its three codings."""

    plain: bytes
    codings: Mapping[str, bytes]
    name: str
    integrity: str

    @classmethod
    def of(cls, plain: bytes) -> Version:
        digest = hashlib.sha256(plain).hexdigest()[:16]
        integrity = "sha384-" + base64.b64encode(hashlib.sha384(plain).digest()).decode()
        codings = {"br": brotli.compress(plain), "gzip": gzip.compress(plain, mtime=0), "": plain}
        return cls(plain, codings, digest, integrity)

    def path(self, word: str = "") -> str:
        """The immutable address, under the owner's own word if there is one."""
        return f"/{word or 't'}/{self.name}.js"


def built(name: str) -> str:
    """A file of the committed build."""
    return (resources.files("retag.web") / "static" / "tag" / f"{name}.js").read_text("utf-8").strip()


def params(tags: Iterable[Tag]) -> str:
    """The query parameters that may leave a page: ` q page utm `, the last for all that begin so."""
    own = {name for tag in tags for name in tag.params if NAME.fullmatch(name)}
    # The click id is in the landing page's address; the server reads it there and does not store it there.
    listed = {re.sub("^utm_.*", "utm", name) for name in scrub.PARAMS | own | {"epik"}}
    return " ".join(["", *sorted(listed), ""])


def configuration(tags: Mapping[int, Tag], word: str) -> dict[str, Any]:
    """What is baked in: file-wide options, and for each tag what differs from the default."""
    found: dict[str, Any] = {"params": params(tags.values())}
    if word:
        found["name"] = word
    for number, tag in sorted(tags.items()):
        found |= {name: tag.script[name] for name in OPTIONS if tag.script.get(name)}
        own = {"mode": "cors"} if tag.domains else {}
        if tag.consent == "required":
            own["consent"] = "required"
        if own:
            found[str(number)] = own
    return found


def compose(tags: Mapping[int, Tag], word: str = "") -> bytes:
    """`(core)(CONFIG,[MODULE,…])` for these tags, under HINT; without the list where there is none."""
    wanted = {name for tag in tags.values() for name in tag.script.get("modules", ())}
    wanted |= {name for tag in tags.values() for name in SWITCHED if tag.script.get(name)}
    modules = ",".join(built(name) for name in (*MODULES, *SWITCHED) if name in wanted)
    config = msgspec.json.encode(configuration(tags, word)).decode().replace("<", "\\u003c")
    config = re.sub('"([a-z]+)":', r"\1:", config)
    return f"{HINT}\n{built('core')}({config}{modules and f',[{modules}]'})".encode()


class TagFile:
    """The file for the door's tags, composed again when they change; `word` is RETAG_PATH_NAME."""

    def __init__(self, word: str = "") -> None:
        self.word = word
        self.debug = Version.of(built("debug").encode() + b"\n")
        self.tags: Mapping[int, Tag] | None = None
        self.current = self.debug
        self.ready: dict[str, Version] = {}
        self.kept: Mapping[str, bytes] = {}
        """What was current before, by name: pages that name it keep their script (store.tag_files)."""

    def version(self, tags: Mapping[int, Tag]) -> Version:
        """The file for these tags; the door's mapping is replaced, never changed."""
        if tags is not self.tags:
            self.current = self._prepare(compose(tags, self.word))
            self.tags = tags
        return self.current

    def _prepare(self, plain: bytes) -> Version:
        version = Version.of(plain)
        while len(self.ready) >= READY:
            del self.ready[next(iter(self.ready))]
        self.ready[version.name] = version
        return version

    def named(self, name: str) -> Version | None:
        """The version of a name, as long as anything remembers it."""
        plain = self.kept.get(name)
        return self.ready.get(name) or (self._prepare(plain) if plain is not None else None)

    async def keep(self, state: Any) -> None:
        """Write the current version down, and learn of those before it."""
        version, now = self.version(state.door.tags), time_ms()
        self.kept = await state.journal.write(lambda cn: tag_files.keep(cn, version.name, version.plain, now))

    async def latest(self, request: Request) -> Response:
        return answer(request, self.version(request.app.state.door.tags), HOUR)

    async def explained(self, request: Request) -> Response:
        return answer(request, self.debug, HOUR)

    async def immutable(self, request: Request) -> Response:
        self.version(request.app.state.door.tags)
        found = self.named(request.path_params["name"])
        if found is None:
            return Response("No such version: see /tag.js.\n", 404, {"cache-control": "no-store"})
        return answer(request, found, FOREVER)


def answer(request: Request, version: Version, cache: str) -> Response:
    """The file in the best coding that is taken, or that it is unchanged."""
    coding = accepted(request.headers.get("accept-encoding", ""))
    etag = f'"{version.name}{coding and "-" + coding}"'
    headers = {
        "cache-control": cache,
        "etag": etag,
        "vary": "accept-encoding",
        "x-content-type-options": "nosniff",
        "cross-origin-resource-policy": "cross-origin",
        "access-control-allow-origin": "*",
    }
    if etag in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    if coding:
        headers["content-encoding"] = coding
    return Response(version.codings[coding], 200, headers, "text/javascript")


def accepted(header: str) -> str:
    """`br` or `gzip` when the client takes it, else ''."""
    parts = [part.replace(" ", "").partition(";") for part in header.lower().split(",")]
    taken = {name for name, _, weight in parts if weight not in ("q=0", "q=0.0", "q=0.00", "q=0.000")}
    return "br" if "br" in taken else "gzip" if "gzip" in taken else ""


def routes(tag: TagFile) -> list[Route]:
    """The tag under all of its addresses."""
    latest = ["/tag.js", "/ct/core.js", *([f"/{tag.word}.js"] if tag.word else [])]
    folders = ["/t", *([f"/{tag.word}"] if tag.word else [])]
    return [
        *(Route(path, tag.latest) for path in latest),
        # Beside the beacon, as every served script knows it; one for all versions, since only people read it.
        Route(f"/{tag.word or 'v3'}/debug.js", tag.explained),
        *(Route(f"{folder}/{{name}}.js", tag.immutable) for folder in folders),
    ]
