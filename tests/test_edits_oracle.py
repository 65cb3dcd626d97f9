"""Audiences made, edited and removed while events arrive, filled in between and swept, against brute force.

At each moment an audience is whom the last of its rules that was whole names: while an edited rule is being
filled in, the one before answers.
"""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beds import DAY, NOW, Bed, event, visitor
from oracle import MINUTE, holds
from retag import rules
from retag.store import audiences, builds, purging
from test_fold_oracle import emptied
from test_rules_oracle import exhaustive

NAMES = ["pagevisit", "addtocart", "checkout"]
VISITORS = range(1, 4)
clauses = st.fixed_dictionaries(
    {"event": st.sampled_from(NAMES), "retention_minutes": st.sampled_from([5, 20, 60])},
    optional={"min_count": st.just(2), "min_value": st.just(15)},
)
groups = st.fixed_dictionaries(
    {}, optional={name: st.lists(clauses, min_size=1, max_size=2) for name in ("all", "any", "none")}
)
happenings = st.fixed_dictionaries(
    {
        "visitor": st.sampled_from(VISITORS),
        "name": st.sampled_from(NAMES),
        "late": st.sampled_from([0, 0, 1, 10, 60]),
        "value": st.sampled_from([1, 10, 20]),
    }
)
acts = (
    st.tuples(st.just("arrive"), st.lists(happenings, min_size=1, max_size=4))
    | st.tuples(st.just("make"), groups)
    | st.tuples(st.just("edit"), st.tuples(st.integers(0, 3), groups))
    | st.tuples(st.just("remove"), st.integers(0, 3))
    | st.tuples(st.sampled_from(["fill", "sweep"]), st.integers(0, 3))
)
days = st.lists(st.tuples(st.sampled_from([0, 1, 5, 20]), acts), min_size=4, max_size=25)


@pytest.fixture(scope="module")
def bed():
    with tempfile.TemporaryDirectory() as folder:
        yield Bed(Path(folder) / "edits.db")


class Shop:
    """What is known of each visitor, and which rule answers for each audience, by the plain reading."""

    def __init__(self, bed):
        self.bed, self.now = emptied(bed), NOW
        self.known = {one: [] for one in VISITORS}
        self.answering, self.coming = {}, {}

    def arrive(self, some):
        made = []
        for one in some:
            fact = {"name": one["name"], "time": self.now - one["late"] * MINUTE, "url": "", "tag": 1}
            fact |= {"source": 1, "platform": 1, "data": {"value": one["value"]}}
            self.known[one["visitor"]].append(fact)
            of = {"visitor": one["visitor"], "received": self.now, "data": fact["data"]}
            made.append(event(name=fact["name"], time=fact["time"], **of))
        self.bed.take(*made, now=self.now)

    def make(self, rule):
        audience = self.bed.audience(rule, now=self.now)
        self.answering[audience], self.coming[audience] = None, rule

    def edit(self, which):
        if audience := self._named(which[0]):
            rule = rules.echo(rules.parse("VISITOR", which[1]))
            audiences.update(self.bed.cn, audience, {"rule": rule}, self.now)
            self.coming[audience] = rule

    def remove(self, which):
        if audience := self._named(which):
            audiences.remove(self.bed.cn, audience, self.now)
            del self.answering[audience]

    def fill(self, which):
        for build in builds.unfinished(self.bed.cn)[which:]:
            while not builds.backfill(self.bed.cn, build, 1, self.now):
                pass
            builds.finish(self.bed.cn, build, self.now)

    def sweep(self, which):
        """What could not matter any more from now on goes, though an as_of of today might want it."""
        purging.forgotten(self.bed.cn, (b"", 0), self.now + 30 * DAY)

    def _named(self, which):
        return next(iter(sorted(self.answering)[which:]), None)

    def agree(self):
        newest = "SELECT ready FROM build WHERE audience = ? ORDER BY id DESC LIMIT 1"
        for audience in self.answering:
            if self.bed.rows(newest, audience)[0][0] is not None:
                self.answering[audience] = self.coming[audience]
            if (rule := self.answering[audience]) is not None:
                named = {
                    visitor(one) for one in VISITORS if holds("VISITOR", rule, self.known[one], self.now)
                }
                assert self.bed.members(audience, self.now) == named, (audience, rule)


@exhaustive
@given(days)
def test_an_audience_is_whom_the_rule_that_answers_names(bed, day):
    """Whatever happened to it and to those with which it shares what is remembered."""
    shop = Shop(bed)
    for minutes, (what, given_) in day:
        shop.now += minutes * MINUTE
        getattr(shop, what)(given_)
        shop.agree()
