"""Files that choose their columns: identifiers among them, Parquet, and no formula for a spreadsheet."""

import csv
import io

import pyarrow.parquet
import pytest

from retag.formats import COLUMNS, FORMATS, MORE
from retag.formats.rows import FORMULA
from retag.people import CLICKS
from retag.windows import EVER
from shop import running
from test_api_exports import export, filled

VISITOR, DIGEST = b"v" * 16, bytes(range(32))
ROWS = [(VISITOR, 1_000, EVER, 2_000), (b"w" * 16, 3_000, 4_000, 5_000)]


def test_parquet_says_what_csv_says():
    """In types: times are timestamps, for ever is null; in one file however many pages."""
    form = FORMATS["parquet"].fresh()
    fields = [*COLUMNS, "em"]
    shown = {VISITOR: [(1, DIGEST, 9)]}
    parts = [form.head(fields), *(form.page([row], fields, shown)[0] for row in ROWS), form.end()]
    table = pyarrow.parquet.read_table(io.BytesIO(b"".join(parts)))
    assert [str(field.type) for field in table.schema][:2] == ["string", "timestamp[ms, tz=UTC]"]
    found = table.cast(pyarrow.schema([(n, "int64" if n in COLUMNS[1:] else "string") for n in fields]))
    lines = FORMATS["csv"].rows(ROWS, fields, shown)
    read = [[None if cell == "" else cell for cell in row] for row in csv.reader(lines)]
    assert [[None if v is None else str(v) for v in row.values()] for row in found.to_pylist()] == read


def test_an_empty_parquet_has_its_columns():
    """Nobody is a table of no rows."""
    form = FORMATS["parquet"].fresh()
    content = form.head(COLUMNS) + form.end()
    assert pyarrow.parquet.read_table(io.BytesIO(content)).column_names == list(COLUMNS)


async def test_parquet_over_http(tmp_path):
    """With the manifest of every format."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann", "bob")
        response = await shop.client.get(f"{shop.v5}/audiences/{made['id']}/export?format=parquet")
        assert pyarrow.parquet.read_table(io.BytesIO(response.content)).num_rows == 2
        manifest = await shop.ask("GET", f"/exports/{response.headers['retag-export-id']}")
        assert (manifest["rows"], manifest["missing"]) == (2, 0)


async def test_without_the_extra_parquet_is_refused_with_the_remedy(tmp_path, monkeypatch):
    """Before anything is printed."""
    monkeypatch.setattr(FORMATS["parquet"], "needs", "no_such_package")
    async with running(tmp_path) as shop:
        lines, _ = await export(shop, await shop.audience(), "format=parquet", 400)
        assert "retag[parquet]" in lines[0]["message"]


async def test_fields_may_have_identifiers(tmp_path):
    """The latest of the kind; nothing where there is none; no column twice."""
    async with running(tmp_path) as shop:
        made = await filled(shop, "ann")
        (line, _), _ = await export(shop, made, "format=ndjson&fields=em,visitor_id,gclid")
        assert (list(line), len(line["em"]), line["gclid"]) == (["em", "visitor_id", "gclid"], 64, None)
        await export(shop, made, "fields=visitor_id,visitor_id", 400)


@pytest.mark.parametrize("start", FORMULA[:4])
def test_a_click_id_is_no_formula_for_a_spreadsheet(start):
    """As it came by default, harmless where that is asked for."""
    shown = {VISITOR: [(6, f"{start}cmd".encode(), 9)]}
    assert FORMATS["csv"].rows(ROWS[:1], ["gclid"], shown) == [f"{start}cmd\r\n"]
    assert FORMATS["csv"].fresh(True).rows(ROWS[:1], ["gclid"], shown) == [f"'{start}cmd\r\n"]


@pytest.mark.parametrize("name", [name for name in FORMATS if FORMATS[name].suffix == "csv"])
def test_no_cell_of_a_default_file_begins_as_a_formula(name):
    """Of every kind of identifier, whatever it holds."""
    form, nasty = FORMATS[name], [b"=1+1", b"+1", b"-1", b"@x", b"\t=1", b"\r=1", b"EAIaIQob"]
    shown = {VISITOR: [(kind, value, 9) for kind in CLICKS.values() for value in nasty]}
    shown[VISITOR] += [(kind, DIGEST[:size], 9) for kind in (1, 2, 3, 4, 10) for size in (16, 20, 32)]
    content, _ = form.page(ROWS, form.columns, shown)
    cells = [cell for row in csv.reader(io.StringIO(content.decode())) for cell in row]
    assert cells
    assert not [cell for cell in cells if cell.startswith(FORMULA)]


def test_more_columns_are_kinds_of_identifiers():
    """Under the names that they came by."""
    assert {"em", "ph", "external_id", "hashed_maids", "epik", "gclid"} <= MORE.keys()
