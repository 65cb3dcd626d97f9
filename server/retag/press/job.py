"""What to print, and what came of it: the words between the web and the press."""

from __future__ import annotations

import msgspec

from retag.formats import EVENT_FORMATS, FORMATS, Format, kinds_of
from retag.store.members import AsOf


class Manifest(msgspec.Struct):
    """An export; the hash covers every byte before an NDJSON trailer, and all of another file, uncompressed.

    `rows` are the members in the file, `missing` those who lack the identifier that the format needs. `span`
    is that of raw events, `[from, to]` in UTC ms; these have no `audience_id`.
    """

    ad_account_id: str
    audience_id: str | None
    format: str
    as_of: str
    since: str | None
    fields: list[str]
    export_id: str = ""
    rows: int = 0
    sha256: str = ""
    missing: int = 0
    op: str | None = None
    span: tuple[int, int] | None = None


class Job(msgspec.Struct):
    """One export: the manifest as far as it is known, and the builds that answer for the audience.

    `departures` counts who had gone when it began; `least_free` are bytes to leave free on the disk.
    """

    manifest: Manifest
    until: AsOf
    build: int | None = None
    since: AsOf | None = None
    since_build: int | None = None
    spreadsheet: bool = False
    departures: int = 0
    least_free: int = 0

    def format(self) -> Format:
        """A fresh one, for this export alone."""
        table = FORMATS if self.manifest.span is None else EVENT_FORMATS
        return table[self.manifest.format].fresh(self.spreadsheet)

    @property
    def kinds(self) -> tuple[int, ...]:
        """The identifiers that the file holds."""
        if self.manifest.audience_id is None:
            return ()
        return kinds_of(FORMATS[self.manifest.format], self.manifest.fields)


class Start(msgspec.Struct, tag="start"):
    """Print `job` into the file `name`.data."""

    name: str
    job: Job


class Pack(msgspec.Struct, tag="pack"):
    """Compress `source`.data, which may still be growing, into the file `name`; `least_free` as in a Job."""

    name: str
    source: str
    encoding: str
    least_free: int = 0


class Allow(msgspec.Struct, tag="allow"):
    """The file `name` may grow to this many bytes: its readers have come so far."""

    name: str
    size: int


class Grown(msgspec.Struct, tag="grown"):
    """The file `name` has this many bytes."""

    name: str
    size: int


class Ended(msgspec.Struct, tag="ended"):
    """The file `name` is whole, or never will be: then `fault` says why, and it is gone."""

    name: str
    size: int
    manifest: Manifest | None = None
    fault: str = ""


Order = Start | Pack | Allow
Report = Grown | Ended
