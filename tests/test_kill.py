"""Kill -9: every acknowledged event is there and counts once, and the audiences are right."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from beds import Bed
from retag import fold
from retag.journal import Journal
from retag.store import marking
from retag.store.desk import live_builds
from retag.store.engine import SqliteStore
from retag.upkeep import Upkeep

KILLS = 60


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A file after KILLS violent deaths, and what was acknowledged to whom."""
    path = tmp_path_factory.mktemp("kill") / "killed.db"
    script = Path(__file__).parent / "kills.py"
    out = subprocess.run(
        [sys.executable, str(script), str(path), str(KILLS)], capture_output=True, text=True, check=False
    )
    assert out.returncode == 0, out.stderr
    asyncio.run(_finish(path))
    return Bed(path), json.loads(out.stdout)


async def _finish(path):
    """One more start: fold what is left, fill what was begun."""
    journal = Journal(SqliteStore(path))
    journal.start()
    await Upkeep(journal).fill()
    await journal.close()


def test_every_acknowledged_event_counts_once(killed):
    """Though each was sent twice, and some were stored without an answer."""
    bed, told = killed
    assert told["kills"] == KILLS
    assert len(told["acked"]) > KILLS * 10
    rows = bed.rows("SELECT event_id, count(*) FROM log WHERE standing = 0 GROUP BY event_id")
    counted = dict(rows)
    assert set(told["acked"]) <= counted.keys()
    assert set(counted.values()) == {1}
    assert bed.rows("SELECT count(*) FROM trail") == bed.rows("SELECT count(*) FROM log")


def test_file_is_sound_and_starts_at_once(killed):
    """SQLite's own full check, and each start under a second of processor time."""
    bed, told = killed
    assert bed.rows("PRAGMA integrity_check") == [("ok",)]
    assert told["slowest_ms"] < 1000


def test_audiences_are_what_the_log_says(killed):
    """Each was begun in a life that was cut short, most in the middle of a fold or a backfill."""
    bed, _ = killed
    assert bed.rows("SELECT count(*) FROM build WHERE ready IS NULL AND retired IS NULL") == [(0,)]
    sql = {
        0: "SELECT DISTINCT visitor FROM log WHERE standing = 0 AND name = 'pagevisit'",
        1: "SELECT visitor FROM log WHERE standing = 0 AND name = 'checkout' GROUP BY visitor"
        " HAVING count(*) > 1",
        2: "SELECT visitor FROM log WHERE standing = 0 AND name = 'addtocart' EXCEPT"
        " SELECT visitor FROM log WHERE standing = 0 AND name = 'checkout'",
    }
    now = bed.rows("SELECT max(received) FROM log")[0][0]
    audiences = [row[0] for row in bed.rows("SELECT id FROM audience ORDER BY id")]
    assert len(audiences) > KILLS / 2
    for id_ in audiences:
        wanted = {row[0] for row in bed.rows(sql[(id_ - 2_542_000_000_001) % 3])}
        assert bed.members(id_, now) == wanted


def test_folding_again_changes_nothing(killed):
    """What is remembered after the deaths is what the log gives in one go.

    But for `opens`: a backfill meets a visitor's older events after the live ones, and a bounded memory no
    longer knows how long an unbroken membership has lasted.
    """
    bed, _ = killed
    before = remembered(bed)
    bed.cn.execute("BEGIN")
    visitors = [row[0] for row in bed.rows("SELECT DISTINCT visitor FROM trail")]
    fold.refold(bed.cn, visitors, bed.rows("SELECT max(received) FROM log")[0][0])
    bed.cn.execute("COMMIT")
    assert remembered(bed) == before


def remembered(bed):
    """Every mark but for `opens`."""
    plain = bed.rows("SELECT build, visitor, closes, last FROM member ORDER BY 1, 2")
    places = bed.rows("SELECT visitor, part FROM memory ORDER BY 1, 2")
    builds = live_builds(bed.cn)
    marks = marking.load(bed.cn, [(who, build) for who, _ in places for build in builds], builds)
    known = {
        (build, who): (marks[build, who].closes, marks[build, who].last, marks[build, who].memories)
        for who, _ in places
        for build in builds
    }
    return plain, known
