"""The documentation's six rules on real shops' data, folded as the server folds it, against plain SQL.

Instants, visitors, products, quantities and prices are the data's own. What it lacks is derived from what it
has: otto-sample has no prices, pages or pins, so these follow from the article's number; the category of an
article of uci-online-retail is the last word of its description.
"""

import csv
import json
import pathlib
import sqlite3
from datetime import UTC, datetime

import pytest

from beds import ACCOUNT, HOUR, Bed, event, visitor
from retag import fold
from test_docs_rules import EXAMPLES

DATA = pathlib.Path(__file__).parents[2] / "shared" / "data"
OTTO, RETAIL = DATA / "otto-sample" / "train.jsonl", DATA / "uci-online-retail"
VIEWED, CART, TWICE, PINNED, STRANGERS, ENGAGED = EXAMPLES[:6]
CAMPAIGNS = ["626744528398", "1", "2"]
LIST = 4_000_001
WITHIN = "time <= :at AND time > :at - {} * 86400000"


def otto():
    """`(who, name, time, data, url)`: views, carts, orders; every third article's page is a product's, every
    fifth view comes from a pin, and every fifth cart is saved."""
    for line in OTTO.read_text().splitlines():
        session = json.loads(line)
        for one in session["events"]:
            article, who, when = one["aid"], session["session"], one["ts"]
            page = f"https://www.example.com/{'product' if article % 3 == 0 else 'list'}/{article}"
            goods = {"product_id": str(article), "value": article % 250, "currency": "EUR"}
            pin = {"pin_id": str(article), "campaign_id": CAMPAIGNS[article % 3], "link": page}
            yield who, NAMES[one["type"]], when, goods, page
            if article % 5 == 0 and one["type"] in ENGAGEMENTS:
                yield who, ENGAGEMENTS[one["type"]], when, pin, page


NAMES = {"clicks": "pagevisit", "carts": "addtocart", "orders": "checkout"}
ENGAGEMENTS = {"clicks": "click", "carts": "save"}


def retail():
    """One checkout for each invoice, by its customer, else by a guest."""
    invoices = {}
    for file in sorted(RETAIL.glob("*.csv")):
        with file.open(newline="", encoding="utf-8", errors="replace") as lines:
            for row in csv.DictReader(lines):
                if not row["InvoiceNo"].startswith("C") and int(row["Quantity"]) > 0:
                    invoices.setdefault(row["InvoiceNo"], []).append(row)
    for number, rows in invoices.items():
        worth = sum(int(row["Quantity"]) * float(row["UnitPrice"]) for row in rows)
        if worth <= 0:
            continue
        when = datetime.fromisoformat(rows[0]["InvoiceDate"]).replace(tzinfo=UTC)
        items = [{"product_category": kind_of(row["Description"])} for row in rows]
        who = int(float(rows[0]["CustomerID"] or 0)) or GUESTS + int("".join(filter(str.isdigit, number)))
        yield who, "checkout", int(when.timestamp() * 1000), {"value": worth, "line_items": items}, ""


GUESTS = 10_000_000


def kind_of(description):
    return (description.split() or ["NOTHING"])[-1]


def table(events):
    """One row for each event and category."""
    cn = sqlite3.connect(":memory:")
    cn.execute("CREATE TABLE e (number, who, name, time, value, campaign, page, category)")
    for number, (who, name, when, data, url) in enumerate(events):
        kinds = {item["product_category"] for item in data.get("line_items", [])} or {""}
        about = (data.get("value"), data.get("campaign_id"), url)
        cn.executemany(
            "INSERT INTO e VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [(number, who, name, when, *about, k) for k in kinds],
        )
    return cn


