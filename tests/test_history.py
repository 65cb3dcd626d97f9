"""Lines of past events: whatever a column is called and however a time is written, it is one event."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hits import ACCOUNT, NOW
from retag import errors
from retag.history import Reading, event_of, time_of, visitor_of

READING = Reading(ACCOUNT, {"Sum": "value", "Who": "visitor"}, NOW)


@pytest.mark.parametrize(
    "written",
    [1_795_000_000, "1795000000", " 1795000000.0", 1_795_000_000.0, 1_795_000_000_000, 1_795_000_000_000_000,
     "1.795e9", "2026-11-18T11:06:40Z", "2026-11-18 11:06:40", "2026-11-18T12:06:40+01:00"],
)  # fmt: skip
def test_a_time_is_read_however_it_is_written(written):
    """Seconds, milliseconds, microseconds, ISO 8601; UTC without a zone."""
    assert time_of(written) == 1_795_000_000_000


def test_a_date_without_hyphens_is_a_date():
    """As data warehouses write it; as seconds it would be a day in 1970."""
    assert time_of("20240131") == time_of("2024-01-31")


@pytest.mark.parametrize("written", [None, "", "yesterday", 0, -5, True, float("nan"), 1e18, [], {}])
def test_what_is_no_time_is_refused_by_name(written):
    """And nothing else is raised."""
    with pytest.raises(errors.Invalid, match="time"):
        time_of(written)


def test_renamed_columns_fill_what_is_empty():
    """An empty column of the right name does not hide the one that was renamed to it."""
    for row in ({"value": "", "Sum": "3,5"}, {"Sum": "3,5", "value": ""}):
        assert event_of(row | {"Who": "7", "time": 1_795_000_000}, READING).data == b'{"value":3.5}'


def test_a_visitor_of_a_file_has_an_id_of_version_8():
    """Made of the name alone, so that every import finds the same visitor."""
    found = uuid.UUID(bytes=visitor_of(ACCOUNT, "v1"))
    assert (found.version, found.variant) == (8, uuid.RFC_4122)
    assert visitor_of(ACCOUNT, "v1") == found.bytes != visitor_of(ACCOUNT, "v2")


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text(), max_size=3)
NAMES = (
    st.sampled_from(["event", "time", "visitor", "em", "event_id", "url", "platform", "Sum", "Who"])
    | st.text()
)


@given(st.dictionaries(NAMES, VALUES))
def test_any_row_is_an_event_or_refused_by_name(row):
    """Never another error, and the same event each time."""
    assert read(row) == read(row)


def read(row):
    try:
        return event_of({"time": 1_795_000_000, "visitor": "v"} | row, READING)
    except errors.Invalid as error:
        return error.field
