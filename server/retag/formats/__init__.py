"""Export formats: one class each and one table. Pure: rows in, bytes out.

The hash of the trailer and of the manifest covers every byte before it, so a truncated download can be told
from a whole one. Values in the default columns cannot begin with a character that spreadsheets take for a
formula.
"""

from __future__ import annotations

from collections.abc import Sequence

from retag.formats.events import EventsCsv, EventsNdjson
from retag.formats.parquet import Parquet
from retag.formats.rows import COLUMNS, E164, EMAIL, MAID, MORE, OP, PHONE, Format, Row, Shown, names_of
from retag.formats.tables import Csv, Ndjson
from retag.formats.uploads import ClickIds, Pinterest, Upload

__all__ = [
    "COLUMNS",
    "EVENT_FORMATS",
    "FORMATS",
    "MORE",
    "OP",
    "Format",
    "Row",
    "Shown",
    "kinds_of",
    "names_of",
]

_ALL: tuple[Format, ...] = (
    Csv(),
    Ndjson(),
    Pinterest(),
    # A phone's digest is of bare digits (Pinterest's and Meta's form), or of a plus and digits (E.164).
    Upload("google", [("Email", EMAIL), ("Phone", E164)]),
    Upload("meta", [("email", EMAIL), ("phone", PHONE)]),
    Upload("tiktok", [("Email_SHA256", EMAIL), ("Phone_SHA256", E164), ("MAID_SHA256", MAID)]),
    ClickIds(),
    Parquet(),
)
FORMATS: dict[str, Format] = {one.name: one for one in _ALL}
_EVENTS: tuple[Format, ...] = (EventsNdjson(), EventsCsv())
EVENT_FORMATS: dict[str, Format] = {one.name: one for one in _EVENTS}
"""Those of raw events."""


def kinds_of(form: Format, fields: Sequence[str]) -> tuple[int, ...]:
    """The identifiers that a file of these columns holds."""
    return form.kinds or tuple(MORE[one] for one in fields if one in MORE)
