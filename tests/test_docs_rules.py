"""The documentation of rules runs: every example parses, every field, group and operator is named."""

import json
import pathlib
import re

import pytest

from retag.rules import parse
from retag.rules.fields import FIELDS
from retag.rules.language import GROUPS, OUTSIDE
from retag.rules.operators import FIELD_OPERATORS, URL_OPERATORS

PAGE = (pathlib.Path(__file__).parents[1] / "docs" / "audiences.md").read_text()
EXAMPLES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: next(iter(one["rule"])))
def test_examples_are_rules(example):
    """A reader may copy any of them."""
    parse(example["audience_type"], example["rule"])


def test_there_are_examples_of_every_kind():
    """Each type of audience is shown."""
    assert {one["audience_type"] for one in EXAMPLES} == {"VISITOR", "ENGAGEMENT", "ACTALIKE"}
    assert any("customer_list_id" in str(one) for one in EXAMPLES)


@pytest.mark.parametrize("name", [*FIELDS, *GROUPS, *OUTSIDE, *FIELD_OPERATORS, *URL_OPERATORS])
def test_everything_is_named(name):
    """No field or operator without a word about it."""
    assert f"`{name}`" in PAGE
