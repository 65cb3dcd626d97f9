"""Kill -9 the server during scheduled exports: no half file under a file's name, each run delivered once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import subprocess
import time

import httpx
import pytest

from receiver import receiving
from server import await_health, free_port, retag
from test_api_visitors import checkout

KILLS = int(os.environ.get("RETAG_DELIVERY_KILLS", "10"))
MEMBERS, BATCH = 6_000, 500


class Life:
    """A server that can be killed and started again on the same file, and a key for it."""

    def __init__(self, folder, **settings):
        self.folder, self.port = folder, free_port()
        database = f"sqlite:///{folder / 'retag.db'}"
        self.environ = os.environ | {f"RETAG_{name.upper()}": text for name, text in settings.items()}
        made = json.loads(
            subprocess.run(
                retag("init", "--database", database, "--json"), check=True, stdout=subprocess.PIPE
            ).stdout
        )
        self.command = retag("serve", "--database", database, "--port", str(self.port))
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(
            base_url=f"{self.url}/v5/ad_accounts/{made['ad_account_id']}",
            headers={"authorization": f"Bearer {made['api_key']}"},
            timeout=30,
        )

    def start(self):
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(self.command, env=self.environ, stdout=log, stderr=log)
        await_health(self.url, self.process, self.folder)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def ask(self, method, path, **given):
        answer = self.client.request(method, path, **given)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def until(self, path, true):
        deadline = time.monotonic() + 120
        while not true(found := self.ask("GET", path)):
            assert time.monotonic() < deadline, found
            time.sleep(0.02)
        return found


@pytest.fixture
def life(tmp_path):
    (tmp_path / "out").mkdir()
    settings = {"export_folder": str(tmp_path / "out"), "webhook_networks": "127.0.0.0/8"}
    one = Life(tmp_path, rate_limits="off", **settings)
    one.start()
    yield one
    one.kill()
    one.client.close()


def look(folder):
    """Every file under its name is whole, at whatever moment the server died."""
    for path in folder.glob("*.csv"):
        content = path.read_bytes()
        assert content.endswith(b"\r\n")
        assert content.count(b"\n") == MEMBERS + 1
        with contextlib.suppress(FileNotFoundError):
            about = json.loads(path.with_name(f"{path.name}.manifest.json").read_bytes())
            assert about["file_sha256"] == hashlib.sha256(content).hexdigest()


def test_run_that_was_killed_is_delivered_once_and_whole(life, tmp_path):
    """At any moment: while it is printed, copied, named or written down. The hook hears of every run."""
    for start in range(0, MEMBERS, BATCH):
        data = [checkout(f"v{n}@mail.example") for n in range(start, start + BATCH)]
        life.ask("POST", "/events", json={"data": data})
    rule = {"name": "Buyers", "audience_type": "VISITOR", "rule": {"event": "checkout"}}
    audience = life.ask("POST", "/audiences", json=rule)["id"]
    life.until(f"/audiences/{audience}", lambda found: found["size"] == MEMBERS)
    starts = int(time.time()) + 30 * 86_400
    body = {"audience_id": audience, "destination": "ads", "every_minutes": 1440, "starts_at": starts}
    url = f"/export_schedules/{life.ask('POST', '/export_schedules', json=body)['id']}"
    chance, out = random.Random(7), tmp_path / "out" / "ads"
    with receiving() as receiver:
        life.ask("POST", "/webhooks", json={"url": receiver.url, "events": ["export.ready"]})
        asked = set()
        for _ in range(KILLS):
            asked.add(life.ask("POST", f"{url}/run")["id"])
            time.sleep(chance.uniform(0, 0.6))
            life.kill()
            look(out)
            life.start()
            life.until(f"{url}/runs", lambda found: found["items"][0]["status"] == "DELIVERED")
        runs = life.ask("GET", f"{url}/runs?page_size=250")["items"]
        deadline = time.monotonic() + 60
        while {told(one)["run_id"] for one in receiver.taken} != asked:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert {run["id"] for run in runs} == asked
    look(out)
    names = {run["files"][0]["file"] for run in runs}
    assert {path.name for path in out.iterdir()} == names | {f"{name}.manifest.json" for name in names}
    assert len(names) == KILLS


def told(one):
    return json.loads(one.body)["data"]
