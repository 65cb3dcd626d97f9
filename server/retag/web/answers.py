"""What the door says: status, headers, pixel or configuration, for one request whose fate is settled."""

from __future__ import annotations

import msgspec
from starlette.types import Send

from retag.hits import Hit
from retag.ingest import Door, Intake
from retag.web.cors import Cors, Headers
from retag.web.letters import Letters
from retag.web.outcomes import PIXEL, outcome_line, refusal, status

PRIVATE: Headers = [
    (b"cache-control", b"no-store, private"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"cross-origin"),
]
RETRY = (b"retry-after", b"1")
AGAIN = frozenset((429, 503))
CONFIGURATION = msgspec.json.encode(
    dict.fromkeys(
        ("aemEnabled", "aemFnLnEnabled", "aemPhEnabled", "aemGeEnabled", "aemDbEnabled", "aemLocEnabled"),
        False,
    )
    | {"aemExternalIdEnabled": False, "isEu": False, "piaaEndPoint": ""}
)
"""What `/user/` answers: the camelCase names that Pinterest's own tag reads."""


class Answers:
    """Answers in the name of a door."""

    def __init__(self, door: Door, letters: Letters) -> None:
        self.door = door
        self.letters = letters
        self.cors = Cors()

    async def give(self, send: Send, hit: Hit, intake: Intake, outcomes: dict[str, int]) -> None:
        """Answer one request."""
        code = status(outcomes)
        headers = [(b"retag-outcome", outcome_line(outcomes)), *self.cors.headers(intake.tag, hit.origin)]
        if code != 200:
            if code in AGAIN:
                headers.append(RETRY)
            await reply(send, code, headers, b"application/json", refusal(outcomes, intake.reasons))
            return
        if intake.fresh or intake.forget or hit.path[1] == "u":
            headers += self.letters.headers(hit, intake, self.cors.trusted(intake.tag, hit.origin))
        if hit.path[1] == "u":
            await reply(send, 200, headers, b"application/json", CONFIGURATION)
        elif hit.method == "POST":
            await nothing(send, headers)
        else:
            await reply(send, 200, headers, b"image/gif", PIXEL)

    async def preflight(self, send: Send, hit: Hit) -> None:
        """Answer an OPTIONS request."""
        await nothing(send, self.cors.preflight(self.door.tags, hit))


async def nothing(send: Send, headers: Headers) -> None:
    """204."""
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def reply(send: Send, code: int, headers: Headers, kind: bytes, body: bytes) -> None:
    """A short answer with a body, never cached."""
    about = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *PRIVATE]
    await send({"type": "http.response.start", "status": code, "headers": [*headers, *about]})
    await send({"type": "http.response.body", "body": body})
