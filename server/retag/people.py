"""People: which identifiers an event may bring, how each is normalised, and what is none.

Digests are SHA-256 in lower-case hex. A placeholder, an empty text or its digest is never an identifier: it
would melt thousands of people into one. Kinds are numbered in the order in which they decide (design §4):
https://developers.pinterest.com/docs/api-features/conversion-overview
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from string import ascii_lowercase
from typing import Any
from urllib.parse import unquote

KINDS: Mapping[str, int] = {
    **{"em": 1, "ph": 2, "external_id": 3, "hashed_maids": 4, "click_id": 5},
    **{"gclid": 6, "fbclid": 7, "ttclid": 8, "msclkid": 9},
    "ph_e164": 10,
}
"""`ph_e164` comes of a raw `ph`: platforms hash phone numbers with a plus in front, or without."""
CLICKS: Mapping[str, int] = {"epik": KINDS["click_id"]} | {
    name: KINDS[name] for name in ("gclid", "fbclid", "ttclid", "msclkid")
}
"""Click ids by the parameter of the landing page's address. They are kept themselves, never as digests."""
HEX = re.compile(r"[0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{32}")
EMAIL = re.compile(r"[^@\s<>,;:\"()\[\]]{1,64}@[^@\s<>,;:\"()\[\]]{1,190}\.[^@\s<>,;:\"()\[\]]{2,63}")
MAID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
LONGEST_CLICK = 500
"""Characters: what the tag keeps of one."""
CLICK = re.compile(rf"[A-Za-z0-9_.~%=+/:-]{{8,{LONGEST_CLICK}}}")
COUNTRY = re.compile(r"[a-z]{2}")
STRENGTH: Mapping[int, int] = {5: 0, 3: 1, 1: 2, 2: 3, 4: 4, 6: 5, 7: 6, 8: 7, 9: 8, 10: 9}
"""Which kind decides whose an event is: the least first."""
MOST = 10
"""Values of one kind in one event."""

WORDS = """
undefined null none nan nil unknown n/a na false true 0 -1 anonymous guest test user customer email string
hashed_email_address user_email_address your_email youremail email_address external_id user_id id
test@test.com test@example.com email@example.com user@example.com example@example.com noreply@example.com
info@example.com name@example.com test@gmail.com a@a.com foo@bar.com abc@abc.com
guest@guest.com none@none.com no@no.com no@email.com na@na.com noemail@noemail.com email@email.com
00000000-0000-0000-0000-000000000000 1234567890 0000000000 1111111111
"""
JUNK = frozenset(("", "[object object]", *WORDS.split()))
"""What many type or send who have nothing to say."""
VARIABLES = """
customer.email customer.id customer_email customer_id user.email user.id order.email checkout.email
visitor.id session.email emailaddress
"""
FRAMES = (
    "<?>",
    "{{?}}",
    "{{ ? }}",
    "${?}",
    "{?}",
    "{{{?}}}",
    "%?%",
    "%%?%%",
    "[?]",
    "$?",
    "'?'",
    '"?"',
    "<%= ? %>",
)
"""How templates write what they are to fill in, of which WORDS and VARIABLES are the most frequent."""
ALIKE = "0123456789abcdefghijklmnopqrstuvwxyz-_.*?"
LONGEST_ALIKE = 20


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _hashed(text: str, normal: Callable[[str], str]) -> str | None:
    """A digest as it came, in lower case; a raw text normalised and hashed; None for junk."""
    lower = text.strip().lower()
    if HEX.fullmatch(lower):
        return None if lower in JUNK_DIGESTS else lower
    value = normal(lower)
    return None if is_junk(value) else sha256(value)


def variants(kind: int, text: str) -> list[tuple[int, str]]:
    """The other forms of a raw identifier: lists come in any hash, phones with a plus. None of a digest."""
    lower = text.strip().lower()
    if kind not in NORMAL or HEX.fullmatch(lower):
        return []
    raw = NORMAL[kind](lower).encode("utf-8", "replace")
    found = [(kind, one(raw, usedforsecurity=False).hexdigest()) for one in (hashlib.sha1, hashlib.md5)]
    plus = e164(text) if kind == KINDS["ph"] else None
    return found if plus is None else [(KINDS["ph_e164"], plus), *found]


