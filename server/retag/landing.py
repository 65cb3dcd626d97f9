"""Landings: a page view that came from a pin is a `click` engagement too.

A visit came from a pin when its first address holds Pinterest's click id (`epik`) or names Pinterest as its
`utm_source`; `utm_campaign` is then the campaign. The click's id is made of what the address says, so that a
reload, or the page's second view event, is a duplicate.
"""

from __future__ import annotations

import hashlib
import re
from urllib.parse import unquote_plus

import msgspec

from retag import scrub
from retag.events import INIT, Event

VIEWS = frozenset((INIT, "pagevisit", "viewcontent", "viewcategory"))
FROM_PIN = re.compile(r"[?&](?:epik=([^&#]{8,400})|utm_source=(pinterest[^&#]{0,40}))", re.IGNORECASE)
CAMPAIGN = re.compile(r"[?&]utm_campaign=([^&#]{1,200})", re.IGNORECASE)


def click(event: Event, address: str) -> Event | None:
    """The click that brought this view of `address` (unscrubbed), None when no pin did."""
    if "?" not in address or event.name not in VIEWS:
        return None
    source = FROM_PIN.search(address)
    if source is None:
        return None
    named = CAMPAIGN.search(address)
    campaign = unquote_plus(named[1]) if named else ""
    said = "\0".join((source[1] or source[2].lower(), campaign))
    return msgspec.structs.replace(
        event,
        name="click",
        event_id="landing-" + hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()[:32],
        data=msgspec.json.encode({"campaign_id": scrub.text(campaign)}) if campaign else b"",
    )
