"""Identified: what members showed that identifies them elsewhere, as files give it out.

Not what is in quarantine, which is nobody's, nor anything of visitors who withhold theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from retag import errors
from retag.store.members import GONE, AsOf, Queries, marks, some_of, was_in

Identifier = tuple[int, bytes]
"""`(kind, value)`."""
Shown = dict[bytes, list[tuple[int, bytes, int]]]
"""For each visitor `(kind, value, seen)`, the latest first."""
SAME = "q.account = i.account AND q.kind = i.kind AND q.value = i.value"


async def shown(reader: Queries, account: int, visitors: Sequence[bytes], kinds: Sequence[int]) -> Shown:
    """The identifiers of these kinds that may be given out."""
    nobodys = f"EXISTS (SELECT 1 FROM quarantine q WHERE {SAME})"
    only = f"AND NOT {nobodys} AND visitor NOT IN (SELECT visitor FROM withheld)"
    return await _shown(reader, account, visitors, kinds, only)


async def ever_shown(
    reader: Queries, account: int, visitors: Sequence[bytes], kinds: Sequence[int], since: AsOf
) -> Shown:
    """Those that may have been given out at an as_of: for removals."""
    only = f"AND visitor NOT IN (SELECT visitor FROM withheld WHERE step <= {since.step})"
    return await _shown(reader, account, visitors, kinds, only)


async def _shown(
    reader: Queries, account: int, visitors: Sequence[bytes], kinds: Sequence[int], only: str
) -> Shown:
    found: Shown = {}
    for some in some_of(visitors):
        sql = (
            "SELECT visitor, kind, value, seen FROM identifier i INDEXED BY identifier_visitor"
            f" WHERE visitor IN ({marks(some)}) AND account = ? AND kind IN ({marks(kinds)}) {only}"
            " ORDER BY seen DESC, value"
        )
        for visitor, *about in await reader.all(sql, (*some, account, *kinds)):
            found.setdefault(visitor, []).append(tuple(about))
    return found


async def holders(
    reader: Queries, account: int, wanted: Iterable[Identifier]
) -> dict[bytes, set[Identifier]]:
    """Everybody who showed one of these, and which."""
    found: dict[bytes, set[Identifier]] = {}
    by_kind: dict[int, list[bytes]] = {}
    for kind, value in wanted:
        by_kind.setdefault(kind, []).append(value)
    for kind, values in by_kind.items():
        for some in some_of(values):
            sql = (
                "SELECT visitor, value FROM identifier"
                f" WHERE account = ? AND kind = ? AND value IN ({marks(some)})"
            )
            for visitor, value in await reader.all(sql, (account, kind, *some)):
                found.setdefault(visitor, set()).add((kind, value))
    return found


async def check_shared(reader: Queries, build: int, as_of: AsOf) -> None:
    """Gone when somebody who was in has since withheld their identifiers: no file has them any more."""
    now = "SELECT m.opens <= ?3 AND m.closes > ?3 FROM member m WHERE m.build = ?1 AND m.visitor = w.visitor"
    sql = f"SELECT 1 FROM withheld w WHERE w.step > ?2 AND coalesce(({was_in('w')}), ({now})) LIMIT 1"
    if await reader.one(sql, (build, as_of.step, as_of.instant)):
        raise errors.Gone(GONE)
