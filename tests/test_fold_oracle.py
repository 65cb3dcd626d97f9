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
    "visitor_file",
    "member",
    "build",
    "audience",
    "seen",
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


births = st.tuples(st.integers(0, 14), st.integers(0, 3))
"""Before which event an audience is made, and how many later it is filled in."""
twins = st.tuples(births, st.sampled_from([None, 1, 2, 5, 20]))


@exhaustive
@given(typed_rules, histories, births, st.lists(twins, max_size=2))
def test_members_are_whom_brute_force_names(bed, typed, history, birth, others):
    """Whether the audience was there from the start, or was filled in among live events; each sent twice.
    Beside it are some that ask for the same within other times, and so share with it what is remembered."""
    kind, raw = typed
    rules.parse(kind, raw)
    emptied(bed)
    arrivals = sorted(((one["time"] + late * MINUTE, one) for one, late in history), key=lambda pair: pair[0])
    ends = [*(now for now, _ in arrivals[1:]), 100 * MINUTE][: len(arrivals)]
    last = len(arrivals) - 1
    planned = [(raw, *birth), *((within(raw, minutes), *at) for at, minutes in others)]
    known, audiences = [], {}
    for number, ((now, one), then) in enumerate(zip(arrivals, ends, strict=True)):
        for which, (rule, born, _) in enumerate(planned):
            if number == min(born, last):
                audiences[which] = bed.audience(rule, kind, now)
        made = row(one, number, now)
        bed.take(made, made, now=now)
        known += [one] if counts(one) else []
        for which, (rule, born, delay) in enumerate(planned):
            if which in audiences and number >= min(born + delay, last):
                fill(bed, audiences[which], now)
                agree(bed, audiences[which], kind, rule, known, now, then)


def agree(bed, audience, kind, raw, known, now, then):
    for at in instants(known, now, then):
        expected = holds(kind, raw, known, at, frozenset())
        assert (visitor(1) in bed.members(audience, at)) == expected, at
        assert not expected or opened(bed, audience) == since(kind, raw, known, at), at


def within(raw, minutes):
    """The rule with another retention in its every clause; None leaves it as it is."""
    if minutes is None:
        return raw
    groups = {name: [one | {"retention_minutes": minutes} if "customer_list_id" not in one else one
                     for one in raw[name]] for name in ("any", "all", "none") if name in raw}  # fmt: skip
    return raw | groups


def opened(bed, audience):
    sql = "SELECT opens FROM audience a JOIN member m USING (build) WHERE a.id = ? AND m.visitor = ?"
    return bed.rows(sql, audience, visitor(1))[0][0]


def fill(bed, audience, now):
    for (build,) in bed.rows("SELECT id FROM build WHERE audience = ? AND ready IS NULL", audience):
        while not builds.backfill(bed.cn, build, 1, now):
            pass
        builds.finish(bed.cn, build, now)
