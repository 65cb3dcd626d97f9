"""Customer list records: one comma-separated string becomes digests to match.

A record is an e-mail address, a mobile ad id, an opaque id, or the MD5, SHA-1 or SHA-256 of one in hex. A raw
record becomes all its digests, because a visitor may have shown any of them; raw text goes no further.
https://developers.pinterest.com/docs/api/v5/customer_lists-create
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator

import msgspec

from retag import people

TYPES = {
    "EMAIL": "mixed",
    "IDFA": "mixed",
    "MAID": "mixed",
    "LR_ID": "opaque",
    "DLX_ID": "opaque",
    "HASHED_PINNER_ID": "opaque",
    "PHONE": "phone",
    "EXTERNAL_ID": "opaque",
}
"""`list_type` and how its raw records read. PHONE and EXTERNAL_ID are Retag's own."""

SLICE = 200
"""Records a slice: a few milliseconds of the writer."""
RAW_LIMIT = 320
WRAPPING = '"\ufeff'
"""What programs put around a record, or before the first one, that is none of it."""
SEPARATED = re.compile(r"[^,\r\n]+")
HASH = re.compile(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64}")
MAID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
ZERO_MAID = "00000000-0000-0000-0000-000000000000"
PHONE = re.compile(r"[1-9][0-9]{6,14}")

Digests = tuple[bytes, ...]


class Batch(msgspec.Struct):
    """What some records came to: `slices` packed for `store.lists`, and a count of refusals by reason."""

    slices: list[bytes]
    valid: int
    reasons: dict[str, int]

    @property
    def invalid(self) -> int:
        return sum(self.reasons.values())


def split(records: str) -> Iterator[str]:
    """The records of one comma-separated string, one at a time; empty ones (a trailing comma) are none."""
    return (record for found in SEPARATED.finditer(records) if (record := found[0].strip().strip(WRAPPING)))


def digest(records: Iterable[str], list_type: str) -> Batch:
    """Every record as its digests, SLICE records a slice. About 3 µs a hash and 10 µs a raw record."""
    batch = Batch([], 0, {})
    waiting: list[Digests] = []
    for record in records:
        found = read(record, TYPES[list_type])
        if isinstance(found, str):
            batch.reasons[found] = batch.reasons.get(found, 0) + 1
            continue
        waiting.append(found)
        batch.valid += 1
        if len(waiting) == SLICE:
            batch.slices.append(msgspec.msgpack.encode(waiting))
            waiting = []
    if waiting:
        batch.slices.append(msgspec.msgpack.encode(waiting))
    return batch


def unpack(packed: bytes) -> list[Digests]:
    """The records of one slice."""
    return msgspec.msgpack.decode(packed, type=list[Digests])


def read(record: str, manner: str) -> Digests | str:
    """One record's digests, or the reason it is refused."""
    if HASH.fullmatch(record):
        value = bytes.fromhex(record)
        return "hash of a placeholder" if value in PLACEHOLDERS else (value,)
    if len(record) > RAW_LIMIT:
        return f"longer than {RAW_LIMIT} characters"
    return READERS[manner](record)


def _mixed(record: str) -> Digests | str:
    if people.EMAIL.fullmatch(record):
        lower = record.lower()
        return "placeholder" if people.is_junk(lower) else digests(lower)
    if MAID.fullmatch(record):
        return "placeholder" if record == ZERO_MAID else (*digests(record.lower()), *digests(record.upper()))
    return "not an e-mail address, a mobile ad id, or an MD5, SHA-1 or SHA-256 in hexadecimal"


def _phone(record: str) -> Digests | str:
    digits = re.sub(r"\D", "", record).lstrip("0")
    return digests(digits) if PHONE.fullmatch(digits) else "not a phone number with its country code"


def _opaque(record: str) -> Digests | str:
    lower = record.lower()
    if lower in PLACEHOLDER_TEXTS:
        return "placeholder"
    return digests(lower) if lower == record else (*digests(lower), *digests(record))


READERS = {"mixed": _mixed, "phone": _phone, "opaque": _opaque}


def digests(text: str) -> Digests:
    """SHA-256, SHA-1 and MD5 of a normalised identifier."""
    raw = text.encode("utf-8", "surrogatepass")
    return (
        hashlib.sha256(raw).digest(),
        hashlib.sha1(raw, usedforsecurity=False).digest(),
        hashlib.md5(raw, usedforsecurity=False).digest(),
    )


PLACEHOLDER_TEXTS = frozenset(
    ["", "undefined", "null", "none", "nan", "unknown", "n/a", "test@test.com", "test@example.com",
     "user@example.com", "email@example.com", "<user_email_address>", ZERO_MAID]
)  # fmt: skip
PLACEHOLDERS = frozenset(one for text in PLACEHOLDER_TEXTS for one in digests(text))
