"""A plan item as lines to read: what is there today, what will be there (PURE).

It only words what the plan holds; settings that are switched off or empty are counted, not listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provisioning.facts.names import ALL_VIEWER, ALL_VIEWER_EXCEPT_HOST, CACHING_DISABLED
from provisioning.facts.step_times import RunTime, StepTime, time_of_run
from provisioning.plan.adoption import Unusual
from provisioning.plan.plan import ACCEPT, CHANGE
from provisioning.spec.fields import FIELDS, NAME

ACTIONS = {
    "create": ("Create", "busy"),
    "update": ("Change", "busy"),
    "delete": ("Delete", "warn"),
    "reuse": ("Reuse", ""),
    "keep": ("Keep", ""),
    "accept": ("Accept", ""),
}
CHANGING = ("create", "update", "delete", "accept")
LABELS = {
    "Name": "Name",
    "Id": "ID",
    "Arn": "Target",
    "HTTPPort": "HTTP port",
    "HTTPSPort": "HTTPS port",
    "OriginProtocolPolicy": "Protocol to the target",
    "OriginSslProtocols": "TLS versions to the target",
    "DomainName": "Domain name",
    "CustomHeaders": "Custom headers",
    "CustomHeadersFrom": "Values of the custom headers as in origin",
    "ConnectionAttempts": "Connection attempts",
    "ConnectionTimeout": "Connection timeout (seconds)",
    "VpcOriginConfig OriginReadTimeout": "Response timeout (seconds)",
    "VpcOriginConfig OriginKeepaliveTimeout": "Keep-alive timeout (seconds)",
    "VpcOriginConfig VpcOriginId": "VPC origin",
    "VpcOriginName": "VPC origin",
    "PathPattern": "Matching behavior",
    "TargetOriginId": "Origin",
    "ViewerProtocolPolicy": "Viewer protocol policy",
    "AllowedMethods": "Allowed HTTP methods",
    "AllowedMethods CachedMethods": "Cached HTTP methods",
    "CachePolicyId": "Cache policy",
    "OriginRequestPolicyId": "Origin request policy",
    "FunctionAssociations": "Functions",
    "LambdaFunctionAssociations": "Lambda@Edge functions",
    "TrustedKeyGroups Enabled": "Requires signed URLs or cookies",
    "TrustedKeyGroups": "Key groups",
    "TrustedSigners Enabled": "Requires signed URLs or cookies",
    "TrustedSigners": "Trusted signers",
    "ResponseHeadersPolicyId": "Response headers policy",
    "RealtimeLogConfigArn": "Real-time log configuration",
    "GroupId": "Security group",
    "IpProtocol": "Protocol",
    "Port": "Port",
    "Source": "Allowed source",
    "Description": "Description",
}
_ORDER = list(LABELS)
KNOWN_VALUES = {
    str(CACHING_DISABLED): "nothing is cached (CachingDisabled)",
    str(ALL_VIEWER): "every header, cookie and query string (AllViewer)",
    str(ALL_VIEWER_EXCEPT_HOST): "everything but Host (AllViewerExceptHostHeader)",
}


@dataclass(frozen=True)
class DiffLine:
    """One setting; an empty `before` did not exist, an empty `after` goes away. `stays` if what was
    before is another resource, which is not changed: the behavior that has answered the path.
    """

    label: str
    before: str
    after: str
    stays: bool = False

    @property
    def changes(self) -> bool:
        """Whether the two differ."""
        return self.before != self.after


@dataclass(frozen=True)
class Item:
    """One AWS resource of the plan, ready to show."""

    title: str
    word: str
    tone: str
    note: str
    shared: bool
    changes: bool
    lines: tuple[DiffLine, ...]
    left_out: int


@dataclass(frozen=True)
class PlanView:
    """The plan as a page shows it."""

    items: tuple[Item, ...]
    creates: int
    updates: int
    deletes: int
    accepts: int
    unchanged: int
    time: RunTime
    grace_seconds: float

    @property
    def expected_seconds(self) -> float:
        """What the run usually takes."""
        return self.time.typical_seconds


def plan_view(plan: Mapping[str, Any], *, pace: float) -> PlanView:
    """The stored plan (provisioning.plan.planner.Plan.to_dict), with the time that its run usually
    takes, in real seconds; without one, what AWS documents, divided by `pace`.
    """
    items = tuple(_item(item) for item in plan.get("items", ()))
    actions = [item["action"] for item in plan.get("items", ())]
    documented = StepTime(plan.get("expected_seconds", 0) / pace)
    return PlanView(
        items,
        actions.count("create"),
        actions.count("update"),
        actions.count("delete"),
        actions.count("accept"),
        sum(not item.changes for item in items),
        RunTime(**plan["time"]) if "time" in plan else time_of_run([documented]),
        plan.get("grace_seconds", 0),
    )


def settings_changed(plan: Mapping[str, Any]) -> tuple[DiffLine, ...]:
    """The endpoint's settings that a change (the stored plan) gives another value, in the order of
    the form.
    """
    if plan.get("action") not in (CHANGE, ACCEPT):
        return ()
    before, after = plan["applied"]["spec"], plan["spec"]
    return tuple(
        DiffLine(row.label, _words(before.get(row.name)), _words(after.get(row.name)))
        for row in FIELDS
        if row.in_spec and row is not NAME and before.get(row.name) != after.get(row.name)
    )


def unusual_lines(found: Iterable[Unusual]) -> tuple[DiffLine, ...]:
    """What an adopted endpoint has, and what the portal would build: as `before` and `after`."""
    lines = []
    for one in found:
        seen = dict(_flat({one.name: one.seen}))
        usual = dict(_flat({one.name: one.usual}))
        lines += [
            DiffLine(
                f"{one.subject}: {LABELS.get(name, name)}",
                _words(seen.get(name)) or "none",
                _words(usual.get(name)) or "none",
            )
            for name in sorted({*seen, *usual})
            if seen.get(name) != usual.get(name)
        ]
    return tuple(lines)


def _item(item: Mapping[str, Any]) -> Item:
    word, tone = ACTIONS.get(item["action"], (item["action"], ""))
    changes = item["action"] in CHANGING
    before = dict(_flat(item["before"] or {})) if changes else {}
    stays = "answered_by" in before
    after = dict(_flat(item["after"] or ({} if changes else item["before"] or {})))
    if stays:
        before["PathPattern"] = before.pop("answered_by")
    lines = []
    left_out = 0
    for key in sorted({*before, *after}, key=_place):
        was, becomes = _words(before.get(key)), _words(after.get(key))
        if not was and not becomes:
            left_out += 1
        else:
            lines.append(
                DiffLine(LABELS.get(key, key), was if changes else becomes, becomes, stays)
            )
    return Item(
        item["title"],
        word,
        tone,
        item.get("note", ""),
        bool(item.get("shared")),
        changes,
        tuple(lines),
        left_out,
    )


def _place(key: str) -> tuple[int, str]:
    """Stored plans have no order of their own."""
    return (_ORDER.index(key) if key in LABELS else len(_ORDER), key)


def _flat(value: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings under one key each; CloudFront's Quantity/Items pairs become their items."""
    for key, inner in value.items():
        if key == "Quantity":
            continue
        name = path if key == "Items" else f"{path} {key}".strip()
        if isinstance(inner, Mapping):
            yield from _flat(inner, name) if set(inner) - {"Quantity"} else ((name, None),)
        else:
            yield name, inner


def _words(value: Any) -> str:
    if value in (None, "", False, ()) or value == []:
        return ""
    if isinstance(value, Mapping) and "ValueFingerprint" in value:
        return f"{value['HeaderName']} (value {value['ValueFingerprint'][:8]}…)"
    if isinstance(value, Mapping):
        return " ".join(str(one) for _, one in sorted(value.items()) if not isinstance(one, bool))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(_words, value))
    return KNOWN_VALUES.get(str(value), "yes" if value is True else str(value))
