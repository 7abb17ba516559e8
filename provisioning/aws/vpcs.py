"""What surrounds a target in its VPC: subnets and their routes and ACLs, gateway, Block Public
Access, addresses.

It judges nothing, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from provisioning.aws.errors import calling
from provisioning.aws.session import Aws
from provisioning.facts.network import AclEntry, Subnet

_ANY_PORT = {"From": 0, "To": 65535}


def subnets(aws: Aws, region: str, vpc_id: str, subnet_ids: Sequence[str]) -> tuple[Subnet, ...]:
    """The subnets, by id, each with whether its routes lead to the internet."""
    if not subnet_ids:
        return ()
    with calling("DescribeSubnets"):
        found = aws.ec2_read(region).describe_subnets(SubnetIds=list(subnet_ids))["Subnets"]
    is_public = _public_test(aws, region, vpc_id)
    return tuple(
        Subnet(
            one["SubnetId"],
            one["AvailabilityZoneId"],
            one["AvailableIpAddressCount"],
            is_public(one["SubnetId"]),
            bool(one.get("MapPublicIpOnLaunch")),
            bool(one.get("Ipv6Native")),
        )
        for one in sorted(found, key=lambda one: one["SubnetId"])
    )


def acls(
    aws: Aws, region: str, subnet_ids: Sequence[str]
) -> dict[str, tuple[str, tuple[AclEntry, ...]]]:
    """Subnet id → its network ACL's id and outbound entries, in the order in which AWS asks
    them.
    """
    if not subnet_ids:
        return {}
    found: dict[str, tuple[str, tuple[AclEntry, ...]]] = {}
    with calling("DescribeNetworkAcls"):
        pages = aws.ec2_read(region).get_paginator("describe_network_acls")
        for page in pages.paginate(
            Filters=[{"Name": "association.subnet-id", "Values": list(subnet_ids)}]
        ):
            for acl in cast("Any", page["NetworkAcls"]):
                entries = sorted(
                    (_entry(one) for one in acl["Entries"] if one["Egress"]),
                    key=lambda one: one.number,
                )
                for association in acl["Associations"]:
                    found[association["SubnetId"]] = (acl["NetworkAclId"], tuple(entries))
    return found


def has_internet_gateway(aws: Aws, region: str, vpc_id: str) -> bool:
    """Whether one is attached to the VPC."""
    with calling("DescribeInternetGateways"):
        found = aws.ec2_read(region).describe_internet_gateways(
            Filters=[{"Name": "attachment.vpc-id", "Values": [vpc_id]}]
        )["InternetGateways"]
    states = (
        attachment["State"]
        for gateway in found
        for attachment in gateway["Attachments"]
        if attachment["VpcId"] == vpc_id
    )
    return any(state in ("available", "attached") for state in states)


def block_public_access(
    aws: Aws, region: str, vpc_id: str, subnet_ids: Sequence[str]
) -> tuple[str, bool]:
    """The VPC Block Public Access mode (off, block-bidirectional or block-ingress), and whether one
    may be excluded.

    Where the mode is on and exclusions cover the VPC or each of the subnets, the weakest of their
    modes is appended: "block-bidirectional+allow-bidirectional".
    """
    client = aws.ec2_read(region)
    with calling("DescribeVpcBlockPublicAccessOptions"):
        options = client.describe_vpc_block_public_access_options()["VpcBlockPublicAccessOptions"]
    mode = str(options.get("InternetGatewayBlockMode", "off"))
    allowed = str(options.get("ExclusionsAllowed", "allowed")) == "allowed"
    if mode == "off":
        return mode, allowed
    with calling("DescribeVpcBlockPublicAccessExclusions"):
        excluded = client.describe_vpc_block_public_access_exclusions()[
            "VpcBlockPublicAccessExclusions"
        ]
    modes = {
        one["ResourceArn"].rsplit("/", 1)[1]: str(one["InternetGatewayExclusionMode"])
        for one in excluded
        if one.get("State") in ("create-complete", "update-complete", "update-in-progress")
    }
    covering = [modes.get(vpc_id) or modes.get(subnet_id, "") for subnet_id in subnet_ids or ("",)]
    if not all(covering):
        return mode, allowed
    weakest = "allow-egress" if "allow-egress" in covering else covering[0]
    return f"{mode}+{weakest}", allowed


def public_addresses(
    aws: Aws, region: str, vpc_id: str, name: str, values: Sequence[str]
) -> tuple[str, ...]:
    """The public IPv4 addresses of the VPC's network interfaces that one filter of
    DescribeNetworkInterfaces finds.
    """
    addresses: list[str] = []
    filters = [{"Name": name, "Values": list(values)}, {"Name": "vpc-id", "Values": [vpc_id]}]
    with calling("DescribeNetworkInterfaces"):
        pages = aws.ec2_read(region).get_paginator("describe_network_interfaces")
        for page in pages.paginate(Filters=cast("Any", filters)):
            for interface in cast("Any", page["NetworkInterfaces"]):
                if address := interface.get("Association", {}).get("PublicIp"):
                    addresses.append(address)
    return tuple(sorted(addresses))


def _entry(found: Mapping[str, Any]) -> AclEntry:
    ports = found.get("PortRange") or _ANY_PORT
    return AclEntry(
        found["RuleNumber"],
        found["RuleAction"] == "allow",
        str(found["Protocol"]),
        found.get("CidrBlock") or found.get("Ipv6CidrBlock") or "",
        ports.get("From", 0),
        ports.get("To", 65535),
    )


def _public_test(aws: Aws, region: str, vpc_id: str) -> Callable[[str], bool]:
    """A subnet is public when its route table, or without one of its own the VPC's main table,
    leads out by an igw.
    """
    public_tables: dict[str, bool] = {}
    main_is_public = False
    with calling("DescribeRouteTables"):
        pages = aws.ec2_read(region).get_paginator("describe_route_tables")
        for page in pages.paginate(Filters=[{"Name": "vpc-id", "Values": [vpc_id]}]):
            for table in cast("Any", page["RouteTables"]):
                leads_out = any(map(_leads_to_internet, table.get("Routes", ())))
                for association in table.get("Associations", ()):
                    if association.get("Main"):
                        main_is_public = leads_out
                    elif association.get("SubnetId"):
                        public_tables[association["SubnetId"]] = leads_out
    return lambda subnet_id: public_tables.get(subnet_id, main_is_public)


def _leads_to_internet(route: Mapping[str, Any]) -> bool:
    """Whatever its destination: two halves of the internet, or a prefix list, lead out as 0.0.0.0/0
    does.
    """
    return (
        str(route.get("GatewayId", "")).startswith("igw-")
        and route.get("State", "active") == "active"
    )
