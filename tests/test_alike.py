"""Act-alikes on a log: from a seed audience to members, without the seed's own defining events."""

import json

import numpy as np
import pytest

from retag.likeness import ExtraMissing, load
from retag.store import alike, seeds, sqlite, trails
from retag.store.erasing import erase
from retag.windows import DAY, EVER

NOW = 1_795_478_400_000
BUYERS = {"event": "checkout"}
pytest.importorskip("lightgbm")


def visitor(number):
    return number.to_bytes(16, "big")


@pytest.fixture
def cn(tmp_path):
    cn = sqlite.connect(tmp_path / "retag.db")
    sqlite.migrate(cn)
    cn.execute("INSERT INTO account VALUES (1, 'Shop', 0)")
    yield cn
    cn.close()


def path(cn):
    return cn.execute("PRAGMA database_list").fetchone()[2]


def log(cn, events):
    """Counted events of (visitor number, name, time, category, context)."""
    cn.execute("BEGIN")
    for seq, (number, name, time, category, *context) in enumerate(events, 1):
        data, where = json.dumps({"product_category": category}).encode(), (context or [b""])[0]
        row = (seq, visitor(number), name, time, time, f"https://shop.example/{category}", data, where)
        cn.execute("INSERT INTO log VALUES (?, 1, 1, ?, ?, ?, ?, '', 1, 1, ?, ?, x'', ?, 0)", row)
        cn.execute("INSERT INTO visitor_file VALUES (?, ?, NULL)", (visitor(number), seq))
    cn.execute("INSERT OR REPLACE INTO progress SELECT 'folded', max(seq) FROM log")
    cn.execute("COMMIT")


def audience(cn, kind, rule, members=()):
    """An audience with a ready build, and the members that the fold would have found."""
    row = ("Seed", kind, json.dumps(rule))
    sql = (
        "INSERT INTO audience (account, name, type, rule, build, created, updated)"
        " VALUES (1, ?, ?, ?, 0, 0, 0) RETURNING id"
    )
    made = cn.execute(sql, row).fetchone()[0]
    sql = "INSERT INTO build (audience, rule, live_from, ready) VALUES (?, ?, 0, 0) RETURNING id"
    build = cn.execute(sql, (made, json.dumps(rule))).fetchone()[0]
    cn.execute("UPDATE audience SET build = ? WHERE id = ?", (build, made))
    rows = [(build, visitor(number), 0, EVER) for number in members]
    cn.executemany("INSERT INTO member VALUES (?, ?, ?, ?, 0)", rows)
    return made, build


def shop(cn, seeds=100, context=lambda number: b""):
    """1,500 visitors; the first 200 look at shoes, of whom the first `seeds` bought."""
    rng = np.random.default_rng(3)
    events = []
    for number in range(1500):
        for _ in range(rng.integers(1, 6)):
            likes = number < 200 and rng.random() < 0.6
            category = "shoes" if likes else f"category {rng.integers(0, 30)}"
            at = NOW - int(rng.integers(1, 60)) * DAY
            events.append((number, "pagevisit", at, category, context(number)))
        if number < seeds:
            events.append((number, "checkout", NOW - DAY, "bought"))
    log(cn, sorted(events, key=lambda event: event[2]))
    return audience(cn, "VISITOR", BUYERS, range(seeds))[0]


def task(seed, percentage=5, build=99):
    return alike.Task(build, 1, (seed,), percentage)


def test_those_who_act_like_the_seed_are_chosen(cn):
    """5 % of those who are eligible, mostly of the planted kind, none of the seed."""
    report = alike.refit(path(cn), task(shop(cn)), NOW)
    chosen = [int.from_bytes(one, "big") for one in report.chosen]
    assert (report.seeds, report.eligible, len(chosen)) == (100, 1400, 70)
    assert min(chosen) >= 100
    assert sum(number < 200 for number in chosen) > 40
    assert report.quality["low"] > 0.6
    assert not report.quality["worthless"]
    assert report.features[0].startswith("category:shoes")


def test_the_defining_event_is_no_feature(cn):
    """What made the seed a seed is not what likeness is judged by, nor how recent it makes them look."""
    report = alike.refit(path(cn), task(shop(cn)), NOW)
    assert not any("checkout" in one or "bought" in one for one in report.features)
    assert report.quality["auc"] < 0.97


