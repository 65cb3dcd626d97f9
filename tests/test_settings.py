"""Settings: one frozen object, from variables and options, each refusal naming the variable."""

from __future__ import annotations

import dataclasses

import pytest

from retag.errors import Invalid
from retag.settings import FIELDS, Settings, unknown


def test_the_defaults_serve_on_this_machine() -> None:
    """Nobody is reached, and nothing trusted, before one says so."""
    settings = Settings.load({})
    assert (settings.host, settings.port, settings.trusted_proxies, settings.rate_limits) == (
        "127.0.0.1", 8000, (), True,
    )  # fmt: skip


def test_an_option_wins_over_a_variable() -> None:
    """And an option that was not given is no option."""
    environ = {"RETAG_PORT": "9000", "RETAG_HOST": "::1"}
    settings = Settings.load(environ, port="9001", host=None)
    assert (settings.port, settings.host) == (9001, "::1")


def test_nothing_can_be_changed_afterwards() -> None:
    """One object, the same for everybody."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings.load({}).port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("RETAG_PORT", "eighty"),
        ("RETAG_PORT", "70000"),
        ("RETAG_RATE_LIMITS", "maybe"),
        ("RETAG_PATH_NAME", "v5"),
        ("RETAG_PATH_NAME", "../x"),
        ("RETAG_TRUSTED_PROXIES", "*"),
        ("RETAG_TRUSTED_PROXIES", "0.0.0.0/0"),
        ("RETAG_DATABASE", "postgres://x"),
        ("RETAG_DATABASE", "sqlite:///"),
        ("RETAG_PUBLIC_URL", "shop.example"),
        ("RETAG_LOG_LEVEL", "loud"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_variable(variable: str, value: str) -> None:
    """Who starts the server reads which one and what it must be."""
    with pytest.raises(Invalid, match=f"{variable}: must|{variable}: '"):
        Settings.load({variable: value})


def test_a_misspelt_variable_is_named() -> None:
    """It sets nothing, so somebody must be told."""
    assert unknown({"RETAG_RATE_LIMIT": "off", "RETAG_PORT": "1", "PATH": ""}) == ["RETAG_RATE_LIMIT"]


def test_every_setting_has_help_and_a_default_that_can_be_read_back() -> None:
    """The table that `retag settings` prints can be pasted into an environment."""
    assert Settings.load({variable: default for _, variable, default, _ in FIELDS}) == Settings.load({})
    assert all(about.endswith(".") for *_, about in FIELDS)


def test_paths_are_relative_or_absolute() -> None:
    """Three slashes and a path: a fourth makes it absolute."""
    assert Settings.load({}, database="sqlite:///here/a.db").path == "here/a.db"
    assert Settings.load({}, database="sqlite:////there/a.db").path == "/there/a.db"
