"""The settings of an endpoint, read back from a distribution's configuration (PURE): the inverse of
what `behaviors` and `vpc_origin` build.

An origin with a VPC origin and all behaviors that lead to it can become an endpoint, because that
is what an endpoint is. Where it cannot, the obstacle says why and what to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from provisioning.facts.distribution import Behavior, DistributionFacts, Origin
from provisioning.facts.forwarding import MANAGED_REQUEST_POLICIES, Forwarding
from provisioning.facts.guards import (
    CARRY_OVER,
    FUNCTIONS,
    KEY_GROUPS,
    REALTIME_LOGS,
    RESPONSE_HEADERS,
    carried_over,
)
from provisioning.facts.names import ALL_VIEWER, ALL_VIEWER_EXCEPT_HOST
from provisioning.plan.distribution_config import has_settings
from provisioning.spec.fields import MAX_PATHS, TARGET_ARN
from provisioning.spec.parsing import SpecError, complete_answers, parse_spec

Config = Mapping[str, Any]
NAME = "adopted"


@dataclass(frozen=True)
class Candidate:
    """An origin of a distribution with the behaviors that lead to it. `settings` are the answers
    that describe it, empty where `obstacle` says why it cannot become an endpoint. `held_by` is the
    endpoint that it already is.
    """

    origin_id: str
    domain_name: str
    path_patterns: tuple[str, ...]
    vpc_origin_id: str = ""
    target_arn: str = ""
    header_names: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    obstacle: str = ""
    held_by: str = ""

    @property
    def adoptable(self) -> bool:
        """Whether it can become an endpoint."""
        return not self.obstacle


def candidates(
    distribution: DistributionFacts,
    config: Config,
    vpc_origins: Mapping[str, Config],
    *,
    account_id: str,
    holders: Mapping[str, str],
    domain_names: Mapping[str, str],
    policies: Mapping[str, Forwarding],
) -> tuple[Candidate, ...]:
    """Every origin that behaviors lead to, in the order of the behaviors. `vpc_origins` are the
    VpcOriginEndpointConfig of those of the account, by ID; `holders` the names of the portal's
    endpoints, by the ID of their origin; `domain_names` the DNS names of targets, by ARN;
    `policies` the custom origin request policies, by ID.
    """
    found = []
    for origin_id in dict.fromkeys(one.target_origin_id for one in distribution.behaviors):
        origin = distribution.origin(origin_id)
        if origin is not None:
            found.append(
                _candidate(
                    origin,
                    distribution,
                    config,
                    vpc_origins.get(origin.vpc_origin_id),
                    account_id=account_id,
                    holder=holders.get(origin_id, ""),
                    domain_names=domain_names,
                    policies=policies,
                )
            )
    return tuple(found)


def _candidate(
    origin: Origin,
    distribution: DistributionFacts,
    config: Config,
    vpc_origin: Config | None,
    *,
    account_id: str,
    holder: str,
    domain_names: Mapping[str, str],
    policies: Mapping[str, Forwarding],
) -> Candidate:
    behaviors = [one for one in distribution.behaviors if one.target_origin_id == origin.id]
    target = str(vpc_origin["Arn"]) if vpc_origin else ""
    bare = Candidate(
        origin.id,
        origin.domain_name,
        tuple(one.path_pattern for one in behaviors),
        origin.vpc_origin_id,
        target,
        origin.header_names,
        held_by=holder,
    )
    obstacle = next(_obstacles(bare, origin, distribution, config, vpc_origin, account_id), "")
    if vpc_origin is None or obstacle:
        return _blocked(bare, obstacle)
    entry = next(one for one in _items(config, "Origins") if one["Id"] == origin.id)
    settings = settings_of(
        entry, behaviors, vpc_origin, domain_name=domain_names.get(target, ""), policies=policies
    ) | {
        "account_id": account_id,
        "distribution_id": str(distribution.id),
        "vpc_origin_id": origin.vpc_origin_id,
    }
    try:
        parse_spec(complete_answers(settings | {"name": NAME}))
    except SpecError as error:
        return _blocked(bare, " ".join(one.message for one in error.errors))
    return Candidate(
        bare.origin_id,
        bare.domain_name,
        bare.path_patterns,
        bare.vpc_origin_id,
        bare.target_arn,
        bare.header_names,
        settings,
    )


def _blocked(bare: Candidate, obstacle: str) -> Candidate:
    return Candidate(
        bare.origin_id,
        bare.domain_name,
        bare.path_patterns,
        bare.vpc_origin_id,
        bare.target_arn,
        bare.header_names,
        obstacle=obstacle,
        held_by=bare.held_by,
    )


def settings_of(
    origin: Config,
    behaviors: Sequence[Behavior],
    vpc_origin: Config,
    *,
    domain_name: str,
    policies: Mapping[str, Forwarding],
) -> dict[str, Any]:
    """The answers for which the portal would build this origin (of a DistributionConfig), these
    behaviors and this VpcOriginEndpointConfig; the nearest ones where it would build none of it.
    `domain_name` is the target's DNS name. Behaviors that differ are described by the first.
    """
    first, private = behaviors[0], origin["VpcOriginConfig"]
    shown = str(origin["DomainName"])
    return {
        "target_arn": str(vpc_origin["Arn"]),
        "path_patterns": [one.path_pattern for one in behaviors],
        "origin_id": str(origin["Id"]),
        "origin_protocol": vpc_origin["OriginProtocolPolicy"],
        "http_port": vpc_origin["HTTPPort"],
        "https_port": vpc_origin["HTTPSPort"],
        "forward_host": forwards_host(first.origin_request_policy_id, policies),
        "origin_domain": "" if _same_name(shown, domain_name) else shown,
        # Clients that may come without TLS today are sent to HTTPS, not refused.
        "viewer_protocol_policy": "https-only"
        if first.viewer_protocol_policy == "https-only"
        else "redirect-to-https",
        "allowed_methods": first.allowed_methods,
        "read_timeout": private.get("OriginReadTimeout", 30),
        "keepalive_timeout": private.get("OriginKeepaliveTimeout", 5),
        "carry_over": carried(first),
    }


def forwards_host(policy_id: str, policies: Mapping[str, Forwarding]) -> bool:
    """Whether an origin request policy passes on the viewer's Host header; False without one."""
    if policy_id in (ALL_VIEWER, ALL_VIEWER_EXCEPT_HOST):
        return policy_id == ALL_VIEWER
    policy = {**MANAGED_REQUEST_POLICIES, **policies}.get(policy_id)
    return policy is not None and policy.forwards("Host")


