"""Fields: the one table of what a clause may say, how it is read and whether it fits its declared type.

Sources: Pinterest's API v5 `AudienceRule` (https://developers.pinterest.com/docs/api/v5/audiences-create/)
and Retag's own `min_count`, `min_value` and `retention_minutes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from retag import events
from retag.errors import Invalid
from retag.rules.conditions import host_of
from retag.rules.event_data import declared_event_data, read_event_data
from retag.rules.operators import SET_OPERATORS, URL_OPERATORS
from retag.rules.scalars import Reader, digits, integer, one_of, positive, several, shown, truth, words

ENGAGEMENTS = ("click", "comment", "save", "like", "closeup")
OBJECTIVES = (
    "AWARENESS",
    "CONSIDERATION",
    "WEB_CONVERSION",
    "CATALOG_SALES",
    "VIDEO_COMPLETION",
    "VIDEO_VIEW",
    "WEB_SESSIONS",
)
LONGEST_DAYS = 540
DEFAULT_DAYS = 180


class Field(msgspec.Struct, frozen=True):
    """How a field is read to its canonical value, and whether that value fits the declared type."""

    read: Reader
    declared: Callable[[Any], bool] = lambda value: True


def operated(
    each: Reader, allowed: tuple[str, ...], bare: Callable[[list[Any]], Any] | None = None
) -> Reader:
    """A reader of `value`, `[values]` or `{operator: value or [values]}`.

    With `bare`, plain equality becomes `bare` of the values; without it, always `{operator: [values]}`.
    """
    read_each = several(each)

    def read(at: str, value: Any) -> Any:
        given = value if isinstance(value, dict) else {"=": value}
        if not given:
            raise Invalid(at, f"is an empty object; give an operator: {', '.join(allowed)}")
        for operator in given:
            if operator not in allowed:
                raise Invalid(
                    at, f"has an unknown operator {shown(operator)}; use one of {', '.join(allowed)}"
                )
        inner = {
            operator: read_each(f"{at}.{operator}" if value is given else at, operand)
            for operator, operand in given.items()
        }
        if bare is None:
            return inner
        return bare(inner["="]) if list(inner) == ["="] else {k: one_or_list(v) for k, v in inner.items()}

    return read


def one_or_list(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values


def event_name(at: str, value: Any) -> str:
    """An event of the table under any of its spellings, or one of the shop's own, lower case."""
    if isinstance(value, list | dict):
        raise Invalid(at, "must be one event name; for several, give one clause for each under any")
    return events.canonical(words(at, value).strip())


def engagements(at: str, value: Any) -> Any:
    each = one_of(ENGAGEMENTS, str.lower)
    return one_or_list(several(each)(at, value))


def domain(at: str, value: Any) -> str:
    """A host, or any address on it."""
    found = words(at, value).strip()
    if not host_of(found):
        raise Invalid(at, f"must be a domain such as www.example.com, not {found[:60]!r}")
    return found


def country(at: str, value: Any) -> str:
    """Two letters, as ISO 3166 has them."""
    found = words(at, value).strip().upper()
    if not (len(found) == 2 and found.isascii() and found.isalpha()):
        raise Invalid(at, f"must be two letters such as FR, not {found[:60]!r}")
    return found


def _all_digits(values: list[str]) -> bool:
    return all(value.isascii() and value.isdigit() for value in values)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


FIELDS: Mapping[str, Field] = {
    "visitor_source_id": Field(operated(digits, SET_OPERATORS, one_or_list), _is_text),
    "event": Field(event_name),
    "event_data": Field(read_event_data, declared_event_data),
    "url": Field(operated(words, URL_OPERATORS, list), lambda value: isinstance(value, list)),
    "event_source": Field(operated(one_of(tuple(events.PLATFORMS), str.lower), SET_OPERATORS)),
    "ingestion_source": Field(operated(one_of(tuple(events.SOURCES), str.lower), SET_OPERATORS)),
    "retention_days": Field(integer(1, LONGEST_DAYS)),
    "retention_minutes": Field(integer(1, LONGEST_DAYS * 1440)),
    "min_count": Field(integer(1, 100)),
    "min_value": Field(positive),
    "customer_list_id": Field(digits),
    "engagement_domain": Field(several(domain)),
    "engagement_type": Field(engagements, _is_text),
    "engager_type": Field(integer(1, 2)),
    "pin_id": Field(several(words), _all_digits),
    "campaign_id": Field(several(words), _all_digits),
    "ad_id": Field(several(words), _all_digits),
    "objective_type": Field(several(one_of(OBJECTIVES, str.upper))),
    "seed_id": Field(several(digits)),
    "country": Field(country),
    "percentage": Field(integer(1, 10)),
    "include_seed": Field(truth),
}

OF_LIST = frozenset({"customer_list_id"})
OF_SEED = frozenset({"seed_id", "country", "percentage", "include_seed"})
OF_ENGAGEMENT = frozenset(
    (
        "engagement_domain",
        "engagement_type",
        "engager_type",
        "pin_id",
        "campaign_id",
        "ad_id",
        "objective_type",
    )
)
