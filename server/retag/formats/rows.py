"""Rows of an export as formats get them, and what they have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from retag.people import CLICKS, KINDS

COLUMNS = ("visitor_id", "since", "until", "last_event")
OP = "op"
"""In a delta: `add` or `remove`."""
EMAIL, PHONE, MAID = KINDS["em"], KINDS["ph"], KINDS["hashed_maids"]
E164 = KINDS["ph_e164"]
MORE: Mapping[str, int] = {
    **{name: KINDS[name] for name in ("em", "ph", "external_id", "hashed_maids")},
    **CLICKS,
}
"""Further columns of files that choose theirs: the latest identifier of the kind, a SHA-256 or a click id."""
SHA256, MD5 = 32, 16
"""Lengths of digests in bytes."""
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What spreadsheets take for the beginning of a formula, some of them in full width too (https://owasp.org/www-community/attacks/CSV_Injection)."""

Row = tuple[Any, ...]
"""`(visitor, since, until, last)`, UTC ms, until windows.EVER when the membership does not lapse; a delta's
has `op` too. Of raw events: store.raw.Row."""
Known = tuple[int, bytes, int]
"""An identifier that somebody showed: `(kind, value, seen)`."""
Shown = Mapping[bytes, Sequence[Known]]
"""Those of each visitor, the latest first."""


class Format(Protocol):
    """`columns` are those of a file that chooses its own, `more` what can be added to them; `()` when they
    are a platform's. `kinds` are the identifiers that these need; `needs` is the library of an extra.
    `by_visitor`: a later line of a visitor stands for an earlier one; else each identifier stands alone."""

    name: str
    media_type: str
    suffix: str
    columns: tuple[str, ...]
    more: tuple[str, ...]
    kinds: tuple[int, ...]
    needs: str
    by_visitor: bool

    def fresh(self, spreadsheet: bool = False) -> Format:
        """The format for one export; for a `spreadsheet`, no free text in it is a formula."""
        ...

    def head(self, fields: Sequence[str]) -> bytes:
        """What comes first. `fields` are the columns wanted, in order."""
        ...

    def page(self, rows: Sequence[Row], fields: Sequence[str], shown: Shown) -> tuple[bytes, int]:
        """The rows' bytes, and how many are in them; a member who lacks what the format needs is not."""
        ...

    def takes(self, shown: Sequence[Known]) -> list[Known]:
        """Which of a member's identifiers are in the file."""
        ...

    def end(self) -> bytes:
        """What comes last and is covered by the hash."""
        ...

    def trailer(self, about: Mapping[str, Any]) -> bytes:
        """What comes behind everything that the hash covers."""
        ...


class Text:
    """What most formats share: no state, no end, a line or more for each member."""

    suffix = "csv"
    media_type = "text/csv; charset=utf-8"
    columns: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    kinds: tuple[int, ...] = ()
    needs = ""
    by_visitor = True

    def fresh(self, spreadsheet: bool = False) -> Any:
        return self

    def takes(self, shown: Sequence[Known]) -> list[Known]:
        return list(shown)

    def rows(self, rows: Sequence[Row], fields: Sequence[str], shown: Shown) -> list[str]:
        """The lines of each member who has some."""
        raise NotImplementedError

    def page(self, rows: Sequence[Row], fields: Sequence[str], shown: Shown) -> tuple[bytes, int]:
        lines = self.rows(rows, fields, shown)
        return "".join(lines).encode(), len(lines)

    def end(self) -> bytes:
        return b""

    def trailer(self, about: Mapping[str, Any]) -> bytes:
        return b""


PLACES = tuple(i + (i >= 8) + (i >= 12) + (i >= 16) + (i >= 20) for i in range(32))


def names_of(visitors: Sequence[bytes]) -> list[str]:
    """The ids as UUIDs read: all of them digit by digit, ten times as fast as one by one."""
    digits, n = b"".join(visitors).hex().encode(), len(visitors)
    out = bytearray(b"-" * (36 * n))
    for i, place in enumerate(PLACES):
        out[place::36] = digits[i::32]
    text = out.decode()
    return [text[i : i + 36] for i in range(0, 36 * n, 36)]


def latest(shown: Sequence[Known], kind: int) -> str | None:
    """The latest identifier of a kind as text: a SHA-256 in hexadecimal, or a click id as it came."""
    click = kind in CLICKS.values()
    for k, value, _ in shown:
        if k == kind and (click or len(value) == SHA256):
            return value.decode("ascii", "replace") if click else value.hex()
    return None


def guarded(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def cell(text: str) -> str:
    """A text as RFC 4180 has it. A NUL, at which many readers stop or refuse a file, is shown as U+FFFD."""
    text = text.replace("\0", "\ufffd")
    if '"' in text or "," in text or "\n" in text or "\r" in text:
        return '"' + text.replace('"', '""') + '"'
    return text
