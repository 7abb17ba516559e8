"""What CloudFront creates in a customer's VPC: a security group, network interfaces, a
service-linked role.

They come with a VPC's first VPC origin; group and interfaces go with the last. Both changes are
journaled, since later security group rules contain the group's id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends

from lab.aws.moto_patches import VPC_ORIGIN_PRINCIPAL, VPC_ORIGIN_ROLE

SERVICE_GROUP_NAME = "CloudFront-VPCOrigins-Service-SG"
SERVICE_TAG = ("aws.cloudfront.vpcorigin", "enabled")

JsonObject: TypeAlias = dict[str, Any]
ATTACH = "attach-service-network"
DETACH = "detach-service-network"


@dataclass(frozen=True)
class Place:
    """A subnet in which CloudFront needs an interface; `served` if it has one already."""

    subnet: str
    zone_id: str
    free_addresses: int
    served: bool


def places_of(account: str, region: str, subnets: Iterable[str]) -> tuple[Place, ...]:
    """The subnets of a target, with their zones and free addresses."""
    backend: Any = ec2_backends[account][region]
    known = {subnet.id: subnet for zone in backend.subnets.values() for subnet in zone.values()}
    found = []
    for subnet in (known[subnet_id] for subnet_id in subnets if subnet_id in known):
        served = any(
            interface.subnet.id == subnet.id for interface in _interfaces(backend, subnet.vpc_id)
        )
        found.append(
            Place(subnet.id, subnet.availability_zone_id, subnet.available_ip_address_count, served)
        )
    return tuple(found)


def _attach(arguments: JsonObject) -> JsonObject:
    """Create what is missing; arguments: account, region, vpc, subnets."""
    account, region, vpc = arguments["account"], arguments["region"], arguments["vpc"]
    roles = iam_backends[account]["aws"]
    if not any(role.name == VPC_ORIGIN_ROLE for role in roles.get_roles()):
        roles.create_service_linked_role(VPC_ORIGIN_PRINCIPAL, "", "")
    backend: Any = ec2_backends[account][region]
    tags = dict([SERVICE_TAG])
    group = _service_group(backend, vpc)
    if group is None:
        group = backend.create_security_group(
            SERVICE_GROUP_NAME,
            "CloudFront VPC Origins service security group",
            vpc_id=vpc,
            tags=tags,
        )
    served = {eni.subnet.id for eni in _interfaces(backend, vpc)}
    for subnet in arguments["subnets"]:
        if subnet in served:
            continue
        interface = backend.create_network_interface(
            subnet,
            [],
            group_ids=[group.id],
            description="CloudFront VPC Origins managed network interface",
            tags=tags,
        )
        interface.requester_managed = True
        interface.interface_type = "cloudfront_managed"
        interface.status = "in-use"
    return {"group": group.id}


def _detach(arguments: JsonObject) -> JsonObject:
    """Delete group and interfaces; arguments: account, region, vpc. Absence is success."""
    backend: Any = ec2_backends[arguments["account"]][arguments["region"]]
    vpc = arguments["vpc"]
    for interface in _interfaces(backend, vpc):
        backend.enis.pop(interface.id, None)
    group = _service_group(backend, vpc)
    # EC2 cannot delete a group that another group's rule refers to. Then it stays, and the next VPC
    # origin uses it.
    if group is not None and not _referenced(backend, group.id):
        backend.groups[vpc].pop(group.id)
    return {}


def _service_group(backend: Any, vpc: str) -> Any | None:
    for group in backend.groups[vpc].values():
        if group.name == SERVICE_GROUP_NAME:
            return group
    return None


def _interfaces(backend: Any, vpc: str) -> list[Any]:
    return [
        eni
        for eni in backend.enis.values()
        if eni.requester_managed
        and eni.interface_type == "cloudfront_managed"
        and eni.subnet.vpc_id == vpc
    ]


def _referenced(backend: Any, group_id: str) -> bool:
    for groups in backend.groups.values():
        for group in groups.values():
            for rule in [*group.ingress_rules, *group.egress_rules]:
                if group.id != group_id and (rule.source_group or {}).get("GroupId") == group_id:
                    return True
    return False


CHANGES: Mapping[str, Callable[[JsonObject], JsonObject]] = {ATTACH: _attach, DETACH: _detach}
"""What the moto backend journals under these names."""
