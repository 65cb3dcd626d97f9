"""Conditions: what a clause asks of one event, compiled from its canonical fields to plain functions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from retag.rules.clause import Check
from retag.rules.fact import Fact
from retag.rules.operators import Test, tests, text

ORIGIN = re.compile(r"(https?://)([^/?#:]*)", re.IGNORECASE)
PLAIN = "".join(map(chr, range(0x21, 0x7F)))
"""What browsers leave as it is in an address; some of it they escape in places, and then it is given so."""
Operators = Mapping[str, list[Any]]
"""`{operator: operands}`."""


def on_codes(field: str, operators: Operators) -> Check:
    """A test of `source`, `platform` or `tag`, which are integers."""
    wanted = frozenset(operators.get("=", ()))
    refused = frozenset(operators.get("!=", ()))
    if not refused and field == "tag":
        return lambda fact: fact.tag in wanted

    def holds(fact: Fact) -> bool:
        code = getattr(fact, field)
        return (not wanted or code in wanted) and code not in refused

    return holds


def spelt(operators: Operators) -> Operators:
    """Addresses, or parts of them, as they are given and as browsers write them."""
    return {
        operator: [one for given in operands for one in spellings(text(given))]
        for operator, operands in operators.items()
    }


def spellings(address: str) -> list[str]:
    """`https://Möbel.example/größe` is `https://xn--mbel-5qa.example/gr%C3%B6%C3%9Fe` to a browser."""
    start = ORIGIN.match(address)
    origin = f"{start[1].lower()}{_ascii_host(start[2].lower())}" if start else ""
    written = origin + quote(address[start.end() if start else 0 :], safe=PLAIN)
    return [address] if written == address else [address, written]


def _ascii_host(host: str) -> str:
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        return host


def on_page(operators: Operators) -> Check:
    """The URL of the page that the event came from. The fold asks this most, so the usual forms are short."""
    if len(operators) == 1:
        (operator, operands), *_ = operators.items()
        parts = tuple(text(operand) for operand in operands)
        if operator == "contains" and len(parts) == 1:
            part = parts[0]
            return lambda fact: part in fact.url
        if operator == "starts_with":
            return lambda fact: fact.url.startswith(parts)
    test = tests(operators)
    return lambda fact: test(fact.url)


def url_parts(operators: Operators) -> tuple[str, ...]:
    """`a` and `b` of `{"contains": ["/a/", "/b/"]}`: whoever holds has one of them between two slashes.

    None where some operand is not of this form, for then a page may match without.
    """
    parts = [text(operand) for operand in operators.get("contains", ())]
    whole = all(len(one) > 2 and one == f"/{one.strip('/')}/" and one.count("/") == 2 for one in parts)
    return tuple(dict.fromkeys(one.strip("/") for one in parts)) if whole else ()


def on_link(operators: Operators) -> Check:
    """The pin's or product's link, else the page."""
    test = tests(operators)
    return lambda fact: test(link(fact))


def on_domain(domains: list[str]) -> Check:
    """The host of the link is one of the domains, or lies below one; `www.` makes no difference."""
    bare = {one for domain in domains for one in (host_of(domain), _ascii_host(host_of(domain)))}

    def holds(fact: Fact) -> bool:
        host = host_of(link(fact))
        return any(host == domain or host.endswith("." + domain) for domain in bare)

    return holds


def on_field(name: str, operators: Operators) -> Check:
    """A field of the event data."""
    test = tests(operators)
    return lambda fact: test(fact.data.get(name))


def on_item(conditions: Mapping[str, Operators]) -> Check:
    """All conditions hold on one and the same line item; flat product fields are an item as well."""
    wanted: list[tuple[str, Test]] = [(name, tests(operators)) for name, operators in conditions.items()]

    def holds(fact: Fact) -> bool:
        return any(all(test(item.get(name)) for name, test in wanted) for item in items(fact.data))

    return holds


def link(fact: Fact) -> str:
    found = fact.data.get("link")
    return found if isinstance(found, str) and found else fact.url


def host_of(address: str) -> str:
    """The host of a URL or bare domain, lower case, without `www.` and port; "" when there is none."""
    try:
        host = urlsplit(address if "//" in address else "//" + address).hostname or ""
    except ValueError:
        return ""
    return host.removeprefix("www.").rstrip(".")


def items(data: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The line items of an event, with the flat product fields as one more."""
    listed = data.get("line_items", ())
    found = [item for item in (listed if isinstance(listed, list) else [listed]) if isinstance(item, dict)]
    return [*found, data] if any(key.startswith("product_") for key in data) else found
