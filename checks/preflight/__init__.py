"""Is the target ready, and does the distribution have room? Questions answered from one snapshot,
before approval (PURE).

What AWS said (provisioning.facts.snapshot) is evaluated against the request as far as it is filled
in, so that a form can ask early. What could not be read is `unknown`, never passed. To add a
question: a function, a row in its table below, a title in `results`, a row in docs/preflight.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from checks.preflight.adopted import settings as adopted_settings
from checks.preflight.certificates import origin_certificate, other_owners, viewer_certificate
from checks.preflight.distribution import (
    bare_paths,
    behavior_room,
    broad_paths,
    checked_path,
    distribution_exists,
    endpoint_name,
    other_origins,
    path_owners,
    paths,
    staging,
    unknown_settings,
    vpc_origin,
)
from checks.preflight.exposure import acls, ipv6, other_routes, public_addresses
from checks.preflight.guards import guards, web_acl
from checks.preflight.listener_rules import default_action, listener_rules, required_headers
from checks.preflight.network import (
    block_public_access,
    gateway,
    group_managers,
    group_room,
    ingress,
    other_sources,
    public_ingress,
    subnets,
)
from checks.preflight.permissions import permissions, service_role
from checks.preflight.results import (
    EXPOSED_BY,
    PRIVACY,
    TITLES,
    Fix,
    Level,
    PreflightResult,
    PreflightSubject,
)
from checks.preflight.target import (
    idle,
    ip_type,
    kind,
    listener,
    scheme,
    security_group,
    state,
    target_exists,
    tls_listener,
)
from checks.preflight.target_groups import attributes, group_fit, health, stickiness
from provisioning.facts.distribution import DistributionFacts
from provisioning.facts.exposures import Exposure, exposures
from provisioning.facts.snapshot import Snapshot
from provisioning.facts.target import TargetFacts

__all__ = [
    "PRIVACY",
    "TITLES",
    "Fix",
    "Level",
    "PreflightResult",
    "PreflightSubject",
    "blocks",
    "evaluate",
]

TargetQuestion = Callable[[PreflightSubject, TargetFacts, Snapshot], Iterator[PreflightResult]]
TARGET_QUESTIONS: tuple[TargetQuestion, ...] = (
    state,
    scheme,
    security_group,
    tls_listener,
    listener,
    default_action,
    listener_rules,
    required_headers,
    origin_certificate,
    ip_type,
    ipv6,
    gateway,
    block_public_access,
    subnets,
    acls,
    ingress,
    group_room,
    group_managers,
    public_ingress,
    other_sources,
    public_addresses,
    other_routes,
    health,
    group_fit,
    stickiness,
    attributes,
    idle,
)
DistributionQuestion = Callable[
    [PreflightSubject, DistributionFacts, Snapshot], Iterator[PreflightResult]
]
DISTRIBUTION_QUESTIONS: tuple[DistributionQuestion, ...] = (
    staging,
    unknown_settings,
    paths,
    checked_path,
    path_owners,
    broad_paths,
    bare_paths,
    guards,
    web_acl,
    other_origins,
    behavior_room,
    viewer_certificate,
    other_owners,
    adopted_settings,
)
ACCOUNT_QUESTIONS = (vpc_origin, service_role, permissions)


def evaluate(subject: PreflightSubject, snapshot: Snapshot) -> tuple[PreflightResult, ...]:
    """1. The endpoint's name, where it is known whether it is free.
    2. The target, if one is named: whether it exists, and everything about it; of a kind that
       CloudFront cannot use, only that.
    3. The distribution, if one is named: whether it exists, and whether the paths fit in.
    4. The account's VPC origins, its role for them, and the permissions of the portal's role.
    """
    results = list(endpoint_name(subject))
    target, distribution = snapshot.target, snapshot.distribution
    if subject.target_arn:
        results.append(target_exists(subject, snapshot))
        if target is not None:
            results.append(supported := kind(target))
            if supported.level is not Level.BLOCK:
                for question in TARGET_QUESTIONS:
                    results += question(subject, target, snapshot)
    if subject.distribution_id:
        results.append(distribution_exists(subject, snapshot))
        if distribution is not None:
            for distribution_question in DISTRIBUTION_QUESTIONS:
                results += distribution_question(subject, distribution, snapshot)
    if subject.target_arn:
        results += [account_question(subject, snapshot) for account_question in ACCOUNT_QUESTIONS]
    found = exposures(target, subject.origin_ports) if target else ()
    return tuple(_exposing(result, found) for result in results)


def _exposing(result: PreflightResult, found: Sequence[Exposure]) -> PreflightResult:
    kind = EXPOSED_BY.get(result.code)
    if kind is None or result.level is not Level.WARN:
        return result
    return replace(result, exposes=tuple(one.what for one in found if one.kind is kind))


def blocks(results: Iterable[PreflightResult]) -> bool:
    """Whether something must be fixed before the request can be approved."""
    return any(result.level is Level.BLOCK for result in results)
