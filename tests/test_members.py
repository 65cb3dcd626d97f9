"""Size, list and both ends of a delta are one set, whatever happened since."""

import random

import msgspec
import pytest

from beds import DAY, HOUR, NOW, Bed, visitor
from retag import errors, upkeep
from retag.press import delta
from retag.store import changes, members
from retag.store.members import AsOf
from retag.store.reader import Reader
from test_transitions import RULES, at, chance_event


class Ends(msgspec.Struct):
    """What a delta needs of a job."""

    build: int
    until: AsOf
    since_build: int


async def listed(reader, build, as_of, limit, **how):
    pages = [page async for page in members.pages(reader, build, as_of, limit, **how)]
    return [row[0] for page in pages for row in page]


def history(bed, chance):
    """Forty steps of a shop's life, and who was in which build after each."""
    now, told = NOW, []
    builds = [bed.rows("SELECT build FROM audience WHERE id = ?", bed.audience(rule))[0][0] for rule in RULES]
    for _ in range(40):
        now += chance.choice([1, 1000, HOUR, 6 * HOUR, DAY])
        bed.take(*(chance_event(chance, now) for _ in range(chance.randrange(4))), now=now)
        if chance.random() < 0.05:
            upkeep.opt_out(bed.cn, visitor(chance.randrange(6)), now)
        if chance.random() < 0.05:
            upkeep.opt_in(bed.cn, visitor(chance.randrange(6)), now)
        step = bed.rows("SELECT coalesce(max(value), 0) FROM progress WHERE name = 'step'")[0][0]
        told += [(b, AsOf(now, step), at(bed, b, now, step)) for b in builds]
    return told


@pytest.mark.parametrize("seed", range(6))
async def test_pages_sizes_and_deltas_agree_at_every_as_of(tmp_path, seed, monkeypatch):
    """full(T0) + delta(T0→T1) = full(T1), and rows = size; in pages of two. A delta of one build in strides
    is that of walking both sets."""
    monkeypatch.setattr(changes, "STRIDE", seed + 1)
    bed, chance = Bed(tmp_path / "a.db"), random.Random(seed)
    told = history(bed, chance)
    reader = Reader(tmp_path / "a.db")
    try:
        for build, as_of, known in told:
            found = await listed(reader, build, as_of, 2)
            assert (set(found), found) == (known, sorted(known))
            assert await members.size_at(reader, build, as_of) == len(known)
        for _ in range(40):
            build, since, before = chance.choice(told)
            key = (since.step, since.instant)
            _, until, after = chance.choice(
                [one for one in told if one[0] == build and (one[1].step, one[1].instant) >= key]
            )
            ends = Ends(build, until, build)
            found = [row async for rows in delta.both(reader, ends, since) for row in rows]
            assert found == [row async for rows in delta.walked(reader, ends, since) for row in rows]
            allowed = set(await listed(reader, build, until, 2, objectors=False))
            joined = {row[0] for row in found if row[4] == "add"}
            left = {row[0] for row in found if row[4] == "remove"}
            assert (before | joined) - left == allowed <= after
    finally:
        await reader.close()


@pytest.mark.parametrize("seed", range(6))
async def test_nobody_who_objected_since_is_given_out(tmp_path, seed):
    """Without a refusal, everybody of then is there; with one, whoever objected is not."""
    bed, chance = Bed(tmp_path / "a.db"), random.Random(seed)
    told = history(bed, chance)
    reader = Reader(tmp_path / "a.db")
    try:
        for build, as_of, known in told:
            allowed = set(await listed(reader, build, as_of, 3, objectors=False))
            try:
                await members.check_whole(reader, build, as_of)
                assert allowed == known
            except errors.Gone:
                assert allowed < known
    finally:
        await reader.close()
