"""Lift and insights on a log: frozen before the outcome, and honest about what is not known."""

import random

import pytest

from retag.errors import Conflict
from retag.store import insights, sqlite, trails, worth
from retag.store.worth import Asked, Question
from retag.windows import DAY, EVER

NOW = 1_795_478_400_000
AT = NOW - 30 * DAY
GIVEN = ("received", "url", "data", "context", "standing")
VIEWERS = Asked("VISITOR", {"event": "addtocart", "retention_days": 30})


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "retag.db"
    cn = sqlite.connect(file)
    sqlite.migrate(cn)
    cn.close()
    return str(file)


def visitor(number):
    return number.to_bytes(16, "big")


def log(path, events, *, account=1):
    """Events of (visitor number, name, time, fields)."""
    cn = sqlite.connect(path)
    first = cn.execute("SELECT coalesce(max(seq), 0) + 1 FROM log").fetchone()[0]
    cn.execute("BEGIN")
    for seq, (number, name, time, *more) in enumerate(events, first):
        given = {
            "received": time,
            "data": b"",
            "url": "",
            "context": b"",
            "standing": 0,
            **(more[0] if more else {}),
        }
        cn.execute(
            "INSERT INTO log VALUES (?, ?, 1, ?, ?, ?, ?, '', 1, 1, ?, ?, x'', ?, ?)",
            (seq, account, visitor(number), name, time, *(given[one] for one in GIVEN)),
        )
        cn.execute("INSERT INTO visitor_file VALUES (?, ?, NULL)", (visitor(number), seq))
    cn.execute("INSERT OR REPLACE INTO progress SELECT 'folded', max(seq) FROM log")
    cn.execute("COMMIT")
    cn.close()


def asked(path, *audiences, event="checkout"):
    return worth.answer(path, Question(1, audiences or (VIEWERS,), event, AT, NOW))


def test_a_planted_lift_is_inside_its_interval(path):
    """Cart fillers buy three times as often; the raw interval holds 3."""
    rng = random.Random(1)
    events = []
    for number in range(4000):
        inside = number % 4 == 0
        events.append((number, "addtocart" if inside else "pagevisit", AT - rng.randrange(DAY)))
        if rng.random() < (0.15 if inside else 0.05):
            events.append((number, "checkout", AT + rng.randrange(1, 29 * DAY), {"data": b'{"value": 20}'}))
    log(path, events)
    (found,) = asked(path)
    assert (found.members.size, found.others.size) == (1000, 3000)
    assert found.raw.low <= 3 <= found.raw.high
    assert found.raw.sure
    assert found.members.revenue == 20 * found.members.acted


def test_membership_is_frozen_before_the_outcome(path):
    """Who joins, or is heard of, after the instant is no member; the outcome is what came after it."""
    log(
        path,
        [
            (1, "addtocart", AT - DAY),
            (2, "pagevisit", AT - DAY),
            (2, "addtocart", AT + 1),
            (3, "pagevisit", AT - 2 * DAY),
            (3, "addtocart", AT - DAY, {"received": AT + DAY}),
            (4, "addtocart", AT - 31 * DAY),
            (5, "addtocart", AT + DAY),
            (1, "checkout", AT - DAY),
            (2, "checkout", AT + DAY),
            (3, "checkout", NOW),
            (1, "checkout", AT + DAY, {"standing": 1}),
        ],
    )
    (found,) = asked(path)
    assert (found.members.size, found.members.acted) == (1, 0)
    assert (found.others.size, found.others.acted) == (3, 1)


def test_strangers_are_left_out(path):
    """Other accounts, and those not seen for 180 days, are nobody to compare with."""
    log(path, [(1, "addtocart", AT - DAY), (2, "pagevisit", AT - 200 * DAY)])
    log(path, [(3, "pagevisit", AT - DAY)], account=2)
    (found,) = asked(path)
    assert (found.members.size, found.others.size) == (1, 0)
    assert found.raw.value is None


def test_several_audiences_in_one_reading(path):
    """Each engagement beside those who did not do it."""
    log(
        path,
        [(1, "save", AT - DAY), (2, "click", AT - DAY), (3, "init", AT - DAY), (2, "checkout", AT + DAY)],
    )
    saved, clicked = (Asked("ENGAGEMENT", {"engagement_type": one}) for one in ("save", "click"))
    one, two = asked(path, saved, clicked)
    assert (one.members.acted, two.members.acted) == (0, 1)
    assert (one.members.size, one.others.size) == (1, 2)


def build(path, *, ready, members=(), transitions=()):
    """An audience whose one build holds members of (number, opens, closes) after transitions of (number, at,
    opens before, closes before)."""
    cn = sqlite.connect(path)
    cn.execute("PRAGMA foreign_keys = OFF")
    cn.execute("INSERT INTO build (audience, rule, live_from, ready) VALUES (1, '{}', 0, ?)", (ready,))
    made = cn.execute("SELECT max(id) FROM build").fetchone()[0]
    for number, opens, closes in members:
        cn.execute("INSERT INTO member VALUES (?, ?, ?, ?, 0)", (made, visitor(number), opens, closes))
    for number, at, opens, closes in transitions:
        row = (made, visitor(number), opens, closes, at)
        cn.execute(
            "INSERT INTO transition (step, build, visitor, opens, closes, last, at)"
            " VALUES (1, ?, ?, ?, ?, 0, ?)",
            row,
        )
    cn.close()
    return made


