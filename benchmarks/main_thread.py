"""What the tag costs a page's main thread: evaluation and first events, at a quarter of a processor's speed.

.venv/bin/python benchmarks/main_thread.py [ROUNDS [THROTTLE]]

Debian's Chromium loads a page of a thousand elements with the official base code against a real server, under
CDP's CPU throttle of 4 and its tracing: once in a renderer that has just been started, and once more as a
visit's next page. Counted is the main thread's own processor time for what is the tag's: compile, evaluate,
its timers and listeners. Other work on the machine adds to it and never takes away: the least is the truest.
The same page without the tag says what the load event was without it.
"""

from __future__ import annotations

import pathlib
import shutil
import statistics
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests/browser"))

from conftest import AGENT, ARGS, PERSON, STUB
from playwright.sync_api import sync_playwright

from server import serving

THROTTLE = 4
LONG_US = 50_000
WORK = {"EvaluateScript", "v8.compile", "FunctionCall", "TimerFire", "EventDispatch", "FireAnimationFrame"}
PASSES = {"Layout", "UpdateLayoutTree", "Paint"}
LOADER = (
    "var t=document.createElement('script');t.async=!0;t.src='/tag.js';"
    "var r=document.getElementsByTagName('script')[0];r.parentNode.insertBefore(t,r);"
)
BODY = "".join(f"<div class=c{n % 7}><p>Item {n}</p></div>" for n in range(500))


def page_of(tag: str) -> str:
    """The page, with the base code for this tag or, for '', without."""
    calls = f"pintrk('load','{tag}');pintrk('page');pintrk('track','pagevisit',{{product_id:'7',value:9.5}});"
    base = f"<script>{STUB}{LOADER}{calls}</script>" if tag else "<script>1</script>"
    return f"<!doctype html><title>Cost</title><link rel=icon href=data:,>{base}<body>{BODY}"


class Tracer:
    """A page under the throttle; `load` says what one load of it cost."""

    def __init__(self, page, throttle: float) -> None:
        self.page, self.events, self.ended = page, [], []
        self.session = page.context.new_cdp_session(page)
        self.session.send("Emulation.setCPUThrottlingRate", {"rate": throttle})
        self.session.on("Tracing.dataCollected", lambda data: self.events.extend(data["value"]))
        self.session.on("Tracing.tracingComplete", lambda _: self.ended.append(1))

    def load(self, url: str) -> dict[str, float]:
        self.events.clear()
        self.ended.clear()
        self.session.send(
            "Tracing.start", {"categories": "devtools.timeline", "transferMode": "ReportEvents"}
        )
        self.page.goto(url)
        self.page.wait_for_timeout(1000)
        navigation = "performance.getEntriesByType('navigation')[0].loadEventStart"
        load = self.page.evaluate(navigation)
        self.session.send("Tracing.end")
        while not self.ended:
            self.page.wait_for_timeout(20)
        return costs(self.events) | {"load": load}


def costs(events: list[dict]) -> dict[str, float]:
    """Milliseconds of the tag's own work; style, layout and paint passes inside of it; long tasks with it."""
    main = {
        (one["pid"], one["tid"])
        for one in events
        if one["name"] == "thread_name" and one["args"]["name"] == "CrRendererMain"
    }
    spans = [one for one in events if one["ph"] == "X" and (one["pid"], one["tid"]) in main]
    own = [one for one in spans if one["name"] in WORK and "/tag.js" in str(one.get("args"))]
    outer = [one for one in own if not any(inside(one, other) for other in own)]
    tasks = [one for one in spans if one["name"] == "RunTask" and one["dur"] > LONG_US]
    return {
        "own": sum(one["tdur"] for one in outer) / 1000,
        "passes": sum(any(inside(one, other) for other in outer) for one in spans if one["name"] in PASSES),
        "long": sum(any(inside(one, task) for one in outer if one["tdur"] > LONG_US) for task in tasks),
    }


def inside(one: dict, other: dict) -> bool:
    """Whether a span lies within another one of its thread."""
    end, theirs = one["ts"] + one["dur"], other["ts"] + other["dur"]
    same = one["tid"] == other["tid"] and one["pid"] == other["pid"] and one is not other
    return same and other["ts"] <= one["ts"] and end <= theirs


def visit(browser, url: str, html: str, throttle: float) -> list[dict[str, float]]:
    """A new visitor's first page in a new renderer, and the next page."""
    context = browser.new_context(user_agent=AGENT)
    context.add_init_script(PERSON)
    page = context.new_page()
    page.route("**/cost*", lambda route: route.fulfill(body=html, content_type="text/html"))
    tracer = Tracer(page, throttle)
    found = [tracer.load(f"{url}/cost?p={number}") for number in range(2)]
    context.close()
    return found


def main() -> None:
    given = [int(one) for one in sys.argv[1:3]]
    rounds, throttle = given + [20, THROTTLE][len(given) :]
    runs: dict[str, list[list[dict[str, float]]]] = {"with": [], "without": []}
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(pathlib.Path(folder), rate_limits="off") as server,
        sync_playwright() as play,
    ):
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=[*ARGS, f"--user-agent={AGENT}"]
        )
        for _ in range(rounds):
            for name, tag in (("with", str(server.tag)), ("without", "")):
                runs[name].append(visit(browser, server.url, page_of(tag), throttle))
        browser.close()
    print(f"{rounds} visits at {throttle}x CPU throttle; milliseconds of the main thread's processor time:")
    for place, title in enumerate(("first page, new renderer", "next page")):
        of = {name: [one[place] for one in found] for name, found in runs.items()}
        own = [one["own"] for one in of["with"]]
        load = {name: statistics.median(one["load"] for one in found) for name, found in of.items()}
        print(f"  {title}: the tag's own work least {min(own):.1f}, median {statistics.median(own):.1f};")
        print(
            f"    style, layout and paint in it {sum(one['passes'] for one in of['with']):.0f},"
            f" long tasks of its own {sum(one['long'] for one in of['with']):.0f};"
            f" load event {load['with']:.0f} with, {load['without']:.0f} without"
        )


if __name__ == "__main__":
    main()
