"""Slots and waits: arithmetic on milliseconds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from retag.slots import DAY, HOUR, MINUTE, backoff, next_slot

TIMES = st.integers(0, 4 * 10**12)


@given(TIMES, st.integers(5, 44_640).map(lambda minutes: minutes * MINUTE), TIMES)
def test_next_slot_is_the_first_after_now(starts, every, now):
    """A whole number of steps from the start, in the future, and none is left out."""
    slot = next_slot(starts, every, now)
    assert slot > now
    assert (slot - starts) % every == 0
    assert slot >= starts
    assert slot == starts or slot - every <= now


def test_days_that_were_missed_are_one_run():
    """The next is on time again."""
    assert next_slot(3 * HOUR, DAY, 5 * DAY + 4 * HOUR) == 6 * DAY + 3 * HOUR


@given(st.integers(1, 1_000), st.floats(0, 1))
def test_waits_double_up_to_a_bound(failures, chance):
    """And chance takes half of it at most."""
    whole = min(MINUTE * 2 ** (failures - 1), HOUR)
    assert whole // 2 <= backoff(failures, MINUTE, HOUR, chance) <= whole
