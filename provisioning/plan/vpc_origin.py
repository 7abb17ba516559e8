"""The plan's VPC origin: created for the first endpoint on a target, shared by the others."""

from __future__ import annotations

from typing import Any

from provisioning.facts import names
from provisioning.facts.snapshot import Snapshot
from provisioning.plan.items import CREATE, REUSE, PlanItem, Unplannable
from provisioning.spec.endpoint_spec import EndpointSpec


def desired_vpc_origin(spec: EndpointSpec, owner: str) -> dict[str, Any]:
    """VpcOriginEndpointConfig as CreateVpcOrigin takes it."""
    return {
        "Name": names.vpc_origin_name(owner, spec.vpc_origin_key),
        "Arn": spec.target_arn,
        "HTTPPort": spec.http_port,
        "HTTPSPort": spec.https_port,
        "OriginProtocolPolicy": spec.origin_protocol,
        "OriginSslProtocols": {"Quantity": 1, "Items": ["TLSv1.2"]},
    }


def vpc_origin_item(spec: EndpointSpec, snapshot: Snapshot, owner: str) -> PlanItem:
    """Raises Unplannable if the account's VPC origins are not known, one of the same name is not
    ours, or the quota is reached.
    """
    name = spec.vpc_origin_name(owner)
    gap = snapshot.gap("vpc_origins")
    if gap:
        raise Unplannable.unseen(
            "vpc_origins_unknown", "The account's VPC origins could not be listed.", gap
        )
    if spec.vpc_origin_id:
        return _adopted_item(spec, snapshot)
    existing = next((origin for origin in snapshot.vpc_origins if origin.name == name), None)
    # The name is derived from the target, so one that leads elsewhere is an imitation.
    if existing and (existing.ours is False or existing.target_arn != spec.target_arn):
        raise Unplannable(
            "vpc_origin_foreign",
            f"A VPC origin named {name} already exists ({existing.id}), but its tag or its target "
            "is not the portal's. The portal will not change it. Rename or delete it.",
        )
    if existing is None and len(snapshot.vpc_origins) >= snapshot.vpc_origin_quota:
        raise Unplannable(
            "vpc_origin_quota",
            f"The account has {len(snapshot.vpc_origins)} of {snapshot.vpc_origin_quota} VPC "
            "origins. Delete an unused one, or request a higher quota from AWS.",
        )
    title, after = f"VPC origin {name}", desired_vpc_origin(spec, owner)
    if existing:
        note = f"{existing.id} already leads to this target, so there is no wait."
        return PlanItem("vpc-origin", REUSE, title, {"Id": existing.id}, after, note, shared=True)
    note = "This step takes AWS the longest."
    return PlanItem("vpc-origin", CREATE, title, None, after, note, shared=True)


def _adopted_item(spec: EndpointSpec, snapshot: Snapshot) -> PlanItem:
    """One that was there before the portal is used as it is, and never created again."""
    existing = next((one for one in snapshot.vpc_origins if one.id == spec.vpc_origin_id), None)
    if existing is None:
        raise Unplannable(
            "vpc_origin_gone",
            f"VPC origin {spec.vpc_origin_id}, which was adopted, does not exist any more. With "
            "another target, port or protocol the portal creates one of its own.",
        )
    after = {
        "Name": existing.name,
        "Arn": spec.target_arn,
        "HTTPPort": spec.http_port,
        "HTTPSPort": spec.https_port,
        "OriginProtocolPolicy": spec.origin_protocol,
    }
    note = "It was there before the portal, and stays as it is."
    title = f"VPC origin {existing.id}"
    return PlanItem("vpc-origin", REUSE, title, {"Id": existing.id}, after, note, shared=True)
