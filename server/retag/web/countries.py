"""Countries: where an address is, by a database in MaxMind's format that the shop keeps, or not at all.

GeoLite2 Country, DB-IP's and IPinfo's free databases all do. The country goes into the event, the address
nowhere. A newer file is taken up within a minute; a broken one is not, and the log says so.
"""

from __future__ import annotations

import logging
import os
import re
import time
from typing import Any

from retag import errors

try:
    import maxminddb
except ImportError:  # an extra: retag[countries]
    maxminddb = None  # type: ignore[assignment]

VARIABLE = "RETAG_COUNTRIES"
LOOK_S = 60.0
CODE = re.compile(r"[A-Z]{2}")
log = logging.getLogger("retag.countries")


class Countries:
    """`of` is the country of an address. Invalid when the file cannot be read."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._stamp, self._reader = opened(path)
        self._looked = time.monotonic()

    def of(self, address: str) -> str:
        """Two capital letters of ISO 3166, '' when it is not known."""
        if time.monotonic() - self._looked > LOOK_S:
            self.refresh()
        try:
            return code_of(self._reader.get(address))
        except (ValueError, maxminddb.InvalidDatabaseError):
            return ""  # no address, or IPv6 in a database of IPv4

    def refresh(self) -> None:
        """Take up another file of the same name."""
        self._looked = time.monotonic()
        try:
            if stamp_of(self._path) != self._stamp:
                self._stamp, self._reader = opened(self._path)
        except (OSError, errors.Invalid) as error:
            log.warning("the countries stay as they were: %s", error)


def opened(path: str) -> tuple[Any, Any]:
    """`(stamp, reader)`. The file is read whole: one cut short under a map would kill the process."""
    if maxminddb is None:
        raise errors.Invalid(VARIABLE, "needs a reader: pip install 'retag[countries]'")
    try:
        return stamp_of(path), maxminddb.open_database(path, maxminddb.MODE_MEMORY)
    except (OSError, maxminddb.InvalidDatabaseError) as error:
        raise errors.Invalid(
            VARIABLE, f"{path} is no database of countries that can be read ({error})"
        ) from None


def stamp_of(path: str) -> tuple[int, int, int]:
    found = os.stat(path)
    return found.st_mtime_ns, found.st_size, found.st_ino


def code_of(record: Any) -> str:
    """The country of a record, in any of the shapes that databases have."""
    if not isinstance(record, dict):
        return ""
    found = record.get("country") or record.get("registered_country") or record.get("country_code")
    code = found.get("iso_code") if isinstance(found, dict) else found
    if not (isinstance(code, str) and CODE.fullmatch(code)):
        code = record.get("country_code")
    return code if isinstance(code, str) and CODE.fullmatch(code) else ""
