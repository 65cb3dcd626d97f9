"""Act-alikes: those who act most like a seed, judged by what they did and never by who they are.

    activity.py  what visitors did, as a sparse table of counts
    views.py     four ways of looking at the table
    model.py     fit on a seed, score everybody
    quality.py   how well it finds seed members whom it has not seen, and which features weigh most

`features` needs nothing; the rest needs the optional extra `retag[actalike]` and is imported by `load`.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from retag.errors import RetagError


class ExtraMissing(RetagError):
    """The numerics for act-alikes are not installed."""

    status = 501


def require() -> None:
    """Raise `ExtraMissing` unless the extra is installed, without loading it."""
    missing = [name for name in ("numpy", "scipy", "sklearn", "lightgbm") if find_spec(name) is None]
    if missing:
        raise ExtraMissing(
            f"Act-alike audiences need {', '.join(missing)}: run pip install 'retag[actalike]' and restart."
        )


def load(name: str) -> ModuleType:
    """The module `retag.likeness.<name>`; raises `ExtraMissing` with the command that installs the extra."""
    try:
        return import_module(f"retag.likeness.{name}")
    except (ImportError, OSError) as error:  # OSError: LightGBM without libgomp
        raise ExtraMissing(
            f"Act-alike audiences need the optional extra: run pip install 'retag[actalike]' ({error})."
        ) from error