def test_a_list_is_read_from_its_transitions(path):
    """Who was on the list then, not who is on it now; and no answer where that is not known."""
    log(path, [(number, "pagevisit", AT - DAY) for number in (1, 2, 3)] + [(1, "checkout", AT + DAY)])
    made = build(
        path,
        ready=AT - DAY,
        members=[(1, EVER, EVER), (2, AT + DAY, EVER)],
        transitions=[
            (1, AT + 2 * DAY, AT - DAY, EVER),
            (2, AT + DAY, EVER, EVER),
            (1, AT + 3 * DAY, EVER, EVER),
        ],
    )
    rule = {"customer_list_id": "5"}
    (found,) = asked(path, Asked("CUSTOMER_LIST", rule, made))
    assert (found.members.size, found.members.acted, found.others.size) == (1, 1, 2)
    with pytest.raises(Conflict, match="fewer days"):
        asked(path, Asked("CUSTOMER_LIST", rule, build(path, ready=AT + 1)))


def test_sizes_of_the_past_undo_what_came_later(path):
    """The size at an instant is that of the rows with later transitions undone."""
    made = build(
        path,
        ready=0,
        members=[(1, 100, 900), (2, 500, 900), (3, EVER, EVER)],
        transitions=[(2, 500, EVER, EVER), (3, 600, 100, 900)],
    )
    cn = sqlite.connect(path, readonly=True)
    assert [insights.size_at(cn, made, at) for at in (50, 100, 499, 500, 599, 600, 900)] == [
        0,
        2,
        2,
        3,
        3,
        2,
        0,
    ]
    cn.close()


def test_overlap_is_exact(path):
    """Those who are in both now; a lapsed membership is none."""
    one = build(path, ready=0, members=[(1, 0, 100), (2, 0, 100), (3, 0, 10)])
    two = build(path, ready=0, members=[(2, 0, 100), (3, 0, 100), (4, 60, 100)])
    cn = sqlite.connect(path, readonly=True)
    assert insights.overlap(cn, one, two, 50) == insights.Overlap(2, 2, 1)
    cn.close()


def test_traits_mark_the_members(path):
    """Counts, shares and the index against all active visitors; what fewer than three did is not shown."""
    events = []
    for number in range(40):
        mobile = b'{"device": "mobile", "utm_campaign": "spring", "ref": "https://www.pinterest.com/"}'
        mobile = mobile if number < 5 or number > 34 else b'{"device": "desktop"}'
        page = {
            "url": "https://shop.example/shoes/1",
            "data": b'{"product_category": "shoes", "line_items": [{"product_id": "s1"}]}',
            "context": mobile,
        }
        other = {
            "url": "https://shop.example/hats/1",
            "data": b'{"product_category": "hats"}',
            "context": mobile,
        }
        events.append((number, "pagevisit", NOW - DAY, page if number < 10 else other))
    events.append((0, "pagevisit", NOW - 1, {"data": b'{"product_category": "rare"}'}))
    log(path, events)
    made = build(path, ready=0, members=[(number, 0, EVER) for number in range(10)])
    found = insights.portrait(path, 1, made, NOW - 7 * DAY, NOW)
    assert (found.members, found.visitors) == (10, 40)
    assert found.traits["category"] == [insights.Trait("shoes", 10, 10, 1.0, 0.25, 400)]
    assert found.traits["product"] == [insights.Trait("s1", 10, 10, 1.0, 0.25, 400)]
    assert found.traits["entry page"][0].name == "/shoes/1"
    assert found.traits["campaign"] == [insights.Trait("spring", 5, 10, 0.5, 0.25, 200)]
    assert found.traits["referrer"] == [insights.Trait("pinterest.com", 5, 10, 0.5, 0.25, 200)]
    assert {one.name: one.index for one in found.traits["device"]} == {"mobile": 200, "desktop": 67}


def test_insights_read_only_the_days_asked_for(path, monkeypatch):
    """Reading starts at the first arrival of these days, though little is remembered and pages are short."""
    monkeypatch.setattr(trails, "MOST_KEPT", 2)
    monkeypatch.setattr(trails, "PAGE", 3)
    page = {"url": "https://shop.example/hats/1", "data": b'{"product_category": "hats"}'}
    log(path, [(number, "pagevisit", NOW - (50 - number) * DAY, page) for number in range(50)])
    made = build(path, ready=0, members=[(number, 0, EVER) for number in range(46)])
    found = insights.portrait(path, 1, made, NOW - 10 * DAY, NOW)
    assert (found.members, found.visitors) == (6, 10)
    assert found.traits["category"] == [insights.Trait("hats", 6, 10, 1.0, 1.0, 100)]
    cn = sqlite.connect(path, readonly=True)
    assert trails.place_before(cn, NOW - 10 * DAY) == 40
    assert trails.place_before(cn, NOW + DAY) == 50
    cn.close()


def test_what_is_not_folded_yet_is_left_out(path):
    """Whether it counts, and for whom, is not known: the lift is that of the folded log."""
    log(path, [(1, "addtocart", AT - DAY), (2, "pagevisit", AT - DAY), (1, "checkout", AT + DAY)])
    cn = sqlite.connect(path)
    cn.execute("UPDATE progress SET value = 2 WHERE name = 'folded'")
    cn.close()
    (found,) = asked(path)
    assert (found.members.size, found.members.acted, found.others.size) == (1, 0, 1)
