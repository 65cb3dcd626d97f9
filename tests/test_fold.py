"""The fold: what counts, whose it is, and who is in."""

import pytest

from beds import ACCOUNT, DAY, HOUR, NOW, Bed, event, visitor
from retag import fold, upkeep
from retag.events import SOURCES
from retag.people import KINDS
from retag.store import erasing, settle, showing

API = SOURCES["conversions_api"]
FILE = SOURCES["file_upload"]
EMAIL = (KINDS["em"], "ab" * 32)


@pytest.fixture
def bed(tmp_path):
    return Bed(tmp_path / "bed.db")


def server(**changes):
    return event(**{"source": API, "tag": 0, "event_id": "e1", "visitor": 900} | changes)


def browser(**changes):
    return event(**{"event_id": "e1"} | changes)


def test_event_that_matches_makes_a_member(bed):
    """From its event on, for the retention, and nobody else."""
    audience = bed.audience({"event": "checkout", "retention_days": 2})
    bed.take(event(name="checkout"), event(visitor=2))
    assert bed.members(audience) == {visitor(1)}
    assert bed.members(audience, NOW - 1) == set()
    assert bed.members(audience, NOW + 2 * DAY - 1) == {visitor(1)}
    assert bed.members(audience, NOW + 2 * DAY) == set()


def test_exclusion_takes_a_member_out(bed):
    """Added to the cart and did not check out."""
    rule = {"all": [{"event": "addtocart"}], "none": [{"event": "checkout", "retention_days": 7}]}
    audience = bed.audience(rule)
    bed.take(event(name="addtocart", time=NOW - HOUR), event(name="addtocart", visitor=2))
    assert bed.members(audience) == {visitor(1), visitor(2)}
    bed.take(event(name="checkout"))
    assert bed.members(audience) == {visitor(2)}
    assert bed.members(audience, NOW + 7 * DAY) == {visitor(1), visitor(2)}


def test_same_browser_event_twice_counts_once(bed):
    """A retry of the tag, in one batch or in two."""
    bed.take(browser(), browser(time=NOW + HOUR))
    bed.take(browser(time=NOW + 48 * HOUR))
    assert bed.standings() == [0, 1, 1]


PAGE = NOW - 5_000
OWN_ID = f"{PAGE}{'4294967295' * 4}"
"""An id as the tag makes it: when its page began, and 128 bits."""


def test_ids_of_the_tag_lie_in_the_order_of_their_pages(bed):
    """So what comes next is written beside what came last, and an id of a shop's own goes anywhere."""
    ids = [f"{PAGE + n * 100}{n * 7919 % 1000:038d}1" for n in range(50)]
    bed.take(*(browser(event_id=one, visitor=n) for n, one in enumerate(ids)))
    assert bed.rows("SELECT seq FROM seen ORDER BY key") == [(n + 1,) for n in range(50)]


def test_ids_of_one_moment_are_told_apart(bed):
    """The same millisecond, one visitor, other bits, another name, another account."""
    bed.take(
        browser(event_id=OWN_ID + "0"),
        browser(event_id=OWN_ID + "1"),
        browser(event_id=OWN_ID + "0", name="search"),
        browser(event_id=OWN_ID + "0", account=2),
        browser(event_id=OWN_ID + "0"),
    )
    assert bed.standings() == [0, 0, 0, 0, 1]


@pytest.mark.parametrize("start", ["2999999999999", "1000000000000", "\u0661795478400000", "0000000000000"])
def test_an_id_that_looks_like_the_tags_is_kept_too(bed, start):
    """Of another century, or in other digits."""
    bed.take(browser(event_id=start + "9" * 30), browser(event_id=start + "9" * 30))
    assert bed.standings() == [0, 1]


def test_an_id_of_the_tag_pairs_with_the_servers_half(bed):
    """A shop may read the id on the page and send it from its server too."""
    bed.take(browser(event_id=OWN_ID), server(event_id=OWN_ID))
    assert bed.standings() == [0, 1]


@pytest.mark.parametrize("batches", [1, 2])
def test_who_was_never_met_is_not_known_by_a_name_alone(bed, batches):
    """A server's event whose id its owner has never had says nothing of that id to the next one."""
    bed.take(browser(people=[EMAIL]))
    both = [server(people=[EMAIL], event_id="a"), server(people=[EMAIL], event_id="b")]
    for some in [both] if batches == 1 else [[one] for one in both]:
        bed.take(*some)
    assert bed.rows("SELECT DISTINCT visitor FROM log") == [(visitor(1),)]


