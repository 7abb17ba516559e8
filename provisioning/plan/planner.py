"""What would change in AWS to build an endpoint: item by item, before and after, and its digest.

An approval is bound to `Plan.digest`: the spec, every change, and the facts that the changes rely
on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from provisioning.facts.names import origin_id
from provisioning.facts.snapshot import Snapshot
from provisioning.plan.behaviors import behavior_items, origin_item
from provisioning.plan.ingress import ingress_items
from provisioning.plan.items import REUSE, PlanItem, Unplannable, binding
from provisioning.plan.path_ownership import PathRights, contests
from provisioning.plan.reliance import relies_on
from provisioning.plan.vpc_origin import vpc_origin_item
from provisioning.spec.digest import digest_of
from provisioning.spec.endpoint_spec import EndpointSpec


@dataclass(frozen=True)
class Plan:
    """The exact plan. `expected_seconds` is the sum over its steps on real AWS."""

    endpoint_key: str
    spec: EndpointSpec
    items: tuple[PlanItem, ...]
    relies_on: Mapping[str, Any]
    expected_seconds: int

    @property
    def digest(self) -> str:
        """SHA-256, hex, over everything an approver agrees to."""
        return digest_of(
            {
                "endpoint_key": self.endpoint_key,
                "spec": self.spec.to_dict(),
                "items": [binding(asdict(item)) for item in self.items],
                "relies_on": dict(self.relies_on),
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, with the digest."""
        return {
            "endpoint_key": self.endpoint_key,
            "spec": self.spec.to_dict(),
            "items": [asdict(item) for item in self.items],
            "relies_on": dict(self.relies_on),
            "expected_seconds": self.expected_seconds,
            "digest": self.digest,
        }


def make_plan(
    spec: EndpointSpec, snapshot: Snapshot, *, endpoint_key: str, owner: str, rights: PathRights
) -> Plan:
    """Compare spec and snapshot, and list the changes in the order in which they will be made.
    `rights` are those of the endpoint's team on the distribution. Raises Unplannable.
    """
    target, distribution = snapshot.target, snapshot.distribution
    if target is None:
        raise Unplannable.unseen(
            "target_unknown",
            f"The target was not found in this account.{_replaced_by(snapshot)}",
            snapshot.gap("target"),
        )
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
    vpc_origin = vpc_origin_item(spec, snapshot, owner)
    contested = contests(
        spec.path_patterns, distribution, rights, origin_id=origin_id(owner, endpoint_key)
    )
    items = (
        vpc_origin,
        *ingress_items(spec, target, owner),
        origin_item(spec, target, distribution, endpoint_key, owner),
        *behavior_items(
            spec,
            distribution,
            endpoint_key,
            owner,
            snapshot.behavior_quota,
            contested,
            rights,
            target.dns_name,
        ),
    )
    seconds = 20 + (0 if vpc_origin.action == REUSE else 540) + 300
    facts = relies_on(spec, target, distribution, snapshot, contested)
    return Plan(endpoint_key, spec, items, facts, seconds)


def _replaced_by(snapshot: Snapshot) -> str:
    if not snapshot.target_successor:
        return ""
    return (
        " A load balancer of the same name exists, so it was deleted and created again: request "
        f"{snapshot.target_successor}."
    )
