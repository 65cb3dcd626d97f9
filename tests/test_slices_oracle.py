"""The same history leaves the same file, however it is cut into slices and whatever comes meanwhile."""

import json
import random

import pytest

from beds import ACCOUNT, DAY, HOUR, NOW, TAG, event, visitor
from retag import fold
from retag.events import SOURCES
from retag.people import KINDS
from retag.store import engine, erasing, marking
from retag.store.desk import live_builds
from retag.store.engine import SqliteStore

LIST, FIRST = 7, 2_542_000_000_001
RULES = [
    {"event": "pagevisit", "retention_days": 3},
    {"event": "pagevisit", "min_count": 3, "retention_days": 5},
    {
        "all": [{"event": "addtocart", "retention_days": 4}],
        "none": [{"event": "checkout", "retention_days": 2}],
    },
    {"all": [{"customer_list_id": str(LIST)}], "any": [{"event": "pagevisit"}, {"event": "search"}]},
    {"customer_list_id": str(LIST)},
    {"event": "checkout", "min_value": 50},
    {
        "any": [{"event": "search", "retention_days": 1}, {"event": "checkout"}],
        "none": [{"event": "addtocart", "min_count": 2}],
    },
]
TABLES = ("member", "trail", "identifier", "seen", "customer_match", "quarantine")


def prepare(cn):
    """A shop with these audiences, and a list of six of the nine addresses that are shown."""
    cn.execute("INSERT INTO account VALUES (?, 'Shop', 0)", (ACCOUNT,))
    columns = "id, account, name, list_type, created, updated"
    cn.execute(f"INSERT INTO customer_list ({columns}) VALUES (?, ?, 'L', 'EMAIL', 0, 0)", (LIST, ACCOUNT))
    cn.executemany("INSERT INTO customer_record VALUES (?, ?, NULL)", [(LIST, address(n)) for n in range(6)])
    sql = "INSERT INTO audience VALUES (?, ?, 'A', NULL, 'VISITOR', ?, 0, ?, ?, NULL)"
    for number, rule in enumerate(RULES, FIRST):
        cn.execute(sql, (number, ACCOUNT, json.dumps(rule), NOW, NOW))
        build = fold.start_build(cn, number, rule, NOW, True)
        cn.execute("UPDATE audience SET build = ? WHERE id = ?", (build, number))


def address(number):
    return bytes([number]) * 32


def happening(chance, now):
    """An event of a browser, a server or a file: often the half of another, often somebody's who is known."""
    source = chance.choice(["tag"] * 6 + ["conversions_api"] * 3 + ["file_upload"])
    own = source == "tag" or chance.random() < 0.3
    name = chance.choice(["pagevisit"] * 4 + ["addtocart", "checkout", "search"])
    people, data = [], {}
    if chance.random() < 0.25:
        people.append((KINDS["em"], address(chance.randrange(9)).hex()))
    if chance.random() < 0.1:
        people.append((KINDS["external_id"], address(chance.randrange(40, 60)).hex()))
    if name == "checkout":
        order = {"order_id": str(chance.randrange(12))} if chance.random() < 0.5 else {}
        data = {"value": chance.randrange(80), **order}
    return event(
        visitor=visitor(chance.randrange(25) if own else 100 + chance.randrange(12)),
        name=name,
        time=now - chance.choice([0, 0, 0, HOUR, chance.randrange(5 * DAY)]),
        received=now,
        event_id=chance.choice(["", "", str(chance.randrange(30)), f"{NOW}{10**37 + chance.randrange(10)}"]),
        source=SOURCES[source],
        tag=TAG if source == "tag" else chance.choice([0, TAG]),
        people=people,
        data=data,
    )


def history(chance):
    """`(now, events)`, and between them `(now, a write job)`: somebody objects, agrees again, is erased."""
    now = NOW
    for _ in range(30):
        now += chance.randrange(6 * HOUR)
        act, who = chance.random(), visitor(chance.randrange(25))
        if act < 0.8:
            yield now, [happening(chance, now) for _ in range(chance.randrange(1, 60))]
        elif act < 0.9:
            yield now, lambda cn, who=who, now=now: erasing.opt_out(cn, who, now)
        elif act < 0.95:
            yield now, lambda cn, who=who, now=now: erasing.opt_in(cn, who, now)
        else:
            yield now, lambda cn, who=who, now=now: erasing.erase(cn, ACCOUNT, who, now)


def whole(store, events, now, chance):
    store.append(events, ())
    store.fold(now, 10_000)
    return store


def piecemeal(store, events, now, chance):
    """Slices of any size, with events that come one by one, before, within and behind a draft, and between
    what is written of it."""
    left, most = list(events), chance.randrange(1, 80)
    portion = chance.randrange(1, 40)
    while left or store.waiting()[0]:
        for step in (store.draft(now, most, portion), store.portions()):
            for _ in step:
                if left:
                    store.append([left.pop(0)], ())
        if left and chance.random() < 0.5:
            store.append([left.pop(0)], ())
        store.fold(now, most)
    return store


def broken(store, events, now, chance):
    """Folds that break off behind any portion: by kill -9, or by an error, and what is written next may be a
    job's."""
    store.append(events, ())
    while store.waiting()[0]:
        for _ in store.draft(now, chance.randrange(1, 80), chance.randrange(1, 10)):
            pass
        cut = chance.randrange(8)
        for n, _ in enumerate(store.portions()):
            if n == cut:
                break
        what = chance.random()
        if what < 0.3:
            store = opened(store.path)
        elif what < 0.6:
            store._draft = None
        if chance.random() < 0.5:
            store.fold(now, chance.choice([1, 3, 80]))
        elif what < 0.6:
            store.write(lambda cn: None)
    return store


def opened(path):
    store = SqliteStore(path)
    store.open()
    return store


def told(path, seed, take, monkeypatch):
    """What the file says after the history."""
    store, chance = opened(path), random.Random(seed)
    store.write(prepare)
    for now, one in history(random.Random(seed)):
        monkeypatch.setattr(engine, "time_ms", lambda now=now: now)
        if callable(one):
            store.write(one)
        else:
            store = take(store, one, now, chance)
    found = store.write(state)
    store.close()
    return found


def state(cn):
    tables = {name: sorted(cn.execute(f"SELECT * FROM {name}").fetchall()) for name in TABLES}
    tables["log"] = cn.execute("SELECT seq, visitor, standing FROM log ORDER BY seq").fetchall()
    builds = live_builds(cn)
    visitors = [row[0] for row in cn.execute("SELECT DISTINCT visitor FROM memory ORDER BY 1")]
    marks = marking.load(cn, [(who, build) for who in visitors for build in builds], builds)
    tables["marks"] = [(who, build, marks[build, who].memories) for who in visitors for build in builds]
    return tables


@pytest.mark.parametrize("take", [piecemeal, broken])
@pytest.mark.parametrize("seed", range(12))
def test_slices_make_no_difference(tmp_path, monkeypatch, seed, take):
    """Owners, duplicates, orders, lists, memories and windows."""
    one = told(tmp_path / "a.db", seed, whole, monkeypatch)
    monkeypatch.setattr(engine, "SETTLED", 1 + seed)
    other = told(tmp_path / "b.db", seed, take, monkeypatch)
    assert one["log"], "the history has events"
    for name in one:
        assert one[name] == other[name], name
