"""AWS WAF web ACLs, as in `/_lab/state` (PURE)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

Json = Mapping[str, Any]
IpNetwork = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class WebAclRule:
    """One rule: its statement, as in AWS WAF's API, and the action if it matches. A rule that
    references a rule group has no action of its own: `counts_group` says whether it overrides the
    group's with Count.
    """

    name: str
    priority: int
    action: str
    status: int
    statement: Json
    counts_group: bool = False


@dataclass(frozen=True, slots=True)
class WebAcl:
    """A web ACL, with the IP sets and regex pattern sets that its rules reference."""

    arn: str
    default_action: str
    default_status: int
    rules: tuple[WebAclRule, ...]
    ip_sets: Mapping[str, tuple[IpNetwork, ...]] = field(default_factory=dict)
    pattern_sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def parse_web_acl(arn: str, entry: Json, sets: Json) -> WebAcl:
    """One entry of `web_acls`; `sets` holds `ip_sets` and `pattern_sets` by ARN."""
    default, default_status = _action(entry.get("default_action") or {"Allow": {}})
    rules = [rule for item in entry.get("rules") or () if (rule := _rule(item)) is not None]
    return WebAcl(
        arn=arn,
        default_action=default,
        default_status=default_status,
        rules=tuple(sorted(rules, key=lambda rule: rule.priority)),
        ip_sets={
            id: tuple(_networks(addresses)) for id, addresses in (sets.get("ip_sets") or {}).items()
        },
        pattern_sets={
            id: tuple(patterns) for id, patterns in (sets.get("pattern_sets") or {}).items()
        },
    )


def _rule(item: Json) -> WebAclRule | None:
    """One rule; None if it is malformed, so that it does not take the others with it."""
    try:
        action, status = _action(item.get("action") or {})
        return WebAclRule(
            str(item["name"]),
            int(item["priority"]),
            action,
            status,
            dict(item.get("statement") or {}),
            "Count" in (item.get("override_action") or {}),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _action(given: Json) -> tuple[str, int]:
    """`{"Block": {"CustomResponse": {"ResponseCode": 429}}}` → ("Block", 429).

    A rule that references a rule group has an override instead of an action.
    """
    name = next(iter(given), "Count")
    custom = ((given.get(name) or {}).get("CustomResponse") or {}).get("ResponseCode")
    return name, int(custom or 403)


def _networks(addresses: Iterable[str]) -> Iterable[IpNetwork]:
    for address in addresses:
        try:
            yield ip_network(address, strict=False)
        except ValueError:
            continue
