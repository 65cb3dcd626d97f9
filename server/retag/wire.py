"""The wire: bytes become beacons. Query, bracket form, form body, JSON beacon; one shape comes out.

Liberal about keys, strict about structure: garbage decodes, or is refused with Malformed, and never any other
error. A broken `ed`, `pd` or `ad`, or one that is too deep, costs that part, not the event nor its
neighbours, and is counted in `faults`.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from retag.errors import Invalid
from retag.hits import Hit

MOST_PARAMS = 1000
MOST_EVENTS = 100
DEPTH = 8
TAG_LIMIT, EVENT_LIMIT = 32, 200
PARTS = ("ed", "pd", "ad")
PLAIN = ("ts", "sent", "consent", "mechanism", "proof")
BRACKETS = re.compile(r"(ed|pd|ad)?((?:\[[^\[\]]{0,100}\])+)", re.DOTALL)
ESCAPES = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
"""An escaped backslash, a pair of surrogates, or one alone."""
HALF = len(rb"\ud83d")
TOO_DEEP = f"nested deeper than {DEPTH}: send the data flatter"


class Beacon(msgspec.Struct, gc=False, rename={"tag": "tid"}):
    """One event as it was sent; `faults` counts parts that could not be read.

    `mechanism` and `proof` say how the visitor came to their `consent`, and the string that a framework gave.
    """

    tag: str
    event: str = ""
    ed: dict[str, Any] = {}
    pd: dict[str, Any] = {}
    ad: dict[str, Any] = {}
    ts: Any = None
    sent: Any = None
    consent: Any = None
    mechanism: Any = None
    proof: Any = None
    faults: int = 0


class Malformed(Invalid):
    """The request cannot be read as events."""

    def __init__(self, message: str) -> None:
        super().__init__("request", message)
        self.message = message


def decode(hit: Hit) -> list[Beacon]:
    """The beacons of one request; raises Malformed."""
    if not hit.query and (plain := usual(hit.body)) is not None:
        return [plain]
    given = form(hit.query) if hit.query else {}
    if not hit.body:
        return [beacon(given)]
    if "form-urlencoded" in hit.content_type.lower():
        return [beacon(given | form(hit.body))]
    found = read(hit.body)
    many = found if isinstance(found, list) else [found]
    if not many or len(many) > MOST_EVENTS:
        raise Malformed(f"an array may hold 1 to {MOST_EVENTS} events")
    if any(not isinstance(one, dict) for one in many):
        raise Malformed("an event must be a JSON object")
    return [beacon(given | one if given else one) for one in many]


def usual(body: bytes) -> Beacon | None:
    """The one event of a body that has the shape nearly all have, decoded straight into its fields.

    None for any other: then the careful way reads it, or says what is wrong.
    """
    try:
        found = USUAL.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError):
        return None
    if (
        not found.tag
        or len(found.tag) > TAG_LIMIT
        or len(found.event) > EVENT_LIMIT
        or not shallow_text(body)
    ):
        return None
    found.faults = 0
    return found


USUAL = msgspec.json.Decoder(Beacon)


def parse(text: bytes | str) -> Any:
    """Strict JSON of bounded depth; raises Malformed."""
    found = read(text)
    if not shallow_text(text) and not shallow(found, DEPTH):
        raise Malformed(TOO_DEEP)
    return found


def read(text: bytes | str) -> Any:
    """Strict JSON: UTF-8, no NaN; raises Malformed, also when it is too deep to be read at all."""
    try:
        return decoded(text)
    except RecursionError:
        raise Malformed(TOO_DEEP) from None
    except (msgspec.DecodeError, UnicodeError, ValueError, OverflowError):
        raise Malformed("the body is not valid JSON") from None


def decoded(text: bytes | str) -> Any:
    """JSON as pages write it: half of a character that was cut in two is no reason to lose what came with it.

    JavaScript's texts may end in half of an emoji, and its `JSON.stringify` writes that as an escape.
    """
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        raw = text if isinstance(text, bytes) else text.encode()
        whole = ESCAPES.sub(lambda found: b"\\ufffd" if len(found[0]) == HALF else found[0], raw)
        if whole == raw:
            raise
        return msgspec.json.decode(whole)


def shallow_text(text: bytes | str) -> bool:
    """Whether a text has too few brackets to nest deeply: nearly every beacon."""
    if isinstance(text, str):
        return text.count("{") + text.count("[") <= DEPTH
    return text.count(b"{") + text.count(b"[") <= DEPTH


def shallow(value: Any, depth: int) -> bool:
    """Whether a value nests no deeper than `depth`."""
    if isinstance(value, dict):
        return depth > 0 and all(
            shallow(one, depth - 1) for one in value.values() if isinstance(one, dict | list)
        )
    if isinstance(value, list):
        return depth > 0 and all(shallow(one, depth - 1) for one in value if isinstance(one, dict | list))
    return True


def form(encoded: bytes) -> dict[str, Any]:
    """A query or form body as nested objects; raises Malformed for too many parameters, or too deep ones."""
    pairs = encoded.split(b"&")
    if len(pairs) > MOST_PARAMS:
        raise Malformed(f"more than {MOST_PARAMS} parameters")
    found: dict[str, Any] = {}
    parts: dict[str, Any] = {}
    for pair in pairs:
        raw, _, said = pair.partition(b"=")
        if raw:
            name, value = _unescaped(raw), _unescaped(said)
            if not _put(parts, name, value):
                found[name] = value
    return found | {name: _both(found.get(name), part) for name, part in parts.items()}


def _unescaped(raw: bytes) -> str:
    """One side of a pair: UTF-8, escaped as browsers do it or not, as scripts and `curl -d` have it."""
    return unquote_to_bytes(raw.replace(b"+", b" ")).decode("utf-8", "replace")


def _both(said: Any, part: dict[str, Any]) -> dict[str, Any]:
    """A part in brackets, and what the same request says of it as JSON."""
    try:
        known = parse(said) if said else {}
    except Malformed:
        return part
    return known | part if isinstance(known, dict) else part


def _put(parts: dict[str, Any], name: str, value: str) -> bool:
    """`ed[line_items][0][product_id]=1`, False for another name; the documented example forgets an `ed`."""
    match = BRACKETS.fullmatch(name)
    if match is None:
        return False
    place = parts.setdefault(match[1] or "ed", {})
    *path, last = re.findall(r"\[([^\[\]]*)\]", match[2])
    if len(path) >= DEPTH - 1:
        raise Malformed(TOO_DEEP)
    for key in path:
        if not isinstance(place, dict):
            return True
        place = place.setdefault(key, {})
    if isinstance(place, dict):
        place[last or str(len(place))] = unquoted(value)
    return True


def unquoted(value: str) -> str:
    """`'1414'` is 1414: pages copy the documented example."""
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == "'" else value


def beacon(given: dict[str, Any]) -> Beacon:
    """One event's top level as a Beacon; raises Malformed without a tag id, or when the name is no name."""
    tag, event = given.get("tid"), given.get("event")
    if not isinstance(tag, str | int) or isinstance(tag, bool) or tag == "":
        raise Malformed("`tid` is missing")
    if event is None:
        event = ""
    elif not isinstance(event, str | int) or isinstance(event, bool):
        raise Malformed("`event` must be a text")
    found = Beacon(str(tag)[:TAG_LIMIT], str(event)[:EVENT_LIMIT])
    for name in PLAIN:
        value = given.get(name)
        setattr(found, name, None if isinstance(value, dict | list) else value)
    for name in PARTS:
        value = given.get(name)
        if value is not None and value != "":
            found.faults += not _part(found, name, value)
    return found


def _part(found: Beacon, name: str, value: Any) -> bool:
    """Whether a part could be read: an object, or one as a JSON string, of bounded depth."""
    if isinstance(value, str):
        try:
            value = parse(value)
        except Malformed:
            return False
    if not isinstance(value, dict) or not shallow(value, DEPTH - 1):
        return False
    setattr(found, name, value)
    return True
