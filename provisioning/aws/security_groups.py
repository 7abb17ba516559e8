"""Ingress rules of a target's security groups: read them, add one for CloudFront, take that one
away.

It never touches a rule that it is not given by id, and never the service group that AWS manages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from provisioning.aws.errors import AwsError, calling
from provisioning.aws.session import Aws
from provisioning.facts.names import (
    ORIGIN_FACING_IPV6_LIST,
    ORIGIN_FACING_PREFIX_LIST,
    OWNER_TAG,
    SERVICE_GROUP_NAME,
    SecurityGroupId,
)
from provisioning.facts.network import CLOUDFRONT_LIST_WEIGHT, SecurityGroupRule

# Amazon VPC User Guide, weights of AWS-managed prefix lists, by the ending of the name.
_WEIGHTS = {".s3": 1, ".dynamodb": 1, ".cloudfront.origin-facing": CLOUDFRONT_LIST_WEIGHT}
_AWS = "AWS"
_DUPLICATE = "InvalidPermission.Duplicate"


def ingress_rules(aws: Aws, region: str, group_ids: Sequence[str]) -> tuple[SecurityGroupRule, ...]:
    """Every ingress rule of the groups."""
    if not group_ids:
        return ()
    rules: list[SecurityGroupRule] = []
    with calling("DescribeSecurityGroupRules"):
        pages = aws.ec2_read(region).get_paginator("describe_security_group_rules")
        for page in pages.paginate(Filters=[{"Name": "group-id", "Values": list(group_ids)}]):
            rules += [
                _rule(cast("Any", found))
                for found in page["SecurityGroupRules"]
                if not found.get("IsEgress")
            ]
    return tuple(rules)


def owned_rules(aws: Aws, region: str, owner: str) -> tuple[SecurityGroupRule, ...]:
    """Every ingress rule of the Region that carries the portal's tag."""
    rules: list[SecurityGroupRule] = []
    with calling("DescribeSecurityGroupRules"):
        pages = aws.ec2_read(region).get_paginator("describe_security_group_rules")
        for page in pages.paginate(Filters=[{"Name": f"tag:{OWNER_TAG}", "Values": [owner]}]):
            rules += [_rule(cast("Any", found)) for found in page["SecurityGroupRules"]]
    # A filter that is not understood must not make a stranger's rule ours.
    return tuple(rule for rule in rules if rule.owner == owner)


def rules_with_tags(
    aws: Aws, region: str, rule_ids: Sequence[str]
) -> tuple[tuple[SecurityGroupRule, dict[str, str]], ...]:
    """Those of these rules that exist, each with its tags."""
    if not rule_ids:
        return ()
    with calling("DescribeSecurityGroupRules"):
        # By filter, since one ID that does not exist refuses a call by IDs.
        found = aws.ec2_read(region).describe_security_group_rules(
            Filters=[{"Name": "security-group-rule-id", "Values": list(rule_ids)}]
        )["SecurityGroupRules"]
    return tuple(
        (
            _rule(cast("Any", one)),
            {tag["Key"]: tag.get("Value", "") for tag in one.get("Tags", ())},
        )
        for one in found
    )


def group_tags(
    aws: Aws, region: str, group_ids: Sequence[str]
) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """Each group's ID with its tags."""
    if not group_ids:
        return ()
    with calling("DescribeSecurityGroups"):
        found = aws.ec2_read(region).describe_security_groups(GroupIds=list(group_ids))
    return tuple(
        (
            str(group["GroupId"]),
            tuple((str(tag["Key"]), str(tag["Value"])) for tag in group.get("Tags", ())),
        )
        for group in found["SecurityGroups"]
    )


def service_group(aws: Aws, region: str, vpc_id: str) -> str:
    """The id of the group that AWS makes in a VPC with its first VPC origin; empty while there is
    none.
    """
    with calling("DescribeSecurityGroups"):
        found = aws.ec2_read(region).describe_security_groups(
            Filters=[
                {"Name": "group-name", "Values": [SERVICE_GROUP_NAME]},
                {"Name": "vpc-id", "Values": [vpc_id]},
            ]
        )["SecurityGroups"]
    return found[0]["GroupId"] if found else ""


def origin_facing_lists(aws: Aws, region: str) -> tuple[str, str]:
    """The ids, in this Region, of AWS's lists of the addresses that CloudFront reaches origins
    from: for IPv4 and for IPv6; "" for none.
    """
    names = (ORIGIN_FACING_PREFIX_LIST, ORIGIN_FACING_IPV6_LIST)
    with calling("DescribeManagedPrefixLists"):
        found = aws.ec2_read(region).describe_managed_prefix_lists(
            Filters=[{"Name": "prefix-list-name", "Values": list(names)}]
        )["PrefixLists"]
    ids = {one["PrefixListName"]: one["PrefixListId"] for one in found}
    ipv4, ipv6 = (ids.get(name, "") for name in names)
    return ipv4, ipv6


