"""Load balancers, listeners, rules, certificates and target groups, as in `/_lab/state` (PURE)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Mapping[str, Any]

HEALTHY = "healthy"
DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class ListenerAction:
    """What a listener does with a request: forward, redirect, send a fixed response, or
    authenticate.

    `weights` match `target_group_arns` one to one; empty means equal weights. With
    `sticky_seconds` a client stays on the target group it was first sent to. `login_url` is where
    an authenticate action redirects.
    """

    type: str
    target_group_arns: tuple[str, ...] = ()
    weights: tuple[int, ...] = ()
    sticky_seconds: int = 0
    on_unauthenticated: str = "authenticate"
    login_url: str = ""
    status_code: int = 0
    content_type: str = ""
    message_body: str = ""
    redirect_protocol: str = "#{protocol}"
    redirect_port: str = "#{port}"
    redirect_host: str = "#{host}"
    redirect_path: str = "/#{path}"
    redirect_query: str = "#{query}"


@dataclass(frozen=True, slots=True)
class RuleCondition:
    """One condition of a listener rule; it holds if any of `values` matches.

    `name` is the header of an http-header condition. A query-string condition has `pairs` of key
    and value instead; the key "" matches any key.
    """

    field: str
    values: tuple[str, ...]
    name: str = ""
    pairs: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ListenerRule:
    """One listener rule; all conditions must hold."""

    priority: int
    conditions: tuple[RuleCondition, ...]
    actions: tuple[ListenerAction, ...]


@dataclass(frozen=True, slots=True)
class Listener:
    """One listener of a load balancer. `rules` are sorted by priority; the first of `certificates`
    is the default.
    """

    arn: str
    port: int
    protocol: str
    default_actions: tuple[ListenerAction, ...]
    rules: tuple[ListenerRule, ...]
    attributes: Mapping[str, str]
    certificates: tuple[str, ...] = ()
    ssl_policy: str = ""

    @property
    def terminates_tls(self) -> bool:
        return self.protocol in ("HTTPS", "TLS")


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
    account: str = ""
    region: str = ""
    subnets: tuple[str, ...] = ()

    @property
    def internet_facing(self) -> bool:
        return self.scheme == "internet-facing"

    @property
    def label(self) -> str:
        """Its name for people: `ALB int-chat`."""
        return f"{'NLB' if self.type == 'network' else 'ALB'} {self.name}"


@dataclass(frozen=True, slots=True)
class Target:
    """One registered target: an address (or instance id), a port and its health."""

    id: str
    port: int
    health: str


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A target group's health check settings. Times are AWS's seconds; `port` 0 is the traffic
    port.
    """

    protocol: str
    path: str
    port: int
    interval: float
    timeout: float
    healthy_threshold: int
    unhealthy_threshold: int
    codes: str


@dataclass(frozen=True, slots=True)
class TargetGroup:
    """A target group and its registered targets. `health_check` is None when it is off."""

    arn: str
    protocol: str
    targets: tuple[Target, ...]
    name: str = ""
    protocol_version: str = ""
    target_type: str = "ip"
    vpc_id: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    health_check: HealthCheck | None = None

    @property
    def speaks_tls(self) -> bool:
        """Whether the load balancer speaks TLS to the targets. It does not verify certificates."""
        return self.protocol in ("HTTPS", "TLS")


@dataclass(frozen=True, slots=True)
class Certificate:
    """A listener's certificate. An imported one has PEM; one that ACM issued has only names."""

    arn: str
    names: tuple[str, ...]
    chain: str = ""
    key: str = ""


def target_key(group: TargetGroup, target: Target) -> str:
    """A key that identifies one registered target."""
    return f"{group.arn} {target.id}:{target.port}"


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
                certificates=tuple(item.get("certificates") or ()),
                ssl_policy=item.get("ssl_policy") or "",
            )
            for item in entry.get("listeners") or []
            # A Gateway Load Balancer's listener has no port, so nothing can connect to it.
            if item.get("port")
        ),
        account=entry.get("account") or "",
        region=entry.get("region") or "",
        subnets=tuple(entry.get("subnets") or ()),
    )


def _rule(entry: Json) -> ListenerRule:
    return ListenerRule(
        priority=int(entry["priority"]),
        conditions=tuple(_condition(item) for item in entry.get("conditions") or []),
        actions=_actions(entry.get("actions") or []),
    )


def _condition(item: Json) -> RuleCondition:
    values = item.get("values") or ()
    return RuleCondition(
        field=item.get("field") or "",
        values=tuple(value for value in values if isinstance(value, str)),
        name=(item.get("name") or "").lower(),
        pairs=tuple(
            (v.get("Key") or "", v.get("Value") or "") for v in values if isinstance(v, Mapping)
        ),
    )


def _actions(entries: Iterable[Json]) -> tuple[ListenerAction, ...]:
    return tuple(_action(entry) for entry in entries)


def _action(entry: Json) -> ListenerAction:
    kind = str(entry["type"])
    if kind == "forward":
        weighted = [
            (str(group["target_group_arn"]), int(group.get("weight", 1)))
            for group in entry.get("target_groups") or []
        ]
        if not weighted and entry.get("target_group_arn"):
            weighted = [(entry["target_group_arn"], 1)]
        return ListenerAction(
            kind,
            target_group_arns=tuple(arn for arn, weight in weighted if arn and weight),
            weights=tuple(weight for arn, weight in weighted if arn and weight),
            sticky_seconds=int(entry.get("sticky_seconds") or 0),
        )
    if kind.startswith("authenticate-"):
        return ListenerAction(
            kind,
            on_unauthenticated=entry.get("on_unauthenticated") or "authenticate",
            login_url=entry.get("login_url") or "",
        )
    if kind == "redirect":
        return ListenerAction(
            kind,
            status_code=301 if "301" in str(entry.get("status_code")) else 302,
            redirect_protocol=entry.get("protocol") or "#{protocol}",
            redirect_port=entry.get("port") or "#{port}",
            redirect_host=entry.get("host") or "#{host}",
            redirect_path=entry.get("path") or "/#{path}",
            redirect_query=entry.get("query") or "#{query}",
        )
    if kind == "fixed-response":
        return ListenerAction(
            kind,
            status_code=int(entry.get("status_code") or 200),
            content_type=entry.get("content_type") or "text/plain",
            message_body=entry.get("message_body") or "",
        )
    return ListenerAction(kind)


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
        name=entry.get("name") or "",
        protocol_version=entry.get("protocol_version") or "",
        target_type=entry.get("target_type") or "ip",
        vpc_id=entry.get("vpc_id") or "",
        attributes={name: str(value) for name, value in (entry.get("attributes") or {}).items()},
        health_check=_health_check(entry["health_check"]) if entry.get("health_check") else None,
    )


def _health_check(entry: Json) -> HealthCheck:
    port = str(entry.get("port") or "")
    return HealthCheck(
        protocol=entry.get("protocol") or "HTTP",
        path=entry.get("path") or "/",
        port=int(port) if port.isdecimal() else 0,
        interval=float(entry["interval"]),
        timeout=float(entry["timeout"]),
        healthy_threshold=int(entry["healthy_threshold"]),
        unhealthy_threshold=int(entry["unhealthy_threshold"]),
        codes=entry.get("codes") or "200",
    )


def parse_certificate(arn: str, entry: Json) -> Certificate:
    """One entry of `certificates`."""
    return Certificate(
        arn, tuple(entry.get("names") or ()), entry.get("chain") or "", entry.get("key") or ""
    )
