"""One frozen Settings from the environment; nothing else reads it.

A setting is one field: its name in capitals after `RETAG_` is the variable, with hyphens it is the option of
`retag serve`. `unknown` lists `RETAG_*` variables that are none: a misspelt limit is not silently off.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from retag import errors

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
PREFIX = "RETAG_"


def setting(default: Any, parse: Callable[[str], Any], about: str) -> Any:
    """A field with its default, how to read its text, and one line of help."""
    return field(default=default, metadata={"parse": parse, "help": about})


def switch(text: str) -> bool:
    """`on` or `off`."""
    if text.lower() not in SWITCH:
        raise ValueError("must be on or off")
    return SWITCH[text.lower()]


SWITCH = {
    "on": True,
    "true": True,
    "1": True,
    "yes": True,
    "off": False,
    "false": False,
    "0": False,
    "no": False,
}


def networks(text: str) -> tuple[Network, ...]:
    """Comma-separated addresses or CIDR blocks. All of the Internet is not a network of one's own."""
    found = tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    if any(network.prefixlen == 0 for network in found):
        raise ValueError("must name your own, not the whole Internet")
    return found


def database(text: str) -> str:
    """`sqlite:///relative/path` or `sqlite:////absolute/path`."""
    if not text.startswith("sqlite:///") or len(text) == len("sqlite:///"):
        raise ValueError("must be sqlite:///PATH, with a fourth slash before an absolute path")
    return text


def address(text: str) -> str:
    """An http or https origin, with an optional path, without a final slash; '' for none."""
    parts = urlsplit(text)
    if text and (
        parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[\s\"'<>\\?#]", text)
    ):
        raise ValueError("must be like https://shop.example/retag")
    return text.rstrip("/")


def path_name(text: str) -> str:
    """One segment of an address that is nobody else's; '' for none."""
    if text and (not PATH_NAME.fullmatch(text) or text in TAKEN):
        raise ValueError("must be one word of a-z, 0-9, _ and - that is no other path of Retag's, like goods")
    return text


PATH_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
TAKEN = frozenset(
    {
        *("t", "ct", "tag", "v3", "v5", "user", "shop", "console", "privacy", "exports"),
        *("metrics", "healthz", "readyz"),
    }
)


def buckets(text: str) -> tuple[str, ...]:
    """Comma-separated `s3://bucket` or `s3://bucket/prefix`."""
    found = tuple(part.strip().rstrip("/") for part in text.split(",") if part.strip())
    if not all(one.startswith("s3://") and one.removeprefix("s3://") for one in found):
        raise ValueError("must be like s3://bucket/prefix")
    return found


def between(least: int, most: int) -> Callable[[str], int]:
    """A whole number within bounds."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(text)

    return parse


def level(text: str) -> str:
    if text.lower() not in LEVELS:
        raise ValueError(f"must be one of {', '.join(LEVELS)}")
    return text.lower()


LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its default. Times are in the unit that the name ends with."""

    database: str = setting("sqlite:///retag-data/retag.db", database, "Where the data is: sqlite:///PATH.")
    host: str = setting("127.0.0.1", str, "Address to listen on; 0.0.0.0 for all.")
    port: int = setting(8000, between(0, 65535), "Port to listen on; 0 for any free one.")
    public_url: str = setting(
        "",
        address,
        "The address that shops reach this server by, for the script tag; '' to take the request's.",
    )
    path_name: str = setting(
        "",
        path_name,
        "A word of your own for the tag's paths: /WORD.js, /WORD/ and /WORD/HASH.js too.",
    )
    trusted_proxies: tuple[Network, ...] = setting(
        (),
        networks,
        "Proxies whose X-Forwarded-For and -Proto are believed: addresses or CIDR blocks, commas.",
    )
    rate_limits: bool = setting(True, switch, "Rate limits by address block, visitor and API key: on or off.")
    internal: tuple[Network, ...] = setting(
        (), networks, "Your own networks, whose visits do not count: addresses or CIDR blocks, commas."
    )
    countries: str = setting(
        "",
        str,
        "A file in MaxMind's format (retag[countries]) by which events know their country; '' for none.",
    )
    dnt: bool = setting(False, switch, "Whether `DNT: 1` opts out, as `Sec-GPC: 1` always does: on or off.")
    too_small: int = setting(100, between(0, 1_000_000), "An audience below this size has status TOO_SMALL.")
    queue: int = setting(20_000, between(1, 1_000_000), "Events that may wait for their commit; beyond: 503.")
    retention_days: int = setting(
        540, between(1, 3650), "Events older than this are deleted; rules cannot look further back."
    )
    min_free_mb: int = setting(200, between(0, 1_000_000), "Below this free disk space new events get 503.")
    max_lag_ms: int = setting(
        5_000, between(100, 600_000), "Older uncommitted or unfolded events turn /readyz red."
    )
    export_folder: str = setting(
        "", str, "The folder below which scheduled exports may be delivered; '' for no folders."
    )
    export_buckets: tuple[str, ...] = setting(
        (), buckets, "Buckets that scheduled exports may be delivered to: s3://bucket/prefix, commas."
    )
    webhook_networks: tuple[Network, ...] = setting(
        (),
        networks,
        "Networks that webhooks may go to although they are not public, and over http: CIDR blocks, commas.",
    )
    log_level: str = setting("info", level, "How much is logged: debug, info, warning or error.")

    @classmethod
    def load(cls, environ: Mapping[str, str], **overrides: Any) -> Settings:
        """From `RETAG_*` variables, then `overrides` that are not None (texts are parsed).

        errors.Invalid names the variable that is wrong, or the option that does not exist.
        """
        known = {each.name: each.metadata["parse"] for each in fields(cls)}
        given: dict[str, Any] = {
            name: environ[VARIABLES[name]] for name in known if VARIABLES[name] in environ
        }
        given |= {name: value for name, value in overrides.items() if value is not None}
        for name in given.keys() - known.keys():
            raise errors.Invalid(name, "is no setting: see `retag settings`")
        return cls(**{name: read(name, known[name], value) for name, value in given.items()})

    @property
    def path(self) -> str:
        """The database file."""
        return self.database.removeprefix("sqlite:///")

    @property
    def directory(self) -> Path:
        """The directory of the database file, where exports are kept too."""
        return self.file.parent

    @property
    def file(self) -> Path:
        """The database file, in full."""
        return Path(self.path).resolve()


def read(name: str, parse: Callable[[str], Any], value: Any) -> Any:
    """One value; errors.Invalid when it cannot be."""
    if not isinstance(value, str):
        return value
    try:
        return parse(value.strip())
    except ValueError as error:
        raise errors.Invalid(PREFIX + name.upper(), str(error)) from None


def shown(value: Any) -> str:
    """A value as one would write it in the environment."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def unknown(environ: Mapping[str, str]) -> list[str]:
    """`RETAG_*` variables that are no settings."""
    return sorted(name for name in environ if name.startswith(PREFIX) and name not in VARIABLES.values())


VARIABLES = {each.name: PREFIX + each.name.upper() for each in fields(Settings)}

FIELDS: tuple[tuple[str, str, str, str], ...] = tuple(
    (each.name, VARIABLES[each.name], shown(each.default), each.metadata["help"]) for each in fields(Settings)
)
"""(field, variable, default, help), in order: for `retag settings` and the documentation's tests."""
