"""What the edge knows of the accounts' networks: typed facts of load balancers, targets and security groups (PURE).

It decides how their wire form in `/_lab/state` is read. It must never do I/O or fill in a fact that AWS would not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Action:
    """What a listener does with a request: forward to a target group, redirect, or answer by itself."""

    type: str
    target_group_arns: tuple[str, ...] = ()
    status_code: int = 0
    content_type: str = ""
    message_body: str = ""
    redirect_protocol: str = "#{protocol}"
    redirect_port: str = "#{port}"
    redirect_host: str = "#{host}"
    redirect_path: str = "/#{path}"
    redirect_query: str = "#{query}"


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a listener rule; any of `values` satisfies it."""

    field: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """One listener rule; all conditions must hold."""

    priority: int
    conditions: tuple[Condition, ...]
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class Listener:
    """One listener of a load balancer. `rules` are in order of priority."""

    arn: str
    port: int
    protocol: str
    default_actions: tuple[Action, ...]
    rules: tuple[Rule, ...]
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LoadBalancer:
    """A load balancer with its listeners."""

    arn: str
    name: str
    dns_name: str
    type: str
    scheme: str
    state: str
    vpc_id: str
    security_groups: tuple[str, ...]
    attributes: Mapping[str, str]
    listeners: tuple[Listener, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """One registered target: an address (or instance id), a port and its health."""

    id: str
    port: int
    health: str


@dataclass(frozen=True, slots=True)
class TargetGroup:
    """A target group and its registered targets."""

    arn: str
    protocol: str
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class IngressRule:
    """One inbound permission of a security group; ports are None when every port is meant."""

    protocol: str
    from_port: int | None
    to_port: int | None
    cidrs: tuple[str, ...]
    groups: tuple[str, ...]
    prefix_lists: tuple[str, ...]


def parse_load_balancer(entry: Json) -> LoadBalancer:
    """One entry of `load_balancers`."""
    return LoadBalancer(
        arn=entry["arn"],
        name=entry["name"],
        dns_name=entry["dns_name"].lower(),
        type=entry["type"],
        scheme=entry["scheme"],
        state=entry["state"],
        vpc_id=entry["vpc_id"],
        security_groups=tuple(entry.get("security_groups") or ()),
        attributes=dict(entry.get("attributes") or {}),
        listeners=tuple(
            Listener(
                arn=item["arn"],
                port=int(item["port"]),
                protocol=item["protocol"],
                default_actions=_actions(item.get("default_actions") or []),
                rules=tuple(
                    sorted(
                        (_rule(rule) for rule in item.get("rules") or []),
                        key=lambda rule: rule.priority,
                    )
                ),
                attributes=dict(item.get("attributes") or {}),
            )
            for item in entry.get("listeners") or []
            # A Gateway Load Balancer's listener has no port; nothing can connect to it.
            if item.get("port")
        ),
    )


def _rule(entry: Json) -> Rule:
    return Rule(
        priority=int(entry["priority"]),
        conditions=tuple(
            Condition(field=item.get("field") or "", values=tuple(item.get("values") or ()))
            for item in entry.get("conditions") or []
        ),
        actions=_actions(entry.get("actions") or []),
    )


def _actions(entries: Iterable[Json]) -> tuple[Action, ...]:
    return tuple(_action(entry) for entry in entries)


def _action(entry: Json) -> Action:
    kind = str(entry["type"])
    if kind == "forward":
        weighted = [group["target_group_arn"] for group in entry.get("target_groups") or [] if group.get("weight", 1)]
        return Action(kind, target_group_arns=tuple(filter(None, weighted or [entry.get("target_group_arn")])))
    if kind == "redirect":
        return Action(
            kind,
            status_code=301 if "301" in str(entry.get("status_code")) else 302,
            redirect_protocol=entry.get("protocol") or "#{protocol}",
            redirect_port=entry.get("port") or "#{port}",
            redirect_host=entry.get("host") or "#{host}",
            redirect_path=entry.get("path") or "/#{path}",
            redirect_query=entry.get("query") or "#{query}",
        )
    if kind == "fixed-response":
        return Action(
            kind,
            status_code=int(entry.get("status_code") or 200),
            content_type=entry.get("content_type") or "text/plain",
            message_body=entry.get("message_body") or "",
        )
    return Action(kind)


def parse_target_group(entry: Json) -> TargetGroup:
    """One entry of `target_groups`."""
    return TargetGroup(
        arn=entry["arn"],
        protocol=entry.get("protocol") or "",
        targets=tuple(
            Target(
                id=item["id"],
                port=int(item.get("port") or entry.get("port") or 0),
                health=item.get("health", "healthy"),
            )
            for item in entry.get("targets") or []
        ),
    )


def parse_ingress_rule(entry: Json) -> IngressRule:
    """One inbound rule of an entry of `security_groups`."""
    from_port, to_port = entry.get("from_port"), entry.get("to_port")
    return IngressRule(
        protocol=str(entry.get("protocol", "-1")),
        from_port=None if from_port is None else int(from_port),
        to_port=None if to_port is None else int(to_port),
        cidrs=tuple(entry.get("cidrs") or ()),
        groups=tuple(entry.get("groups") or ()),
        prefix_lists=tuple(entry.get("prefix_lists") or ()),
    )
