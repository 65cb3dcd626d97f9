"""The tag file: what it weighs, what its bytes depend on, and how it is served."""

import pathlib
import re

import brotli
import httpx
import pytest
from starlette.applications import Starlette

from retag import scrub
from retag.ingest import tag_of
from retag.store import tag_files
from retag.web import tagfile
from shop import running

BUDGET = 3072


class Holder:
    """A door with tags alone."""

    def __init__(self, **config):
        self.tags = {7: tag_of(7, 1, "ACTIVE", config)}


@pytest.fixture
async def client():
    app = Starlette(routes=tagfile.routes(tagfile.TagFile()))
    app.state.door = Holder()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop.example") as found:
        yield found


def test_the_core_keeps_its_budget():
    """At most 3,072 bytes of brotli."""
    assert len(brotli.compress(tagfile.built("core").encode())) <= BUDGET


def test_the_readme_says_what_it_weighs():
    """The table of snippet/README.md to the byte, and about what is served."""
    readme = (pathlib.Path(__file__).parents[1] / "snippet/README.md").read_text()
    for name in ("core", *tagfile.MODULES, *tagfile.SWITCHED, "debug"):
        row = re.search(rf"^\| \**{name}\b[^|]*\| ([\d,]+) \|", readme, re.MULTILINE)
        assert row, name
        assert int(row[1].replace(",", "")) == len(brotli.compress(tagfile.built(name).encode())), name
    said = re.search(r"\| served by default\b[^|]*\| ([\d,]+) \|", readme)
    assert said
    assert int(said[1].replace(",", "")) == len(tagfile.TagFile().version(Holder().tags).codings["br"])


@pytest.mark.parametrize("name", [*tagfile.MODULES, *tagfile.SWITCHED, "debug"])
def test_modules_are_small(name):
    """A kilobyte each at most, and a quarter more for three frameworks of consent and their frames."""
    assert len(brotli.compress(tagfile.built(name).encode())) <= (1280 if name == "consent" else 1024)


async def test_the_debug_module_is_beside_the_beacon(client):
    """As every version of the script knows it."""
    found = await client.get("/v3/debug.js")
    assert found.text.strip() == tagfile.built("debug")


async def test_both_paths_serve_the_same_bytes_in_every_coding(client):
    """And nothing else depends on the request: no cookie, no query."""
    plain = await client.get("/tag.js", headers={"accept-encoding": "identity"})
    for path in ("/tag.js", "/ct/core.js?x=1"):
        for coding in ("br", "gzip, deflate", "br;q=0", ""):
            found = await client.get(path, headers={"accept-encoding": coding, "cookie": "retag=x"})
            assert found.content == plain.content
            assert "set-cookie" not in found.headers
    assert plain.headers["x-content-type-options"] == "nosniff"
    assert plain.headers["cross-origin-resource-policy"] == "cross-origin"


async def test_an_unchanged_file_is_not_sent_again(client):
    """304 for its ETag."""
    etag = (await client.get("/tag.js")).headers["etag"]
    assert (await client.get("/tag.js", headers={"if-none-match": etag})).status_code == 304


async def test_a_changed_configuration_is_a_new_address_and_the_old_one_stays(client):
    """Immutable: pages from before keep a script that matches their integrity."""
    file = tagfile.TagFile()
    before = file.version(Holder().tags)
    after = file.version(Holder(consent="required", script={"modules": ["products"]}).tags)
    assert before.path() != after.path()
    assert before.integrity != after.integrity
    assert b'"7":{consent:"required"}' in after.plain
    assert len(after.plain) > len(before.plain) + 1000
    assert file.named(before.name).plain == before.plain


async def test_an_immutable_address_is_kept_for_good(client):
    """And a version that never was is no such page."""
    path = tagfile.TagFile().version(Holder().tags).path()
    assert "immutable" in (await client.get(path)).headers["cache-control"]
    assert (await client.get("/t/nonsense.js")).status_code == 404


def test_a_configuration_cannot_close_the_script():
    """`</script>` in a parameter's name stays text."""
    text = tagfile.compose(Holder(params=["</script>", "colour2"]).tags, "/t/x.js").decode()
    assert "</script" not in text
    assert "colour2" in text


def test_names_of_parameters_are_listed_as_addresses_spell_them():
    """With brackets, dots and letters of any language, escaped or not; as the server keeps them."""
    given = ["size[]", "Price.Max", "größe", "two words"]
    tags = Holder(params=given).tags
    listed = tagfile.params(tags.values()).split(" ")
    query = "size[]=4&size%5B%5D=5&Price.Max=9&gr%C3%B6%C3%9Fe=8&two%20words=7"
    assert all(pair.split("=")[0].lower() in listed for pair in query.split("&"))
    assert scrub.url(f"https://shop.example/?{query}&x[]=1", tags[7].params).endswith(f"?{query}")


async def test_a_version_outlives_a_restart(tmp_path):
    """Written down when it became current; only the latest are kept."""
    async with running(tmp_path) as shop:
        await shop.state.tag_file.keep(shop.state)
        before = shop.state.tag_file.current
        await shop.ask("PATCH", f"/conversion_tags/{shop.tag}", json={"consent": "required"})
        file = tagfile.TagFile()
        await file.keep(shop.state)
        assert file.current.name == shop.state.tag_file.current.name != before.name
        assert file.named(before.name).integrity == before.integrity
        jobs = [lambda cn, n=n: tag_files.keep(cn, f"v{n}", b"x", n) for n in range(tag_files.KEPT + 5)]
        for job in jobs:
            kept = await shop.state.journal.write(job)
        assert len(kept) == tag_files.KEPT
        assert before.name in kept
