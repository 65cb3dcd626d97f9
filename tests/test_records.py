"""Customer list records: what is one, and which digests it becomes."""

import hashlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from retag import people
from retag.store import records


def sha(text: str, name: str = "sha256") -> bytes:
    return hashlib.new(name, text.encode()).digest()


def test_raw_email_becomes_all_three_digests_of_its_lower_case():
    """A visitor may have shown any of the three hashes."""
    expected = {sha("ann@mail.example", name) for name in ("sha256", "sha1", "md5")}
    assert set(records.read("Ann@Mail.Example", "mixed")) == expected


@pytest.mark.parametrize("name", ["sha256", "sha1", "md5"])
def test_hash_is_taken_as_it_is(name):
    """Hashes in either case are the same bytes."""
    value = sha("ann@mail.example", name)
    assert records.read(value.hex().upper(), "mixed") == (value,)


def test_mobile_ad_id_matches_in_either_case():
    """IDFAs are hashed in capitals, Android ids in small letters; a list does not say which."""
    found = records.read("AbCdEf01-2345-6789-abcd-ef0123456789", "mixed")
    assert sha("abcdef01-2345-6789-abcd-ef0123456789") in found
    assert sha("ABCDEF01-2345-6789-ABCD-EF0123456789", "md5") in found


@pytest.mark.parametrize(
    "record",
    ["undefined", "null", "", "ann@", "@mail.example", "a" * 64 + "g", "test@test.com",
     hashlib.sha256(b"").hexdigest(),
     "00000000-0000-0000-0000-000000000000", "x" * 400 + "@mail.example"],
)  # fmt: skip
def test_junk_is_refused_with_a_reason(record):
    """Placeholders would match thousands of people at once."""
    assert isinstance(records.read(record, "mixed"), str)


def test_string_of_records_is_split_and_counted():
    """Trailing commas and spaces are no records; refusals are counted by reason."""
    batch = records.digest(records.split(" ann@mail.example ,,bob@mail.example,\nnonsense,"), "EMAIL")
    assert (batch.valid, batch.invalid) == (2, 1)
    assert list(batch.reasons) == [
        "not an e-mail address, a mobile ad id, or an MD5, SHA-1 or SHA-256 in hexadecimal"
    ]


@given(
    st.lists(st.sampled_from([*"aB.+-'\"<>;:()[]\ufeff é", "mail", "@", ".example"]), max_size=9).map("".join)
)
@example("ann@mail.example;Ann")
@example('"ann@mail.example"')
@example("\ufeffann@mail.example")
def test_an_address_that_a_list_takes_is_one_that_visitors_show(text):
    """Else it would be counted as valid and match nobody: with a quote, or another column."""
    for record in records.split(text):
        found = records.read(record, "mixed")
        shown = {bytes.fromhex(value) for _, value in people.identifiers({"em": record})}
        assert isinstance(found, str) or set(found) == shown


def test_phone_numbers_are_reduced_to_digits():
    """+49 (30) 1234-567 and 0049301234567 are one number."""
    assert records.read("+49 (30) 1234-567", "phone") == records.read("0049301234567", "phone")


@given(st.text(max_size=400), st.sampled_from(sorted(records.TYPES)))
def test_anything_is_read_or_refused(text, list_type):
    """No record raises."""
    batch = records.digest(records.split(text), list_type)
    assert batch.valid + batch.invalid == len(list(records.split(text)))
