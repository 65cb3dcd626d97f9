"""On-site personalisation: a page learns of its own visitor, if its shop wants that, and of nobody else."""

import json

from retag.identity import cookie_header
from retag.store import lookup
from shop import running
from test_api_visitors import checkout, until


async def member(shop, **config):
    """A visitor in one audience of a tag that personalises, and their cookie."""
    buyers = await shop.audience()
    await shop.send(checkout())
    await until(shop, buyers["id"], 1)
    await shop.ask("PATCH", f"/conversion_tags/{shop.tag}", json={"personalise": True} | config)
    found = await shop.ask("GET", "/visitors/ann@mail.example")
    visitor = lookup.visitor_id(found["visitor_id"])
    signed = shop.state.door.keys.visitor(shop.account).sign(visitor)
    return buyers, visitor, cookie_header(signed, plain=False).partition(";")[0]


async def mine(shop, status=200, query="", **headers):
    url = f"/v3/audiences?tid={shop.tag}{query}"
    response = await shop.client.get(url, headers=headers | {"authorization": ""})
    assert response.status_code == status, response.text
    return json.loads(response.content)


async def test_a_page_learns_its_visitors_audiences(tmp_path):
    """By cookie, without a key; a stranger, or a forged cookie, is in none."""
    async with running(tmp_path) as shop:
        buyers, _, cookie = await member(shop)
        assert await mine(shop, cookie=cookie) == {"audiences": [{"id": buyers["id"], "name": "Buyers"}]}
        forged = cookie[:-2] + ("B" if cookie[-2] == "A" else "A") + cookie[-1]
        for other in ("", forged, "retag=nonsense"):
            assert await mine(shop, cookie=other) == {"audiences": []}


async def test_the_tag_must_have_opted_in(tmp_path):
    """Silent by default."""
    async with running(tmp_path) as shop:
        await mine(shop, 404)
        assert (await shop.client.get("/v3/audiences?tid=1")).status_code == 404


async def test_pages_of_strangers_are_refused(tmp_path):
    """Another site's script cannot read a visitor's audiences, whatever cookies go along."""
    async with running(tmp_path) as shop:
        _, visitor, cookie = await member(shop, domains=["shop.example"])
        await mine(shop, 403, cookie=cookie, origin="https://evil.example")
        assert (await mine(shop, cookie=cookie, origin="https://www.shop.example"))["audiences"]
        pin = shop.state.door.keys.tag(shop.account, shop.tag).sign(visitor)
        assert (await mine(shop, query=f"&pin_unauth={pin}", origin="https://shop.example"))["audiences"]
        wrong = shop.state.door.keys.visitor(shop.account).sign(visitor)
        assert await mine(shop, query=f"&pin_unauth={wrong}") == {"audiences": []}


async def test_global_privacy_control_is_an_objection(tmp_path):
    """Nothing is told about who objects."""
    async with running(tmp_path) as shop:
        _, _, cookie = await member(shop)
        assert await mine(shop, cookie=cookie, **{"sec-gpc": "1"}) == {"audiences": []}
