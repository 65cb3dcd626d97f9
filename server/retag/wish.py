"""Wishes: what a visitor's browser says of being followed at all. An objection goes before consent."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from retag.hits import Hit
from retag.screen import Policy, Tag, said
from retag.wire import Beacon


class Wish(msgspec.Struct, frozen=True, gc=False):
    """What a known visitor's browser says about being followed: by which mechanism, and when, UTC ms."""

    account: int
    visitor: bytes
    granted: bool
    mechanism: str
    at: int


def wish_of(hit: Hit, tag: Tag, policy: Policy, beacons: list[Beacon], visitor: bytes) -> Wish | None:
    """The browser's own word before the page's; None when neither says anything."""
    if hit.gpc:
        return Wish(tag.account, visitor, False, "Sec-GPC", hit.received)
    if policy.dnt and hit.dnt:
        return Wish(tag.account, visitor, False, "DNT", hit.received)
    if beacons[0].consent is None and beacons[-1].consent is None:
        return None
    words = {said(one.consent) for one in beacons}
    if False in words or True in words:
        return Wish(tag.account, visitor, False not in words, "tag", hit.received)
    return None


def objects(wish: Wish | None, outcomes: Mapping[str, int]) -> bool:
    """Whether it was an objection that decided: not one from a foreign page, or for a tag that is none."""
    return wish is not None and not wish.granted and ("opted_out" in outcomes or "no_consent" in outcomes)
