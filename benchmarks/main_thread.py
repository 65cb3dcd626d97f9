"""What the tag costs a page's main thread: evaluation and first events, at a quarter of a processor's speed.

.venv/bin/python benchmarks/main_thread.py [ROUNDS [THROTTLE]]

Debian's Chromium loads a page of a thousand elements with the official base code against a real server,
under CDP's CPU throttle of 4 and its tracing: once in a renderer that has just been started, and once more as
a visit's next page. Counted is the main thread's own processor time for what is the script's: compile,
evaluate, microtasks, timers and listeners. "To the first event" is all of it until the request with the
events has been handed over, and the rest of that task; "after" is what follows: the answer, and opening
storage. In the same run, in the tag's place, what the platform itself asks for: an empty script, one that
makes a bare `fetch` of such a body, and one that reads the cookies and then does.

The throttle stops the thread by signals from another one, for three times as long as it was seen running or
waiting: what waits for another process, or for a processor, is multiplied too. So the same is printed without
it, times four. Other work on the machine adds to it and never takes away: the least is the truest.
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
FETCH = "fetch('/v3/',{method:'POST',body:'[{}]',keepalive:true,credentials:'include'})"
SCRIPTS = {
    "the tag": None,
    "an empty script": "0",
    "a bare fetch": FETCH,
    "cookies and a fetch": f"document.cookie;{FETCH}",
    "no script": "",
}
"""What is served as /tag.js; None is the tag itself, and '' asks for none."""


def page_of(tag: str, script: str | None) -> str:
    """The page, with the base code for this tag or, for a script of '', without."""
    calls = f"pintrk('load','{tag}');pintrk('page');pintrk('track','pagevisit',{{product_id:'7',value:9.5}});"
    base = "<script>1</script>" if script == "" else f"<script>{STUB}{LOADER}{calls}</script>"
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
    """Milliseconds of the script's own work; style, layout and paint passes in it; long tasks with it."""
    main = {
        (one["pid"], one["tid"])
        for one in events
        if one["name"] == "thread_name" and one["args"]["name"] == "CrRendererMain"
    }
    spans = [one for one in events if one["ph"] == "X" and (one["pid"], one["tid"]) in main]
    own = [one for one in spans if one["name"] in WORK and "/tag.js" in str(one.get("args"))]
    outer = [one for one in own if not any(inside(one, other) for other in own)]
    begun = min((one["ts"] for one in outer if one["name"] == "EvaluateScript"), default=0)
    # What comes before is the last page's, as it is left.
    outer = [one for one in outer if one["ts"] >= begun]
    handed = min(
        (
            one["ts"]
            for one in events
            if one["name"] == "ResourceSendRequest"
            and one["args"]["data"]["url"].endswith("/v3/")
            and one["ts"] >= begun
        ),
        default=begun,
    )
    tasks = [one for one in spans if one["name"] == "RunTask" and one["dur"] > LONG_US]
    return {
        "first": sum(one["tdur"] for one in outer if one["ts"] <= handed) / 1000,
        "after": sum(one["tdur"] for one in outer if one["ts"] > handed) / 1000,
        "passes": sum(any(inside(one, other) for other in outer) for one in spans if one["name"] in PASSES),
        "long": sum(any(inside(one, task) for one in outer if one["tdur"] > LONG_US) for task in tasks),
    }


def inside(one: dict, other: dict) -> bool:
    """Whether a span lies within another one of its thread."""
    end, theirs = one["ts"] + one["dur"], other["ts"] + other["dur"]
    same = one["tid"] == other["tid"] and one["pid"] == other["pid"] and one is not other
    return same and other["ts"] <= one["ts"] and end <= theirs


def visit(browser, url: str, tag: str, script: str | None, throttle: float) -> list[dict[str, float]]:
    """A new visitor's first page in a new renderer, and the next page."""
    context = browser.new_context(user_agent=AGENT)
    context.add_init_script(PERSON)
    page = context.new_page()
    html = page_of(tag, script)
    page.route("**/cost*", lambda route: route.fulfill(body=html, content_type="text/html"))
    if script:
        page.route("**/tag.js", lambda route: route.fulfill(body=script, content_type="text/javascript"))
    tracer = Tracer(page, throttle)
    found = [tracer.load(f"{url}/cost?p={number}") for number in range(2)]
    context.close()
    return found


def show(runs: dict[str, list[list[dict[str, float]]]], times: float) -> None:
    """Least and median of each script, in milliseconds times something."""
    for place, title in enumerate(("first page, new renderer", "next page")):
        print(f"  {title}: to the first event, least and median (after it)")
        for name, found in runs.items():
            of = {key: [one[place][key] * times for one in found] for key in ("first", "after")}
            first, after = of["first"], statistics.median(of["after"])
            if name != "no script":
                print(f"    {name:20} {min(first):5.1f} {statistics.median(first):5.1f}  ({after:.1f})")
        mine = [one[place] for one in runs["the tag"]]
        load = {name: statistics.median(one[place]["load"] for one in found) for name, found in runs.items()}
        print(
            f"    style, layout and paint in the tag {sum(one['passes'] for one in mine):.0f},"
            f" long tasks of its own {sum(one['long'] for one in mine):.0f};"
            f" load event {load['the tag']:.0f} with, {load['no script']:.0f} without"
        )


def main() -> None:
    given = [int(one) for one in sys.argv[1:3]]
    rounds, throttle = given + [8, THROTTLE][len(given) :]
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(pathlib.Path(folder), rate_limits="off") as server,
        sync_playwright() as play,
    ):
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=[*ARGS, f"--user-agent={AGENT}"]
        )
        for rate in (1, throttle):
            runs: dict[str, list[list[dict[str, float]]]] = {name: [] for name in SCRIPTS}
            for _ in range(rounds):
                for name, script in SCRIPTS.items():
                    runs[name].append(visit(browser, server.url, str(server.tag), script, rate))
            how = f"at {rate}x CPU throttle" if rate > 1 else f"without a throttle, times {throttle}"
            print(f"{rounds} visits {how}; milliseconds of the main thread's processor time:")
            show(runs, throttle / rate)
        browser.close()


if __name__ == "__main__":
    main()
