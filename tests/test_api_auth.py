"""API keys over HTTP: bearer or Basic, one constant answer to a wrong one, scopes and accounts apart."""

import base64

import pytest

from retag.web.api import auth


def basic(text):
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("Bearer rtk_a", "rtk_a"),
        ("bearer   rtk_a ", "rtk_a"),
        (basic("any:rtk_a"), "rtk_a"),
        (basic("rtk_a:"), "rtk_a"),
        (basic("rtk_a"), "rtk_a"),
        ("Basic !!!", ""),
        ("Basic w6k6", ""),
        ("Digest rtk_a", ""),
        ("", ""),
        ("Bearer", ""),
        ("Bearer " + "x" * 500, "x" * 200),
    ],
)
def test_key_is_read_from_either_scheme(header, key):
    """curl -u and the SDK's bearer both work; anything else is no key."""
    assert auth.presented(header) == key
