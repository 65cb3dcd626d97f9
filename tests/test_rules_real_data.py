"""The rules of the documentation on real shops' data, against straightforward SQL over the same events."""

import csv
import json
import pathlib
import sqlite3
from datetime import UTC, datetime

import pytest

from retag.rules import Fact, parse
from retag.windows import DAY, MINUTE

DATA = pathlib.Path(__file__).parents[2] / "shared" / "data"
OTTO, RETAIL = DATA / "otto-sample" / "train.jsonl", DATA / "uci-online-retail"
TYPES = {"clicks": "pagevisit", "carts": "addtocart", "orders": "checkout"}


def otto():
    """Twenty long sessions: clicks, carts and orders with their product; there are no prices."""
    for line in OTTO.read_text().splitlines():
        session = json.loads(line)
        for event in session["events"]:
            yield (
                str(session["session"]),
                TYPES[event["type"]],
                event["ts"],
                {"product_id": str(event["aid"])},
            )


def retail():
    """One checkout for each invoice; refunds are no purchase."""
    invoices = {}
    for file in sorted(RETAIL.glob("*.csv")):
        with file.open(newline="", encoding="utf-8", errors="replace") as lines:
            for row in csv.DictReader(lines):
                quantity, price = float(row["Quantity"] or 0), float(row["UnitPrice"] or 0)
                if row["InvoiceNo"].startswith("C") or quantity <= 0:
                    continue
                item = {
                    "product_id": row["StockCode"],
                    "product_price": price,
                    "product_quantity": int(quantity),
                }
                who = (row["CustomerID"] or "").split(".")[0] or row["InvoiceNo"]
                when = datetime.fromisoformat(row["InvoiceDate"]).replace(tzinfo=UTC)
                found = invoices.setdefault(row["InvoiceNo"], (who, int(when.timestamp() * 1000), []))
                found[2].append((item, quantity * price))
    for who, when, items in invoices.values():
        value = round(sum(worth for _, worth in items), 2)
        yield who, "checkout", when, {"value": value, "line_items": [item for item, _ in items]}


def by_rule(raw, events, at):
    """Members at `at` by the rule, events in the order of the file."""
    rule = parse("VISITOR", raw)
    memories = {}
    for who, name, time, data in events:
        if time <= at:
            own, fact = memories.setdefault(who, rule.nothing()), Fact(name, time, data=data)
            for i, clause in enumerate(rule.clauses):
                if clause.matches(fact):
                    own[i] = clause.remember(own[i], time, clause.value(fact))
    return {who for who, own in memories.items() if rule.window(own).holds(at)}


def table(events):
    cn = sqlite3.connect(":memory:")
    cn.execute("CREATE TABLE e (who, name, time, value, product)")
    for who, name, time, data in events:
        products = {item["product_id"] for item in data.get("line_items", [data])}
        rows = [
            (who, name, time, data.get("value", 0) if i == 0 else 0, p)
            for i, p in enumerate(sorted(products))
        ]
        cn.executemany("INSERT INTO e VALUES (?, ?, ?, ?, ?)", rows)
    return cn


def by_sql(cn, sql, at, **given):
    return {row[0] for row in cn.execute(sql, {"at": at, "day": DAY, "minute": MINUTE, **given})}


@pytest.mark.skipif(not OTTO.exists(), reason="otto-sample is not there")
@pytest.mark.parametrize(
    ("raw", "sql"),
    [
        (
            {"event": "pagevisit", "none": [{"event": "checkout", "retention_days": 7}]},
            "SELECT who FROM e WHERE name = 'pagevisit' AND time <= :at AND time > :at - 180 * :day EXCEPT"
            " SELECT who FROM e WHERE name = 'checkout' AND time <= :at AND time > :at - 7 * :day",
        ),
        (
            {
                "event": "addtocart",
                "retention_days": 30,
                "none": [
                    {"event": "addtocart", "retention_minutes": 60},
                    {"event": "checkout", "retention_days": 30},
                ],
            },
            "SELECT who FROM e WHERE name = 'addtocart' AND time <= :at AND time > :at - 30 * :day EXCEPT"
            " SELECT who FROM e WHERE name = 'addtocart' AND time <= :at AND time > :at - 60 * :minute EXCEPT"
            " SELECT who FROM e WHERE name = 'checkout' AND time <= :at AND time > :at - 30 * :day",
        ),
        (
            {
                "any": [
                    {"event": "addtocart", "min_count": 3, "retention_days": 2},
                    {"event": "checkout", "min_count": 2},
                ]
            },
            "SELECT who FROM e WHERE name = 'addtocart' AND time <= :at AND time > :at - 2 * :day"
            " GROUP BY who HAVING count(*) >= 3 UNION"
            " SELECT who FROM e WHERE name = 'checkout' AND time <= :at AND time > :at - 180 * :day"
            " GROUP BY who HAVING count(*) >= 2",
        ),
    ],
)
def test_a_shops_sessions(raw, sql):
    """Viewed and did not buy, cart abandoned for an hour to 30 days, came back often: at 40 instants."""
    events = list(otto())
    cn = table(events)
    first, last = min(e[2] for e in events), max(e[2] for e in events)
    sizes = set()
    for i in range(1, 41):
        at = first + (last - first) * i // 40
        found = by_rule(raw, events, at)
        assert found == by_sql(cn, sql, at)
        sizes.add(len(found))
    assert len(sizes) > 1


@pytest.mark.skipif(not RETAIL.exists(), reason="uci-online-retail is not there")
@pytest.mark.parametrize(
    ("raw", "sql"),
    [
        (
            {
                "event": "checkout",
                "event_data": {"line_items": {"product_id": "85123A"}},
                "min_count": 2,
                "retention_days": 90,
                "none": [{"event": "checkout", "event_data": {"line_items": {"product_id": "22423"}}}],
            },
            "SELECT who FROM e WHERE product = '85123A' AND time <= :at AND time > :at - 90 * :day"
            " GROUP BY who HAVING count(*) >= 2 EXCEPT"
            " SELECT who FROM e WHERE product = '22423' AND time <= :at",
        ),
        (
            {"event": "checkout", "min_value": 1000, "retention_days": 14},
            "SELECT who FROM e WHERE time <= :at AND time > :at - 14 * :day"
            " GROUP BY who HAVING round(sum(value), 6) >= 1000",
        ),
        (
            {"event": "checkout", "event_data": {"value": {">=": 500, "<": 1000}}, "retention_days": 7},
            "SELECT who FROM e WHERE value >= 500 AND value < 1000 AND time <= :at AND time > :at - 7 * :day",
        ),
    ],
)
def test_a_shops_invoices(raw, sql):
    """Bought X twice and never Y, spent 1,000 in two weeks, a middling order this week."""
    events = list(retail())
    cn = table(events)
    first, last = min(e[2] for e in events), max(e[2] for e in events)
    for i in range(1, 6):
        at = first + (last - first) * i // 5
        found = by_rule(raw, events, at)
        assert found == by_sql(cn, sql, at)
    assert found
