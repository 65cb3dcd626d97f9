"""One server a file: a second one would write beside the first, which SQLite before 3.51.3 does not survive.

The lock is a file of its own: opening and closing the database's own file would drop SQLite's locks on it
(https://sqlite.org/howtocorrupt.html, section 2.2). The kernel lets go of it when its holder dies, however.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator

from retag.store.sqlite import Unusable


@contextlib.contextmanager
def sole(path: str) -> Iterator[None]:
    """Hold `PATH.lock`. Raises Unusable when another process does, OSError when it cannot be made."""
    with open(f"{path}.lock", "w", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unusable(f"{path}: another server serves it. Stop that first.") from None
        yield
