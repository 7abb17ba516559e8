"""VPCs as in `/_lab/state`: security groups, network ACLs, subnets, interfaces, instances (PURE).

An address without a known interface has no security group.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class IngressRule:
    """One inbound rule of a security group; ports are None for all ports."""

    protocol: str
    from_port: int | None
    to_port: int | None
    cidrs: tuple[str, ...]
    groups: tuple[str, ...]
    prefix_lists: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AclEntry:
    """One numbered rule of a network ACL; ports are None for all ports."""

    number: int
    egress: bool
    protocol: str
    allow: bool
    cidr: str
    from_port: int | None = None
    to_port: int | None = None


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet and the rules of its network ACL, sorted by number."""

    id: str
    vpc_id: str
    cidr: str
    acl: tuple[AclEntry, ...]


@dataclass(frozen=True, slots=True)
class Instance:
    """An EC2 instance with its primary interface."""

    id: str
    account: str
    region: str
    state: str
    vpc_id: str
    subnet_id: str
    private_ip: str
    private_dns: str
    public_dns: str
    security_groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BlockPublicAccess:
    """VPC Block Public Access of one account and Region. `exclusions` maps a VPC or subnet id to
    its mode.
    """

    mode: str = "off"
    exclusions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Network:
    """All VPCs of all accounts.

    `interfaces` maps (VPC id, private address) to security group ids; `block_public_access` is
    keyed by account and Region; `service_groups` maps a VPC id to CloudFront's service-managed
    security group in it.
    """

    security_groups: Mapping[str, tuple[IngressRule, ...]] = field(default_factory=dict)
    prefix_lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    service_groups: Mapping[str, str] = field(default_factory=dict)
    subnets: Mapping[str, Subnet] = field(default_factory=dict)
    interfaces: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    instances: Mapping[str, Instance] = field(default_factory=dict)
    block_public_access: Mapping[tuple[str, str], BlockPublicAccess] = field(default_factory=dict)


def parse_network(body: Json) -> Network:
    """The sections of `/_lab/state` that describe VPCs; each is optional."""
    acls = {
        subnet: tuple(
            sorted(
                (_acl_entry(entry) for entry in acl.get("entries") or ()), key=lambda e: e.number
            )
        )
        for acl in body.get("network_acls", [])
        for subnet in acl.get("subnets") or ()
    }
    return Network(
        security_groups={
            id: tuple(parse_ingress_rule(rule) for rule in group.get("ingress", []))
            for id, group in body.get("security_groups", {}).items()
        },
        prefix_lists={
            id: tuple(entry.get("cidrs", [])) for id, entry in body.get("prefix_lists", {}).items()
        },
        service_groups=dict(body.get("service_groups", {})),
        subnets={
            id: Subnet(id, entry["vpc_id"], entry["cidr"], acls.get(id, ()))
            for id, entry in body.get("subnets", {}).items()
        },
        interfaces={
            (entry["vpc_id"], entry["address"]): tuple(entry.get("security_groups") or ())
            for entry in body.get("network_interfaces", [])
        },
        instances={entry["id"]: _instance(entry) for entry in body.get("instances", [])},
        block_public_access={
            (account, region): BlockPublicAccess(
                str(options.get("mode") or "off"),
                {
                    str(exclusion["resource"]).rsplit("/", 1)[-1]: str(exclusion["mode"])
                    for exclusion in options.get("exclusions") or ()
                },
            )
            for account, regions in (body.get("block_public_access") or {}).items()
            for region, options in regions.items()
        },
    )


def parse_ingress_rule(entry: Json) -> IngressRule:
    """One inbound rule of an entry of `security_groups`."""
    return IngressRule(
        protocol=str(entry.get("protocol", "-1")),
        from_port=_port(entry.get("from_port")),
        to_port=_port(entry.get("to_port")),
        cidrs=tuple(entry.get("cidrs") or ()),
        groups=tuple(entry.get("groups") or ()),
        prefix_lists=tuple(entry.get("prefix_lists") or ()),
    )


def _acl_entry(entry: Json) -> AclEntry:
    return AclEntry(
        number=int(entry["number"]),
        egress=bool(entry.get("egress")),
        protocol=str(entry.get("protocol", "-1")),
        allow=entry.get("action") == "allow",
        cidr=entry["cidr"],
        from_port=_port(entry.get("from_port")),
        to_port=_port(entry.get("to_port")),
    )


def _instance(entry: Json) -> Instance:
    return Instance(
        id=entry["id"],
        account=entry.get("account") or "",
        region=entry.get("region") or "",
        state=entry.get("state") or "running",
        vpc_id=entry["vpc_id"],
        subnet_id=entry.get("subnet_id") or "",
        private_ip=entry["private_ip"],
        private_dns=(entry.get("private_dns") or "").lower(),
        public_dns=(entry.get("public_dns") or "").lower(),
        security_groups=tuple(entry.get("security_groups") or ()),
    )


def _port(given: Any) -> int | None:
    return None if given is None else int(given)
