"""The screen: what must not count, as a visible list of checks, in the order in which they decide.

Each check says the reason, or None. `bot` is an outcome whose event is kept apart; the others store nothing.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from retag.devices import Device
from retag.hits import Hit
from retag.wire import Beacon

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
OPTED_OUT = "opted-out"
"""The cookie of a browser that opted out: a wish, no id."""
OUT = re.compile(rf"(?:^|;)\s*(?:__Host-)?retag={OPTED_OUT}\s*(?:;|$)")
NO = frozenset(("0", "false", "denied", "no"))
YES = frozenset(("1", "true", "granted", "yes"))


class Tag(msgspec.Struct, frozen=True):
    """A tag as the door knows it. `domains` are hosts that stand for their subdomains; none means any.

    `script` is what its script is served with: modules and options. `pin_clicks` makes a `click` of a landing
    that came from a pin.
    """

    id: int
    account: int
    status: str = "ACTIVE"
    domains: tuple[str, ...] = ()
    consent: str = "opt-out"
    params: frozenset[str] = frozenset()
    script: dict[str, Any] = {}
    pin_clicks: bool = True

    @classmethod
    def parse(cls, number: int, account: int, status: str, config: Mapping[str, Any]) -> Tag:
        """A tag out of its row and configuration."""
        domains = tuple(str(one).lower() for one in config.get("domains") or ())
        params = frozenset(one for name in config.get("params") or () for one in spellings(str(name)))
        script = config.get("script") or {}
        consent, clicks = config.get("consent") or "opt-out", config.get("pin_clicks") is not False
        return cls(number, account, status, domains, consent, params, script, clicks)


def spellings(name: str) -> tuple[str, str]:
    """A query parameter's name in small letters: as it is, and as addresses escape it (`size%5b%5d`)."""
    lower = name.lower()
    return lower, quote(lower).lower()


class Policy(msgspec.Struct, frozen=True):
    """What holds for all tags: whether DNT opts out, and the shop's own networks."""

    dnt: bool = False
    internal: tuple[Network, ...] = ()


class Case(msgspec.Struct, frozen=True, gc=False):
    """One event before the screen."""

    hit: Hit
    beacon: Beacon
    tag: Tag
    device: Device
    policy: Policy


def listed(domains: tuple[str, ...], host: str) -> bool:
    """Whether a host is one of the domains, or below one."""
    host = host.rstrip(".").lower()
    names = [domain.removeprefix("*.") for domain in domains]
    return any(host == name or host.endswith("." + name) for name in names)


def host_of(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def inactive(case: Case) -> str | None:
    return None if case.tag.status == "ACTIVE" else "the tag is paused or archived"


def foreign(case: Case) -> str | None:
    """By Origin, else Referer, else Sec-Fetch-Site: hygiene, not authentication."""
    if not case.tag.domains:
        return None
    page = case.hit.origin or case.hit.referer
    if page:
        return (
            None if listed(case.tag.domains, host_of(page)) else "the page's host is not a domain of the tag"
        )
    return "sent across sites without saying from where" if case.hit.fetch_site == "cross-site" else None


def prefetched(case: Case) -> str | None:
    return f"the browser only prepares the page ({case.hit.purpose[:20]})" if case.hit.purpose else None


def opted_out(case: Case) -> str | None:
    if case.hit.gpc:
        return "Sec-GPC: 1"
    if OPTED_OUT in case.hit.cookie and OUT.search(case.hit.cookie):
        return "the browser opted out"
    if case.policy.dnt and case.hit.dnt:
        return "DNT: 1"
    return "opt_out_type LDP" if limited(case.beacon.pd.get("opt_out_type")) else None


def limited(types: Any) -> bool:
    """Whether `opt_out_type`, a list or a text with commas, asks for limited data processing."""
    return types is not None and "LDP" in str(types).upper()


def unconsented(case: Case) -> str | None:
    given = said(case.beacon.consent)
    if given is False:
        return "consent was denied"
    return "consent is required, and none was given" if case.tag.consent == "required" and not given else None


def said(consent: Any) -> bool | None:
    """A `consent` value as yes, no or nothing."""
    if consent is None:
        return None
    word = str(consent).lower()
    return True if word in YES else False if word in NO else None


def internal(case: Case) -> str | None:
    if not case.policy.internal:
        return None
    try:
        address = ipaddress.ip_address(case.hit.address)
    except ValueError:
        return None
    return "one of the shop's own networks" if any(address in one for one in case.policy.internal) else None


def automated(case: Case) -> str | None:
    if case.device.bot is not None:
        return case.device.bot
    if "brands" in case.beacon.ad and "headless" in str(case.beacon.ad["brands"]).lower():
        return "client hints of a headless browser"
    return "navigator.webdriver" if case.beacon.ad.get("webdriver") in (True, 1, "1", "true") else None


CHECKS: tuple[tuple[str, Callable[[Case], str | None]], ...] = (
    ("paused_tag", inactive),
    ("foreign_origin", foreign),
    ("prefetch", prefetched),
    ("opted_out", opted_out),
    ("no_consent", unconsented),
    ("internal", internal),
    ("bot", automated),
)


def check(case: Case) -> tuple[str, str] | None:
    """`(outcome, reason)` of the first check that objects, or None."""
    for outcome, objects in CHECKS:
        reason = objects(case)
        if reason is not None:
            return outcome, reason
    return None
