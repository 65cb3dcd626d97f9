"""What the door says: status, headers, pixel or configuration, for one request whose fate is settled."""

from __future__ import annotations

import msgspec

from retag.hits import Hit
from retag.ingest import Door, Intake
from retag.web.cors import MOST_KNOWN, Cors, Headers
from retag.web.letters import Letters
from retag.web.outcomes import PIXEL, outcome_line, refusal, status

EMBEDDED = (b"cross-origin-resource-policy", b"cross-origin")
"""Pages that isolate themselves (`Cross-Origin-Embedder-Policy`) hear of no answer without it."""
PRIVATE: Headers = [
    (b"cache-control", b"no-store, private"),
    (b"x-content-type-options", b"nosniff"),
    EMBEDDED,
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


class Answer:
    """One answer, short and whole. `lines` are its headers as they go over the wire."""

    __slots__ = ("body", "headers", "lines", "status")

    def __init__(self, status: int, headers: Headers, body: bytes = b"") -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.lines = b"".join([b"%b: %b\r\n" % header for header in headers])


class Answers:
    """Answers in the name of a door. Most beacons of a page's origin get one and the same: kept as worded."""

    def __init__(self, door: Door, letters: Letters) -> None:
        self.door = door
        self.letters = letters
        self.cors = Cors()
        self._thanks: dict[tuple[int, bytes], Answer] = {}

    def give(self, hit: Hit, intake: Intake, outcomes: dict[str, int]) -> Answer:
        """The answer to one request."""
        cors = self._cors(hit, intake)
        configures, names = hit.path[1] == "u", intake.fresh or intake.forget
        plain = hit.method == "POST" and not configures and not names
        if plain and len(outcomes) == 1 and "accepted" in outcomes:
            return self.thanks(outcomes["accepted"], cors)
        headers = [(b"retag-outcome", outcome_line(outcomes)), *cors]
        code = status(outcomes)
        if code != 200:
            headers += [RETRY] if code in AGAIN else []
            return reply(code, headers, b"application/json", refusal(outcomes, intake.reasons))
        if configures or names:
            headers += self.letters.headers(hit, intake, self.cors.trusted(intake.tag, hit.origin))
        if configures:
            return reply(200, headers, b"application/json", CONFIGURATION)
        if hit.method == "POST":
            return Answer(204, [*headers, EMBEDDED])
        return reply(200, headers, b"image/gif", PIXEL)

    def _cors(self, hit: Hit, intake: Intake) -> Headers:
        """Of a request that was turned away unread no tag is known; its page is told to wait all the same."""
        if intake.tag is None and hit.origin:
            return self.cors.of_any(self.door.tags.values(), hit.origin)
        return self.cors.headers(intake.tag, hit.origin)

    def thanks(self, accepted: int, cors: Headers) -> Answer:
        """All events of a known visitor were accepted. The first header names the origin, and so the rest."""
        key = (accepted, cors[0][1])
        found = self._thanks.get(key)
        if found is None:
            if len(self._thanks) >= MOST_KNOWN:
                self._thanks.clear()
            found = Answer(204, [(b"retag-outcome", b"accepted=%d" % accepted), *cors, EMBEDDED])
            self._thanks[key] = found
        return found

    def preflight(self, hit: Hit) -> Answer:
        """The answer to an OPTIONS request."""
        return Answer(204, self.cors.preflight(self.door.tags, hit))


def reply(code: int, headers: Headers, kind: bytes, body: bytes) -> Answer:
    """A short answer with a body, never cached."""
    about = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *PRIVATE]
    return Answer(code, [*headers, *about], body)
