"""Template filters that format values for people: times, durations, states."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from checks.models import Check, PrivacyAudit, Probe
from portal.requests.event_line import event_line
from portal.requests.lifecycle import State
from portal.requests.plan_diff import KNOWN_VALUES, LABELS
from provisioning.drift.comparison import TITLES
from provisioning.facts.quota_use import TITLES as QUOTA_TITLES
from provisioning.spec.app_kinds import APP_KINDS

register = template.Library()
register.filter("event_line", event_line)
LONG_SECONDS = 15
"""After which people wonder whether a running task was lost."""

TONES = {
    State.PLANNING: "busy",
    State.BLOCKED: "bad",
    State.AWAITING_APPROVAL: "warn",
    State.PROVISIONING: "busy",
    State.VERIFYING: "busy",
    State.LIVE: "good",
    State.UNANSWERED: "bad",
    State.FAILING: "bad",
    State.FAILED: "bad",
    State.STUCK: "bad",
    State.QUARANTINED: "bad",
    State.OUT_OF_SERVICE: "warn",
    State.RESTORED: "",
    State.REMOVED: "",
    State.SUPERSEDED: "",
    State.CLOSED: "bad",
    State.REJECTED: "",
    State.CANCELLED: "",
}


@register.filter
def tone(state: str) -> str:
    """The stylesheet's class for a request's state."""
    return TONES[State(state)]


@register.filter
def duration(seconds: float | None) -> str:
    """`75` → “1 min 15 s”. Nothing for None."""
    if seconds is None:
        return ""
    if seconds < 0.95:
        return "under 1 s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} days"


@register.filter
def since(moment: datetime | None) -> SafeString | str:
    """“3 min ago”, with the exact time in UTC as a tooltip and for machines."""
    if moment is None:
        return ""
    seconds = (timezone.now() - moment).total_seconds()
    if seconds < 5:
        words = "just now"
    elif seconds < 86_400 * 14:
        words = f"{_roughly(seconds)} ago"
    else:
        words = moment.strftime("%-d %B %Y")
    return _time(moment, words, "since")


@register.filter
def quota_title(resource: str) -> str:
    """The quota's name."""
    return QUOTA_TITLES[resource]


@register.filter
def freed(resources: dict[str, int]) -> str:
    """`{"behaviors": 2, "origins": 1}` → “2 behaviors, 1 origin”."""
    named = {key: title[0].lower() + title[1:] for key, title in QUOTA_TITLES.items()}
    named["vpc-origins"] = QUOTA_TITLES["vpc-origins"]
    said = (
        f"{number} {named[key] if number > 1 else named[key].removesuffix('s')}"
        for key, number in resources.items()
    )
    return ", ".join(said) or "nothing"


@register.filter
def value_of(names: dict[str, str], key: str) -> str:
    """The name of a key, or the key itself."""
    return names.get(key, key)


@register.filter
def drift_title(resource: str) -> str:
    """The kind of resource that a finding of drift is about."""
    return TITLES[resource]


@register.filter
def setting_label(setting: str) -> str:
    """`VpcOriginConfig.OriginReadTimeout` → “Response timeout (seconds)”."""
    return LABELS.get(setting.replace(".", " "), setting)


@register.filter
def known_value(value: str) -> str:
    """What one of AWS's managed policies does, instead of its ID."""
    return KNOWN_VALUES.get(value, value)


@register.filter
def lasting(since: datetime | None) -> SafeString | str:
    """“for 3 min”, with the exact beginning in UTC as a tooltip and for machines."""
    if since is None:
        return ""
    return _time(
        since, f"for {_roughly(max(1.0, (timezone.now() - since).total_seconds()))}", "lasting"
    )


def _time(moment: datetime, words: str, kind: str) -> SafeString:
    """portal.js keeps the words true while the page is open."""
    return format_html(
        '<time datetime="{}" data-relative="{}" title="{}">{}</time>',
        moment.isoformat(),
        kind,
        moment.strftime("%-d %B %Y, %H:%M:%S UTC"),
        words,
    )


@register.filter
def until(moment: datetime) -> SafeString:
    """“in 12 days”, with the exact time."""
    seconds = (moment - timezone.now()).total_seconds()
    words = f"in {_roughly(seconds)}" if seconds > 0 else "now"
    return _time(moment, words, "until")


@register.filter
def retry_notice(row: Check | Probe | PrivacyAudit) -> SafeString | str:
    """For a task that has been running for long: when another worker retries it, should its own
    have died.
    """
    now = timezone.now()
    if (
        row.lease_until is None
        or row.lease_until <= now
        or (now - row.requested_at).total_seconds() < LONG_SECONDS
    ):
        return ""
    return format_html("If the worker has died, another retries {}.", until(row.lease_until))


