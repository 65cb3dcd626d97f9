"""Rate limits: fixed windows of a minute, in Pinterest's headers, and bounded."""

import pytest

from retag import errors
from retag.web.api import limits

NOON = 1_795_478_400_000


def test_headers_are_in_the_form_that_clients_parse():
    """Limit, window and name; what remains; the seconds until it is whole again."""
    found = limits.Limits().spend("ads_read", "key", NOON + 1_500).headers()
    assert found == {
        "x-ratelimit-limit": '1000, 1000;w=60;name="ads_read"',
        "x-ratelimit-remaining": "999",
        "x-ratelimit-reset": "59",
    }


def test_one_too_many_is_refused_until_the_minute_turns():
    """The last allowed call passes, the next says when to come back."""
    table = limits.Limits({"ads_read": 2})
    for _ in range(2):
        limits.check(table.spend("ads_read", "key", NOON))
    with pytest.raises(errors.RateLimited, match="60 s") as refused:
        limits.check(table.spend("ads_read", "key", NOON))
    assert refused.value.headers() == {"retry-after": "60"}
    limits.check(table.spend("ads_read", "key", NOON + limits.MINUTE))


def test_keys_and_categories_are_counted_apart():
    """One busy client does not spend another's allowance."""
    table = limits.Limits({"ads_read": 1, "ads_write": 1})
    for category, who in (("ads_read", "a"), ("ads_read", "b"), ("ads_write", "a")):
        limits.check(table.spend(category, who, NOON))


def test_table_is_bounded():
    """A flood of names costs no memory; names that came first are still counted."""
    table = limits.Limits({"failures": 1})
    for number in range(limits.BOUND + 100):
        table.spend("failures", str(number), NOON)
    assert len(table._spent) == limits.BOUND
    assert table.spend("failures", "0", NOON).remaining == -1
