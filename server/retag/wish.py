"""Wishes: what a visitor's browser says of being followed at all. An objection goes before consent."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from retag.fields import PLACEHOLDERS
from retag.hits import Hit
from retag.screen import Policy, Tag, said
from retag.wire import Beacon

MECHANISMS = frozenset(("tcf", "gpp", "google", "api"))
"""How a page may have come to know its visitor's consent: IAB TCF or GPP, Google's mode, a call."""
PAGE = "tag"
"""The mechanism of a page that does not say."""
PROOF = re.compile(r"[A-Za-z0-9_.~+/=-]{1,2000}")
"""A TC or GPP string: of base64url, dots and tildes."""


class Wish(msgspec.Struct, frozen=True, gc=False):
    """What a known visitor's browser says about being followed: by which mechanism, and when, UTC ms.

    `proof` is the string that the mechanism gave, '' without one.
    """

    account: int
    visitor: bytes
    granted: bool
    mechanism: str
    at: int
    proof: str = ""


def wish_of(hit: Hit, tag: Tag, policy: Policy, beacons: list[Beacon], visitor: bytes) -> Wish | None:
    """The browser's own word before the page's; None when neither says anything."""
    if hit.gpc:
        return Wish(tag.account, visitor, False, "Sec-GPC", hit.received)
    if policy.dnt and hit.dnt:
        return Wish(tag.account, visitor, False, "DNT", hit.received)
    found: Wish | None = None
    for one in beacons:
        granted = None if one.consent is None else said(one.consent)
        if granted is not None and (found is None or (found.granted and not granted) or one.proof):
            now = Wish(tag.account, visitor, granted, *_told(one, hit.received))
            found = _decisive(found, now)
    return found


def _decisive(before: Wish | None, now: Wish) -> Wish:
    """Of two words in one request: a no before a yes, then the one with a proof."""
    if before is None or before.granted is not now.granted:
        return before if before is not None and not before.granted else now
    return now if now.proof and not before.proof else before


def _told(beacon: Beacon, at: int) -> tuple[str, int, str]:
    """By which mechanism, when, and the proof: as far as the page says."""
    mechanism, proof = beacon.mechanism, beacon.proof
    known = type(mechanism) is str and mechanism in MECHANISMS
    # The tag's image writes what is not there as `undefined`.
    sound = known and type(proof) is str and PROOF.fullmatch(proof) and proof not in PLACEHOLDERS
    return (mechanism if known else PAGE), at, (proof if sound else "")


def objects(wish: Wish | None, outcomes: Mapping[str, int]) -> bool:
    """Whether it was an objection that decided: not one from a foreign page, or for a tag that is none."""
    return wish is not None and not wish.granted and ("opted_out" in outcomes or "no_consent" in outcomes)