@register.filter
def every(minutes: int) -> str:
    """How often, in the largest unit that fits: “every day”, “every 2 hours”, “every 15
    minutes”.
    """
    units = (("day", 1440), ("hour", 60), ("minute", 1))
    unit, size = next((unit, size) for unit, size in units if minutes % size == 0)
    return f"every {unit}" if minutes == size else f"every {minutes // size} {unit}s"


@register.filter
def milliseconds(value: float | None) -> str:
    """Two digits where they matter: “0.42 ms”, “17 ms”."""
    if value is None:
        return "–"
    return (
        f"{value:.2f} ms" if value < 1 else f"{value:.1f} ms" if value < 10 else f"{value:.0f} ms"
    )


@register.filter
def plainly(value: Any) -> str:
    """A setting's value for people: yes and no, lists with commas, “none” for nothing."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == "" or value == [] or value == ():
        return "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(plainly, value))
    if isinstance(value, dict):
        return json.dumps(value, sort_keys=True)
    return str(value)


@register.filter
def app_kind_title(key: str) -> str:
    """The name of a kind of app, as forms list it."""
    return APP_KINDS[key].title if key in APP_KINDS else key


@register.filter
def spaced(name: str) -> str:
    """`target_security_groups` → “target security groups”."""
    return name.replace("_", " ").replace("-", " ")


def _roughly(seconds: float) -> str:
    for unit, size in (("day", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if unit == 'day' and count > 1 else ''}"
    return f"{int(seconds)} s"


LEVELS = {
    "pass": ("Passed", "good"),
    "fixable": ("In the plan", "busy"),
    "warn": ("Warning", "warn"),
    "unknown": ("Unknown", "warn"),
    "block": ("Blocking", "bad"),
}


@register.filter
def level_title(level: str) -> str:
    """A preflight level for people."""
    return LEVELS[level][0]


@register.filter
def level_tone(level: str) -> str:
    """The stylesheet's class for a preflight level."""
    return LEVELS[level][1]


LEVEL_GROUPS = (
    ("block", "Fix these first"),
    ("fixable", "Fixed by this plan"),
    ("unknown", "Could not be checked"),
    ("warn", "Check these"),
    ("pass", "Passed"),
)


@register.filter
def count_level(results: Any, level: str) -> int:
    """How many preflight results, objects or their stored dicts, have this level."""
    return sum(
        (one["level"] if isinstance(one, dict) else one.level) == level for one in results or ()
    )


@register.filter
def by_level(results: Any) -> list[dict[str, Any]]:
    """Preflight results, objects or their stored dicts, in groups with the worst level first; only
    those that passed are folded.
    """
    groups = []
    for level, title in LEVEL_GROUPS:
        found = [
            one
            for one in results or ()
            if (one["level"] if isinstance(one, dict) else one.level) == level
        ]
        if found:
            groups.append(
                {"level": level, "title": title, "results": found, "open": level != "pass"}
            )
    return groups


@register.filter
def amendment_offer(result: Any) -> dict[str, Any] | None:
    """The amendment that a preflight result, an object or its stored dict, suggests: its label, and
    its changes as JSON.
    """
    if isinstance(result, dict):
        found = result.get("amendment")
    else:
        found = result.amendment.to_dict() if result.amendment else None
    return {"label": found["label"], "changes": json.dumps(found["changes"])} if found else None


AUDITS = {
    "pass": ("Private", "Passed", "good"),
    "accepted": ("Private with exceptions", "Accepted", "warn"),
    "fail": ("Exposed", "Failed", "bad"),
    "unknown": ("Unknown", "Unknown", "warn"),
}


@register.filter
def audit_title(outcome: str) -> str:
    """The outcome of a privacy audit."""
    return AUDITS[outcome][0]


@register.filter
def answer_title(outcome: str) -> str:
    """The outcome of one question of a privacy audit."""
    return AUDITS[outcome][1]


@register.filter
def audit_tone(outcome: str) -> str:
    """The stylesheet's class for either."""
    return AUDITS[outcome][2]


@register.filter
def indented(value: Any) -> str:
    """JSON, indented for people."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)


STEPS = {
    "todo": "to do",
    "doing": "in progress",
    "waiting": "waiting for AWS",
    "done": "done",
    "failed": "failed",
    "undoing": "rolling back",
    "undone": "rolled back",
}


@register.filter
def step_title(state: str) -> str:
    """A step's state for people."""
    return STEPS.get(state, state)


@register.filter
def arn_name(arn: str) -> str:
    """The part of a load balancer's or instance's ARN that people know it by."""
    parts = arn.rsplit(":", 1)[-1].split("/")
    return parts[2] if len(parts) > 3 else parts[-1]


TOOLS = {"wscat": "wscat", "websocat": "websocat", "python": "Python", "curl": "curl"}


@register.filter
def tool_name(tool: str) -> str:
    """How the name of a command-line client is written."""
    return TOOLS.get(tool, tool)