@pytest.mark.parametrize("batches", [1, 2])
def test_an_order_from_a_server_without_a_tag_is_the_browsers(bed, batches):
    """Whether they come together or one after the other; and the other way round."""
    data = {"value": 5, "order_id": "A1"}
    both = [
        event(name="checkout", data=data, event_id="1"),
        server(name="checkout", data=data, event_id="2"),
        event(name="checkout", data=data, event_id="3"),
    ]
    if batches == 1:
        bed.take(*both)
    else:
        for one in both:
            bed.take(one)
    assert bed.standings() == [0, 2, 2]


def test_an_import_is_permanent_whatever_its_ids_look_like(bed):
    """Its rows are found where every version has put them."""
    bed.take(event(source=FILE, event_id=OWN_ID))
    key = settle.digest(ACCOUNT, "pagevisit", OWN_ID)
    assert bed.rows("SELECT key FROM seen") == [(key,)]


@pytest.mark.parametrize("event_id", [OWN_ID, "e1"])
def test_an_erased_visitors_ids_are_forgotten(bed, event_id):
    """Their rows name the visitor."""
    bed.take(browser(event_id=event_id), browser(event_id=event_id, visitor=2))
    bed.cn.execute("BEGIN")
    erasing.erase(bed.cn, ACCOUNT, visitor(1), NOW)
    bed.cn.execute("COMMIT")
    assert bed.rows("SELECT seq FROM seen") == [(2,)]


def test_id_returns_after_48_hours(bed):
    """Measured between event times."""
    bed.take(browser(), browser(time=NOW + 48 * HOUR + 1))
    assert bed.standings() == [0, 0]


def test_same_id_of_two_browsers_counts_for_each(bed):
    """Sites put the product id in event_id."""
    bed.take(browser(), browser(visitor=2), browser(name="addtocart"))
    assert bed.standings() == [0, 0, 0]


def test_server_half_second_is_a_duplicate_and_gives_its_identifiers(bed):
    """The browser's visitor gets what the server knows."""
    assert bed.take(browser(), server(people=[EMAIL])) == {"counted": 1, "duplicate": 1}
    assert bed.rows("SELECT visitor FROM identifier") == [(visitor(1),)]
    assert bed.rows("SELECT visitor FROM log") == [(visitor(1),)] * 2


@pytest.mark.parametrize("together", [True, False])
def test_server_half_first_counts_and_moves_to_the_browser(bed, together):
    """Whichever comes first counts; the visitor is the browser's; both give identifiers there."""
    audience = bed.audience({"event": "checkout"})
    first = server(name="checkout", people=[EMAIL])
    second = browser(name="checkout", people=[(2, "x1")])
    if together:
        bed.take(first, second)
    else:
        bed.take(first)
        assert bed.members(audience) == {visitor(900)}
        bed.take(second)
    assert bed.standings() == [0, 1]
    assert bed.members(audience) == {visitor(1)}
    assert bed.rows("SELECT visitor, seq FROM trail ORDER BY seq") == [(visitor(1), 1), (visitor(1), 2)]
    assert {row[0] for row in bed.rows("SELECT visitor FROM identifier")} == {visitor(1)}
    assert bed.rows("SELECT count(*) FROM identifier") == [(2,)]


def test_server_event_pairs_with_one_browser_alone(bed):
    """Further browsers count for themselves, and so does a second server event."""
    bed.take(browser(), server(), browser(visitor=2))
    bed.take(server(time=NOW + 49 * HOUR))
    assert bed.standings() == [0, 1, 0, 0]


def test_a_constant_event_id_stays_quick(bed):
    """Some shops send one id for everything: a server event then looks at a few rows, not at all of them."""
    bed.take(*(browser(visitor=n) for n in range(5000)))
    looked = []
    bed.cn.set_progress_handler(lambda: looked.append(1), 1000)
    bed.take(*(server(visitor=9000 + n, time=NOW + n * 49 * HOUR) for n in range(20)))
    assert len(looked) < 60
    assert bed.standings()[5000:] == [1, *[0] * 19]


def test_server_retry_is_a_duplicate(bed):
    """Server events are keyed without the visitor."""
    bed.take(server(), server(visitor=901))
    assert bed.standings() == [0, 1]


def test_other_tag_is_another_event(bed):
    """The key holds the tag; a server event without one fits any."""
    bed.take(browser(), browser(tag=2_612_345_678_902), server())
    assert bed.standings() == [0, 0, 1]


def test_import_twice_is_a_no_op_at_any_age(bed):
    """Import ids are permanent."""
    bed.take(event(source=FILE, event_id="line 1", time=NOW - 400 * DAY))
    bed.take(event(source=FILE, event_id="line 1", time=NOW, visitor=7))
    assert bed.standings() == [0, 1]


