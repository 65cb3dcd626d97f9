"""On a database that benchmarks/audiences.py --keep left: DuckDB, estimates, and a large customer list.

    python benchmarks/compare.py FILE               needs duckdb and pandas, which Retag itself does not

DuckDB scans every event for each question, and Retag keeps the answer: the sizes must be the same.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pandas

import audiences as bench
import shop
from retag import rules
from retag.store import estimate, lists, loading, sqlite

PAGE = 200_000
RULES = [
    ("pages of a category without checkout", bench.TWO, 1000),
    ("buyers", bench.BUYERS, 1001),
    ("everybody", {}, 1002),
]
WITHIN = f"time <= $now AND time > $now - {180 * shop.DAY}"
QUERIES = [
    f"SELECT visitor FROM e WHERE name = 'pagevisit' AND contains(url, '/category-7/') AND {WITHIN}"
    " EXCEPT SELECT visitor FROM e WHERE name = 'checkout' AND time <= $now",
    f"SELECT DISTINCT visitor FROM e WHERE name = 'checkout' AND {WITHIN}",
    f"SELECT DISTINCT visitor FROM e WHERE {WITHIN}",
]


def pages(cn) -> Iterator[pandas.DataFrame]:
    last = cn.execute("SELECT max(seq) FROM log").fetchone()[0]
    sql = "SELECT visitor, name, time, url, data FROM log WHERE seq > ? AND seq <= ? AND standing = 0"
    for start in range(0, last, PAGE):
        rows = cn.execute(sql, (start, start + PAGE)).fetchall()
        yield pandas.DataFrame(rows, columns=["visitor", "name", "time", "url", "data"])


def load(cn, path: Path) -> duckdb.DuckDBPyConnection:
    duck = duckdb.connect(str(path))
    duck.execute("SET threads = 2")
    duck.execute("CREATE TABLE e (visitor BLOB, name VARCHAR, time BIGINT, url VARCHAR, data BLOB)")
    seconds, total = 0.0, 0
    for page in pages(cn):
        started = time.perf_counter()
        duck.execute("INSERT INTO e SELECT * FROM page")
        seconds, total = seconds + time.perf_counter() - started, total + len(page)
    duck.execute("CHECKPOINT")
    bench.say("DuckDB: load", bench.rate(total, seconds))
    bench.say("DuckDB: bytes an event", f"{path.stat().st_size / total:.0f}")
    return duck


def sizes(cn, duck, now: int) -> None:
    members = "SELECT count(*) FROM audience a JOIN member m USING (build)"
    counts = f"{members} WHERE a.id = ? AND opens <= ? AND closes > ?"
    for (what, _, number), query in zip(RULES, QUERIES, strict=True):
        started = time.perf_counter()
        found = duck.execute(f"SELECT count(*) FROM ({query})", {"now": now}).fetchone()[0]
        seconds = time.perf_counter() - started
        known = cn.execute(counts, (bench.FIRST + number, now, now)).fetchone()[0]
        assert found == known, (what, found, known)
        bench.say(f"DuckDB: {what}, {found:,}", f"{seconds * 1000:,.0f} ms")


def estimates(cn, now: int) -> None:
    for what, raw, _ in RULES:
        rule = rules.parse("VISITOR", raw)
        started = time.perf_counter()
        found = estimate.Sampler(cn, shop.ACCOUNT, rule, now).estimate(1)
        seconds = time.perf_counter() - started
        bench.say(f"estimate: {what}", f"{seconds * 1000:,.0f} ms")
        bench.say("  size, give or take (95 %)", f"{found.size:,}, {found.margin:,}")


def customers(path: Path, count: int) -> None:
    cn = sqlite.connect(path)
    lines = (hashlib.sha256(b"%d" % n).hexdigest() for n in range(count))
    number = lists.create(cn, shop.ACCOUNT, "Customers", "EMAIL", bench.time_ms())
    started = time.perf_counter()
    for done in loading.load(cn, number, "ADD", lines, bench.time_ms()):
        last = done
    assert last.valid == count, last
    bench.say(f"a list of {count:,} records loaded", f"{time.perf_counter() - started:,.1f} s")
    cn.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--records", type=int, default=1_000_000)
    given = parser.parse_args()
    beside = given.file.with_suffix(".duckdb")
    beside.unlink(missing_ok=True)
    cn, now = sqlite.connect(given.file, readonly=True), bench.time_ms()
    estimates(cn, now)
    sizes(cn, load(cn, beside), now)
    cn.close()
    beside.unlink()
    customers(given.file, given.records)


if __name__ == "__main__":
    main()
