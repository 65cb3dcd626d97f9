"""What changed in a file that holds identifiers: the earlier whole file and the two halves are the later one.

Whoever shows something new, or shares nothing any more, is in the audience before and after.
"""

import asyncio
import contextlib
import csv
import hashlib
import io
import pathlib
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beds import ACCOUNT, HOUR, NOW, Bed, event, visitor
from retag import errors, people, upkeep
from retag.events import SOURCES
from retag.formats import FORMATS
from retag.press import printing
from retag.press.asking import Asked, members_job
from retag.press.flow import EVER, Flow
from retag.store import showing
from retag.store.direct import Direct
from retag.web.privacy import Consent, Me, note

RULE = {"all": [{"event": "addtocart"}], "none": [{"event": "checkout", "retention_days": 1}]}
VISITORS = 4
UPLOADS = [name for name, form in FORMATS.items() if not form.columns]
BY_IDENTIFIER = [name for name in UPLOADS if not FORMATS[name].by_visitor]


class Life:
    """A shop with one audience, and what happens in it, an hour apart."""

    def __init__(self, folder):
        self.bed, self.now, self.count = Bed(folder / "a.db"), NOW, 0
        self.audience = self.bed.audience(RULE, now=NOW)
        self.reader = Direct(folder / "a.db")
        self.halves = []
        for number in range(VISITORS):
            self.show(number, {"em": f"person{number}@mail.example"}, "addtocart")

    def close(self):
        self.reader.close()
        self.bed.cn.close()

    def show(self, who, given, name="pagevisit", **changes):
        self.count += 1
        told = {"event_id": str(self.count), "people": people.identifiers(given), "name": name} | changes
        self.bed.take(event(visitor=who, time=self.now, **told), now=self.now)

    def told_by_server(self, given):
        """One half of an event, by a visitor whom nobody has met."""
        self.halves.append(f"half{self.count}")
        self.show(
            100 + self.count, given, "addtocart", event_id=self.halves[-1], source=SOURCES["conversions_api"]
        )

    def told_by_browser(self, who):
        """The other half says whose the latest such event is."""
        if self.halves:
            self.show(who, {}, "addtocart", event_id=self.halves.pop())

    def write(self, job, *given):
        self.bed.cn.execute("BEGIN IMMEDIATE")
        job(self.bed.cn, *given, self.now)
        self.bed.cn.execute("COMMIT")

    def share(self, who, sharing):
        self.write(note, Me(ACCOUNT, visitor(who)), Consent(granted=True, sharing=sharing))

    def live(self, steps):
        for step, *how in steps:
            getattr(self, step)(*how)
            self.now += HOUR

    def object(self, who):
        self.write(upkeep.opt_out, visitor(who))

    def agree(self, who):
        self.write(upkeep.opt_in, visitor(who))

    def erase(self, who):
        self.write(lambda cn, now: upkeep.erase(cn, ACCOUNT, visitor(who), now))

    def rest(self, hours):
        self.now += hours * HOUR

    def take(self, name, **asked):
        """The file, and its manifest."""

        async def printed():
            job = await members_job(self.reader, ACCOUNT, self.audience, Asked(name, **asked), self.now)
            file = io.BytesIO()
            await printing.write(self.reader, job, file, Flow(EVER), lambda _: None)
            return file.getvalue().decode(), job.manifest

        return asyncio.run(printed())


def identifiers(name, text):
    """What a platform knows of a file: each digest with its column."""
    if name == "pinterest":
        return set(text.split())
    heading, *lines = csv.reader(io.StringIO(text))
    return {(column, cell) for line in lines for column, cell in zip(heading, line, strict=True) if cell}


def by_visitor(text):
    return {line["visitor_id"]: line for line in csv.DictReader(io.StringIO(text))}


digests = st.sampled_from([hashlib.sha256, hashlib.md5])


@st.composite
def shown(draw):
    """An identifier of a few, raw or in some hash."""
    kind, number = (
        draw(st.sampled_from(["em", "ph", "hashed_maids", "click_id", "gclid"])),
        draw(st.integers(0, 3)),
    )
    raw = {
        "em": f"person{number}@mail.example",
        "ph": f"+49891234{number}0{number}",
        "hashed_maids": f"1b2c3d4e-0000-4000-8000-00000000000{number}",
    }.get(kind)
    if raw is None:
        return {kind: f"dj0yJnU9{number}"}
    return {kind: draw(digests)(raw.encode()).hexdigest() if draw(st.booleans()) else raw}


