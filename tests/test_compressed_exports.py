"""Compressed exports: gzip and zstd, within the transfer or as a file, resumable, or refused."""

import gzip
import hashlib

import pytest
from backports import zstd

from retag.press import codecs
from shop import running
from test_api_exports import export, filled

UNPACK = {"gzip": gzip.decompress, "zstd": zstd.decompress}


async def raw(shop, made, query="format=csv", **headers):
    """The bytes as they were sent."""
    url = f"{shop.v5}/audiences/{made['id']}/export?{query}"
    async with shop.client.stream("GET", url, headers={"accept-encoding": "identity"} | headers) as response:
        return response, b"".join([part async for part in response.aiter_raw()])


@pytest.mark.parametrize("name", ["gzip", "zstd"])
async def test_a_transfer_is_compressed_for_whoever_takes_it(tmp_path, name):
    """Unpacked it is the plain file of the same as_of, under an ETag of its own."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann", "bob")
        response, packed = await raw(shop, made, **{"accept-encoding": name})
        assert (response.headers["content-encoding"], response.headers["vary"]) == (name, "Accept-Encoding")
        as_of = f"format=csv&as_of={response.headers['retag-as-of']}"
        plain, content = await raw(shop, made, as_of)
        assert UNPACK[name](packed) == content
        assert plain.headers["etag"] != response.headers["etag"]
        assert plain.headers["content-disposition"] == response.headers["content-disposition"]
        manifest = await shop.ask("GET", f"/exports/{response.headers['retag-export-id']}")
        assert manifest["sha256"] == hashlib.sha256(content).hexdigest()
        _, again = await raw(shop, made, as_of, **{"accept-encoding": name})
        assert again == packed


@pytest.mark.parametrize(("name", "suffix"), [("gzip", "csv.gz"), ("zstd", "csv.zst")])
async def test_a_compressed_file_resumes(tmp_path, name, suffix):
    """Its name says what it is; a range is of its own bytes."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann", "bob")
        response, packed = await raw(shop, made, f"compress={name}")
        assert "content-encoding" not in response.headers
        assert response.headers["content-type"] == f"application/{name}"
        assert f'.{suffix}"' in response.headers["content-disposition"]
        query = f"compress={name}&as_of={response.headers['retag-as-of']}"
        rest, content = await raw(shop, made, query, range="bytes=10-")
        assert (rest.status_code, content) == (206, packed[10:])
        same, _ = await raw(shop, made, query, **{"if-none-match": f'"other", {response.headers["etag"]}'})
        assert same.status_code == 304


async def test_a_range_is_of_plain_bytes_whatever_the_transfer(tmp_path):
    """Clients count what they unpacked."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann", "bob")
        response, content = await raw(shop, made)
        query = f"format=csv&as_of={response.headers['retag-as-of']}"
        rest, part = await raw(shop, made, query, range="bytes=7-", **{"accept-encoding": "gzip"})
        assert (rest.status_code, part) == (206, content[7:])
        assert "content-encoding" not in rest.headers


async def test_without_the_library_zstd_is_not_offered(tmp_path, monkeypatch):
    """A transfer is gzip or plain then; a file, or nothing but zstd, is refused with the remedy."""
    monkeypatch.setattr(codecs.Zstd, "module", "no_such_package.zstd")
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann")
        for accepted, found in (("zstd, gzip;q=0.5", "gzip"), ("zstd", None)):
            response, _ = await raw(shop, made, **{"accept-encoding": accepted})
            assert (response.status_code, response.headers.get("content-encoding")) == (200, found)
        lines, _ = await export(shop, made, "compress=zstd", 406)
        assert "retag[zstd]" in lines[0]["message"]
        response, _ = await raw(shop, made, **{"accept-encoding": "zstd, identity;q=0"})
        assert response.status_code == 406


async def test_a_strange_compression_is_named(tmp_path):
    """By its parameter."""
    async with running(tmp_path) as shop:
        lines, _ = await export(shop, await shop.audience(), "compress=rar", 400)
        assert "compress" in lines[0]["message"]
