"""moto's EC2: origin-facing prefix lists, resources that CloudFront manages in a VPC, operations on
security groups.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import (
    EC2ClientError,
    InvalidParameterValueError,
    RulesPerSecurityGroupLimitExceededError,
)
from moto.ec2.models.elastic_network_interfaces import NetworkInterfaceBackend
from moto.ec2.models.managed_prefixes import ManagedPrefixListBackend
from moto.ec2.models.network_acls import NetworkAclBackend
from moto.ec2.models.security_groups import SecurityGroupBackend, SecurityGroupRule
from moto.ec2.responses import EC2Response

ORIGIN_FACING_LIST = "com.amazonaws.global.cloudfront.origin-facing"
ORIGIN_FACING_IPV6_LIST = "com.amazonaws.global.ipv6.cloudfront.origin-facing"
ORIGIN_FACING_LIST_IDS = {"us-east-1": "pl-3b927c52"}
# Names with this prefix are reserved for CloudFront.
RESERVED_GROUP_PREFIX = "CloudFront-VPCOrigins-Service-SG"
# Weight of the managed prefix list in a security group's rule quota (VPC user guide).
ORIGIN_FACING_WEIGHT = 55
# VPC user guide: inbound rules per security group and address family.
_RULES_PER_GROUP = 60


def patch_vpcs() -> None:
    """Apply all patches."""
    _keep_what_is_cloudfronts()
    _complete_prefix_lists()
    _weigh_prefix_lists()
    _find_acls_by_any_subnet()
    for operation in (describe_security_group_references, get_security_groups_for_vpc):
        setattr(EC2Response, operation.__name__, operation)

    def description(self: Any) -> str | None:
        """moto shows a rule's description for addresses only, not for groups."""
        found: str | None = self.ip_range.get("Description") or self.source_group.get("Description")
        return found

    SecurityGroupRule.description = property(description)  # type: ignore[assignment,method-assign]


def _keep_what_is_cloudfronts() -> None:
    make_group = EC2Response.create_security_group
    delete_interface: Callable[..., Any] = NetworkInterfaceBackend.delete_network_interface

    def create_security_group(self: Any) -> ActionResult:
        name = str(self._get_param("GroupName"))
        if name.startswith(RESERVED_GROUP_PREFIX):
            raise InvalidParameterValueError(f"{name} (reserved for CloudFront)")
        return make_group(self)

    def delete_network_interface(self: Any, eni_id: str) -> None:
        if eni_id in self.enis and self.enis[eni_id].requester_managed:
            raise EC2ClientError(
                "InvalidNetworkInterface.InUse", f"Interface {eni_id} is managed by a service."
            )
        delete_interface(self, eni_id)

    EC2Response.create_security_group = create_security_group  # type: ignore[method-assign]
    NetworkInterfaceBackend.delete_network_interface = delete_network_interface  # type: ignore[method-assign]


def _complete_prefix_lists() -> None:
    original = ManagedPrefixListBackend.create_default_pls

    def create_lists(self: Any) -> None:
        original(self)
        lists = {found.prefix_list_name: found for found in self.managed_prefix_lists.values()}
        entries = lists[ORIGIN_FACING_LIST].entries[1]
        for entry in entries:
            # The articles' X-Forwarded-For shows peers in all of 130.176.0.0/16; moto has a quarter
            # of it.
            if entry["Cidr"] == "130.176.0.0/18":
                entry["Cidr"] = "130.176.0.0/16"
        listed = self.managed_prefix_lists.pop(lists[ORIGIN_FACING_LIST].id)
        listed.max_entries = ORIGIN_FACING_WEIGHT
        # One id for all accounts of a Region, as on AWS.
        number = hashlib.sha256(self.region_name.encode()).hexdigest()[:8]
        listed.id = ORIGIN_FACING_LIST_IDS.get(self.region_name, f"pl-{number}")
        listed.prefix_list_arn = listed.arn(self.region_name, listed.owner_id)
        self.managed_prefix_lists[listed.id] = listed
        self._create_aws_managed_prefix_list(
            name=ORIGIN_FACING_IPV6_LIST,
            address_family="IPv6",
            entries=[{"Cidr": "2600:9000:5200::/40", "Description": "default"}],
        )

    ManagedPrefixListBackend.create_default_pls = create_lists  # type: ignore[method-assign]