def test_order_counts_once_for_a_tag(bed):
    """A reloaded thank-you page has a new event id and the old order id."""
    order = {"order_id": "A1", "value": 10}
    bed.take(
        event(name="checkout", data=order, event_id="1"),
        event(name="checkout", data=order, event_id="2", time=NOW + 90 * DAY),
        event(name="checkout", data=order, tag=2_612_345_678_902),
    )
    assert bed.standings() == [0, 2, 0]


@pytest.mark.parametrize("value", [0, -5.5])
def test_refunds_and_free_orders_are_no_purchases(bed, value):
    """And they do not use the order's id up."""
    audience = bed.audience({"event": "checkout"})
    bed.take(event(name="checkout", data={"order_id": "A1", "value": value}))
    assert (bed.standings(), bed.members(audience)) == ([4], set())
    bed.take(event(name="checkout", data={"order_id": "A1", "value": 3}))
    assert bed.members(audience) == {visitor(1)}


def test_server_event_goes_to_the_visitor_last_seen_with_its_identifier(bed):
    """Or stays with the visitor it made."""
    bed.take(event(people=[EMAIL], time=NOW - DAY), event(people=[EMAIL], visitor=2))
    bed.take(server(people=[EMAIL]), server(people=[(3, "cd" * 32)], event_id="e2"))
    assert bed.rows("SELECT visitor FROM log WHERE seq > 2") == [(visitor(2),), (visitor(900),)]


def test_strongest_identifier_decides(bed):
    """A click id before an external id, that before an e-mail; however recently the weaker was seen."""
    click, email = (KINDS["click_id"], "dj0yJnU9c29tZQ"), (KINDS["em"], "cd" * 32)
    bed.take(event(people=[click], time=NOW - DAY), event(people=[email], visitor=2))
    bed.take(server(people=[email, click]))
    assert bed.rows("SELECT visitor FROM log WHERE seq = 3") == [(visitor(1),)]


def test_an_objector_is_in_no_audience_by_a_servers_event_either(bed):
    """Their address finds them, and finds an objector; what they did before is only out of sight."""
    audience = bed.audience({"event": "lead"})
    bed.take(event(people=[EMAIL]))
    upkeep.opt_out(bed.cn, visitor(1), NOW + 1)
    bed.take(event(name="lead", received=NOW), server(name="lead", people=[EMAIL], received=NOW + 2))
    assert bed.rows("SELECT visitor, standing FROM log WHERE seq > 1") == [(visitor(1), 0), (visitor(1), 5)]
    assert bed.members(audience) == set()
    upkeep.opt_in(bed.cn, visitor(1), NOW + 3)
    assert bed.members(audience) == {visitor(1)}


def customer(number):
    return (KINDS["external_id"], f"{number:064x}")


@pytest.mark.parametrize("together", [True, False])
def test_customers_who_share_an_address_are_not_one(bed, together):
    """A number that nobody showed is a new customer's, in one batch as in many; each is found again by it."""
    numbers = enumerate((1, 2, 3, 1, 2, 3))
    events = [server(people=[EMAIL, customer(n)], event_id=f"{i}", visitor=901 + i) for i, n in numbers]
    for some in [events] if together else [[one] for one in events]:
        bed.take(*some)
    found = [row[0] for row in bed.rows("SELECT visitor FROM log ORDER BY seq")]
    assert found[:3] == found[3:] == [visitor(901), visitor(902), visitor(903)]


def test_a_customer_number_finds_the_browser_that_showed_the_address(bed):
    """As long as that browser is nobody else's."""
    bed.take(event(people=[EMAIL]))
    bed.take(server(people=[EMAIL, customer(1)]), server(people=[EMAIL, customer(2)], event_id="e2"))
    assert bed.rows("SELECT visitor FROM log WHERE seq > 1") == [(visitor(1),), (visitor(900),)]


def test_an_address_that_countless_customers_share_is_quarantined(bed):
    """A placeholder nobody listed: it finds nobody, and their numbers go on naming them."""
    bed.take(*(server(people=[EMAIL, customer(n)], event_id=f"{n}", visitor=n) for n in range(1, 60)))
    assert bed.rows("SELECT kind FROM quarantine") == [(KINDS["em"],)]
    assert bed.take(server(people=[EMAIL], event_id="last")) == {"quarantined": 1}
    assert bed.rows("SELECT count(DISTINCT visitor) FROM log WHERE standing = 0") == [(59,)]


