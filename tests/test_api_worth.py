"""Lift, insights, overlap and act-alikes as the API answers them, with the real journal, fold and upkeep."""

import asyncio
import contextlib
import json
import time
from types import SimpleNamespace

import pytest
from starlette.requests import ClientDisconnect

from retag.errors import Conflict, Invalid, Overloaded
from retag.events import Event
from retag.journal import Journal
from retag.store import audiences
from retag.store.engine import SqliteStore
from retag.store.reader import Reader
from retag.upkeep import Upkeep
from retag.web.apart import Apart
from retag.web.api import alike, worth
from retag.web.api.call import Call
from retag.windows import DAY

NOW = time.time_ns() // 1_000_000


class Shop:
    """A journal with upkeep and refits on a file; `call` is one request of account 1."""

    def __init__(self, path):
        self.journal = Journal(SqliteStore(str(path)))
        self.upkeep = Upkeep(self.journal)
        self.refits = alike.Refits(self.journal, str(path))
        self.state = SimpleNamespace(
            journal=self.journal,
            reader=Reader(str(path)),
            settings=SimpleNamespace(path=str(path), too_small=100),
            refits=self.refits,
            apart=Apart(),
        )

    def call(self, audience, **query):
        app = SimpleNamespace(state=self.state)
        there = asyncio.Event().wait  # a caller who never goes away
        names = {"audience_id": str(audience)}
        request = SimpleNamespace(app=app, path_params=names, query_params=query, receive=there)
        return Call(request, 1, None, b"", NOW, {})

    async def append(self, events):
        """Events on disk and folded."""
        await self.journal.append(events)

        async def folded():
            row = await self.state.reader.one("SELECT value FROM progress WHERE name = 'folded'")
            return row and row[0] >= len(events)

        await until(folded)

    async def audience(self, kind, rule):
        wanted = audiences.Wanted("Some", None, kind, rule)
        made = await self.journal.write(lambda cn: audiences.create(cn, 1, wanted, NOW))
        self.refits.wake()
        return made


@contextlib.asynccontextmanager
async def running(tmp_path):
    shop = Shop(tmp_path / "retag.db")
    shop.journal.start()
    await shop.journal.write(
        lambda cn: cn.execute("INSERT OR IGNORE INTO account VALUES (1, 'Shop', 0)").rowcount
    )
    shop.upkeep.start()
    shop.refits.start()
    try:
        yield shop
    finally:
        await shop.refits.close()
        await shop.upkeep.close()
        await shop.state.reader.close()
        await shop.journal.close()


def event(number, name, days_ago, **data):
    at = NOW - round(days_ago * DAY)
    return Event(
        account=1, tag=1, visitor=number.to_bytes(16, "big"), name=name, time=at, received=at, event_id="",
        source=1, platform=1, url=f"https://shop.example/{data.get('product_category', '')}",
        data=json.dumps(data).encode(), people=b"", context=b"",
    )  # fmt: skip


async def until(true, seconds=60):
    end = time.monotonic() + seconds
    while not (found := await true()):
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.05)
    return found


async def ready(shop, audience):
    sql = "SELECT ready FROM build WHERE id = (SELECT build FROM audience WHERE id = ?)"

    async def is_ready():
        row = await shop.state.reader.one(sql, (audience,))
        return row and row[0]

    await until(is_ready)


def shoppers():
    """The first 40 of 200 fill carts 40 days ago; 20 of these and 20 of the others buy since."""
    found = [event(n, "addtocart" if n < 40 else "pagevisit", 40 + n / 100) for n in range(200)]
    return found + [event(n, "checkout", 10, value=30) for n in (*range(20), *range(40, 60))]


async def test_lift_of_an_audience_and_of_engagements(tmp_path):
    """Half of 40 beside an eighth of 160: four times as likely; the five engagements in one answer."""
    async with running(tmp_path) as shop:
        await shop.append(shoppers())
        made = await shop.audience("VISITOR", {"event": "addtocart"})
        found = await worth.lift(shop.call(made, event="Checkout", days="30"))
        assert (found.event, found.days, found.frozen_at) == ("checkout", 30, NOW - 30 * DAY)
        assert (found.members.size, found.members.acted, found.others.size) == (40, 20, 160)
        assert found.ratio == pytest.approx(4)
        assert found.low < 4 < found.high
        assert found.reliable
        assert found.members.revenue_per_visitor == 15
        assert "4.0 times" in found.explanation
        items = (await worth.engagement_lift(shop.call(made))).items
        assert [one.engagement_type for one in items] == ["click", "comment", "save", "like", "closeup"]


async def test_a_list_without_a_past_is_a_conflict(tmp_path):
    """Who was on the list 30 days ago is not known: 409, with what to do."""
    async with running(tmp_path) as shop:
        made = await shop.audience("CUSTOMER_LIST", {"customer_list_id": "5"})
        with pytest.raises(Conflict, match="fewer days"):
            await worth.lift(shop.call(made))
        with pytest.raises(Invalid, match="days"):
            await worth.lift(shop.call(made, days="91"))