def _weigh_prefix_lists() -> None:
    """A rule for a prefix list counts as many rules as the list's maximum number of entries (VPC
    user guide).
    """
    original: Callable[..., Any] = SecurityGroupBackend.authorize_security_group_ingress

    def authorize(self: Any, group_name_or_id: str, *args: Any, **given: Any) -> Any:
        rules, group = original(self, group_name_or_id, *args, **given)
        weight = sum(_weight(self, rule) for rule in group.ingress_rules)
        if weight > _RULES_PER_GROUP and any(rule.prefix_list_id for rule in rules):
            for rule in rules:
                group.ingress_rules.remove(rule)
            raise RulesPerSecurityGroupLimitExceededError
        return rules, group

    SecurityGroupBackend.authorize_security_group_ingress = authorize  # type: ignore[method-assign]


def _find_acls_by_any_subnet() -> None:
    """A filter's values are joined by OR (EC2 API reference). moto joins the subnets of an ACL by
    AND.
    """
    original: Callable[..., Any] = NetworkAclBackend.describe_network_acls
    by_subnet = "association.subnet-id"

    def describe(self: Any, network_acl_ids: Any = None, filters: Any = None) -> Any:
        others = {name: values for name, values in (filters or {}).items() if name != by_subnet}
        found = original(self, network_acl_ids, others)
        if by_subnet not in (filters or {}):
            return found
        wanted = set(filters[by_subnet])
        return [acl for acl in found if wanted & {one.subnet_id for one in acl.associations}]

    NetworkAclBackend.describe_network_acls = describe  # type: ignore[method-assign]


def _weight(backend: Any, rule: Any) -> int:
    """How many IPv4 rules one rule counts for. IPv6 rules are counted separately."""
    if rule.prefix_list_id:
        listed = backend.managed_prefix_lists.get(rule.prefix_list_id)
        ipv6 = listed is not None and listed.address_family == "IPv6"
        return 0 if ipv6 else int(getattr(listed, "max_entries", None) or 1)
    return 0 if rule.cidr_ipv6 else 1


def describe_security_group_references(request: Any) -> ActionResult:
    """DescribeSecurityGroupReferences: peered VPCs whose rules refer to the groups. A VPC's own
    rules do not count (EC2 API reference).
    """
    backend = request.ec2_backend
    wanted = request._get_param("GroupId") or []
    if not wanted:
        raise EC2ClientError("MissingParameter", "The request must contain the parameter GroupId")
    homes = {}
    for group_id in wanted:
        group = backend.get_security_group_from_id(group_id)
        if group is None:
            raise EC2ClientError(
                "InvalidGroup.NotFound", f"The security group '{group_id}' does not exist"
            )
        homes[group_id] = group.vpc_id
    request.error_on_dryrun()
    found = []
    for connection in backend.vpc_pcxs.values():
        for near, far in (
            (connection.vpc, connection.peer_vpc),
            (connection.peer_vpc, connection.vpc),
        ):
            named = {
                (rule.source_group or {}).get("GroupId")
                for group in backend.groups[far.id].values()
                for rule in (*group.ingress_rules, *group.egress_rules)
            }
            found += [
                {
                    "GroupId": group_id,
                    "ReferencingVpcId": far.id,
                    "VpcPeeringConnectionId": connection.id,
                }
                for group_id, home in homes.items()
                if home == near.id and group_id in named
            ]
    return ActionResult({"SecurityGroupReferenceSet": found})


def get_security_groups_for_vpc(request: Any) -> ActionResult:
    """GetSecurityGroupsForVpc: the VPC's own groups."""
    vpc_id = request._get_param("VpcId")
    if not vpc_id:
        raise EC2ClientError("MissingParameter", "The request must contain the parameter VpcId")
    backend = request.ec2_backend
    backend.describe_vpcs(vpc_ids=[vpc_id])
    filters = request._filters_from_querystring()
    unknown = filters.keys() - {
        "group-id",
        "group-name",
        "description",
        "owner-id",
        "primary-vpc-id",
    }
    if unknown:
        raise EC2ClientError("InvalidParameterValue", f"The filter '{min(unknown)}' is invalid")
    request.error_on_dryrun()
    shown = []
    for group in sorted(backend.groups[vpc_id].values(), key=lambda group: str(group.id)):
        fields = {
            "group-id": group.id,
            "group-name": group.name,
            "description": group.description,
            "owner-id": request.current_account,
            "primary-vpc-id": vpc_id,
        }
        if all(fields[name] in values for name, values in filters.items()):
            shown.append(
                {
                    "Description": group.description,
                    "GroupName": group.name,
                    "OwnerId": request.current_account,
                    "GroupId": group.id,
                    "Tags": [
                        {"Key": tag["key"], "Value": tag["value"]} for tag in group.get_tags()
                    ],
                    "PrimaryVpcId": vpc_id,
                }
            )
    return ActionResult({"SecurityGroupForVpcs": shown})
