"""`/metrics` for Prometheus. The figures are read when asked for, so that counting costs the door nothing.

A direct request from a loopback or private address needs no key; any other needs one with the scope `admin`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, Metric, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from retag import __version__, errors
from retag.pace import BOUNDS_S
from retag.web.api import auth
from retag.web.api.call import refusal
from retag.web.arrivals import Arrivals
from retag.web.health import Health
from retag.web.tally import Tally

SETTLE_S = 1.0
"""What was acknowledged before the question is in the answer, unless settling it takes longer."""
FORMAT = "text/plain; version=0.0.4; charset=utf-8"


class Figures(Collector):
    """Our figures, as Prometheus families."""

    def __init__(self, arrivals: Arrivals, health: Health, tally: Tally) -> None:
        self.arrivals = arrivals
        self.health = health
        self.tally = tally

    def collect(self) -> Iterator[Metric]:
        for name, about, label, counts in self._counters():
            family = CounterMetricFamily(name, about, labels=[label])
            for key, count in counts.items():
                family.add_metric([key], count)
            yield family
        waits = self.health.journal.waits
        ends = [*map(str, BOUNDS_S), "+Inf"]
        yield HistogramMetricFamily(
            "retag_commit_seconds",
            "From an event's coming to its commit: the oldest of each batch.",
            buckets=list(zip(ends, accumulate(waits.counts), strict=True)),
            sum_value=waits.total,
        )
        build = GaugeMetricFamily("retag_build_info", "What runs.", labels=["version", "sqlite"])
        build.add_metric([__version__, sqlite3.sqlite_version], 1)
        yield build
        for name, about, value in self._gauges():
            yield GaugeMetricFamily(name, about, value)

    def _counters(self) -> list[tuple[str, str, str, dict[str, int]]]:
        arrivals, tally = self.arrivals, self.tally
        lost = "Texts masked and parts unread, in events kept."
        exports = "Scheduled exports tried; WAITING is tried again."
        hooks = "Webhook deliveries tried; WAITING is tried again."
        return [
            ("retag_events", "Events by what became of them.", "outcome", arrivals.counts),
            ("retag_lost", lost, "what", arrivals.lost),
            ("retag_scheduled_exports", exports, "status", tally.runs),
            ("retag_webhook_attempts", hooks, "status", tally.deliveries),
        ]

    def _gauges(self) -> list[tuple[str, str, float]]:
        uncommitted, unfolded, depth = self.health.journal.lag()
        return [
            ("retag_journal_events", "Events that wait for their commit.", depth),
            ("retag_journal_uncommitted_seconds", "Age of the oldest uncommitted event.", uncommitted / 1000),
            ("retag_journal_unfolded_seconds", "Age of the oldest unfolded event.", unfolded / 1000),
            ("retag_database_bytes", "Size of the database file.", self.health.size()),
            ("retag_wal_bytes", "Size of its write-ahead log.", self.health.size("-wal")),
            ("retag_disk_free_bytes", "Free space on the database's disk.", self.health.free()),
            ("retag_schedules_failing", "Schedules whose last run failed.", self.tally.failing or 0),
            ("retag_ready", "1 when /readyz answers 200.", float(not self.health.faults())),
        ]


class Metrics:
    """The endpoint."""

    def __init__(self, arrivals: Arrivals, health: Health, tally: Tally) -> None:
        self.journal = health.journal
        self.registry = CollectorRegistry()
        self.registry.register(Figures(arrivals, health, tally))
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    async def answer(self, request: Request) -> Response:
        try:
            await admit(request)
        except errors.RetagError as error:
            return refusal(error, {})
        await self.journal.settled(SETTLE_S)
        return Response(generate_latest(self.registry), headers={"content-type": FORMAT})


async def admit(request: Request) -> None:
    """Unauthorized or Forbidden for who may not see the figures."""
    forwarded = "x-forwarded-for" in request.headers or "forwarded" in request.headers
    if forwarded or auth.public(request):
        caller = await auth.identify(request)
        await auth.require(request, "admin", caller.account)