def list_weights(
    aws: Aws, region: str, list_ids: Sequence[str]
) -> tuple[tuple[tuple[str, int | None], ...], tuple[str, ...]]:
    """How many rules each prefix list counts for in a security group: its most entries, or what AWS
    documents of its own lists; None for those of its own of which it documents nothing. And which
    of them are not AWS's.
    """
    if not list_ids:
        return (), ()
    weights: dict[str, int | None] = dict.fromkeys(list_ids)
    own = []
    with calling("DescribeManagedPrefixLists"):
        pages = aws.ec2_read(region).get_paginator("describe_managed_prefix_lists")
        for page in pages.paginate(PrefixListIds=list(list_ids)):
            for found in page["PrefixLists"]:
                name = found.get("PrefixListName", "")
                documented = next(
                    (weight for ending, weight in _WEIGHTS.items() if name.endswith(ending)), None
                )
                weights[found["PrefixListId"]] = found.get("MaxEntries") or documented
                if found.get("OwnerId") != _AWS:
                    own.append(found["PrefixListId"])
    return tuple(weights.items()), tuple(sorted(own))


def authorize(
    aws: Aws,
    region: str,
    group_id: str,
    port: int,
    source_group_id: str,
    description: str,
    tags: Mapping[str, str],
) -> str:
    """Admit TCP to `port` from another group; the rule's id. If AWS has such a rule already: its id
    if it carries our tag, "" if somebody else made it, who may also take it away.
    """
    permission = {
        "IpProtocol": "tcp",
        "FromPort": port,
        "ToPort": port,
        "UserIdGroupPairs": [{"GroupId": source_group_id, "Description": description}],
    }
    labels = [{"Key": key, "Value": value} for key, value in tags.items()]
    try:
        with calling("AuthorizeSecurityGroupIngress"):
            answer = aws.ec2_write(region).authorize_security_group_ingress(
                GroupId=group_id,
                IpPermissions=cast("Any", [permission]),
                TagSpecifications=cast(
                    "Any", [{"ResourceType": "security-group-rule", "Tags": labels}]
                ),
            )
    except AwsError as error:
        if error.code != _DUPLICATE:
            raise
        rule = _existing(aws, region, group_id, port, source_group_id)
        if rule is None:
            # The rule that stood in the way a moment ago is gone, or not yet to be seen.
            error.transient = True
            raise
        return rule.rule_id if rule.owner == tags.get(OWNER_TAG) else ""
    return answer["SecurityGroupRules"][0]["SecurityGroupRuleId"]


def revoke(aws: Aws, region: str, group_id: str, rule_id: str) -> None:
    """Take the rule away. That it, or its group, is gone already is success."""
    try:
        with calling("RevokeSecurityGroupIngress"):
            aws.ec2_write(region).revoke_security_group_ingress(
                GroupId=group_id, SecurityGroupRuleIds=[rule_id]
            )
    except AwsError as error:
        if not error.is_absent:
            raise


def _existing(
    aws: Aws, region: str, group_id: str, port: int, source_group_id: str
) -> SecurityGroupRule | None:
    wanted = ("tcp", port, port, "group", source_group_id)
    for rule in ingress_rules(aws, region, [group_id]):
        if (rule.protocol, rule.from_port, rule.to_port, rule.source_kind, rule.source) == wanted:
            return rule
    return None


def _rule(found: Mapping[str, Any]) -> SecurityGroupRule:
    kind, source = _source(found)
    return SecurityGroupRule(
        SecurityGroupId(found["GroupId"]),
        found["SecurityGroupRuleId"],
        found["IpProtocol"],
        found.get("FromPort", -1),
        found.get("ToPort", -1),
        kind,
        source,
        found.get("Description", ""),
        next((tag["Value"] for tag in found.get("Tags", []) if tag["Key"] == OWNER_TAG), ""),
    )


def _source(found: Mapping[str, Any]) -> tuple[str, str]:
    if found.get("PrefixListId"):
        return "prefix-list", found["PrefixListId"]
    if found.get("ReferencedGroupInfo"):
        return "group", found["ReferencedGroupInfo"].get("GroupId", "")
    return "cidr", found.get("CidrIpv4") or found.get("CidrIpv6") or ""
