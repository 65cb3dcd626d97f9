"""Public shop data as NDJSON for `retag import`.

    .venv/bin/python benchmarks/converters.py uci DIRECTORY > uci.ndjson
    .venv/bin/python benchmarks/converters.py otto FILE > otto.ndjson

UCI Online Retail (https://archive.ics.uci.edu/dataset/352): the lines of an invoice become one checkout, and
cancelled invoices are left out. OTTO (https://github.com/otto-de/recsys-dataset): a session is a visitor, its
clicks, carts and orders are product views, cart additions and checkouts.
"""

from __future__ import annotations

import csv
import json
import pathlib
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

NAMES = {"clicks": "pagevisit", "carts": "addtocart", "orders": "checkout"}


def uci(files: Iterable[pathlib.Path]) -> Iterator[dict[str, Any]]:
    """One checkout an invoice."""
    for file in files:
        with file.open(encoding="utf-8", newline="") as lines:
            for invoice, rows in groupby(csv.DictReader(lines), key=lambda row: row["InvoiceNo"]):
                items = [row for row in rows if row["CustomerID"] and float(row["Quantity"]) > 0]
                if items and not invoice.startswith("C"):
                    yield checkout(invoice, items)


def checkout(invoice: str, rows: list[dict[str, str]]) -> dict[str, Any]:
    items = [
        {
            "product_id": row["StockCode"],
            "product_name": row["Description"].strip(),
            "product_price": float(row["UnitPrice"]),
            "product_quantity": int(float(row["Quantity"])),
        }
        for row in rows
    ]
    return {
        "event": "checkout",
        "event_id": invoice,
        "order_id": invoice,
        "time": rows[0]["InvoiceDate"],
        "visitor": rows[0]["CustomerID"].removesuffix(".0"),
        "value": round(sum(one["product_price"] * one["product_quantity"] for one in items), 2),
        "currency": "GBP",
        "order_quantity": sum(one["product_quantity"] for one in items),
        "line_items": items,
    }


def otto(file: pathlib.Path) -> Iterator[dict[str, Any]]:
    """One event each; the place in the session makes the id."""
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            session = json.loads(line)
            for number, one in enumerate(session["events"]):
                yield {
                    "event": NAMES[one["type"]],
                    "event_id": f"{session['session']}-{number}",
                    "time": one["ts"],
                    "visitor": str(session["session"]),
                    "product_id": str(one["aid"]),
                }


def main() -> None:
    if len(sys.argv) != 3 or sys.argv[1] not in ("uci", "otto"):
        sys.exit(__doc__)
    kind, path = sys.argv[1], pathlib.Path(sys.argv[2])
    found = uci(sorted(path.glob("*.csv"))) if kind == "uci" else otto(path)
    for one in found:
        sys.stdout.write(json.dumps(one) + "\n")


if __name__ == "__main__":
    main()
