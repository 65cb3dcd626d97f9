"""Events: the vocabulary. One table of names, the closed lists, and the row of the log.

Names are case-insensitive and stored in the tag's lower-case form; `add_to_cart`, `ADD_TO_CART` and
`AddToCart` are one event (https://developers.pinterest.com/docs/track-conversions/pinterest-tag/).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import msgspec

SOURCES: Mapping[str, int] = {"tag": 1, "conversions_api": 2, "file_upload": 3, "mmp": 4}
PLATFORMS: Mapping[str, int] = {"web": 1, "mobile": 2, "offline": 3}
STANDINGS: Mapping[str, int] = {
    **{"counted": 0, "duplicate": 1, "repeated_order": 2, "quarantined": 3},
    **{"not_purchase": 4, "opted_out": 5, "erased": 6},
}
"""What became of an event in the log. `not_purchase`: a refund or an order of no value."""

OUTCOMES = (
    "accepted",
    "duplicate",
    "bot",
    "prefetch",
    "opted_out",
    "no_consent",
    "internal",
    "erased",
    "malformed",
    "foreign_origin",
    "unknown_tag",
    "paused_tag",
    "too_large",
    "rate_limited",
    "quarantined",
    "overloaded",
)

INIT = "init"
"""A page view that is no `pagevisit`: `page`, an absent event, a navigation inside one page."""

ENGAGEMENTS = ("click", "comment", "save", "like", "closeup")

NAMES = (
    *(
        "pagevisit",
        "viewcategory",
        "search",
        "addtocart",
        "checkout",
        "watchvideo",
        "signup",
        "lead",
        "custom",
    ),
    *(
        "addpaymentinfo",
        "addtowishlist",
        "initiatecheckout",
        "subscribe",
        "viewcontent",
        "contact",
        "schedule",
    ),
    *("findlocation", "customizeproduct", "submitapplication", "starttrial", "appinstall", "appopen", INIT),
    *ENGAGEMENTS,
)
"""The standard events, tag form. Any other name is the shop's own."""

KNOWN = frozenset(NAMES)

ALIASES: Mapping[str, str] = {
    **dict.fromkeys(("page", "pageload"), INIT),
    **dict.fromkeys(("purchase", "buy", "pay", "payment", "ordercompleted", "completepayment"), "checkout"),
    **dict.fromkeys(("completeregistration", "register"), "signup"),
    **{"pageview": "pagevisit", "viewitem": "viewcontent", "viewitemlist": "viewcategory"},
    **{"addtobasket": "addtocart", "begincheckout": "initiatecheckout", "generatelead": "lead"},
}
"""Other platforms' names, and what Pinterest's tag helper reads them as."""


class Event(msgspec.Struct, frozen=True, gc=False):
    """One row of the log, without its position and standing. Times are UTC ms; JSON columns may be empty."""

    account: int
    tag: int
    visitor: bytes
    name: str
    time: int
    received: int
    event_id: str
    source: int
    platform: int
    url: str
    data: bytes
    people: bytes
    context: bytes


@lru_cache(4096)
def canonical(name: str) -> str:
    """The stored form of an event's name under any of its spellings; a shop's own name in lower case.

    Tag, servers, files and rules all name events through this, so that each means the same to all.
    """
    lower = "".join(name.split()).lower()
    joined = lower.replace("_", "").replace("-", "")
    return joined if joined in KNOWN else ALIASES.get(joined, lower)
