"""Scalars: liberal readers of one JSON value, strict about what it says.

Each takes where the value stands (`rule.any[0].retention_days`) and the value, and returns it in its declared
type, or raises `errors.Invalid` with that place and the remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from retag.errors import Invalid
from retag.rules.operators import number, text

LONGEST_TEXT = 2048
MOST_VALUES = 500

Reader = Callable[[str, Any], Any]


def words(at: str, value: Any) -> str:
    """A non-empty text; numbers are written out."""
    if isinstance(value, dict | list) or value is None:
        raise Invalid(at, f"must be text, not {named(value)}")
    found = text(value)
    if not found.strip():
        raise Invalid(at, "is empty; give a value or leave the field out")
    if len(found) > LONGEST_TEXT:
        raise Invalid(at, f"is longer than {LONGEST_TEXT} characters; shorten it")
    return found


def digits(at: str, value: Any) -> str:
    found = words(at, value).strip()
    if not (found.isascii() and found.isdigit()):
        raise Invalid(at, f"must be an id, digits only, not {found[:40]!r}")
    return found


def integer(least: int, most: int) -> Reader:
    """A reader of whole numbers, given as numbers or text."""

    def read(at: str, value: Any) -> int:
        found = number(value)
        if found is None or found != int(found) or not least <= found <= most:
            raise Invalid(at, f"must be a whole number from {least} to {most}, not {shown(value)}")
        return int(found)

    return read


def positive(at: str, value: Any) -> float:
    found = number(value)
    if found is None or found <= 0:
        raise Invalid(at, f"must be a number greater than 0, not {shown(value)}")
    return int(found) if found.is_integer() else found


def truth(at: str, value: Any) -> bool:
    """Booleans as JSON, Python or forms write them."""
    found = {"true": True, "1": True, "false": False, "0": False}.get(text(value).lower())
    if found is None:
        raise Invalid(at, f"must be true or false, not {shown(value)}")
    return found


def one_of(choices: Collection[str], fold: Callable[[str], str]) -> Reader:
    """A reader of a closed vocabulary, spelled in any case."""

    def read(at: str, value: Any) -> str:
        found = fold(words(at, value).strip())
        if found not in choices:
            raise Invalid(at, f"must be one of {', '.join(choices)}, not {shown(value)}")
        return found

    return read


def several(each: Reader) -> Reader:
    """A reader of lists; a single value is a list of one."""

    def read(at: str, value: Any) -> list[Any]:
        given = value if isinstance(value, list) else [value]
        if not given:
            raise Invalid(at, "is an empty list; give at least one value or leave the field out")
        if len(given) > MOST_VALUES:
            raise Invalid(at, f"has {len(given)} values; at most {MOST_VALUES} are allowed")
        places = (f"{at}[{i}]" if isinstance(value, list) else at for i in range(len(given)))
        return [each(place, one) for place, one in zip(places, given, strict=True)]

    return read


def shown(value: Any) -> str:
    return named(value) if isinstance(value, dict | list) else repr(value)[:60]


def named(value: Any) -> str:
    """What JSON calls it."""
    kinds = {dict: "an object", list: "a list", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number" if isinstance(value, int | float) else "text")