def check(tmp_path, events, example, sql, changes=(), customers=()):
    """The members at twenty instants while the events come in are whom the query names."""
    bed, events = Bed(tmp_path / "a.db"), sorted(events, key=lambda one: one[2])
    raw = json.loads(json.dumps(example["rule"], sort_keys=True))
    for old, new in changes:
        raw = json.loads(json.dumps(raw).replace(old, new))
    audience, cn, sizes = bed.audience(raw, example["audience_type"], events[0][2]), table(events), set()
    for who in customers:
        fold.mark_list(bed.cn, ACCOUNT, LIST, [visitor(who)], [], events[0][2])
    first, last, fed = events[0][2], events[-1][2], 0
    for step in range(1, 21):
        at = first + (last - first) * step // 20 + (HOUR if step == 20 else 0)
        due = [one for one in events[fed:] if one[2] <= at]
        fed += len(due)
        bed.take(*(made(*one) for one in due), now=at)
        expected = {visitor(row[0]) for row in cn.execute(sql, {"at": at})}
        assert bed.members(audience, at) == expected
        sizes.add(len(expected))
    assert len(sizes) > 1, "the data says nothing about this rule"


def made(who, name, when, data, url):
    return event(visitor=who, name=name, time=when, data=data, url=url)


def within(days):
    return WITHIN.format(days)


otto_is_there = pytest.mark.skipif(not OTTO.exists(), reason="otto-sample is not there")
retail_is_there = pytest.mark.skipif(not RETAIL.exists(), reason="uci-online-retail is not there")


@otto_is_there
def test_viewed_a_product_and_did_not_buy_in_a_week(tmp_path):
    """Product pages of 30 days, less buyers of 7."""
    viewed = f"SELECT who FROM e WHERE name = 'pagevisit' AND page LIKE '%/product/%' AND {within(30)}"
    bought = f"SELECT who FROM e WHERE name = 'checkout' AND {within(7)}"
    check(tmp_path, otto(), VIEWED, f"{viewed} EXCEPT {bought}")


@otto_is_there
def test_left_a_cart_above_100_for_an_hour_to_30_days(tmp_path):
    """Any cart of the last hour is not left yet; any purchase of 30 days ends it."""
    cart = f"SELECT who FROM e WHERE name = 'addtocart' AND value > 100 AND {within(30)}"
    fresh = "SELECT who FROM e WHERE name = 'addtocart' AND time <= :at AND time > :at - 3600000"
    bought = f"SELECT who FROM e WHERE name = 'checkout' AND {within(30)}"
    check(tmp_path, otto(), CART, f"{cart} EXCEPT {fresh} EXCEPT {bought}")


@retail_is_there
@pytest.mark.parametrize(("wanted", "unwanted"), [("BAG", "CLOCK"), ("HOLDER", "BAG"), ("LIGHTS", "MUG")])
def test_bought_one_category_twice_in_90_days_and_never_another(tmp_path, wanted, unwanted):
    """Two invoices with such an article, and none with one of the other."""
    twice = (
        f"SELECT who FROM e WHERE category = '{wanted}' AND {within(90)}"
        " GROUP BY who HAVING count(DISTINCT number) >= 2"
    )
    never = f"SELECT who FROM e WHERE category = '{unwanted}' AND time <= :at"
    changes = [('"shoes"', f'"{wanted}"'), ('"hats"', f'"{unwanted}"')]
    check(tmp_path, retail(), TWICE, f"{twice} EXCEPT {never}", changes)


@otto_is_there
def test_saved_or_clicked_a_pin_of_one_campaign(tmp_path):
    """Either will do, of that campaign alone."""
    sql = (
        f"SELECT who FROM e WHERE name IN ('save', 'click') AND campaign = '{CAMPAIGNS[0]}' AND {within(180)}"
    )
    check(tmp_path, otto(), PINNED, sql)


@retail_is_there
def test_all_visitors_but_customers(tmp_path):
    """The guests, and nobody on the list."""
    shop = list(retail())
    customers = {who for who, *_ in shop if who < GUESTS and who % 2}
    sql = f"SELECT who FROM e WHERE {within(180)} AND NOT (who < {GUESTS} AND who % 2)"
    check(tmp_path, shop, STRANGERS, sql, [('"4000001"', f'"{LIST}"')], customers)


@otto_is_there
def test_engaged_with_the_domain_and_never_visited_a_product(tmp_path):
    """The domain of the pin's link, which is the page's here."""
    engaged = f"SELECT who FROM e WHERE name IN ('click', 'save') AND {within(180)}"
    visited = "SELECT who FROM e WHERE name = 'pagevisit' AND page LIKE '%/product/%' AND time <= :at"
    check(tmp_path, otto(), ENGAGED, f"{engaged} EXCEPT {visited}")
