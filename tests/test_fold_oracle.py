"""The whole fold against brute force over raw events: random rules, late and repeated events, any instant.

`make test` checks some hundreds of pairs of rule and history; RETAG_ORACLE_PAIRS=10000 checks that many.
"""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beds import Bed, event, visitor
from oracle import MINUTE, holds, since
from retag import rules
from retag.store import builds
from retag.store.desk import Desk
from test_rules_oracle import exhaustive, histories, instants, typed_rules

TABLES = (
    "transition",
    "memory",
    "member",
    "build",
    "audience",
    "seen",
    "trail",
    "log",
    "identifier",
    "progress",
)


@pytest.fixture(scope="module")
def bed():
    with tempfile.TemporaryDirectory() as folder:
        yield Bed(Path(folder) / "oracle.db")


def emptied(bed):
    for table in TABLES:
        bed.cn.execute(f"DELETE FROM {table}")
    bed.desk = Desk()
    return bed


def counts(one):
    """Refunds and orders of no value are no purchases, so no rule sees them."""
    return not (one["name"] == "checkout" and one["data"] and one["data"].get("value", 1) <= 0)


def row(one, number, now):
    fields = {name: one[name] for name in ("name", "time", "tag", "source", "platform", "url")}
    return event(**fields, received=now, event_id=f"e{number}", data=one["data"])


@exhaustive
@given(typed_rules, histories, st.integers(0, 14), st.integers(0, 3))
def test_members_are_whom_brute_force_names(bed, typed, history, born, delay):
    """Whether the audience was there from the start, or was filled in among live events; each sent twice."""
    kind, raw = typed
    rules.parse(kind, raw)
    emptied(bed)
    arrivals = sorted(((one["time"] + late * MINUTE, one) for one, late in history), key=lambda pair: pair[0])
    ends = [*(now for now, _ in arrivals[1:]), 100 * MINUTE][: len(arrivals)]
    known, audience = [], None
    for number, ((now, one), then) in enumerate(zip(arrivals, ends, strict=True)):
        if number == min(born, len(arrivals) - 1):
            audience = bed.audience(raw, kind, now)
        made = row(one, number, now)
        bed.take(made, made, now=now)
        known += [one] if counts(one) else []
        if audience is None or number < min(born + delay, len(arrivals) - 1):
            continue
        fill(bed, audience, now)
        for at in instants(known, now, then):
            expected = holds(kind, raw, known, at, frozenset())
            assert (visitor(1) in bed.members(audience, at)) == expected, at
            assert not expected or opened(bed, audience) == since(kind, raw, known, at), at


def opened(bed, audience):
    sql = "SELECT opens FROM audience a JOIN member m USING (build) WHERE a.id = ? AND m.visitor = ?"
    return bed.rows(sql, audience, visitor(1))[0][0]


def fill(bed, audience, now):
    for (build,) in bed.rows("SELECT id FROM build WHERE audience = ? AND ready IS NULL", audience):
        while not builds.backfill(bed.cn, build, 1, now):
            pass
        builds.finish(bed.cn, build, now)