async def test_insights_and_overlap(tmp_path):
    """What marks the buyers, how many there are now, and how many of them filled carts."""
    async with running(tmp_path) as shop:
        await shop.append(shoppers())
        buyers = await shop.audience("VISITOR", {"event": "checkout"})
        carts = await shop.audience("VISITOR", {"event": "addtocart"})
        await ready(shop, buyers)
        await ready(shop, carts)
        found = await worth.show(shop.call(buyers, days="60"))
        assert (found.members, found.visitors) == (40, 200)
        assert found.size[-1].size == 40
        both = await worth.overlap(shop.call(buyers, **{"with": str(carts)}))
        assert (both.size, both.with_size, both.overlap, both.share) == (40, 40, 20, 0.5)


async def test_an_actalike_is_fitted_and_answers(tmp_path):
    """INITIALIZING until the first fit, then members, quality and words; a refit on demand is done."""
    async with running(tmp_path) as shop:
        kinds = ["shoes" if n < 120 else f"kind {n % 17}" for n in range(800)]
        seen = [event(n, "pagevisit", 5 + k, product_category=kinds[n]) for n in range(800) for k in range(2)]
        await shop.append([*seen, *(event(n, "checkout", 1) for n in range(60))])
        buyers = await shop.audience("VISITOR", {"event": "checkout"})
        await ready(shop, buyers)
        made = await shop.audience("ACTALIKE", {"seed_id": [str(buyers)], "percentage": 5})
        await ready(shop, made)
        found = await alike.show(shop.call(made))
        assert (found.status, found.seeds, found.eligible, found.members) == ("READY", 60, 740, 37)
        assert not found.quality["worthless"]
        assert "shoes" in found.features[0]
        build = (await shop.state.reader.one("SELECT build FROM audience WHERE id = ?", (made,)))[0]
        rows = await shop.state.reader.all("SELECT visitor FROM member WHERE build = ?", (build,))
        assert {int.from_bytes(row[0], "big") for row in rows} <= set(range(60, 120))
        before = found.fitted_timestamp
        assert (await alike.refit(shop.call(made))).fitted_timestamp == before

        async def is_fitted_anew():
            return await shop.state.reader.one("SELECT 1 FROM likeness WHERE wanted AND fitted > wanted")

        await until(is_fitted_anew)
        with pytest.raises(Conflict, match="only an ACTALIKE"):
            await alike.show(shop.call(buyers))


async def test_too_many_questions_are_told_when_to_ask_again(tmp_path):
    """Beyond the room there is, 503 with a time; whoever has room gets the answer, and then there is room."""
    async with running(tmp_path) as shop:
        await shop.append(shoppers())
        made = await shop.audience("VISITOR", {"event": "addtocart"})
        shop.state.apart = Apart(most=1, waiting=1)
        found = await asyncio.gather(*(worth.lift(shop.call(made)) for _ in range(4)), return_exceptions=True)
        refused = [one for one in found if isinstance(one, Overloaded)]
        assert len(refused) == 2
        assert all(one.after > 0 for one in refused)
        assert [one.ratio for one in found if one not in refused] == [pytest.approx(4)] * 2
        assert (await worth.show(shop.call(made))).visitors == 40


async def test_a_question_of_which_the_caller_has_gone_is_dropped(tmp_path):
    """Its room is free for the next at once."""
    async with running(tmp_path) as shop:
        await shop.append(shoppers())
        made = await shop.audience("VISITOR", {"event": "addtocart"})
        shop.state.apart = Apart(most=1, waiting=0)
        call = shop.call(made)

        async def receive():
            return {"type": "http.disconnect"}

        call.request.receive = receive
        with pytest.raises(ClientDisconnect):
            await worth.lift(call)
        assert (await worth.lift(shop.call(made))).ratio == pytest.approx(4)


async def test_a_fit_that_fails_keeps_no_other_waiting(tmp_path, monkeypatch):
    """It is left alone for a while, and says so; the next in the line is fitted."""
    async with running(tmp_path) as shop:
        await shop.append([event(n, "pagevisit", 2) for n in range(10)])
        sound = alike.Refits.refit
        first = []

        async def refit(self, task):
            first.append(task.build)
            if task.build == first[0]:
                raise RuntimeError("no memory")
            await sound(self, task)

        monkeypatch.setattr(alike.Refits, "refit", refit)
        seed = await shop.audience("VISITOR", {"event": "checkout"})
        failing, made = [await shop.audience("ACTALIKE", {"seed_id": [str(seed)]}) for _ in range(2)]
        await ready(shop, made)
        assert first.count(first[0]) == 1
        sound_one, failed_one = [await alike.show(shop.call(one)) for one in (made, failing)]
        assert sound_one.status == "TOO_SMALL"
        assert "failed" not in sound_one.explanation
        assert failed_one.status == "INITIALIZING"
        assert "latest fit failed" in failed_one.explanation