who = st.integers(0, VISITORS - 1)
names = st.sampled_from(["pagevisit", "addtocart", "addtocart", "checkout"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("show"), who, shown(), names),
        st.tuples(st.just("show"), who, shown(), names),
        st.tuples(st.just("share"), who, st.booleans()),
        st.tuples(st.just("told_by_server"), shown()),
        st.tuples(st.just("told_by_browser"), who),
        st.tuples(st.just("object"), who),
        st.tuples(st.just("agree"), who),
        st.tuples(st.just("rest"), st.integers(1, 48)),
    ),
    max_size=12,
)


@contextlib.contextmanager
def living():
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(showing, "TOO_MANY", 2)
        with contextlib.closing(Life(pathlib.Path(folder))) as life:
            yield life


def adds_up(life, before, since):
    """Every upload format; whichever half a platform takes first."""
    for name in UPLOADS:
        whole, _ = life.take(name)
        added, removed = (life.take(name, since=since, op=op)[0] for op in ("add", "remove"))
        if name in BY_IDENTIFIER:
            old, new, come, gone = (identifiers(name, one) for one in (before[name], whole, added, removed))
            assert (old - gone) | come == (old | come) - gone == new, name
        else:
            old, new, come, gone = map(by_visitor, (before[name], whole, added, removed))
            assert {one: row for one, row in (old | come).items() if one not in gone} == new
            assert not come.keys() & gone.keys()


@settings(max_examples=150, deadline=None)
@given(steps, steps)
def test_the_earlier_file_and_the_halves_are_the_later_file(first, then):
    """Through showing, consent, withdrawal, objection, quarantine, joining and leaving."""
    with living() as life:
        life.live(first)
        taken = {name: life.take(name) for name in UPLOADS}
        life.now += HOUR
        life.live(then)
        adds_up(life, {name: text for name, (text, _) in taken.items()}, taken["meta"][1].as_of)


@contextlib.contextmanager
def changed(*then):
    """The life in between two whole files, and what the halves in each format are."""
    with living() as life:
        before = {name: life.take(name)[0] for name in UPLOADS}
        since = life.take("meta")[1].as_of
        life.now += HOUR
        life.live(then)
        adds_up(life, before, since)
        yield life, lambda name, op: life.take(name, since=since, op=op)[0]


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


ANN, BOB = (digest(f"person{number}@mail.example") for number in (0, 1))


def test_a_new_identifier_of_a_member_is_added():
    """And what nobody showed anew is in neither file."""
    with changed(("show", 0, {"em": "new@mail.example"}, "pagevisit")) as (_, half):
        assert identifiers("pinterest", half("pinterest", "add")) == {ANN, digest("new@mail.example")}
        assert BOB not in half("meta", "add")
        assert half("google", "remove").count("\r\n") == 1


def test_consent_to_sharing_goes_both_ways():
    """Who withholds is removed; who agrees again is added, though the audience kept them all the while."""
    with changed(("share", 0, False)) as (life, half):
        assert identifiers("pinterest", half("pinterest", "remove")) == {ANN}
        before = {name: life.take(name)[0] for name in UPLOADS}
        since = life.take("meta")[1].as_of
        life.live([("rest", 1), ("share", 0, True)])
        adds_up(life, before, since)
        assert identifiers("pinterest", life.take("pinterest", since=since, op="add")[0]) == {ANN}


def test_what_others_in_the_audience_show_is_not_removed():
    """Two browsers of one person: one leaves."""
    with living() as life:
        life.show(1, {"em": "person0@mail.example"})
        life.now += HOUR
        before, since = {name: life.take(name)[0] for name in UPLOADS}, life.take("meta")[1].as_of
        life.live([("rest", 1), ("show", 0, {}, "checkout")])
        adds_up(life, before, since)
        assert life.take("pinterest", since=since, op="remove")[0] == ""


