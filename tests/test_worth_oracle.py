"""Who was a member at a past instant, as lift recomputes it, against brute force over what was known then."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beds import ACCOUNT, Bed
from oracle import MINUTE, holds
from retag.errors import Conflict
from retag.store import worth
from test_fold_oracle import counts, emptied, row
from test_rules_oracle import exhaustive, histories, typed_rules


@pytest.fixture(scope="module")
def bed():
    with tempfile.TemporaryDirectory() as folder:
        yield Bed(Path(folder) / "oracle.db")


@exhaustive
@given(typed_rules, histories, st.integers(0, 130))
def test_members_then_are_whom_brute_force_names(bed, typed, history, minute):
    """Whatever the rule, and whenever the events came: those received and done by then, and no others.

    Who was on a list is told by nothing that happened, so that is a conflict.
    """
    kind, raw = typed
    emptied(bed)
    at, known, seen = minute * MINUTE, [], False
    arrivals = sorted(((one["time"] + late * MINUTE, one) for one, late in history), key=lambda pair: pair[0])
    for number, (received, one) in enumerate(arrivals):
        bed.take(row(one, number, received), now=received)
        if counts(one) and received <= at:
            known.append(one)
            seen = seen or one["time"] <= at
    question = worth.Question(ACCOUNT, (worth.Asked(kind, raw),), "nothing", at, at + 1)
    if "customer_list_id" in json.dumps(raw):
        with pytest.raises(Conflict, match="list or a model"):
            worth.answer(str(bed.path), question)
        return
    (found,) = worth.answer(str(bed.path), question)
    assert found.members.size == (seen and holds(kind, raw, known, at))