def test_the_same_data_choose_the_same_visitors(cn):
    """A refit without news changes nobody's membership."""
    seed = shop(cn)
    assert alike.refit(path(cn), task(seed), NOW) == alike.refit(path(cn), task(seed), NOW)


def test_forgetting_what_was_said_changes_nothing(cn, monkeypatch):
    """However few acts are remembered while reading, and however short the pages, the fit is the same."""
    seed = shop(cn)
    whole = alike.refit(path(cn), task(seed), NOW)
    monkeypatch.setattr(trails, "MOST_KEPT", 3)
    monkeypatch.setattr(trails, "PAGE", 7)
    assert alike.refit(path(cn), task(seed), NOW) == whole


def test_too_small_a_seed_says_how_many_are_needed(cn):
    """No model, no members, and the number."""
    report = alike.refit(path(cn), task(shop(cn, seeds=29)), NOW)
    assert report.too_small
    assert (report.seeds, report.needed) == (29, 30)
    assert "30 are needed" in report.explanation


def test_who_opted_out_is_not_chosen(cn):
    """Objectors and those not seen for 180 days are not eligible."""
    seed = shop(cn)
    cn.executemany("INSERT INTO opt_out VALUES (?, 0)", [(visitor(number),) for number in range(100, 200)])
    report = alike.refit(path(cn), task(seed), NOW)
    assert report.eligible == 1300
    assert min(int.from_bytes(one, "big") for one in report.chosen) >= 200
    assert alike.refit(path(cn), task(seed), NOW + 400 * DAY).eligible == 0


def test_changes_are_applied_with_transitions(cn):
    """The chosen become members, later ones replace them, and both changes can be undone by readers."""
    rule = {"seed_id": ["1"], "percentage": 5}
    _, build = audience(cn, "ACTALIKE", rule)
    for now, chosen in ((NOW, [1, 2, 3]), (NOW + DAY, [2, 3, 4])):
        for added, removed in alike.slices(cn, build, [visitor(number) for number in chosen]):
            alike.apply(cn, build, added, removed, now)
    sql = "SELECT visitor FROM member WHERE build = ? AND opens <= ? AND closes > ? ORDER BY visitor"
    inside = [row[0] for row in cn.execute(sql, (build, NOW + DAY, NOW + DAY))]
    assert inside == [visitor(2), visitor(3), visitor(4)]
    changed = cn.execute(
        "SELECT visitor, opens FROM transition WHERE at = ? ORDER BY id", (NOW + DAY,)
    ).fetchall()
    assert sorted(changed) == [(visitor(1), NOW), (visitor(4), EVER)]
    assert alike.slices(cn, build, [visitor(number) for number in (2, 3, 4)]) == []


def test_a_fit_is_due_at_first_and_daily(cn):
    """Never fitted, or a day ago; and kept for the API."""
    seed = shop(cn)
    _, build = audience(cn, "ACTALIKE", {"seed_id": [str(seed)], "percentage": 3})
    assert alike.due(cn, NOW) == [task(seed, 3, build)]
    alike.note(cn, build, alike.refit(path(cn), task(seed, 3, build), NOW))
    assert alike.due(cn, NOW + DAY - 1) == []
    assert len(alike.due(cn, NOW + DAY)) == 1
    count, report = cn.execute("SELECT chosen, report FROM likeness").fetchone()
    assert count == 42
    assert json.loads(report)["chosen"] is None


def test_retired_builds_are_forgotten(cn):
    """An edited act-alike leaves nothing of its former choice behind; the live one stays."""
    _, old = audience(cn, "ACTALIKE", {"seed_id": ["1"]})
    _, new = audience(cn, "ACTALIKE", {"seed_id": ["1"]})
    for build in (old, new):
        alike.apply(cn, build, [visitor(number) for number in range(3)], [], NOW)
        alike.note(cn, build, alike.Report(NOW, 0, 0, 30))
    cn.execute("UPDATE build SET retired = 1 WHERE id = ?", (old,))
    while alike.tidy(cn):
        pass
    assert cn.execute("SELECT DISTINCT build FROM likeness_member").fetchall() == [(new,)]
    assert cn.execute("SELECT build FROM likeness").fetchall() == [(new,)]


