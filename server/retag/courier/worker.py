"""One errand: deliver some files, each with its manifest beside it, and say what came of it."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec

from retag import errors
from retag.courier.places import CHUNK, Allowed, Place, Undeliverable, place

NICENESS = 10
CALLED_OFF = 143
LONGEST_FAULT = 300
MANIFEST = ".manifest.json"
"""How the name of a file's manifest ends."""


class Parcel(msgspec.Struct):
    """A file and the name to deliver it under; `about` is its manifest."""

    source: str
    name: str
    about: dict[str, Any]


class Errand(msgspec.Struct):
    """`mark` keeps one schedule's unfinished files apart from another's."""

    destination: str
    allowed: Allowed
    mark: str
    parcels: list[Parcel]


class Owned(msgspec.Struct):
    """What a delivered manifest says of whose it is."""

    ad_account_id: str | None = None


class Receipt(msgspec.Struct):
    """The manifests as delivered; or `fault`, and whether trying again is of any use."""

    files: list[dict[str, Any]] = []
    fault: str = ""
    final: bool = False


def deliver(errand: Errand) -> Receipt:
    """All of it, or the reason why not."""
    try:
        where = place(errand.destination, errand.allowed, errand.mark)
        return Receipt([_one(where, parcel) for parcel in errand.parcels])
    except (errors.Invalid, Undeliverable) as error:
        return Receipt(fault=str(error), final=True)
    except (errors.RetagError, OSError) as error:
        return Receipt(fault=str(error)[:LONGEST_FAULT])


def _one(where: Place, parcel: Parcel) -> dict[str, Any]:
    """The file, then the manifest: whoever finds a manifest finds the file that it is about."""
    _check_own(where, parcel)
    with Path(parcel.source).open("rb") as file:
        size, digest = os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        where.put(file, size, parcel.name)
    about = parcel.about | {"file": parcel.name, "bytes": size, "file_sha256": digest}
    told = msgspec.json.format(msgspec.json.encode(about)) + b"\n"
    where.put(io.BytesIO(told), len(told), parcel.name + MANIFEST)
    return about


def _check_own(where: Place, parcel: Parcel) -> None:
    """Undeliverable when another ad account delivered a file of this name, be it by another server."""
    try:
        known = msgspec.json.decode(where.get(parcel.name + MANIFEST) or b"{}", type=Owned)
    except msgspec.DecodeError:
        return
    if known.ad_account_id not in (None, parcel.about.get("ad_account_id")):
        raise Undeliverable(
            f"{parcel.name} is ad account {known.ad_account_id}'s: remove it, or give another name."
        )


def main() -> None:
    """The process. Its input stays open while the server lives: an orphan ends at once, tidily."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's to heed
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(CALLED_OFF))
    os.nice(NICENESS)
    errand = msgspec.json.decode(sys.stdin.buffer.readline(), type=Errand)
    threading.Thread(target=_outlive, daemon=True).start()
    sys.stdout.buffer.write(msgspec.json.encode(deliver(errand)) + b"\n")
    sys.stdout.buffer.flush()
    os._exit(0)


def _outlive() -> None:
    while os.read(sys.stdin.fileno(), CHUNK):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