def test_who_withheld_before_is_given_out_in_no_half():
    """A platform that never had them needs not be told, not even when they leave."""
    with living() as life:
        life.live([("share", 0, False), ("rest", 1)])
        since = life.take("meta")[1].as_of
        life.live([("rest", 1), ("show", 0, {"gclid": "EAIaIQobChMI"}, "checkout")])
        for name in UPLOADS:
            for op in ("add", "remove"):
                text = life.take(name, since=since, op=op)[0]
                assert ANN not in text
                assert "EAIaIQobChMI" not in text


def test_what_is_nobodys_is_removed():
    """An address that too many show is in no file any more; whoever showed it is still in the audience."""
    shared = [("show", number, {"em": "shared@mail.example"}, "pagevisit") for number in range(3)]
    with living() as life:
        life.live(shared[:2])
        before, since = {name: life.take(name)[0] for name in UPLOADS}, life.take("meta")[1].as_of
        assert digest("shared@mail.example") in before["meta"]
        life.live([("rest", 1), *shared[2:]])
        adds_up(life, before, since)
        assert digest("shared@mail.example") in life.take("meta", since=since, op="remove")[0]


def test_more_than_a_line_has_room_for_is_removed_in_several():
    """What stood in the earlier file among many is not known: all of it goes."""
    with living() as life:
        life.live([("show", 0, {"em": f"new{n}@mail.example"}, "pagevisit") for n in range(5)])
        since = life.take("meta")[1].as_of
        life.live([("rest", 1), ("show", 0, {"em": "last@mail.example"}, "checkout")])
        removed = identifiers("meta", life.take("meta", since=since, op="remove")[0])
        assert removed == {("email", ANN)} | {
            ("email", digest(f"{one}@mail.example")) for one in ("last", *(f"new{n}" for n in range(5)))
        }


def test_who_was_erased_cannot_be_told_to_a_platform():
    """Their identifiers are gone: a whole file is due. By visitor they can."""
    with living() as life:
        since = life.take("meta")[1].as_of
        life.live([("rest", 1), ("erase", 0), ("rest", 1)])
        for name in BY_IDENTIFIER:
            with pytest.raises(errors.Gone):
                life.take(name, since=since, op="remove")
            life.take(name, since=since, op="add")
        for name in ("ndjson", "click_ids"):
            assert life.take(name, since=since, op="remove")[1].rows == 1


def test_a_since_that_cannot_be_told_is_refused():
    """One of an earlier version, and one whose events were deleted; not for the shop's own files."""
    with living() as life:
        since = life.take("meta")[1].as_of
        life.live([("rest", 1), *(("show", 0, {}, "pagevisit") for _ in range(3))])
        old = since.rpartition("-")[0]
        life.bed.cn.execute("DELETE FROM log WHERE seq <= (SELECT max(seq) - 1 FROM log)")
        for one in (old, since):
            with pytest.raises(errors.Gone):
                life.take("meta", since=one, op="add")
            life.take("csv", since=one)


def test_the_shops_own_files_tell_what_identifies_a_member_anew():
    """By visitor: a later line stands for an earlier one; nobody who stays is removed."""
    fields = "visitor_id,em"
    with living() as life:
        old, about = life.take("csv", fields=fields)
        told = [("show", 0, {"em": "new@mail.example"}, "pagevisit"), ("share", 1, False)]
        life.live([("rest", 1), *told, ("show", 2, {}, "checkout")])
        new = by_visitor(life.take("csv", fields=fields)[0])
        come, gone = (
            life.take("csv", fields=fields, since=about.as_of, op=op)[0] for op in ("add", "remove")
        )
        come, gone = by_visitor(come), by_visitor(gone)
        assert {one: row for one, row in (by_visitor(old) | come).items() if one not in gone} == new


@pytest.mark.parametrize("before_it", [("show", 0, {}, "checkout"), ("share", 0, False)])
def test_an_event_that_changed_hands_takes_its_identifiers_along(before_it):
    """A server told it first; its other half is a visitor's whom the audience does not keep, or who shares
    nothing."""
    half = ("told_by_server", {"em": "both@mail.example"})
    with living() as life:
        life.live([half, before_it, ("rest", 1)])
        before, since = {name: life.take(name)[0] for name in UPLOADS}, life.take("meta")[1].as_of
        assert digest("both@mail.example") in before["meta"]
        life.live([("rest", 1), ("told_by_browser", 0)])
        adds_up(life, before, since)
        assert digest("both@mail.example") in life.take("meta", since=since, op="remove")[0]
