"""Operators: `{"value": {">=": 100}}` becomes a test of one value.

A scalar means `=`, a list means `in`; several operators in one object must all hold. With several operands,
`=`, `in`, `contains` and `starts_with` want any of them, `!=` and `not_contains` none. An absent value is
unequal to everything and contains nothing. Numbers compare as numbers, text exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import ge, gt, le, lt
from typing import Any

Test = Callable[[Any], bool]

ORDER: Mapping[str, Callable[[float, float], bool]] = {
    ">": gt,
    ">=": ge,
    "<": lt,
    "<=": le,
}
FIELD_OPERATORS = ("=", "!=", *ORDER, "contains", "in")
URL_OPERATORS = ("=", "!=", "contains", "not_contains", "starts_with")
SET_OPERATORS = ("=", "!=")

_NEGATED = {"!=": "=", "not_contains": "contains"}


def text(value: object) -> str:
    """A scalar as the tag would have sent it: `116.0` is "116", `True` is "true"."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def number(value: object) -> float | None:
    """The finite number in a scalar, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if found - found == 0 else None


def tests(operators: Mapping[str, list[Any]]) -> Test:
    """One test for `{operator: operands}`, all of which must hold."""
    each = [_test(operator, operands) for operator, operands in operators.items()]
    if len(each) == 1:
        return each[0]
    return lambda value: all(test(value) for test in each)


def _test(operator: str, operands: list[Any]) -> Test:
    if operator in _NEGATED:
        wanted = _test(_NEGATED[operator], operands)
        return lambda value: not wanted(value)
    if operator in ORDER:
        return _ordered(operator, number(operands[0]) or 0.0)
    if operator in ("=", "in"):
        return _spread(_equal(operands))
    parts = tuple(text(operand) for operand in operands)
    if operator == "starts_with":
        return _spread(lambda value: text(value).startswith(parts))
    if len(parts) == 1:
        return _spread(lambda value: parts[0] in text(value))
    return _spread(lambda value: any(part in text(value) for part in parts))


def _spread(scalar: Test) -> Test:
    """A value that is itself a list satisfies a test when one of its elements does."""

    def spread(value: Any) -> bool:
        if value is None:
            return False
        if isinstance(value, list):
            return any(scalar(one) for one in value if one is not None)
        return scalar(value)

    return spread


def _ordered(operator: str, bound: float) -> Test:
    compare = ORDER[operator]

    def one(value: Any) -> bool:
        found = number(value)
        return found is not None and compare(found, bound)

    some = _spread(one)

    def ordered(value: Any) -> bool:
        if type(value) is float:  # as most amounts are, and finite as `number` wants it
            return compare(value, bound) and value - value == 0
        return some(value)

    return ordered


def _equal(operands: list[Any]) -> Test:
    texts = frozenset(text(operand) for operand in operands)
    numbers = frozenset(found for operand in operands if (found := number(operand)) is not None)

    def equal(value: Any) -> bool:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value in numbers
        return text(value) in texts

    return equal