def carried(behavior: Behavior) -> list[str]:
    """The words of `carry_over` for what the behavior has."""
    members = {
        FUNCTIONS: ("FunctionAssociations", "LambdaFunctionAssociations"),
        KEY_GROUPS: ("TrustedKeyGroups", "TrustedSigners"),
        RESPONSE_HEADERS: ("ResponseHeadersPolicyId",),
        REALTIME_LOGS: ("RealtimeLogConfigArn",),
    }
    has = carried_over(behavior, CARRY_OVER)
    return [word for word in CARRY_OVER if has.keys() & set(members.get(word, ()))]


def as_in_aws(wanted: Config, present: Config) -> dict[str, Any]:
    """What the portal would build, with AWS's value wherever that is another one."""
    seen: dict[str, Any] = {}
    for name, value in wanted.items():
        now = present.get(name)
        if has_settings(now, value):
            seen[name] = value
        elif isinstance(value, Mapping) and isinstance(now, Mapping) and "Quantity" not in value:
            seen[name] = as_in_aws(value, now)
        else:
            seen[name] = "" if now is None else now
    return seen


def _obstacles(
    bare: Candidate,
    origin: Origin,
    distribution: DistributionFacts,
    config: Config,
    vpc_origin: Config | None,
    account_id: str,
) -> Iterator[str]:
    if bare.held_by:
        yield f"The portal has it already: it is endpoint {bare.held_by}."
    if not origin.vpc_origin_id:
        yield (
            f"It leads to {origin.domain_name}, not to a VPC origin. Request a new endpoint for "
            "the private target on another path."
        )
    elif origin.owner_account not in ("", account_id):
        yield (
            f"Its VPC origin belongs to account {origin.owner_account}. Only VPC origins of the "
            "distribution's own account can be adopted."
        )
    elif vpc_origin is None:
        yield (
            f"VPC origin {origin.vpc_origin_id} does not exist in account {account_id}. Point the "
            "behavior to one that does."
        )
    elif not TARGET_ARN.fullmatch(bare.target_arn):
        yield f"Its VPC origin leads to {bare.target_arn}, which is no load balancer or instance."
    if distribution.default_behavior.target_origin_id == origin.id:
        yield (
            "The default behavior leads to the same origin. Give these paths an origin of their "
            "own in the distribution first."
        )
    groups = [
        str(group["Id"])
        for group in _items(config, "OriginGroups")
        if any(one["OriginId"] == origin.id for one in _items(group, "Members"))
    ]
    if groups:
        yield f"Origin group {groups[0]} has the same origin. Take the origin out of it first."
    if len(bare.path_patterns) > MAX_PATHS:
        yield (
            f"{len(bare.path_patterns)} behaviors lead to this origin, and an endpoint has at most "
            f"{MAX_PATHS} paths. Give some of them an origin of their own first."
        )
    if origin.path:
        yield (
            f"The origin adds {origin.path} before every path, which an endpoint cannot. Let the "
            "app answer on the full path first."
        )
    for entry in _items(config, "CacheBehaviors"):
        if entry["TargetOriginId"] == origin.id and not entry.get("CachePolicyId"):
            yield (
                f"{entry['PathPattern']} has the legacy cache settings (ForwardedValues). Give it "
                "a cache policy and an origin request policy first."
            )
    if events := [
        one.event
        for behavior in distribution.behaviors
        if behavior.target_origin_id == origin.id
        for one in behavior.functions
        if one.event.startswith("origin-")
    ]:
        yield f"It has an {events[0]} function, which CloudFront runs for no VPC origin."


def _same_name(one: str, other: str) -> bool:
    return bool(other) and one.lower().rstrip(".") == other.lower().rstrip(".")


def _items(config: Config, name: str) -> list[Any]:
    return list((config.get(name) or {}).get("Items") or ())