def test_without_the_extra_the_error_names_it():
    """A missing library is told with the command that installs it."""
    with pytest.raises(ExtraMissing, match=r"pip install 'retag\[actalike\]'"):
        load("no_such_module")


def test_only_those_last_seen_in_the_country_are_chosen(cn):
    """Eligible are the visitors whose latest known country it is; the seed may be from anywhere."""
    seed = shop(cn, context=lambda number: b'{"country": "%s"}' % (b"DE" if number % 3 else b"FR"))
    moved = [(visitor(n), NOW - 70 * DAY) for n in range(150, 200)]
    sql = "INSERT INTO log SELECT max(seq) + 1, 1, 1, ?, 'init', ?, ?, '', 1, 1, '', x'', x'', ?, 0 FROM log"
    for who, at in moved:
        cn.execute(sql, (who, at, at, b'{"country": "AT"}'))
    cn.execute("UPDATE progress SET value = (SELECT max(seq) FROM log)")
    report = alike.refit(path(cn), alike.Task(99, 1, (seed,), 5, "FR"), NOW)
    chosen = [int.from_bytes(one, "big") for one in report.chosen]
    french = sum(number % 3 == 0 for number in range(100, 1500))
    assert (report.located, report.eligible, len(chosen)) == (1500, french, french * 5 // 100)
    assert all(number % 3 == 0 for number in chosen)
    assert f"among {french} visitors last seen in FR" in report.explanation


@pytest.mark.parametrize(
    ("context", "said"),
    [(b"", "no visitor's country is known"), (b'{"country": "de"}', "last seen in FR")],
)
def test_a_country_with_nobody_in_it_is_said_to_be_empty(cn, context, said):
    """Nobody is chosen, and the answer says whether it is the visitors or the knowledge that lacks."""
    seed = shop(cn, context=lambda number: context)
    report = alike.refit(path(cn), alike.Task(99, 1, (seed,), 5, "FR"), NOW)
    assert (report.chosen, report.too_small) == ([], False)
    assert said in report.explanation


def test_a_seed_of_pages_leaves_those_pages_out(cn):
    """Events that define the seed by their address, whatever they are called, are no features either."""
    shop(cn)
    shoes = {"url": {"contains": "/shoes"}}
    seed, _ = audience(cn, "VISITOR", shoes, range(100))
    report = alike.refit(path(cn), task(seed), NOW)
    assert not any("shoes" in one for one in report.features)


def test_what_puts_people_out_of_the_seed_gives_it_away_too(cn):
    """An event that excludes from the seed says who is not in it, so it is no feature."""
    shop(cn)
    seed, _ = audience(cn, "VISITOR", {"any": [{"event": "signup"}], "none": [BUYERS]}, range(100, 200))
    report = alike.refit(path(cn), task(seed), NOW)
    assert not any("checkout" in one or "bought" in one for one in report.features)


def test_what_makes_the_seed_of_a_seed_gives_it_away_too(cn):
    """No member of an act-alike of buyers has bought, by its making: that says nothing of how they act."""
    buyers = shop(cn)
    seed, _ = audience(cn, "ACTALIKE", {"seed_id": [str(buyers)]}, range(100, 200))
    assert [one.names for one in seeds.find(cn, 1, [seed], NOW).clauses] == [frozenset({"checkout"})]
    report = alike.refit(path(cn), task(seed), NOW)
    assert not any("checkout" in one or "bought" in one for one in report.features)


def test_a_removed_seed_is_said_to_be_removed(cn):
    """Too small, and why."""
    seed = shop(cn)
    cn.execute("UPDATE audience SET removed = 1 WHERE id = ?", (seed,))
    report = alike.refit(path(cn), task(seed), NOW)
    assert report.too_small
    assert f"Audience {seed} has been removed" in report.explanation


def test_who_was_erased_or_objected_since_the_fit_does_not_come_back(cn):
    """Neither as one who joins nor as one who leaves: no byte of theirs is written again."""
    _, build = audience(cn, "ACTALIKE", {"seed_id": ["1"], "percentage": 5})
    alike.apply(cn, build, [visitor(1), visitor(2)], [], NOW)
    for number in (2, 3):
        erase(cn, 1, visitor(number), NOW)
    cn.execute("INSERT INTO opt_out VALUES (?, ?)", (visitor(5), NOW))
    alike.apply(cn, build, [visitor(3), visitor(4), visitor(5)], [visitor(2)], NOW + 1)
    for table in ("member", "likeness_member"):
        sql = f"SELECT visitor FROM {table} ORDER BY visitor"
        assert [row[0] for row in cn.execute(sql)] == [visitor(1), visitor(4)]


def test_a_fit_that_was_asked_for_is_due(cn):
    """Until one began later; the fit before is still told meanwhile."""
    _, build = audience(cn, "ACTALIKE", {"seed_id": ["1"]})
    alike.note(cn, build, alike.Report(NOW, 0, 0, 30))
    assert alike.due(cn, NOW + 1) == []
    alike.want(cn, build, NOW + 1)
    assert [one.build for one in alike.due(cn, NOW + 2)] == [build]
    assert cn.execute("SELECT fitted FROM likeness").fetchone() == (NOW,)
    alike.note(cn, build, alike.Report(NOW, 0, 0, 30))
    assert len(alike.due(cn, NOW + 2)) == 1
    alike.note(cn, build, alike.Report(NOW + 2, 0, 0, 30))
    assert alike.due(cn, NOW + 3) == []


def test_a_fit_waits_until_its_seed_is_whole(cn):
    """A seed with half its history in would be another one, or too small, for a day."""
    seed = shop(cn)
    _, build = audience(cn, "ACTALIKE", {"seed_id": [str(seed)], "percentage": 3})
    cn.execute("UPDATE build SET ready = NULL WHERE audience = ?", (seed,))
    assert (alike.due(cn, NOW), alike.waiting(cn, NOW)) == ([], True)
    cn.execute("UPDATE audience SET removed = 1 WHERE id = ?", (seed,))
    assert not alike.waiting(cn, NOW)
    assert alike.due(cn, NOW) == [task(seed, 3, build)]


def test_who_gives_the_seed_away_alone_is_eligible_all_the_same(cn):
    """Someone whose only event defines the seed is known as a visitor, by nothing that they did."""
    seed, at = shop(cn), NOW - DAY
    row = (visitor(5000), at, at)
    values = "max(seq) + 1, 1, 1, ?, 'checkout', ?, ?, '', 1, 1, '', x'', x'', x'', 0"
    cn.execute(f"INSERT INTO log SELECT {values} FROM log", row)
    cn.execute("UPDATE progress SET value = (SELECT max(seq) FROM log)")
    assert alike.refit(path(cn), task(seed), NOW).eligible == 1401


def test_an_edit_in_the_middle_of_a_fit_wins(cn):
    """What was found for the rule before is applied to nobody, and soon forgotten."""
    _, build = audience(cn, "ACTALIKE", {"seed_id": ["1"], "percentage": 5})
    alike.apply(cn, build, [visitor(1)], [], NOW)
    cn.execute("UPDATE build SET retired = ? WHERE id = ?", (NOW, build))
    alike.apply(cn, build, [visitor(2)], [visitor(1)], NOW + 1)
    assert cn.execute("SELECT visitor FROM member").fetchall() == [(visitor(1),)]
    alike.note(cn, build, alike.Report(NOW, 0, 0, 30))
    while alike.tidy(cn):
        pass
    assert cn.execute("SELECT count(*) FROM likeness").fetchone() == (0,)


def test_a_fit_that_was_killed_while_applied_is_finished_by_the_next(cn):
    """Half of the changes are in and no report: it is due, and what is left is what differs."""
    seed = shop(cn)
    _, build = audience(cn, "ACTALIKE", {"seed_id": [str(seed)], "percentage": 5})
    chosen = alike.refit(path(cn), task(seed, 5, build), NOW).chosen
    alike.apply(cn, build, chosen[:40], [], NOW)
    (again,) = alike.due(cn, NOW + 1)
    ((added, removed),) = alike.slices(cn, build, alike.refit(path(cn), again, NOW).chosen)
    assert (set(added), removed) == (set(chosen[40:]), [])


def test_a_seed_of_the_whole_shop_has_nobody_like_it(cn):
    """Nobody is left to choose, and the answer says so."""
    shop(cn)
    seed, _ = audience(cn, "VISITOR", {"event": "pagevisit"}, range(1500))
    report = alike.refit(path(cn), task(seed), NOW)
    assert (report.chosen, report.eligible, report.too_small) == ([], 0, False)
    assert "every visitor" in report.explanation


@pytest.mark.parametrize("left", [1, 2, 29])
def test_a_seed_of_nearly_the_whole_shop_is_told_apart_from_nobody(cn, left):
    """With fewer than 30 others there is no telling what is special about the seed: an answer, no error."""
    shop(cn)
    seed, _ = audience(cn, "CUSTOMER_LIST", {"customer_list_id": "1"}, range(1500 - left))
    report = alike.refit(path(cn), task(seed), NOW)
    assert (report.chosen, report.eligible) == ([], left)
    assert f"{left} visitors with activity beside the seed; at least 30 are needed" in report.explanation


def test_a_share_of_less_than_one_visitor_is_said_to_be_nobody(cn):
    """1 % of 40 is nobody, which is not an error, and not silent."""
    shop(cn)
    seed, _ = audience(cn, "CUSTOMER_LIST", {"customer_list_id": "1"}, range(1460))
    report = alike.refit(path(cn), task(seed, 1), NOW)
    assert (report.chosen, report.eligible) == ([], 40)
    assert "1% of those who may be chosen is less than one visitor" in report.explanation


@pytest.mark.parametrize("percentage", [1, 10])
def test_the_size_is_the_share_of_the_eligible(cn, percentage):
    """The smallest and the largest percentage, rounded down."""
    report = alike.refit(path(cn), task(shop(cn), percentage), NOW)
    assert len(report.chosen) == 1400 * percentage // 100


def test_the_seed_is_in_it_only_where_the_rule_says_so(cn):
    """By default an act-alike finds new people; an objector of the seed is in it in no case."""
    seed = shop(cn)
    usual = alike.refit(path(cn), task(seed), NOW)
    told = alike._task(99, 1, json.dumps({"seed_id": [str(seed)], "percentage": 5, "include_seed": True}))
    members = {row[0] for row in cn.execute("SELECT visitor FROM member")}
    gone = min(members)
    cn.execute("INSERT INTO opt_out VALUES (?, ?)", (gone, NOW))
    more = alike.refit(path(cn), told, NOW)
    assert not members & set(usual.chosen)
    assert set(more.chosen) & members == members - {gone}
    assert len(more.chosen) == len(usual.chosen) + len(members) - 1


def test_a_customer_list_is_a_seed(cn):
    """No event makes it, so everything that its members did may tell: purchases too."""
    shop(cn)
    seed, _ = audience(cn, "CUSTOMER_LIST", {"customer_list_id": "1"}, range(0, 200, 2))
    report = alike.refit(path(cn), task(seed), NOW)
    chosen = [int.from_bytes(one, "big") for one in report.chosen]
    assert sum(number < 200 for number in chosen) > 40
    assert not any(number < 200 and number % 2 == 0 for number in chosen)


def test_values_and_order_ids_tell_nobody_apart(cn):
    """What differs each time is no part of what was done, and an event may say nothing at all."""
    shop(cn)
    seed = audience(cn, "CUSTOMER_LIST", {"customer_list_id": "1"}, range(100))[0]
    before = alike.refit(path(cn), task(seed), NOW)
    said = "json_insert(CAST(data AS TEXT), '$.value', seq / 7.0, '$.order_id', 'A' || seq)"
    cn.execute(f"UPDATE log SET data = CAST({said} AS BLOB)")
    assert alike.refit(path(cn), task(seed), NOW) == before
    cn.execute("UPDATE log SET data = x'' WHERE name = 'checkout'")
    assert not alike.refit(path(cn), task(seed), NOW).too_small


def test_names_and_addresses_of_any_characters_end_no_fit(cn):
    """What separates an event's parts while they are read may be in them too: no more than a word differs."""
    seed = shop(cn)
    before = alike.refit(path(cn), task(seed), NOW)
    sql = "UPDATE log SET name = ?, url = ?, data = ? WHERE seq = ?"
    strange = (
        "a\x1fb\x00{",
        "https://[\x1f\x00/\x1f",
        b'{"value": "\\u001f", "product_id": ["\\u0000", 1e300]}',
    )
    cn.execute(sql, (*strange, 1))
    cn.execute(sql, ("pagevisit", "", b"", 2))
    after = alike.refit(path(cn), task(seed), NOW)
    assert (after.seeds, after.eligible, len(after.chosen)) == (
        before.seeds,
        before.eligible,
        len(before.chosen),
    )
