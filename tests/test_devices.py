"""Devices: no real browser is called a bot, and nearly every crawler is."""

from __future__ import annotations

import json
import pathlib
import time

import pytest

from hits import CHROME
from retag.devices import UNKNOWN, classify

DATA = pathlib.Path(__file__).parents[2] / "shared" / "data" / "user-agents"
BROWSERS = [
    CHROME,
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/26.0 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Mobile",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Mobile/15E148 Instagram 400.0.0",
]
CRAWLERS = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/143.0.0.0",
    "curl/8.5.0",
    "python-requests/2.32",
    "facebookexternalhit/1.1",
    "Chrome-Lighthouse",
]


def known(name):
    path = DATA / name
    return json.loads(path.read_text()) if path.exists() else []


@pytest.mark.parametrize(
    "agent", [*BROWSERS, *(one["user_agent"] for one in known("browsers-weighted.json"))]
)
def test_no_real_browser_is_a_bot(agent):
    """A shop must not lose a customer to a pattern."""
    assert classify(agent).bot is None


def test_at_least_98_of_100_crawlers_are_bots():
    """With the reason in words."""
    many = CRAWLERS + [one for row in known("crawler-user-agents.json") for one in row["instances"]]
    found = [classify(agent).bot for agent in many]
    assert sum(map(bool, found)) >= 0.98 * len(many)


@pytest.mark.parametrize("agent", CRAWLERS)
def test_the_commonest_crawlers_are_bots(agent):
    """Each with its reason."""
    assert classify(agent).bot


def test_kinds_of_devices():
    """As reports and act-alikes group them."""
    assert [classify(agent).kind for agent in BROWSERS[:2]] == ["desktop", "mobile"]
    assert classify("") == UNKNOWN


def test_a_crafted_agent_costs_little():
    """Cut to 512 characters first: 8 KB of digits and spaces would take 90 ms."""
    began = time.thread_time()
    classify("Mozilla/5.0 (" + "Linux 9 " * 1000)
    classify("a" * 100_000 + "@")
    assert time.thread_time() - began < 0.5
