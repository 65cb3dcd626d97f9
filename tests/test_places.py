"""Where the courier may deliver: below one folder, into the buckets that are named, whole or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys

import msgspec
import pytest

from bucket import storing
from retag import errors
from retag.courier.places import PART, Allowed, Undelivered, place
from retag.courier.worker import Errand, Parcel, Receipt, deliver

NAMED = Allowed("/srv/exports", ("s3://shop", "s3://other/ads"))


def put(where, content=b"a,b\r\n", name="a.csv"):
    where.put(io.BytesIO(content), len(content), name)


@pytest.mark.parametrize(
    "text",
    [
        "", "/etc", "../up", "ads/../../up", "ads/..", ".", "./ads", ".hidden", "ads//deep", "ads/\x00",
        "a\nb",
        "ads\\up", "~/ads", "a/b/c/d/e/f/g/h/i", "x" * 101, "file:///etc", "http://shop/",
        "s3:/shop", "S3://shop",
    ],
)  # fmt: skip
def test_path_that_is_not_plainly_below_is_refused(text):
    """Absolute, upwards, hidden, odd, or of another scheme."""
    with pytest.raises(errors.Invalid, match="destination"):
        place(text, NAMED)


@pytest.mark.parametrize(
    "text",
    ["s3://shopping", "s3://", "s3://other", "s3://other/adsense", "s3://other/ads/../x", "s3://else/a"],
)
def test_bucket_that_is_not_named_is_refused(text):
    """A prefix ends with a slash, whatever follows."""
    with pytest.raises(errors.Invalid, match="destination"):
        place(text, NAMED)


def test_nothing_may_be_delivered_before_somebody_says_where():
    """The refusal names the setting."""
    with pytest.raises(errors.Invalid, match="RETAG_EXPORT_FOLDER"):
        place("ads", Allowed("", ()))
    with pytest.raises(errors.Invalid, match="RETAG_EXPORT_BUCKETS"):
        place("s3://shop/ads", Allowed("/srv", ()))


def test_file_replaces_an_older_one_whole(tmp_path):
    """And nothing unfinished is left, of this courier or one that was killed; another's is let be."""
    folder = tmp_path / "ads" / "google"
    folder.mkdir(parents=True)
    for mark in ("1-0", "2-0"):
        (folder / f".retag-{mark}.part").write_bytes(b"half")
    where = place("ads/google", Allowed(str(tmp_path), ()), "1")
    put(where)
    put(where, b"c\r\n")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "a.csv": b"c\r\n", ".retag-2-0.part": b"half",
    }  # fmt: skip


def test_link_that_leads_out_is_not_followed(tmp_path):
    """However it came there."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "ads").symlink_to(tmp_path)
    with pytest.raises(errors.Invalid, match="leads out"):
        put(place("ads", Allowed(str(tmp_path / "root"), ())))
    assert not (tmp_path / "a.csv").exists()


def test_root_that_is_not_there_is_not_made(tmp_path):
    """It may be a disk that is not mounted."""
    with pytest.raises(Undelivered, match="RETAG_EXPORT_FOLDER"):
        put(place("ads", Allowed(str(tmp_path / "gone"), ())))
    assert not (tmp_path / "gone").exists()


def test_disk_is_not_filled_to_the_brim(tmp_path):
    """Some is left for others."""
    with pytest.raises(Undelivered, match="short"):
        put(place("ads", Allowed(str(tmp_path), (), 1 << 60)))
    assert not list((tmp_path / "ads").iterdir())


@pytest.mark.parametrize("fault", [OSError("gone"), SystemExit("gone")])
def test_broken_copy_leaves_the_older_file(tmp_path, fault):
    """A source that cannot be read to its end delivers nothing, nor does a courier that is called off."""

    class Broken(io.BytesIO):
        def read(self, size=-1):
            if self.tell():
                raise fault
            return super().read(1)

    where = place("ads", Allowed(str(tmp_path), ()), "1")
    put(where)
    with pytest.raises(type(fault), match="gone"):
        where.put(Broken(b"longer"), 6, "a.csv")
    assert [path.name for path in (tmp_path / "ads").iterdir()] == ["a.csv"]
    assert (tmp_path / "ads" / "a.csv").read_bytes() == b"a,b\r\n"


def test_manifest_beside_a_file_tells_whole_from_cut(tmp_path):
    """Its size and hash, and what the export's own manifest says."""
    (tmp_path / "kept").write_bytes(b"a\r\n")
    errand = Errand(
        "ads", Allowed(str(tmp_path), ()), "1", [Parcel(str(tmp_path / "kept"), "a.csv", {"rows": 0})]
    )
    receipt = deliver(errand)
    beside = json.loads((tmp_path / "ads" / "a.csv.manifest.json").read_text())
    assert receipt.files == [beside]
    assert (beside["rows"], beside["file"], beside["bytes"]) == (0, "a.csv", 3)
    assert beside["file_sha256"] == sha256(b"a\r\n")


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def test_courier_whose_server_has_gone_ends(tmp_path):
    """An orphan that waited would deliver an old file over a newer one. It leaves nothing behind."""
    fifo = tmp_path / "slow"
    os.mkfifo(fifo)
    errand = Errand("ads", Allowed(str(tmp_path), ()), "1", [Parcel(str(fifo), "a.csv", {})])
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-m", "retag.courier"], stdin=pipe, stdout=pipe)
    process.stdin.write(msgspec.json.encode(errand) + b"\n")
    process.stdin.close()
    assert process.wait(60) == 143
    assert process.stdout.read() == b""
    process.stdout.close()


@pytest.fixture(scope="module")
def store():
    with storing() as found:
        yield found


@pytest.mark.parametrize("size", [3, 2 * PART + 5])
def test_bucket_has_the_file_under_its_prefix(store, tmp_path, size):
    """In one put, or in parts when it is large; replaced by the next."""
    (tmp_path / "kept").write_bytes(bytes(range(251)) * (size // 251 + 1))
    parcel = Parcel(str(tmp_path / "kept"), "a.csv", {"rows": 1})
    for _ in range(2):
        receipt = deliver(Errand("s3://shop/ads", Allowed("", ("s3://shop",)), "1", [parcel]))
        assert receipt.fault == ""
    found = store.objects()
    assert found.keys() == {"ads/a.csv", "ads/a.csv.manifest.json"}
    assert found["ads/a.csv"] == (tmp_path / "kept").read_bytes()
    assert receipt.files[0]["file_sha256"] == sha256(found["ads/a.csv"])
    assert store.unfinished() == []


def test_bucket_that_does_not_take_it_says_why_without_the_key(store, tmp_path):
    """No such bucket; and it may be tried again."""
    (tmp_path / "kept").write_bytes(b"a")
    errand = Errand("s3://none", Allowed("", ("s3://none",)), "1", [Parcel(str(tmp_path / "kept"), "a", {})])
    receipt = deliver(errand)
    assert isinstance(receipt, Receipt)
    assert "NoSuchBucket" in receipt.fault
    assert "hush" not in receipt.fault
    assert not receipt.final


def test_bucket_without_credentials_says_so(store, tmp_path, monkeypatch):
    """Not a trace, and nothing is asked of the network for them."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    (tmp_path / "kept").write_bytes(b"a")
    errand = Errand("s3://shop", Allowed("", ("s3://shop",)), "1", [Parcel(str(tmp_path / "kept"), "a", {})])
    assert "credentials" in deliver(errand).fault.lower()


def test_bucket_without_the_library_names_the_extra(monkeypatch):
    """When the schedule is made, not at night."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(errors.Invalid, match=r"retag\[s3\]"):
        place("s3://shop", NAMED)
