"""Scrubbing: what identifies a person by accident does not reach the disk."""

from __future__ import annotations

import json
import pathlib
from urllib.parse import urlsplit, urlunsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retag import scrub

LONG = "x" * (scrub.TEXT_LIMIT - 5) + " ann@mail.example"
BLNS = pathlib.Path(__file__).parents[2] / "shared" / "data" / "bad-input" / "blns.json"


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("https://shop.example/a?utm_source=mail&token=x&page=2#top", "https://shop.example/a?utm_source=mail&page=2"),
        ("https://shop.example/u/ann@mail.example/orders", "https://shop.example/u/[email]/orders"),
        ("https://shop.example/?q=ann%40mail.example", "https://shop.example/?q=[email]"),
        ("https://ann:secret@shop.example:8443/", "https://shop.example:8443/"),
        ("https://shop.example/reset/0123456789abcdef0123456789abcdef", "https://shop.example/reset/[token]"),
        ("HTTPS://Shop.Example/A", "https://shop.example/A"),
        ("http://[::1]:8000/x", "http://[::1]:8000/x"),
        ("javascript:alert(1)", ""),
        ("file:///etc/passwd", ""),
        ("not an address", ""),
        ("https://[", ""),
        ("https://shop.example:99999/", ""),
    ],
)  # fmt: skip
def test_an_address_keeps_what_is_listed(address, kept):
    """Parameters by an allow-list; no fragment, no user, no password."""
    assert scrub.url(address) == kept


def test_a_tag_may_list_more():
    """By its configuration."""
    assert scrub.url("https://a.example/?ref=x&z=1", frozenset({"ref"})) == "https://a.example/?ref=x"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("write to ann.b+c@mail.example now", "write to [email] now"),
        ("4111 1111 1111 1111", "[card]"),
        ("4111-1111-1111-1112", "4111-1111-1111-1112"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc", "[token]"),
        ("size 42, 1234567890123 pieces", "size 42, 1234567890123 pieces"),
        ("@shop", "@shop"),
        ("jörg@müller.example", "[email]"),
        ("ann%2540mail.example", "[email]"),
        ("378282246310005", "[card]"),
        ("EAN 4006381333931", "EAN 4006381333931"),
        ("1234567890123452", "1234567890123452"),
        ("set aB3dE5gH7jK9mN1pQ3sT5vW7 now", "set [token] now"),
        ("Mens-Running-Shoes-Blue-Size-42-Waterproof", "Mens-Running-Shoes-Blue-Size-42-Waterproof"),
        ("0190d1a2-3b4c-7d5e-8f60-718293a4b5c6", "0190d1a2-3b4c-7d5e-8f60-718293a4b5c6"),
    ],
)
def test_texts_are_masked(text, kept):
    """E-mail addresses, cards by Luhn, tokens."""
    assert scrub.text(text) == kept


def test_the_number_on_a_product_is_no_card():
    """Thirteen digits: of a shop's products one in ten would lose its name, and be one with others."""
    for ean in range(4_006_381_333_900, 4_006_381_334_000):
        assert scrub.text(f"EAN {ean}") == f"EAN {ean}"
        assert scrub.url(f"https://shop.example/p/{ean}?product={ean}").count(str(ean)) == 2


def test_no_half_of_an_address_is_left_by_a_cut():
    """Masked first, then cut; names of values are masked too."""
    assert "ann" not in scrub.cut(LONG)
    assert len(scrub.cut(LONG)) == scrub.TEXT_LIMIT
    assert scrub.data({"ann@mail.example": [LONG]}).keys() == {"[email]"}


def test_what_was_masked_can_be_counted():
    """In what is stored, each as often as it stands there."""
    assert scrub.masks(b'{"a":"[email] [email]","b":"[card]","c":[1]}') == ["email", "email", "card"]


@pytest.mark.parametrize(
    "text", json.loads(BLNS.read_text()) if BLNS.exists() else ["田中さん", "'; DROP TABLE--"]
)
def test_naughty_strings_survive_unless_masked(text):
    """What is no e-mail, card or token stays as it is."""
    kept = scrub.text(text)
    assert kept == text or "[" in kept


@given(st.text(max_size=500))
def test_no_text_is_an_error(text):
    """And an address is an http address or nothing, within its limit."""
    scrub.text(text)
    for address in (text, f"https://{text}", f"https://shop.example/{text}?{text}"):
        kept = scrub.url(address)
        assert kept == "" or kept.startswith(("http://", "https://"))
        assert len(kept) <= scrub.URL_LIMIT


PIECES = [
    "page=2",
    "q=a@b.example",
    "token=x",
    "&",
    "?",
    "#",
    "/",
    "\t",
    "4111111111111111",
    "0123456789abcdef" * 2,
]
PIECES += ["eyJabcdefgh.abcdefgh", "%40", "utm_source=", ":8443", "é", " ", "[", "@"]


@given(
    st.sampled_from(["https://shop.example", "HTTP://A.b/c", "ftp://", ""]), st.lists(st.sampled_from(PIECES))
)
def test_an_address_is_masked_as_one_text(start, pieces):
    """Its page is remembered and its parameters are not; together they are what the whole would be."""
    address = start + "".join(pieces)
    assert scrub.url(address) == scrub.url(address) == whole(address)


def whole(address):
    """The same, without remembering anything."""
    try:
        parts = urlsplit(address.strip()[: 2 * scrub.URL_LIMIT])
        host, port = parts.hostname or "", f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not host:
        return ""
    kept = [pair for pair in parts.query.split("&") if pair.partition("=")[0].lower() in scrub.PARAMS]
    host = f"[{host}]" if ":" in host else host
    address = urlunsplit((parts.scheme, host + port, parts.path, "&".join(kept), ""))
    return scrub.text(address)[: scrub.URL_LIMIT]
