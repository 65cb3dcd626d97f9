"""Formats: lines as they are written down, and uploads as each platform's rules have them."""

import csv
import json
import uuid

from hypothesis import given
from hypothesis import strategies as st

from retag import formats
from retag.formats import COLUMNS, FORMATS
from retag.windows import EVER

visitors = st.binary(min_size=16, max_size=16)
times = st.integers(0, 1 << 45)
rows = st.lists(st.tuples(visitors, times, st.one_of(times, st.just(EVER)), times))
DIGEST = bytes(range(32))


@given(st.lists(visitors))
def test_ids_read_as_uuids(ids):
    """As the uuid module writes them."""
    assert formats.names_of(ids) == [str(uuid.UUID(bytes=one)) for one in ids]


@given(rows, st.permutations(COLUMNS))
def test_csv_and_ndjson_say_the_same(members, fields):
    """Read back by the standard readers, whatever the order of columns."""
    for wanted in (COLUMNS, fields):
        lines = FORMATS["csv"].rows(members, wanted, {})
        read = list(csv.DictReader(lines, fieldnames=wanted))
        objects = [json.loads(line) for line in FORMATS["ndjson"].rows(members, wanted, {})]
        assert [{k: "" if v is None else str(v) for k, v in one.items()} for one in objects] == read
        assert [one["until"] for one in objects] == [None if m[2] == EVER else m[2] for m in members]


def line(name, *shown):
    return FORMATS[name].rows([(b"v" * 16, 1, 2, 1)], (), {b"v" * 16: shown})


def test_pinterest_is_one_column():
    """No heading, nothing but identifiers; SHA-1 is for mobile ad ids alone."""
    assert FORMATS["pinterest"].head(()) == b""
    found = line("pinterest", (1, DIGEST, 9), (1, DIGEST[:20], 7), (4, DIGEST[:20], 6))
    expected = [DIGEST.hex(), DIGEST[:20].hex()]
    assert "".join(found) == "".join(one + "\r\n" for one in expected)
    assert line("pinterest", (1, DIGEST[:16], 8)) == [DIGEST[:16].hex() + "\r\n"]
    assert line("pinterest", (1, DIGEST[:20], 7), (2, DIGEST, 6)) == []


def test_what_came_raw_is_in_the_pinterest_file_once():
    """In SHA-256, though every hash of it is known; a hash that came alone beside it is there too."""
    raw = [(1, DIGEST[:size], 9) for size in (32, 20, 16)]
    assert line("pinterest", *raw) == [DIGEST.hex() + "\r\n"]
    assert len(line("pinterest", *raw, (1, b"x" * 16, 8))[0].split()) == 3


def test_google_meta_and_tiktok_have_their_headings_and_sha256_alone():
    """Google's `Email` may repeat; Meta and TikTok take up to three of each."""
    heads = {name: FORMATS[name].head(()).decode().strip() for name in ("google", "meta", "tiktok")}
    assert heads == {
        "google": "Email,Email,Email,Phone,Phone,Phone",
        "meta": "email,email,email,phone,phone,phone",
        "tiktok": ",".join(["Email_SHA256"] * 3 + ["Phone_SHA256"] * 3 + ["MAID_SHA256"] * 3),
    }
    for name, heading in heads.items():
        (found,) = line(name, (1, DIGEST, 9), (1, DIGEST[:16], 8))
        assert found.strip().split(",") == [DIGEST.hex()] + [""] * heading.count(",")
        assert line(name, (1, DIGEST[:16], 8)) == []


def test_no_cell_is_a_formula():
    """An id that a spreadsheet would run is left out."""
    assert line("click_ids", (5, b"=cmd|' /C calc'!A0", 9)) == []
    assert line("click_ids", (5, b"dj0yJnU9", 9))[0].endswith(",dj0yJnU9,9,,,,,,,,\r\n")


def test_click_ids_of_each_platform_stand_in_its_columns():
    """The latest of each, with its time."""
    (found,) = line("click_ids", (9, b"0" * 32, 7), (6, b"old", 3), (6, b"EAIaIQob", 8), (6, b"older", 2))
    assert found.partition(",")[2] == f",,EAIaIQob,8,,,,,{'0' * 32},7\r\n"
