"""The shop of the benchmarks: its pages, its visitors' events, and the audiences that it keeps.

Forty categories of two thousand products. Events come in visits of 1 to 9, over 60 days; one in five has an
event id. Visitors return after a week on the average.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from retag.events import Event

ACCOUNT, TAG = 549_755_885_175, 2_612_345_678_901
DAY = 86_400_000
SPAN = 60 * DAY
BLOCK = 5000
CATEGORIES = [f"category-{n}" for n in range(40)]
PRODUCTS = [f"sku-{n}" for n in range(2000)]
NAMES = (
    ["pagevisit"] * 50 + ["init"] * 25 + ["addtocart"] * 12 + ["search"] * 6 + ["checkout"] * 4 + ["save"] * 3
)


def rules(count: int) -> Iterator[dict[str, object]]:
    """Rules of two clauses, as shops make them; an event matches about five of fifty."""
    for n in range(count):
        category, days = CATEGORIES[n % len(CATEGORIES)], 7 + 3 * (n % 30)
        page = {"event": "pagevisit", "url": {"contains": f"/{category}/"}, "retention_days": days}
        bought = {"event": "checkout", "retention_days": days}
        cart = {"event": "addtocart", "event_data": {"value": {">=": 20 * (n % 7) + 40}}}
        yield [
            {"all": [page], "none": [bought]},
            {"all": [page | {"min_count": 2}], "none": [bought]},
            {"any": [page, {"event": "save", "url": {"contains": f"/{category}/"}}]},
            {"all": [cart], "none": [bought]},
            {"all": [page], "any": [{"event": "search"}, bought | {"min_value": 100}]},
        ][n % 5]


def sessions(count: int, visitors: int, start: int, chance: random.Random) -> Iterator[tuple[int, bytes]]:
    """`(time, visitor)` of each visit: half by newcomers, whose id is minted then, half by people who return
    after a week on the average."""
    newcomers, known = visitors / count, []
    for n in range(count):
        at = start + SPAN * n // count
        if not known or chance.random() < newcomers:
            known.append((at << 80 | 7 << 76 | 2 << 62 | chance.getrandbits(62)).to_bytes(16, "big"))
            yield at, known[-1]
        else:
            back = int(chance.expovariate(SPAN / (7 * DAY) / visitors))
            yield at, known[-1 - back % len(known)]


def events(count: int, visitors: int, end: int, seed: int = 1) -> Iterator[list[Event]]:
    """Blocks of about 5,000 events in order of time, ending at `end`."""
    chance = random.Random(seed)
    block: list[Event] = []
    made = 0
    for at, visitor in sessions(count // 5 + 1, visitors, end - SPAN, chance):
        category = chance.choice(CATEGORIES)
        for step in range(min(chance.randrange(1, 10), count - made)):
            block.append(event(visitor, at + step * 20_000, category, made, chance))
            made += 1
        if len(block) >= BLOCK or made >= count:
            yield block
            block = []
        if made >= count:
            return
    yield block


def event(visitor: bytes, at: int, category: str, number: int, chance: random.Random) -> Event:
    name, sku = chance.choice(NAMES), chance.choice(PRODUCTS)
    value = chance.expovariate(1 / 60) + 1
    data = (
        b""
        if name == "init"
        else b'{"value":%.2f,"currency":"EUR","product_id":"%s"}' % (value, sku.encode())
    )
    event_id = f"{number:x}" if number % 5 == 0 else ""
    url = f"https://shop.example/{category}/{sku}"
    return Event(ACCOUNT, TAG, visitor, name, at, at, event_id, 1, 1, url, data, b"", b"{}")