def is_junk(text: str) -> bool:
    """Whether a text names nobody: a placeholder, or a template nobody filled in. A customer may be no. 7."""
    bare = text.strip("<>{}%[]()$'\" ")
    alike = len(set(text)) == 1 and (len(text) > 3 or not text.isdigit())
    return bare in JUNK or text[:1] in "<{%$[" or alike or not text.strip("0")


def _nobodys() -> Iterator[str]:
    """The digests of junk: of words in every hash that others send; of the rest as the tag hashes."""
    for text in JUNK:
        raw = text.encode()
        yield from (digest(raw).hexdigest() for digest in (hashlib.sha256, hashlib.sha1, hashlib.md5))
    alike = (one * times for one in ALIKE for times in range(1, LONGEST_ALIKE + 1))
    framed = (frame.replace("?", word) for word in (*JUNK, *VARIABLES.split()) for frame in FRAMES)
    yield from (sha256(text) for text in (*alike, *framed) if is_junk(text))


JUNK_DIGESTS = frozenset(_nobodys())


def email(text: str) -> str | None:
    """Lower case without white space."""
    return _hashed(text, _address)


def phone(text: str) -> str | None:
    """Digits with the country code, without leading zeros."""
    return _hashed(text, _digits)


def e164(text: str) -> str | None:
    """The same with a plus in front; None of a digest, whose form is its sender's."""
    if HEX.fullmatch(text.strip().lower()) or phone(text) is None:
        return None
    return sha256(f"+{_digits(text)}")


def external(text: str) -> str | None:
    return _hashed(text, _name)


def maid(text: str) -> str | None:
    return _hashed(text, _device)


def _address(lower: str) -> str:
    joined = "".join(lower.split())
    return joined if EMAIL.fullmatch(joined) else ""


def _digits(lower: str) -> str:
    digits = re.sub(r"[^0-9]", "", lower).lstrip("0")
    return digits if 7 <= len(digits) <= 15 else ""


def _name(lower: str) -> str:
    return lower if len(lower) <= 256 else ""


def _device(lower: str) -> str:
    return lower if MAID.fullmatch(lower) else ""


def click(text: str) -> str | None:
    """A click id: the tag has it as the address escapes it, and servers have it read by their frameworks."""
    text = unquote(text) if "%" in text else text
    masked = "%40" in text  # an e-mail address is no click id
    return text if CLICK.fullmatch(text) and not masked and not is_junk(text.lower()) else None


NORMAL: Mapping[int, Callable[[str], str]] = {
    KINDS["em"]: _address,
    KINDS["ph"]: _digits,
    KINDS["hashed_maids"]: _device,
}
"""Kinds that lists hold in SHA-1 and MD5 too."""
PAIRS = [a + b for a in ascii_lowercase for b in ascii_lowercase]
BY_DIGEST = {sha256(pair): pair.upper() for pair in PAIRS}
READERS: Mapping[str, Callable[[str], str | None]] = {
    "em": email, "ph": phone, "external_id": external, "hashed_maids": maid, "click_id": click,
    "gclid": click, "fbclid": click, "ttclid": click, "msclkid": click,
}  # fmt: skip
SPELLINGS = {**{name: name for name in READERS}, "email": "em", "phone": "ph", "epik": "click_id"}


BY_SPELLING = {spelling: (KINDS[name], READERS[name]) for spelling, name in SPELLINGS.items()}


def country(value: Any) -> str:
    """Two capital letters of a country as it is said: plain, or as the digest of two small ones; else ''."""
    said = value[:MOST] if type(value) is list else (value,)
    text = next((one.strip().lower() for one in said if type(one) is str and one), "")
    return BY_DIGEST.get(text, text.upper() if COUNTRY.fullmatch(text) else "")


def identifiers(given: Mapping[str, Any]) -> list[tuple[int, str]]:
    """`[(kind, value)]` of partner or user data; what is no identifier is left out."""
    found: dict[tuple[int, str], None] = {}
    for spelling, values in given.items():
        if spelling in BY_SPELLING:
            kind, read = BY_SPELLING[spelling]
            for one in values[:MOST] if type(values) is list else (values,):
                value = read(one) if type(one) is str else read(str(one)) if type(one) is int else None
                if value is None:
                    continue
                found[kind, value] = None
                if value != one:
                    found |= dict.fromkeys(variants(kind, str(one)))
    return sorted(found, key=_strength) if len(found) > 1 else list(found)


def _strength(one: tuple[int, str]) -> int:
    return STRENGTH[one[0]]
