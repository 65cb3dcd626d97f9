"""Conversion tags: create, list, get; and what Retag adds to one (domains, consent, …) by PATCH.

https://developers.pinterest.com/docs/api/v5/conversion_tags-create
"""

from __future__ import annotations

import re
import sqlite3
from typing import Annotated, Any

import msgspec

from retag import errors
from retag.store import registry, tags
from retag.web import tagfile
from retag.web.api.audiences import text
from retag.web.api.call import NAME_LIMIT, Call, Name, closed

AEM = ("aem_enabled", "aem_fnln_enabled", "aem_ph_enabled", "aem_ge_enabled", "aem_db_enabled",
       "aem_loc_enabled", "aem_external_id_enabled")  # fmt: skip
STATUSES = ("ACTIVE", "PAUSED", "ARCHIVED")
CONSENTS = ("required", "opt-out", "off")
SCHEME = re.compile(r"^https?://")
HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")


class TagCreate(msgspec.Struct):
    """The body of a creation. Enhanced-match switches are kept and echoed."""

    name: Name
    aem_enabled: bool | None = None
    aem_fnln_enabled: bool | None = None
    aem_ph_enabled: bool | None = None
    aem_ge_enabled: bool | None = None
    aem_db_enabled: bool | None = None
    aem_loc_enabled: bool | None = None
    aem_external_id_enabled: bool | None = None
    md_frequency: float | None = None


class Script(msgspec.Struct, omit_defaults=True):
    """What the tag's script does beside the calls; see snippet/README.md."""

    modules: list[Annotated[str, closed(*tagfile.MODULES)]] = []
    hash: bool = False
    title: bool = False
    google: bool = False
    vendor: int = 0


class TagUpdate(msgspec.Struct):
    """Retag's own: any of these. `domains` are the shop's hosts, each with those below it."""

    name: Name | None = None
    status: Annotated[str, closed("ACTIVE", "PAUSED", "ARCHIVED")] | None = None
    domains: list[str] | None = None
    consent: Annotated[str, closed("required", "opt-out", "off")] | None = None
    params: list[str] | None = None
    script: Script | None = None
    personalise: bool | None = None
    pin_clicks: bool | None = None


class TagView(msgspec.Struct, omit_defaults=True):
    """What an answer shows; absent when null, as Pinterest answers."""

    ad_account_id: str
    id: str
    name: str
    status: str
    code_snippet: str
    configs: dict[str, Any]
    version: str = ""
    last_fired_time_ms: int | None = None
    enhanced_match_status: str | None = None
    retag: dict[str, Any] = {}


class TagPage(msgspec.Struct):
    """All tags: this list has no bookmark."""

    items: list[TagView]


async def index(call: Call) -> TagPage:
    """The account's tags, oldest first."""
    without = call.flag("filter_deleted")
    rows = await call.state.reader.all(f"{tags.SELECT} WHERE account = ? ORDER BY id", (call.account,))
    found = [tags.decode(row) for row in rows]
    return TagPage([view(call, tag) for tag in found if not (without and tag.status == "ARCHIVED")])


async def get(call: Call) -> TagView:
    """One tag."""
    return view(call, await find(call, call.id("conversion_tag_id")))


async def create(call: Call) -> TagView:
    """A new tag, ACTIVE at once, without domains: it takes events from any origin until it has some."""
    wanted = call.json(TagCreate)
    name = text("name", wanted.name, NAME_LIMIT)
    given = {key: value for key, value in msgspec.structs.asdict(wanted).items() if value is not None}
    config = {"configs": {key: value for key, value in given.items() if key != "name"}}
    tag_id = await call.state.journal.write(lambda cn: tags.create(cn, call.account, name, config, call.now))
    await refresh(call)
    return view(call, await find(call, tag_id))


async def update(call: Call) -> TagView:
    """Rename, pause or archive a tag, or set its domains, consent or query parameters."""
    known = await find(call, call.id("conversion_tag_id"))
    wanted = call.json(TagUpdate)
    name = known.name if wanted.name is None else text("name", wanted.name, NAME_LIMIT)
    status = one_of("status", wanted.status or known.status, STATUSES)
    config = known.config | _config(wanted)

    def write(cn: sqlite3.Connection) -> None:
        tags.update(cn, known.id, call.now, name=name, status=status, config=config)

    await call.state.journal.write(write)
    await refresh(call)
    return view(call, await find(call, known.id))


