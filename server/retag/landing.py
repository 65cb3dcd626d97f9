"""Landings: what the address of a page says of how the visit came about.

It may hold click ids. A visit came from a pin when its first address holds Pinterest's (`epik`), or names
Pinterest as its `utm_source`; `utm_campaign` is then the campaign, and a view of the page is a `click`
engagement too. The click's id is made of what the address says, so that a reload, or the page's second view
event, is a duplicate.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from urllib.parse import unquote_plus

import msgspec

from retag import fields, scrub
from retag.events import INIT, Event
from retag.people import CLICKS, LONGEST_CLICK

VIEWS = frozenset((INIT, "pagevisit", "viewcontent", "viewcategory"))
CLICK = re.compile(rf"[?&]({'|'.join(CLICKS)})=([^&#]{{1,{LONGEST_CLICK}}})")
FROM_PIN = re.compile(r"[?&](?:epik=([^&#]{8,400})|utm_source=(pinterest[^&#]{0,40}))", re.IGNORECASE)
CAMPAIGN = re.compile(r"[?&]utm_campaign=([^&#]{1,200})", re.IGNORECASE)
LONGEST = 4096
"""Characters of an address that are looked at."""


class Landing(msgspec.Struct, frozen=True):
    """An address as it is kept, the click ids in it, and the pin's own words when it came from one."""

    url: str = ""
    clicks: tuple[tuple[str, str], ...] = ()
    pin: str | None = None
    campaign: str = ""


def read(address: str, params: frozenset[str]) -> Landing:
    """What an address as it came says; `params` are the tag's own query parameters to keep."""
    return _read(address[:LONGEST], params)


@lru_cache(4096)
def _read(address: str, params: frozenset[str]) -> Landing:
    url = scrub.url(address, params)
    if "?" not in address:
        return Landing(url)
    clicks, source = tuple(CLICK.findall(address)), FROM_PIN.search(address)
    if source is None:
        return Landing(url, clicks)
    named = CAMPAIGN.search(address)
    return Landing(url, clicks, source[1] or source[2].lower(), unquote_plus(named[1]) if named else "")


def click(event: Event, landing: Landing) -> Event | None:
    """The click that brought this view of a page, None when no pin did."""
    if landing.pin is None or event.name not in VIEWS:
        return None
    said = f"{landing.pin}\0{landing.campaign}"
    data = {"campaign_id": fields.id_of(landing.campaign)} if landing.campaign else None
    return msgspec.structs.replace(
        event,
        name="click",
        event_id="landing-" + hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()[:32],
        data=msgspec.json.encode(data) if data else b"",
    )
