"""retag settings."""

from __future__ import annotations

import argparse
import os

from retag.settings import FIELDS, Settings, shown, unknown

ABOUT = """Show every setting: its variable, its value now, its default, what it does.

An option of `retag serve` wins over the variable, the variable over the default."""


def options(parser: argparse.ArgumentParser) -> None:
    """None."""


def run(args: argparse.Namespace) -> int:
    settings = Settings.load(os.environ)
    for name, variable, default, about in FIELDS:
        value = shown(getattr(settings, name))
        print(
            f"{variable}={value}" + (f"  (default {default})" if value != default else "") + f"\n    {about}"
        )
    for variable in unknown(os.environ):
        print(f"{variable} is set, and is no setting")
    return 0
