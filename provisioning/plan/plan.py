"""A plan: what would change in AWS, item by item, before and after, and its digest (PURE).

An approval is bound to `Plan.digest`: the action, the spec, every change, and the facts that the
changes rely on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from provisioning.facts.distribution import DistributionFacts
from provisioning.facts.snapshot import Snapshot
from provisioning.plan.items import PlanItem, Unplannable, binding
from provisioning.spec.digest import digest_of
from provisioning.spec.endpoint_spec import EndpointSpec

CREATE, CHANGE, REMOVE = "create", "change", "remove"
ACCEPT = "accept"
"""To accept a change made in AWS: the plan follows AWS, and its run writes nothing."""
ADOPT = "adopt"
"""To take over an endpoint that exists already: its run writes nothing either."""
FROM_AWS = (ACCEPT, ADOPT)
"""The actions whose settings are what AWS has: none is derived, and none is built."""
BUILDING = (CREATE, CHANGE, ACCEPT, ADOPT)
"""The actions whose plan says what an endpoint is made of."""


@dataclass(frozen=True)
class Plan:
    """The exact plan. `expected_seconds` is the sum over its steps on real AWS.

    `applied` is the plan (its dict) that the endpoint was built or last changed by: what a change
    or a removal starts from, and what its undo restores. `grace_seconds` is how long a removed
    endpoint can be restored.
    """

    endpoint_key: str
    spec: EndpointSpec
    items: tuple[PlanItem, ...]
    relies_on: Mapping[str, Any]
    expected_seconds: int
    action: str = CREATE
    applied: Mapping[str, Any] | None = None
    grace_seconds: int = 0

    @cached_property
    def item_dicts(self) -> list[dict[str, Any]]:
        """The items, JSON-ready."""
        return [dict(vars(item)) for item in self.items]

    @cached_property
    def digest(self) -> str:
        """SHA-256, hex, over everything an approver agrees to."""
        return digest_of(
            {
                "action": self.action,
                "endpoint_key": self.endpoint_key,
                "spec": self.spec.to_dict(),
                "items": [binding(item) for item in self.item_dicts],
                "relies_on": dict(self.relies_on),
                "applied": self.applied["digest"] if self.applied else "",
                "grace_seconds": self.grace_seconds,
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, with the digest. `applied` is kept without what it started from itself."""
        applied = dict(self.applied) | {"applied": None} if self.applied else None
        return {
            "action": self.action,
            "endpoint_key": self.endpoint_key,
            "spec": self.spec.to_dict(),
            "items": self.item_dicts,
            "relies_on": dict(self.relies_on),
            "expected_seconds": self.expected_seconds,
            "applied": applied,
            "grace_seconds": self.grace_seconds,
            "digest": self.digest,
        }


def writable_distribution(snapshot: Snapshot) -> DistributionFacts:
    """The snapshot's distribution. Raises Unplannable where it is not known, or has settings that a
    write would lose.
    """
    distribution = snapshot.distribution
    if distribution is None:
        raise Unplannable.unseen(
            "distribution_unknown",
            "The distribution was not found in this account.",
            snapshot.gap("distribution"),
        )
    if distribution.unknown_elements:
        raise Unplannable(
            "distribution_too_new",
            "The distribution has settings that this version of the portal does not know and would "
            f"delete: {', '.join(distribution.unknown_elements)}. Update the portal's boto3.",
        )
    return distribution
