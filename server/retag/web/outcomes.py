"""What outcomes come to: the status, the line in the header, the words of a refusal.

An event has exactly one outcome; a request has the status of its best event, except that "send it again"
beats all, since nothing of such a request was stored.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping

import msgspec

from retag import errors

AGAIN = {"overloaded": 503, "rate_limited": 429}
FINE = frozenset(
    (
        "accepted",
        "duplicate",
        "bot",
        "prefetch",
        "opted_out",
        "no_consent",
        "internal",
        "erased",
        "quarantined",
    )
)
REFUSED = {"too_large": 413, "malformed": 400, "foreign_origin": 403, "unknown_tag": 404, "paused_tag": 404}

PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
"""A transparent GIF of one pixel, 43 bytes."""


def status(outcomes: Mapping[str, int]) -> int:
    """200 when anything went well or nothing was asked, else the refusal's status."""
    for name, found in AGAIN.items():
        if name in outcomes:
            return found
    if not outcomes or not FINE.isdisjoint(outcomes):
        return 200
    return next(found for name, found in REFUSED.items() if name in outcomes)


def outcome_line(outcomes: Mapping[str, int]) -> bytes:
    """`accepted=2, malformed=1`."""
    return ", ".join([f"{name}={count}" for name, count in outcomes.items()]).encode() or b"accepted=0"


def refusal(outcomes: Mapping[str, int], reasons: Iterable[str]) -> bytes:
    """The body of a refusal: `{code, message}`, with the reasons as the door gave them."""
    name = next((name for name in (*AGAIN, *REFUSED) if name in outcomes), "malformed")
    message = "; ".join(dict.fromkeys(reasons)) or MESSAGES.get(name, "The event was refused.")
    return msgspec.json.encode({"code": CODES.get(name, 4196), "message": f"{name}: {message}"})


CODES = {
    "overloaded": errors.Overloaded.code,
    "rate_limited": errors.RateLimited.code,
    "too_large": errors.TooLarge.code,
    "foreign_origin": errors.Forbidden.code,
    "unknown_tag": errors.NotFound.code,
    "paused_tag": errors.NotFound.code,
}
MESSAGES = {
    "overloaded": "Nothing was stored: send the same request again after the time in Retry-After.",
    "rate_limited": "Too many requests from here: try again later.",
    "too_large": "A beacon may have 64 KiB: send fewer events at once.",
    "foreign_origin": "This page's host is not among the tag's domains: add it to the tag.",
    "unknown_tag": "No tag has this id: check `tid`.",
    "paused_tag": "The tag is paused or archived: activate it to collect again.",
    "malformed": "The request cannot be read as an event.",
}
