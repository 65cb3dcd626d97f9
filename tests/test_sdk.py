"""The official pinterest-api-sdk from PyPI, unchanged, against a running server.

It pins old dependencies, so it lives in an environment of its own: `make install` makes `.venv-sdk`.
"""

import json
import os
import pathlib
import subprocess

import pytest

from server import serving

ROOT = pathlib.Path(__file__).parents[1]
PYTHON = ROOT / ".venv-sdk" / "bin" / "python"
HASH = "411e44ce1261728ffd2c0686e44e3fffe413c0e2c5adc498bc7da883d476b9c8"


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What the SDK saw in one session: tests/sdk/drive.py."""
    if not PYTHON.exists():
        pytest.skip(f"no SDK at {PYTHON}: run `make install`")
    with serving(tmp_path_factory.mktemp("sdk")) as server:
        environ = os.environ | {
            "PINTEREST_API_URI": f"{server.url}/v5",
            "PINTEREST_ACCESS_TOKEN": server.key,
        }
        command = [PYTHON, ROOT / "tests" / "sdk" / "drive.py", str(server.account), str(server.tag)]
        run = subprocess.run(
            command, env=environ, cwd=server.folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout)


def test_audiences_are_created_read_updated_and_listed(seen):
    """The SDK asserts itself that the updated name came back."""
    found = seen["audiences"]
    assert found["name"] == "Product viewers, 30 days"
    assert found["rule"]["event"] == "pagevisit"
    assert found["rule"]["retention_days"] == 30
    assert found["engaged"]["engagement_domain"] == ["shop.example"]
    assert found["listed"] == ["Product viewers, 30 days", "Engaged"]
    assert found["descending"] == sorted(found["descending"], reverse=True)


def test_customer_lists_are_created_changed_and_listed(seen):
    """Counts as documented, and the list becomes an audience."""
    found = seen["customer_lists"]
    assert (found["uploaded"], found["removed"], found["batches"]) == (3, 1, 3)
    assert found["listed"] == ["Leads"]
    assert found["audience"]["customer_list_id"] == found["id"]


def test_conversion_tags_are_created_read_and_listed(seen):
    """The snippet is this server's."""
    found = seen["conversion_tags"]
    assert found["first"] == "ACTIVE"
    assert found["name"] == "Second tag"
    assert f"pintrk('load', '{found['id']}')" in found["snippet"]
    assert found["id"] in found["listed"]


def test_conversion_events_are_sent(seen):
    """In test mode, for real, and with one bad event among good ones."""
    found = seen["conversions"]
    for kind, received, processed in (("test", 1, 1), ("real", 2, 2), ("mixed", 2, 1)):
        assert found[kind]["num_events_received"] == received
        assert found[kind]["num_events_processed"] == processed
    assert [one["status"] for one in found["mixed"]["events"]] == ["processed", "failed"]


def test_errors_are_the_exceptions_that_the_sdk_knows(seen):
    """404 and 400 with `{code, message}`."""
    assert seen["errors"]["missing"][0] == 404
    status, body = seen["errors"]["invalid"]
    assert (status, body["code"]) == (400, 4196)
    assert "retention_days" in body["message"]
