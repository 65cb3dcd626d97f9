"""The recipes of docs/exports.md, as they stand there: from an audience to what a platform takes."""

import hashlib
import json
import os
import pathlib
import re
import subprocess
import time
import urllib.request

import pytest

from retag.formats import FORMATS
from server import serving
from serving import until

DOC = (pathlib.Path(__file__).parents[1] / "docs" / "exports.md").read_text()
RECIPES = DOC.partition("## Recipes")[2]
COMMON = re.findall(r"```sh\n(.*?)```", RECIPES.partition("###")[0], re.DOTALL)
OWN = {
    title.split()[0]: re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    for title, text in re.findall(r"### (.+?)\n(.*?)(?=\n### |\Z)", RECIPES, re.DOTALL)
}
PHONE = "+4989123456"


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


HOLDS = {
    "pinterest": [sha("ann@mail.example")],
    "google": [sha("ann@mail.example"), "", "", sha(PHONE), "", ""],
    "meta": [sha("ann@mail.example"), "", "", sha(PHONE[1:]), "", ""],
    "tiktok": [sha("ann@mail.example"), "", "", sha(PHONE), "", "", "", "", ""],
}
"""Ann's line by each platform's written rules."""


def added_to_cart(server, *people):
    """Ann and others put something in a cart."""
    data = [
        {
            "event_name": "add_to_cart",
            "action_source": "web",
            "event_time": int(time.time()) - 60,
            "event_id": f"cart-{email}",
            "user_data": {"em": [email], "ph": [phone]},
        }
        for email, phone in people
    ]
    url, headers = f"{server.url}/v5/ad_accounts/{server.account}", {"authorization": f"Bearer {server.key}"}
    body = json.dumps({"data": data}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{url}/events", body, headers)).close()

    def counted():
        with urllib.request.urlopen(urllib.request.Request(f"{url}/audiences", headers=headers)) as answer:
            return json.load(answer)["items"][0]["size"] == len(people)

    return counted


def text(path):
    """Line ends are a platform's business too."""
    return path.read_bytes().decode()


def run(server, script, folder, **environ):
    known = {"SERVER": server.url, "ACCOUNT": str(server.account), "KEY": server.key} | environ
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(
        command, check=False, cwd=folder, env=os.environ | known, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The audience that the page makes, with two members."""
    with serving(tmp_path_factory.mktemp("recipes")) as server:
        audience = run(server, "\n".join([*COMMON, 'echo "$AUDIENCE"']), server.folder)
        until(added_to_cart(server, ("ann@mail.example", PHONE), ("bob@mail.example", "+33123456789")))
        yield server, audience


@pytest.mark.parametrize("platform", ["Pinterest", "Google", "Meta", "TikTok"])
def test_a_platforms_recipe_gives_the_files_that_it_takes(made, tmp_path, platform):
    """Each checked against its manifest by the recipe itself; the whole has Ann as the platform wants her."""
    server, audience = made
    (recipe,) = OWN[platform]
    run(server, COMMON[0] + recipe, tmp_path, AUDIENCE=audience)
    name = platform.lower()
    whole, added, removed = (text(tmp_path / f"{name}{kind}.csv") for kind in ("", "-add", "-remove"))
    heading = FORMATS[name].head([]).decode()
    assert whole.startswith(heading)
    lines = [line.split(",") for line in whole.removeprefix(heading).splitlines()]
    assert len(lines) == 2
    assert HOLDS[name] in lines
    assert added == removed == heading


def test_the_bidders_recipe_runs(made, tmp_path):
    """Its CSV has the columns that it asks for."""
    server, audience = made
    (recipe,) = OWN["A"]
    run(server, COMMON[0] + recipe, tmp_path, AUDIENCE=audience)
    assert text(tmp_path / "members.csv").startswith("visitor_id,until,epik,gclid,fbclid,ttclid\r\n")
    assert (tmp_path / "members.parquet").stat().st_size > 0
    assert text(tmp_path / "changes.csv") == "op,visitor_id,since,until,last_event\r\n"