def test_identifier_of_too_many_is_quarantined(bed):
    """It attaches to nobody more, finds nobody, and an event with nothing else does not count."""
    bed.take(*(event(visitor=n, people=[EMAIL]) for n in range(1, 60)))
    assert bed.rows("SELECT count(*) FROM quarantine") == [(1,)]
    counts = bed.take(server(people=[EMAIL]))
    assert counts == {"quarantined": 1}
    assert bed.rows("SELECT count(*) FROM identifier")[0][0] <= 51


def test_list_matches_who_shows_an_identifier_later(bed):
    """The visitor is in the list's audience from that event on."""
    bed.cn.execute(
        "INSERT INTO customer_list (id, account, name, list_type, created, updated)"
        " SELECT 7, id, 'L', 'EMAIL', 0, 0 FROM account"
    )
    bed.cn.execute("INSERT INTO customer_record VALUES (7, ?, NULL)", (bytes.fromhex("ab" * 32),))
    audience = bed.audience({"customer_list_id": "7"}, kind="CUSTOMER_LIST")
    bed.take(event(people=[EMAIL]), event(visitor=2))
    assert bed.members(audience) == {visitor(1)}


def test_refold_changes_nothing_that_is_right(bed):
    """The trail gives the same marks as the events did when they came."""
    bed.audience({"event": "pagevisit", "min_count": 2})
    bed.audience({"event": "pagevisit", "retention_days": 1})
    bed.take(*(event(visitor=n % 3, time=NOW + n * HOUR) for n in range(30)))
    before = bed.everything()
    step = bed.rows("SELECT value FROM progress WHERE name = 'step'")
    fold.refold(bed.cn, [visitor(n) for n in range(3)], NOW + 30 * HOUR)
    assert bed.everything() == before
    assert bed.rows("SELECT value FROM progress WHERE name = 'step'") == step


def test_batches_do_not_matter(bed, tmp_path):
    """One event at a time or all at once: the same state."""
    other = Bed(tmp_path / "other.db")
    history = [
        *(browser(visitor=n % 5, time=NOW + n * HOUR, event_id=f"{n % 7}") for n in range(40)),
        *(server(people=[EMAIL], event_id=f"{n}", visitor=100 + n, time=NOW + n * HOUR) for n in range(9)),
        *(event(name="checkout", visitor=n % 4, people=[EMAIL], time=NOW + n * DAY) for n in range(9)),
    ]
    for one in (bed, other):
        one.audience({"event": "pagevisit", "retention_days": 1})
        one.audience({"any": [{"event": "checkout", "min_count": 2}, {"event": "pagevisit"}]})
        one.append(*history)
    bed.fold()
    while other.fold(most=1):
        pass
    assert other.everything() == bed.everything()


def test_transition_only_when_who_is_in_changes(bed):
    """Joining writes one, extending none, coming back after a lapse another."""
    bed.audience({"event": "pagevisit", "retention_days": 1})
    count = "SELECT count(*), max(step) FROM transition"
    bed.take(event(), now=NOW)
    assert bed.rows(count) == [(1, 2)]
    bed.take(event(time=NOW + HOUR), now=NOW + HOUR)
    assert bed.rows(count) == [(1, 2)]
    bed.take(event(time=NOW + 3 * DAY), now=NOW + 3 * DAY)
    assert bed.rows(count) == [(2, 3)]


def test_one_visitor_files_only_so_many_identifiers(bed, monkeypatch):
    """Within a batch and over batches; those already shown still attach, and others are not concerned."""
    monkeypatch.setattr(showing, "MOST_SHOWN", 5)
    bed.take(*(event(people=[(1, f"{n:064x}")]) for n in range(4)))
    bed.take(
        *(event(people=[(1, f"{n:064x}")]) for n in range(2, 9)), event(visitor=2, people=[(1, "9" * 64)])
    )
    found = bed.rows("SELECT visitor, hex(value) FROM identifier ORDER BY 1, 2")
    assert found == [(visitor(1), f"{n:064X}") for n in range(5)] + [(visitor(2), "9" * 64)]
    later = NOW + 2 * HOUR
    bed.take(event(time=later, people=[(1, f"{0:064x}"), (1, "a" * 64)]), now=later)
    assert bed.rows("SELECT count(*), max(seen) FROM identifier WHERE visitor = ?", visitor(1)) == [
        (5, later)
    ]


def test_a_servers_event_cannot_file_them_for_another_either(bed, monkeypatch):
    """The owner that an identifier finds has the same limit."""
    monkeypatch.setattr(showing, "MOST_SHOWN", 3)
    known = (1, "b" * 64)
    bed.take(event(people=[known]))
    for n in range(5):
        bed.take(event(visitor=10 + n, source=API, people=[known, (2, f"{n:064x}")]))
    assert bed.rows("SELECT count(*) FROM identifier WHERE visitor = ?", visitor(1)) == [(3,)]
