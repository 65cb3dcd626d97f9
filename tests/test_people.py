"""People: normalised as each platform wants, and what is nobody is nobody."""

from __future__ import annotations

import hashlib
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retag import people
from retag.people import KINDS, identifiers


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("spelling", "given", "kind", "normal"),
    [
        ("em", " Ann@Mail.Example ", "em", "ann@mail.example"),
        ("email", "ann@mail.example", "em", "ann@mail.example"),
        ("ph", "+49 (0)89 123 456", "ph", "49089123456"),
        ("ph", "0049 89 123456", "ph", "4989123456"),
        ("external_id", "Customer-4711", "external_id", "customer-4711"),
        ("external_id", 4711, "external_id", "4711"),
    ],
)
def test_a_raw_identifier_is_normalised_and_hashed(spelling, given, kind, normal):
    """The same person gives the same digest, however it was typed; the raw text goes no further."""
    assert identifiers({spelling: given})[0] == (KINDS[kind], sha256(normal))


def test_a_raw_phone_is_hashed_with_a_plus_too():
    """Google and TikTok hash it so; of a digest nobody can tell its form."""
    assert (KINDS["ph_e164"], sha256("+4989123456")) in identifiers({"ph": "0049 89 123456"})
    assert identifiers({"ph": sha256("4989123456")}) == [(KINDS["ph"], sha256("4989123456"))]


@pytest.mark.parametrize(("name", "text", "normal"), [
    ("em", " Ann@Mail.Example", "ann@mail.example"), ("ph", "+49 89 123456", "4989123456"),
    ("hashed_maids", "0190D1A2-3B4C-7D5E-8F60-718293A4B5C6", "0190d1a2-3b4c-7d5e-8f60-718293a4b5c6"),
])  # fmt: skip
def test_a_raw_identifier_is_known_in_all_three_hashes(name, text, normal):
    """Customer lists come in MD5, SHA-1 or SHA-256; an external id is a list's own, in one."""
    digests = [hashlib.new(how, normal.encode()).hexdigest() for how in ("sha256", "sha1", "md5")]
    shown = [digest for kind, digest in identifiers({name: text}) if kind == KINDS[name]]
    assert shown == digests
    assert len(identifiers({"external_id": "customer-4711"})) == 1


def test_a_customer_may_have_a_short_number():
    """Zeros, and what is typed to fill a field, are nobody."""
    assert [len(identifiers({"external_id": one})) for one in ("7", "11", "0", "000", "1111", "x")] == [
        1, 1, 0, 0, 0, 0,
    ]  # fmt: skip


@pytest.mark.parametrize("algorithm", ["sha256", "sha1", "md5"])
def test_a_digest_is_kept_as_it_is(algorithm):
    """In lower case."""
    digest = hashlib.new(algorithm, b"ann@mail.example").hexdigest()
    assert identifiers({"em": digest.upper()}) == [(1, digest)]


@pytest.mark.parametrize(
    "text",
    ["", " ", "undefined", "null", "<hashed_email_address>", "<user_email_address>", "{{email}}", "%%EMAIL%%",
     "test@test.com", "not an address", "a@b", "[object Object]", sha256(""), sha256("undefined"),
     sha256("null"),
     hashlib.md5(b"").hexdigest(), sha256("test@example.com"), None, True, {}, 1.5],
)  # fmt: skip
def test_a_placeholder_is_nobody(text):
    """It would melt thousands of people into one."""
    assert identifiers({"em": text}) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [("ph", "0000000000"), ("ph", "12"), ("external_id", "0"), ("external_id", "guest"),
     ("click_id", "undefined"),
     ("hashed_maids", "00000000-0000-0000-0000-000000000000"), ("epik", "a b<script>")],
)  # fmt: skip
def test_junk_of_other_kinds_is_nobody_too(name, text):
    """Zeros, guests and templates."""
    assert identifiers({name: text}) == []


@pytest.mark.parametrize("name", ["em", "external_id"])
@pytest.mark.parametrize(
    "text",
    ["<user_email_address>", "{{ customer.email }}", "{{customer.id}}", "${email}", "%%EMAIL%%", "[email]",
     "<%= user.id %>", "'undefined'", '""', "0000000", "xxx", "---", "1111111111"],
)  # fmt: skip
def test_junk_that_the_tag_has_hashed_is_nobody(name, text):
    """The page hashes whatever it is given, a template that nobody filled in too."""
    assert identifiers({name: text}) == identifiers({name: [sha256(text.lower())]}) == []


def test_a_low_customer_number_is_somebody():
    """As it is, and hashed by the tag."""
    assert identifiers({"external_id": ["7", sha256("42"), sha256("777")]})[1:] == [
        (KINDS["external_id"], sha256("42")),
        (KINDS["external_id"], sha256("777")),
    ]


def test_the_strongest_comes_first():
    """Click id, external id, e-mail, phone (in both its forms), device."""
    shown = identifiers(
        {"ph": "49891234567", "em": ["ann@mail.example"], "epik": "dj0yJnU9ZXhhbXBsZQ", "external_id": "7c1"}
    )
    assert list(dict.fromkeys(kind for kind, _ in shown)) == [KINDS[name] for name in ORDER]


ORDER = ("click_id", "external_id", "em", "ph", "ph_e164")


@given(st.sampled_from(sorted(people.CLICKS)), st.from_regex(r"[A-Za-z0-9_.~+:=-]{8,500}", fullmatch=True))
def test_a_click_has_one_id_as_long_as_the_tag_keeps_it(name, text):
    """Escaped as in the landing page's address, and read by a shop's server out of the tag's cookie."""
    shown = identifiers({name: text})
    assert shown == ([] if people.is_junk(text.lower()) else [(people.CLICKS[name], text)])
    assert identifiers({name: quote(text, safe="")}) == shown


def test_an_address_is_no_click():
    """Nor is it one that is escaped, once or twice."""
    assert identifiers({"epik": ["ann@mail.example", "ann%40mail.example", "ann%2540mail.example"]}) == []


def test_many_values_are_bounded():
    """One event cannot claim to be everybody."""
    shown = identifiers({"em": [f"ann{i}@mail.example" for i in range(1000)]})
    assert len(shown) == 3 * people.MOST


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@given(
    st.dictionaries(st.sampled_from(sorted(people.SPELLINGS)), st.recursive(SCALARS, st.lists, max_leaves=5))
)
def test_garbage_is_nobody_and_no_error(given):
    """Whatever a page puts there."""
    for _, value in identifiers(given):
        assert value
