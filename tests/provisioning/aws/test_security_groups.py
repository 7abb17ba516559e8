"""Ingress rules through the adapter, against the lab."""

from __future__ import annotations

import pytest

from provisioning.aws import security_groups
from provisioning.aws.errors import AwsError
from provisioning.aws.session import Aws
from tests.lab.account import REGION, Account

TAGS = {"edge-portal:owner": "edge-portal"}


def open_to_everybody(port: int) -> dict[str, object]:
    return {
        "IpProtocol": "tcp",
        "FromPort": port,
        "ToPort": port,
        "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
    }


def test_a_rule_is_added_once_seen_and_revoked(account: Account, aws: Aws) -> None:
    network = account.vpc()
    source = account.ec2.create_security_group(
        GroupName="service", Description="s", VpcId=network.vpc
    )["GroupId"]
    made = security_groups.authorize(
        aws, REGION, network.group, 80, source, "edge-portal 1: CloudFront", TAGS
    )
    (rule,) = security_groups.ingress_rules(aws, REGION, [network.group])
    assert (rule.rule_id, rule.protocol, rule.from_port, rule.to_port) == (made, "tcp", 80, 80)
    assert (rule.source_kind, rule.source, rule.description) == (
        "group",
        source,
        "edge-portal 1: CloudFront",
    )
    assert rule.owner == "edge-portal"

    again = security_groups.authorize(
        aws, REGION, network.group, 80, source, "edge-portal 1: CloudFront", TAGS
    )
    assert again == made
    assert len(security_groups.ingress_rules(aws, REGION, [network.group])) == 1

    security_groups.revoke(aws, REGION, network.group, made)
    security_groups.revoke(aws, REGION, network.group, made)
    assert security_groups.ingress_rules(aws, REGION, [network.group]) == ()


def test_rules_of_others_stay(account: Account, aws: Aws) -> None:
    network = account.vpc()
    account.ec2.authorize_security_group_ingress(
        GroupId=network.group, IpPermissions=[open_to_everybody(443)]
    )
    made = security_groups.authorize(aws, REGION, network.group, 80, network.group, "ours", TAGS)
    security_groups.revoke(aws, REGION, network.group, made)
    (left,) = security_groups.ingress_rules(aws, REGION, [network.group])
    assert (left.source_kind, left.source, left.from_port, left.owner) == (
        "cidr",
        "0.0.0.0/0",
        443,
        "",
    )


def test_every_kind_of_source_is_told_apart(account: Account, aws: Aws) -> None:
    network = account.vpc()
    prefix_list = security_groups.origin_facing_lists(aws, REGION)[0]
    account.ec2.authorize_security_group_ingress(
        GroupId=network.group,
        IpPermissions=[
            {
                "IpProtocol": "tcp",
                "FromPort": 80,
                "ToPort": 80,
                "PrefixListIds": [{"PrefixListId": prefix_list}],
            },
            {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]},
            {
                "IpProtocol": "tcp",
                "FromPort": 80,
                "ToPort": 90,
                "Ipv6Ranges": [{"CidrIpv6": "::/0"}],
            },
        ],
    )
    rules = security_groups.ingress_rules(aws, REGION, [network.group])
    assert sorted((rule.source_kind, rule.source, rule.covers(85)) for rule in rules) == [
        ("cidr", "10.0.0.0/8", True),
        ("cidr", "::/0", True),
        ("prefix-list", prefix_list, False),
    ]
    assert security_groups.ingress_rules(aws, REGION, []) == ()


def test_the_service_group_appears_with_the_first_vpc_origin(account: Account, aws: Aws) -> None:
    network = account.vpc()
    assert security_groups.service_group(aws, REGION, network.vpc) == ""
    account.create_vpc_origin(Arn=account.balancer(network))
    account.lab.advance()
    assert security_groups.service_group(aws, REGION, network.vpc).startswith("sg-")
    assert security_groups.service_group(aws, REGION, account.vpc().vpc) == ""


def test_a_group_that_is_gone_has_no_rule_to_revoke_but_cannot_be_opened(
    account: Account, aws: Aws
) -> None:
    network = account.vpc()
    made = security_groups.authorize(aws, REGION, network.group, 80, network.group, "ours", TAGS)
    security_groups.revoke(aws, REGION, network.group, made)
    account.ec2.delete_security_group(GroupId=network.group)
    security_groups.revoke(aws, REGION, network.group, made)
    with pytest.raises(AwsError) as caught:
        security_groups.authorize(aws, REGION, network.group, 80, network.group, "ours", TAGS)
    assert caught.value.is_absent
