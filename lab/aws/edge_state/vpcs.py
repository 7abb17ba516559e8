"""The parts of /_lab/state about VPCs: security groups, prefix lists, subnets, network ACLs,
interfaces, instances, Block Public Access.

Subnets, ACLs and interfaces only of VPCs that have a load balancer or an instance.
"""

from __future__ import annotations

from typing import Any

from moto.ec2.models import ec2_backends

from lab.aws.edge_state import backends
from lab.aws.moto_patches import ORIGIN_FACING_IPV6_LIST, ORIGIN_FACING_LIST, block_public_access
from lab.aws.resources.vpc_origin_network import SERVICE_GROUP_NAME


def sections() -> dict[str, Any]:
    """Everything about networks that the edge may need."""
    used = {balancer.vpc_id for _, _, balancer in backends.load_balancers()}
    used |= {instance.vpc_id for _, _, instance in backends.instances()}
    return {
        "security_groups": security_groups(),
        "prefix_lists": prefix_lists(),
        "service_groups": service_groups(),
        "block_public_access": block_public_access(),
        "subnets": _subnets(used),
        "network_acls": _network_acls(used),
        "network_interfaces": _interfaces(used),
        "instances": [
            _instance(account, region, instance)
            for account, region, instance in backends.instances()
        ],
    }


def security_groups() -> dict[str, dict[str, Any]]:
    """Every security group with its inbound rules, by id."""
    found: dict[str, dict[str, Any]] = {}
    for account, _, backend in backends.in_use(ec2_backends):
        for vpc, groups in backend.groups.items():
            for group in groups.values():
                found[group.id] = {
                    "account": account,
                    "vpc_id": vpc,
                    "name": group.name,
                    "ingress": [_ingress(rule) for rule in group.ingress_rules],
                }
    return found


def prefix_lists() -> dict[str, dict[str, Any]]:
    """CloudFront's origin-facing prefix lists of every account and Region, by id."""
    found: dict[str, dict[str, Any]] = {}
    for account, region, backend in backends.in_use(ec2_backends):
        for listed in backend.managed_prefix_lists.values():
            if listed.prefix_list_name in (ORIGIN_FACING_LIST, ORIGIN_FACING_IPV6_LIST):
                entries = list(listed.entries.values())[-1] if listed.entries else []
                found[listed.id] = {
                    "account": account,
                    "region": region,
                    "name": listed.prefix_list_name,
                    "cidrs": [entry["Cidr"] for entry in entries],
                }
    return found


def service_groups() -> dict[str, str]:
    """CloudFront's own security group by VPC."""
    found = {}
    for _, _, backend in backends.in_use(ec2_backends):
        for vpc, groups in backend.groups.items():
            for group in groups.values():
                if group.name == SERVICE_GROUP_NAME:
                    found[vpc] = group.id
    return found


def _ingress(rule: Any) -> dict[str, Any]:
    cidr = rule.cidr_ipv4 or rule.cidr_ipv6
    group = (rule.source_group or {}).get("GroupId")
    return {
        "protocol": rule.ip_protocol,
        "from_port": rule.from_port,
        "to_port": rule.to_port,
        "cidrs": [cidr] if cidr else [],
        "groups": [group] if group else [],
        "prefix_lists": [rule.prefix_list_id] if rule.prefix_list_id else [],
    }


def _subnets(used: set[str]) -> dict[str, dict[str, str]]:
    return {
        subnet.id: {"vpc_id": subnet.vpc_id, "cidr": str(subnet.cidr)}
        for _, _, backend in backends.in_use(ec2_backends)
        for zone in backend.subnets.values()
        for subnet in zone.values()
        if subnet.vpc_id in used
    }


def _network_acls(used: set[str]) -> list[dict[str, Any]]:
    return [
        {
            "id": acl.id,
            "vpc_id": acl.vpc_id,
            "subnets": [association.subnet_id for association in acl._associations.values()],
            "entries": [_acl_entry(entry) for entry in acl.network_acl_entries],
        }
        for _, _, backend in backends.in_use(ec2_backends)
        for acl in backend.network_acls.values()
        if acl.vpc_id in used
    ]


def _acl_entry(entry: Any) -> dict[str, Any]:
    return {
        "number": int(entry.rule_number),
        "egress": str(entry.egress).lower() == "true",
        "protocol": str(entry.protocol),
        "action": entry.rule_action,
        "cidr": entry.cidr_block or entry.ipv6_cidr_block,
        "from_port": _port(entry.port_range_from),
        "to_port": _port(entry.port_range_to),
    }


def _interfaces(used: set[str]) -> list[dict[str, Any]]:
    return [
        {
            "vpc_id": interface.subnet.vpc_id,
            "address": interface.private_ip_address,
            "security_groups": [group.id for group in interface.group_set],
        }
        for _, _, backend in backends.in_use(ec2_backends)
        for interface in backend.enis.values()
        if interface.subnet.vpc_id in used and not interface.requester_managed
    ]


def _instance(account: str, region: str, instance: Any) -> dict[str, Any]:
    return {
        "account": account,
        "region": region,
        "id": instance.id,
        "state": instance.state,
        "vpc_id": instance.vpc_id,
        "subnet_id": instance.subnet_id,
        "private_ip": instance.private_ip,
        "private_dns": instance.private_dns_name,
        "public_dns": instance.public_dns_name,
        "security_groups": [group.id for group in instance.dynamic_group_list],
    }


def _port(given: Any) -> int | None:
    return int(given) if given not in (None, "") else None
