"""event_data: conditions on the fields of an event and of its line items, read to their declared types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retag.errors import Invalid
from retag.rules.operators import FIELD_OPERATORS, ORDER, number, text
from retag.rules.scalars import named, several, shown, words

MOST_CONDITIONS = 50

MONEY = frozenset({"value", "product_price"})
QUANTITIES = frozenset({"order_quantity", "product_quantity"})
INTEGERS = QUANTITIES | {"product_id"}
TEXTS = MONEY | {
    "currency",
    "lead_type",
    "order_id",
    "page_name",
    "promo_code",
    "property",
    "search_query",
    "video_title",
    "product_brand",
    "product_category",
    "product_name",
    "product_variant",
    "product_variant_id",
}
"""Declared as `string`; the shop's own fields keep the type that they are given in."""

CURRENCIES = (
    *("UNK", "USD", "GBP", "CAD", "EUR", "AUD", "NZD", "SEK", "ILS", "CHF", "HKD", "JPY", "SGD", "KRW"),
    *("NOK", "DKK", "PLN", "RON", "HUF", "CZK", "BRL", "MXN", "ARS", "CLP", "COP", "INR", "TRY"),
)
"""What the declared enumeration has; others match as well, but do not fit the declared type."""


def read_event_data(at: str, value: Any) -> dict[str, Any]:
    """Conditions by field name; `line_items` is one object of conditions, or a list of them."""
    read = _conditions(at, {k: v for k, v in _object(at, value).items() if k != "line_items"})
    given = value.get("line_items")
    if given is not None:
        listed = given if isinstance(given, list) else [given]
        found = [_item(f"{at}.line_items[{i}]", item) for i, item in enumerate(listed)]
        if not found:
            raise Invalid(f"{at}.line_items", "is an empty list; give the conditions or leave the field out")
        read["line_items"] = found[0] if len(found) == 1 else found
    if not read:
        raise Invalid(at, "has no conditions; give at least one or leave the field out")
    return read


def declared_event_data(value: dict[str, Any]) -> bool:
    """Whether it fits `EventData` as declared: no operators, one line item, numbers where they belong."""
    item = value.get("line_items", {})
    return isinstance(item, dict) and all(
        _declared(name, found)
        for fields in (value, item)
        for name, found in fields.items()
        if name != "line_items"
    )


def _declared(name: str, value: Any) -> bool:
    if name in INTEGERS:
        return isinstance(value, int)
    if name in TEXTS:
        return isinstance(value, str) and (name != "currency" or value in CURRENCIES)
    return not isinstance(value, dict)


def _object(at: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Invalid(at, f"must be an object of field: value, not {named(value)}")
    if len(value) > MOST_CONDITIONS:
        raise Invalid(at, f"has {len(value)} conditions; at most {MOST_CONDITIONS} are allowed")
    return value


def _item(at: str, value: Any) -> dict[str, Any]:
    read = _conditions(at, _object(at, value))
    if not read:
        raise Invalid(at, 'has no conditions; give at least one, such as {"product_category": "shoes"}')
    return read


def _conditions(at: str, given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _condition(f"{at}.{name}", name, value) for name, value in given.items() if value is not None
    }


def _condition(at: str, name: str, value: Any) -> Any:
    if isinstance(value, list):
        return {"in": several(_operand(name))(at, value)}
    if not isinstance(value, dict):
        return _operand(name)(at, value)
    if not value:
        raise Invalid(at, f"is an empty object; give an operator: {', '.join(FIELD_OPERATORS)}")
    return {operator: _operated(at, name, operator, operand) for operator, operand in value.items()}


def _operated(at: str, name: str, operator: str, operand: Any) -> Any:
    at_operator = f"{at}.{operator}"
    if operator not in FIELD_OPERATORS:
        raise Invalid(
            at, f"has an unknown operator {shown(operator)}; use one of {', '.join(FIELD_OPERATORS)}"
        )
    if operator in ORDER:
        return _number(at_operator, operand)
    if operator == "contains":
        return _one_or_list(several(words)(at_operator, operand))
    if operator == "in" and not isinstance(operand, list):
        raise Invalid(at_operator, f"must be a list of values, not {named(operand)}; for one value use =")
    found = several(_operand(name))(at_operator, operand)
    return found if operator == "in" else _one_or_list(found)


def _one_or_list(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values


def _number(at: str, value: Any) -> Any:
    found = number(value)
    if found is None:
        raise Invalid(at, f"must be a number, not {shown(value)}")
    return int(found) if found.is_integer() else found


def _operand(name: str) -> Any:
    """The reader of one value of the field `name`: prices as text, quantities as whole numbers."""

    def read(at: str, value: Any) -> Any:
        if name in MONEY:
            found = text(_number(at, value))
            return value.strip() if isinstance(value, str) else found
        if name in QUANTITIES:
            return _number(at, value)
        found = words(at, value)
        if name == "product_id":
            return int(found) if _is_plain_int(found) else found
        return found if name in TEXTS else value

    return read


def _is_plain_int(found: str) -> bool:
    return found.isascii() and found.isdigit() and str(int(found)) == found and len(found) < 16
