"""The shelf: the folder of finished exports, each its bytes, their compressed copies, and what was asked for.

Bytes are here for 24 h, manifests for 30 days.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

import msgspec

from retag.press.codecs import CODECS
from retag.press.job import Job, Manifest
from retag.store import members
from retag.windows import DAY

EXPORT_ID = re.compile(r"[0-9a-f]{32}")
GRACE = 3_600_000
"""For who began to read shortly before."""
BYTES = (".data", *(f".{name}" for name in CODECS))


class Entry(msgspec.Struct):
    """What is on disk beside the bytes: what was asked for, when it was done (UTC ms), how large it is."""

    job: Job
    made: int
    size: int

    @property
    def manifest(self) -> Manifest:
        return self.job.manifest


class Shelf:
    """The folder `exports` beside the database."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def entry(self, name: str) -> Entry | None:
        """What is known of an export, or None."""
        path = self.folder / f"{name}.json"
        if not EXPORT_ID.fullmatch(name) or not path.exists():
            return None
        try:
            return msgspec.json.decode(path.read_bytes(), type=Entry)
        except msgspec.DecodeError:  # an earlier version's
            return None

    def bytes_of(self, name: str, encoding: str = "data") -> Path | None:
        """The file, or its compressed copy, when its bytes are still kept whole."""
        entry, path = self.entry(name), self.folder / f"{name}.{encoding}"
        if entry is None or not path.exists():
            return None
        return path if encoding != "data" or path.stat().st_size == entry.size else None

    def keep(self, entry: Entry) -> None:
        """The manifest, beside bytes that are there."""
        unfinished = self.folder / f"{entry.manifest.export_id}.json.part"
        unfinished.write_bytes(msgspec.json.encode(entry))
        unfinished.replace(unfinished.with_suffix(""))

    def forget(self, name: str) -> None:
        """Its bytes; the manifest stays."""
        for suffix in BYTES:
            (self.folder / f"{name}{suffix}").unlink(missing_ok=True)

    def names(self) -> set[str]:
        """Exports of which some bytes are here."""
        with contextlib.suppress(FileNotFoundError), os.scandir(self.folder) as found:
            return {one.name.partition(".")[0] for one in found if one.name.endswith(BYTES)}
        return set()

    def tidy(self) -> None:
        """Away with what a server that was killed left unfinished."""
        for path in self.folder.glob("*.part"):
            path.unlink(missing_ok=True)

    def age(self, now: int) -> None:
        """Away with what is too old; `now` in UTC ms."""
        for path in self.folder.glob("*.*"):
            if _old(path, now):
                path.unlink(missing_ok=True)


def _old(path: Path, now: int) -> bool:
    try:
        age = now - path.stat().st_mtime_ns // 1_000_000
    except FileNotFoundError:
        return False
    return age > (members.KEPT_MS if path.suffix == ".json" else DAY + GRACE)
