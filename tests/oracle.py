"""A brute-force reading of the rule language: every event looked at for every question, nothing remembered.

It shares no code with `retag.rules`: it reads the raw rule as a client would write it. An event is a dict of
name, time (ms), tag, source, platform, url and data; a list's history is a set of ids at the instant asked.
"""

from __future__ import annotations

from urllib.parse import urlsplit

DAY = 86_400_000
MINUTE = 60_000
ENGAGEMENTS = ["click", "comment", "save", "like", "closeup"]
ENGAGEMENT_FIELDS = {"engagement_domain", "engagement_type", "engager_type", "pin_id", "campaign_id", "ad_id"}
GROUPS = ("any", "all", "none")


def holds(kind, rule, events, at, lists=frozenset()):
    """Whether the rule holds at `at` for a visitor of these events who stands on these customer lists."""
    top = {k: v for k, v in rule.items() if k not in (*GROUPS, "prefill", "ad_account_id")}
    must = [clause_holds(clause, events, at, lists) for clause in rule.get("all", [])]
    if top or not (rule.get("any") or rule.get("all")):
        must.append(clause_holds(top, events, at, lists, kind=kind))
    some = [clause_holds(clause, events, at, lists) for clause in rule.get("any", [])]
    out = [clause_holds(clause, events, at, lists, ever=True) for clause in rule.get("none", [])]
    return all(must) and (not some or any(some)) and not any(out)


def since(kind, rule, events, at, lists=frozenset()):
    """Since when it has held without a break at `at`, where it holds: whoever is in comes and goes only when
    something happens, or when that has passed."""
    spans = {span(clause, ever) for clause, ever in spanning(rule)}
    turns = {e["time"] for e in events} | {e["time"] + one for e in events for one in spans}
    begin = at
    for turn in sorted((turn for turn in turns if turn <= at), reverse=True):
        if not holds(kind, rule, events, turn, lists):
            break
        begin = turn
    return begin


def spanning(rule):
    """Every clause, and whether it lasts for ever by default."""
    return [(rule, False), *((clause, group == "none") for group in GROUPS for clause in rule.get(group, []))]


def clause_holds(clause, events, at, lists, *, kind="VISITOR", ever=False):
    if "customer_list_id" in clause:
        return int(clause["customer_list_id"]) in lists
    found = [
        e for e in events if e["time"] <= at < e["time"] + span(clause, ever) and matches(clause, e, kind)
    ]
    worth = sum(max(0, e["data"].get("value", 0)) for e in found)
    return len(found) >= clause.get("min_count", 1) and round(worth, 6) >= clause.get("min_value", 0)


def span(clause, ever):
    if "retention_minutes" in clause:
        return clause["retention_minutes"] * MINUTE
    if "retention_days" in clause:
        return clause["retention_days"] * DAY
    return 10**15 if ever else 180 * DAY


def matches(clause, event, kind):
    engaging = kind == "ENGAGEMENT" or bool(ENGAGEMENT_FIELDS & clause.keys())
    address = (event["data"].get("link") or event["url"]) if engaging else event["url"]
    if "event" in clause and event["name"] != clause["event"].lower():
        return False
    if (
        "event" not in clause
        and engaging
        and event["name"] not in as_list(clause.get("engagement_type", ENGAGEMENTS))
    ):
        return False
    if "visitor_source_id" in clause and str(event["tag"]) not in as_list(clause["visitor_source_id"]):
        return False
    if "event_source" in clause:
        names = {1: "web", 2: "mobile", 3: "offline"}
        if names[event["platform"]] not in as_list(clause["event_source"]["="]):
            return False
    if "url" in clause and not satisfied(clause["url"], address):
        return False
    for name in ("pin_id", "campaign_id", "ad_id", "engager_type"):
        if name in clause and event["data"].get(name) not in as_list(clause[name]):
            return False
    if "engagement_domain" in clause:
        host = (urlsplit(address).hostname or "").removeprefix("www.")
        if not any(host == d or host.endswith("." + d) for d in clause["engagement_domain"]):
            return False
    for name, condition in clause.get("event_data", {}).items():
        if name == "line_items":
            if not all(some_item(event["data"], wanted) for wanted in as_list(condition)):
                return False
        elif not satisfied(condition, event["data"].get(name)):
            return False
    return True


def some_item(data, wanted):
    lines = list(data.get("line_items", []))
    if any(key.startswith("product_") for key in data):
        lines.append(data)
    return any(all(satisfied(c, line.get(name)) for name, c in wanted.items()) for line in lines)


def satisfied(condition, value):
    if not isinstance(condition, dict):
        condition = {"=": condition}
    return all(compare(operator, value, operand) for operator, operand in condition.items())


def compare(operator, value, operand):
    options = as_list(operand)
    if operator in ("=", "in"):
        return any(same(value, one) for one in options)
    if operator == "!=":
        return not any(same(value, one) for one in options)
    if operator == "contains":
        return value is not None and any(str(one) in str(value) for one in options)
    if operator == "not_contains":
        return not any(str(one) in str(value) for one in options)
    if operator == "starts_with":
        return any(str(value).startswith(one) for one in options)
    if value is None:
        return False
    bound = float(operand)
    return {">": value > bound, ">=": value >= bound, "<": value < bound, "<=": value <= bound}[operator]


def same(value, wanted):
    if isinstance(value, int | float):
        return float(wanted) == value
    return value == wanted


def as_list(value):
    return value if isinstance(value, list) else [value]