def _config(wanted: TagUpdate) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if wanted.domains is not None:
        config["domains"] = [host("domains", domain) for domain in wanted.domains]
    if wanted.consent is not None:
        config["consent"] = one_of("consent", wanted.consent, CONSENTS)
    for name in ("personalise", "pin_clicks"):
        if getattr(wanted, name) is not None:
            config[name] = getattr(wanted, name)
    if wanted.script is not None:
        for name in wanted.script.modules:
            one_of("script.modules", name, tagfile.MODULES)
        config["script"] = msgspec.to_builtins(wanted.script)
    if wanted.params is not None:
        config["params"] = [text("params", name, 100) for name in wanted.params]
    return config


def one_of(field: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise errors.Invalid(field, f"must be one of {', '.join(allowed)}, not {value[:40]!r}")
    return value


def host(field: str, value: str) -> str:
    """A host name, which stands for the hosts below it too: no scheme, no port, no path, no `*.`."""
    lower = SCHEME.sub("", value.strip().lower()).rstrip("/").removeprefix("*.")
    if len(lower) > 253 or not HOST.fullmatch(lower):
        raise errors.Invalid(field, f"holds {value[:60]!r}; give host names such as shop.example")
    return lower


async def refresh(call: Call) -> None:
    """Let the door know at once; other processes see it when they start."""
    call.state.door.tags = registry.door_tags(await call.state.reader.all(tags.SELECT))
    await call.state.tag_file.keep(call.state)


async def find(call: Call, tag_id: int) -> tags.Row:
    """The account's tag, or NotFound."""
    row = await call.state.reader.one(f"{tags.SELECT} WHERE account = ? AND id = ?", (call.account, tag_id))
    if row is None:
        raise errors.NotFound("Conversion tag not found. GET …/conversion_tags lists the ones there are.")
    return tags.decode(row)


def view(call: Call, tag: tags.Row) -> TagView:
    """A tag as an answer shows it."""
    configs = dict.fromkeys(AEM, False) | {"md_frequency": 1} | tag.config.get("configs", {})
    return TagView(
        ad_account_id=str(tag.account),
        id=str(tag.id),
        name=tag.name,
        status=tag.status,
        code_snippet=snippet(origin(call), tag.id, word=call.state.settings.path_name),
        configs=configs,
        version="3",
        last_fired_time_ms=tag.last_fired,
        retag={key: value for key, value in tag.config.items() if key != "configs"},
    )


def origin(call: Call) -> str:
    """Where browsers reach this server: as configured, else as this request did."""
    return call.state.settings.public_url or str(call.request.base_url).rstrip("/")


def snippet(server: str, tag_id: int, version: tagfile.Version | None = None, word: str = "") -> str:
    """Pinterest's base code with this server's addresses, and its noscript pixel; one `version` for good.

    `word` is RETAG_PATH_NAME.
    """
    code = BASE_CODE
    if version is not None:
        names = f't.integrity="{version.integrity}",t.crossOrigin="anonymous",t.src=e;'
        code = code.replace("t.src=e;", names).replace("/tag.js", version.path(word))
    if word:
        code = code.replace("/tag.js", f"/{word}.js").replace("/v3/", f"/{word}/")
    return code.replace("SERVER", server).replace("TAG_ID", str(tag_id))


BASE_CODE = """<script type="text/javascript">
!function(e){if(!window.pintrk){window.pintrk=function(){window.pintrk.queue.push(\
Array.prototype.slice.call(arguments))};var n=window.pintrk;n.queue=[],n.version="3.0";\
var t=document.createElement("script");t.async=!0,t.src=e;\
var r=document.getElementsByTagName("script")[0];r.parentNode.insertBefore(t,r)}}("SERVER/tag.js");
pintrk('load', 'TAG_ID');
pintrk('page');
</script>
<noscript><img height="1" width="1" style="display:none;" alt="" \
src="SERVER/v3/?tid=TAG_ID&noscript=1"/></noscript>"""
