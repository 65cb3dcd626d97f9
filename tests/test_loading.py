"""A customer list from a file, at any size, next to a running server."""

import contextlib
import hashlib

import pytest

from retag import errors
from retag.store import lists, loading, sqlite

NOW = 1_795_478_400_000
ANN = bytes([1]) * 16


@pytest.fixture
def cn(tmp_path):
    with contextlib.closing(sqlite.connect(tmp_path / "retag.db")) as cn:
        sqlite.migrate(cn)
        cn.execute("INSERT INTO account VALUES (1, 'a', 0)")
        value = hashlib.sha256(b"u25000@mail.example").digest()
        cn.execute("INSERT INTO identifier VALUES (1, 1, ?, ?, 0)", (value, ANN))
        yield cn


def test_file_is_loaded_whole_and_matches(cn):
    """Several chunks, one batch; progress never falls, and nothing waits in the end."""
    made = lists.create(cn, 1, "Leads", "EMAIL", NOW)
    lines = ["Email,name\n", *(f"u{n}@mail.example,x\n" for n in range(1, 30_001)), "\n", "nonsense\n"]
    seen = list(loading.load(cn, made, "ADD", lines, NOW))
    assert [one.processed for one in seen] == sorted(one.processed for one in seen)
    assert seen[-1] == loading.Progress(30_001, 30_000, 1, 0)
    found = lists.decode(cn.execute(f"SELECT {lists.COLUMNS} FROM customer_list").fetchone())
    assert (found.uploaded, found.invalid, found.batches, found.matched, found.waiting) == (
        30_000,
        1,
        1,
        1,
        0,
    )


@pytest.mark.parametrize(
    "line",
    ["u25000@mail.example;Ann;1,50\n", '\ufeff"u25000@mail.example"\tAnn\n', "u25000@mail.example\r\n"],
)
def test_the_first_column_is_found_however_spreadsheets_write_it(cn, line):
    """With semicolons where decimals have a comma, with tabs, behind a byte order mark."""
    made = lists.create(cn, 1, "Leads", "EMAIL", NOW)
    assert list(loading.load(cn, made, "ADD", [line], NOW))[-1].valid == 1
    assert cn.execute("SELECT count(*) FROM customer_match").fetchone() == (1,)


def test_interrupted_load_is_made_good_by_loading_again(cn):
    """What was durable is applied, what is there twice is there once."""
    made = lists.create(cn, 1, "Leads", "EMAIL", NOW)
    lines = [f"u{n}@mail.example\n" for n in range(20_000, 30_000)]
    next(loading.load(cn, made, "ADD", lines, NOW))
    for _ in loading.load(cn, made, "ADD", lines, NOW):
        pass
    assert cn.execute("SELECT count(*) FROM customer_record").fetchone() == (30_000,)
    assert cn.execute("SELECT count(*) FROM customer_match").fetchone() == (1,)


def test_unknown_list_is_named(cn):
    """Before anything is read."""
    with pytest.raises(errors.NotFound, match="12"):
        next(loading.load(cn, 12, "ADD", [], NOW))
