"""Is the target ready, and does the distribution have room? Questions answered from one snapshot,
before approval.

PURE. It judges what AWS said (provisioning.facts.snapshot) against what is wished, as far as the wish goes,
so that a form can ask while it is being filled in. It never asks AWS, and never passes what it
could not see: a gap is `unknown`.
"""

from __future__ import annotations

from collections.abc import Iterable

from checks.preflight.distribution import DISTRIBUTION_CHECKS, distribution_exists, vpc_origin
from checks.preflight.permissions import permissions, service_role
from checks.preflight.results import TITLES, Fix, Level, PreflightResult, PreflightSubject
from checks.preflight.target import evaluate_target, target_exists
from provisioning.facts.snapshot import Snapshot

__all__ = ["TITLES", "Fix", "Level", "PreflightResult", "PreflightSubject", "blocks", "evaluate"]


def evaluate(subject: PreflightSubject, snapshot: Snapshot) -> tuple[PreflightResult, ...]:
    """1. The target, if one is named: that it is there, what it is, and whether CloudFront can
       reach it.
    2. The distribution, if one is named: that it is there, and whether the paths fit in.
    3. The account's VPC origins, its role for them, and what the portal's own role may do.
    Where the thing itself is missing or unknown, nothing is said about its parts.
    """
    results: list[PreflightResult] = []
    if subject.target_arn:
        results.append(target_exists(subject, snapshot))
        if snapshot.target is not None:
            results += evaluate_target(subject, snapshot.target, snapshot)
    if subject.distribution_id:
        results.append(distribution_exists(subject, snapshot))
        if snapshot.distribution is not None:
            for distribution_check in DISTRIBUTION_CHECKS:
                results += distribution_check(subject, snapshot.distribution, snapshot)
    if subject.target_arn:
        results += [
            question(subject, snapshot) for question in (vpc_origin, service_role, permissions)
        ]
    return tuple(results)


def blocks(results: Iterable[PreflightResult]) -> bool:
    """Whether something must be put right before the request can go on."""
    return any(result.level is Level.BLOCK for result in results)
