"""What moto lacks or gets wrong in EC2 and load balancing, as the portal and the edge see it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.account import REGION, Account, Lab, assert_refused


def blocked(lab: Lab, account: Account) -> Any:
    """The account's Block Public Access as the edge reads it."""
    return lab.get("/_lab/state")["block_public_access"].get(account.number, {}).get(REGION)


class TestBlockPublicAccess:
    def test_a_new_account_blocks_nothing(self, account: Account) -> None:
        options = account.ec2.describe_vpc_block_public_access_options()[
            "VpcBlockPublicAccessOptions"
        ]
        assert (options["InternetGatewayBlockMode"], options["State"]) == ("off", "default-state")
        assert (options["AwsAccountId"], options["AwsRegion"]) == (account.number, REGION)
        assert (
            account.ec2.describe_vpc_block_public_access_exclusions()[
                "VpcBlockPublicAccessExclusions"
            ]
            == []
        )

    def test_options_change_in_some_minutes(self, lab: Lab, account: Account) -> None:
        changed = account.ec2.modify_vpc_block_public_access_options(
            InternetGatewayBlockMode="block-bidirectional"
        )
        assert changed["VpcBlockPublicAccessOptions"]["State"] == "update-in-progress"
        assert blocked(lab, account) == {"mode": "block-bidirectional", "exclusions": []}
        lab.advance(300)
        options = account.ec2.describe_vpc_block_public_access_options()[
            "VpcBlockPublicAccessOptions"
        ]
        assert (options["InternetGatewayBlockMode"], options["State"]) == (
            "block-bidirectional",
            "update-complete",
        )
        with assert_refused("InvalidParameterValue", 400):
            account.ec2.modify_vpc_block_public_access_options(InternetGatewayBlockMode="sometimes")

    def test_an_exclusion_from_its_creation_to_its_end(self, lab: Lab, account: Account) -> None:
        network = account.vpc()
        ec2 = account.ec2
        tags = [
            {
                "ResourceType": "vpc-block-public-access-exclusion",
                "Tags": [{"Key": "why", "Value": "edge"}],
            }
        ]
        made = ec2.create_vpc_block_public_access_exclusion(
            VpcId=network.vpc, InternetGatewayExclusionMode="allow-egress", TagSpecifications=tags
        )["VpcBlockPublicAccessExclusion"]
        assert (made["State"], made["Tags"]) == (
            "create-in-progress",
            [{"Key": "why", "Value": "edge"}],
        )
        assert made["ResourceArn"] == f"arn:aws:ec2:{REGION}:{account.number}:vpc/{network.vpc}"
        chosen = {"ExclusionId": made["ExclusionId"]}
        with assert_refused("InvalidParameterValue", 400):
            ec2.create_vpc_block_public_access_exclusion(
                VpcId=network.vpc, InternetGatewayExclusionMode="allow-bidirectional"
            )
        ec2.modify_vpc_block_public_access_exclusion(
            **chosen, InternetGatewayExclusionMode="allow-bidirectional"
        )
        lab.advance(300)
        kept = {"resource": network.vpc, "mode": "allow-bidirectional"}
        assert blocked(lab, account) == {"mode": "off", "exclusions": [kept]}
        by_state = [{"Name": "state", "Values": ["update-complete"]}]
        listed = ec2.describe_vpc_block_public_access_exclusions(Filters=by_state)
        assert [item["ExclusionId"] for item in listed["VpcBlockPublicAccessExclusions"]] == [
            made["ExclusionId"]
        ]
        leaving = ec2.delete_vpc_block_public_access_exclusion(**chosen)[
            "VpcBlockPublicAccessExclusion"
        ]
        assert leaving["State"] == "delete-in-progress"
        assert blocked(lab, account)["exclusions"] == []
        with assert_refused("IncorrectState", 400):
            ec2.delete_vpc_block_public_access_exclusion(**chosen)
        with assert_refused("InvalidVpcBlockPublicAccessExclusionId.NotFound", 400):
            ec2.delete_vpc_block_public_access_exclusion(ExclusionId="vpcbpa-exclude-0")

    def test_an_exclusion_is_for_one_vpc_or_one_subnet(self, account: Account) -> None:
        network = account.vpc()
        create = account.ec2.create_vpc_block_public_access_exclusion
        mode = "allow-bidirectional"
        with assert_refused("InvalidParameterCombination", 400):
            create(InternetGatewayExclusionMode=mode)
        with assert_refused("InvalidParameterCombination", 400):
            create(
                VpcId=network.vpc, SubnetId=network.subnets[0], InternetGatewayExclusionMode=mode
            )
        with assert_refused("InvalidVpcID.NotFound", 400):
            create(VpcId="vpc-0", InternetGatewayExclusionMode=mode)
        with assert_refused("InvalidSubnetID.NotFound", 400):
            create(SubnetId="subnet-0", InternetGatewayExclusionMode=mode)
        made = create(SubnetId=network.subnets[0], InternetGatewayExclusionMode=mode)
        assert made["VpcBlockPublicAccessExclusion"]["ResourceArn"].endswith(
            f":subnet/{network.subnets[0]}"
        )


class TestSecurityGroups:
    def test_references_come_from_peered_vpcs(self, account: Account) -> None:
        near, far = account.vpc(), account.vpc()
        ec2 = account.ec2
        peering = ec2.create_vpc_peering_connection(VpcId=near.vpc, PeerVpcId=far.vpc)[
            "VpcPeeringConnection"
        ]
        source = [{"GroupId": near.group}]
        rule = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "UserIdGroupPairs": source}
        assert (
            ec2.describe_security_group_references(GroupId=[near.group])[
                "SecurityGroupReferenceSet"
            ]
            == []
        )
        ec2.authorize_security_group_ingress(GroupId=far.group, IpPermissions=[rule])
        found = ec2.describe_security_group_references(GroupId=[near.group])[
            "SecurityGroupReferenceSet"
        ]
        assert found == [
            {
                "GroupId": near.group,
                "ReferencingVpcId": far.vpc,
                "VpcPeeringConnectionId": peering["VpcPeeringConnectionId"],
            }
        ]
        with assert_refused("InvalidGroup.NotFound", 400):
            ec2.describe_security_group_references(GroupId=["sg-0"])

    def test_those_of_a_vpc(self, account: Account) -> None:
        network = account.vpc()
        found = account.ec2.get_security_groups_for_vpc(VpcId=network.vpc)["SecurityGroupForVpcs"]
        assert {group["GroupName"] for group in found} == {"alb", "default"}
        assert {group["PrimaryVpcId"] for group in found} == {network.vpc}
        named = [{"Name": "group-name", "Values": ["alb"]}]
        one = account.ec2.get_security_groups_for_vpc(VpcId=network.vpc, Filters=named)[
            "SecurityGroupForVpcs"
        ]
        assert [group["GroupId"] for group in one] == [network.group]
        with assert_refused("InvalidVpcID.NotFound", 400):
            account.ec2.get_security_groups_for_vpc(VpcId="vpc-0")


def test_a_network_load_balancer_keeps_its_security_groups(lab: Lab, account: Account) -> None:
    network = account.vpc()
    arn = account.balancer(network, "nlb", Type="network")
    shown = account.elbv2.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"][0]
    assert shown["SecurityGroups"] == [network.group]
    in_state = {balancer["arn"]: balancer for balancer in lab.get("/_lab/state")["load_balancers"]}
    assert in_state[arn]["security_groups"] == [network.group]


def test_an_application_load_balancer_is_cross_zone(account: Account) -> None:
    arn = account.balancer(account.vpc())
    attributes = account.elbv2.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
    by_key = {item["Key"]: item["Value"] for item in attributes}
    assert by_key["load_balancing.cross_zone.enabled"] == "true"
    assert by_key["idle_timeout.timeout_seconds"] == "60"


@pytest.mark.rule("vpc-origin/prefix-list-weight")
def test_the_origin_facing_prefix_list_weighs_55(account: Account) -> None:
    named = [
        {"Name": "prefix-list-name", "Values": ["com.amazonaws.global.cloudfront.origin-facing"]}
    ]
    listed = account.ec2.describe_managed_prefix_lists(Filters=named)["PrefixLists"]
    assert [item["MaxEntries"] for item in listed] == [55]


@pytest.mark.rule("timeout/alb-idle-range", "timeout/nlb-idle-range")
def test_idle_clocks_have_a_range(account: Account) -> None:
    network = account.vpc()
    alb = account.balancer(network, "alb")
    nlb = account.balancer(network, "nlb", Type="network")
    group = account.elbv2.create_target_group(
        Name="tcp", Protocol="TCP", Port=80, VpcId=network.vpc
    )
    forward = [{"Type": "forward", "TargetGroupArn": group["TargetGroups"][0]["TargetGroupArn"]}]
    made = account.elbv2.create_listener(
        LoadBalancerArn=nlb, Protocol="TCP", Port=80, DefaultActions=forward
    )
    listener = made["Listeners"][0]["ListenerArn"]

    def on_balancer(name: str, value: str) -> None:
        account.elbv2.modify_load_balancer_attributes(
            LoadBalancerArn=alb, Attributes=[{"Key": name, "Value": value}]
        )

    def on_listener(name: str, value: str) -> None:
        account.elbv2.modify_listener_attributes(
            ListenerArn=listener, Attributes=[{"Key": name, "Value": value}]
        )

    for modify, name, low, high in (
        (on_balancer, "idle_timeout.timeout_seconds", 1, 4000),
        (on_balancer, "client_keep_alive.seconds", 60, 604_800),
        (on_listener, "tcp.idle_timeout.seconds", 60, 6000),
    ):
        for value in (low, high):
            modify(name, str(value))
        for wrong in (low - 1, high + 1, "soon"):
            with assert_refused("ValidationError", 400):
                modify(name, str(wrong))


@pytest.mark.rule("vpc-origin/prefix-list-weight")
def test_a_prefix_list_uses_up_the_rules_of_a_group(account: Account) -> None:
    named = [
        {"Name": "prefix-list-name", "Values": ["com.amazonaws.global.cloudfront.origin-facing"]}
    ]
    listed = account.ec2.describe_managed_prefix_lists(Filters=named)["PrefixLists"]
    by_prefix_list = {"PrefixListIds": [{"PrefixListId": listed[0]["PrefixListId"]}]}

    def open_port(group: str, port: int, **source: Any) -> None:
        rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **source}
        account.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])

    group = account.vpc().group
    open_port(group, 80, **by_prefix_list)
    with assert_refused("RulesPerSecurityGroupLimitExceeded", 400):
        open_port(group, 443, **by_prefix_list)
    for port in range(1, 6):
        open_port(group, port, IpRanges=[{"CidrIp": "10.0.0.0/8"}])
    rules = account.ec2.describe_security_group_rules(
        Filters=[{"Name": "group-id", "Values": [group]}]
    )
    assert sum(not rule["IsEgress"] for rule in rules["SecurityGroupRules"]) == 6


def test_service_quotas_show_the_labs_quotas(lab: Lab, account: Account) -> None:
    quotas = account.client("service-quotas")
    by_name = {
        item["QuotaName"]: item
        for item in quotas.list_service_quotas(ServiceCode="cloudfront")["Quotas"]
    }
    assert by_name["VPC origins per AWS account"]["Value"] == 25
    chosen = {"ServiceCode": "cloudfront", "QuotaCode": "L-24B04930"}
    lab.post("/_lab/settings", {"quotas": {"distributions": 501}})
    assert quotas.get_service_quota(**chosen)["Quota"]["Value"] == 501
    lab.post("/_lab/settings", {"quotas": {"distributions": None}})
    assert quotas.get_aws_default_service_quota(**chosen)["Quota"]["Value"] == 500
    with assert_refused("NoSuchResourceException", 400):
        quotas.get_service_quota(ServiceCode="cloudfront", QuotaCode="L-0")
    with assert_refused("NoSuchResourceException", 400):
        account.client("service-quotas", region="eu-west-1").list_service_quotas(
            ServiceCode="cloudfront"
        )


def test_public_images_are_there_for_whoever_asks(account: Account) -> None:
    """They are created when first accessed, which must not show, neither in the images nor in other
    ids.
    """
    network = account.ec2.describe_vpcs()["Vpcs"]
    amazon_linux = [{"Name": "name", "Values": ["al2023-ami-*-x86_64"]}]
    (image, *_) = account.ec2.describe_images(Owners=["amazon"], Filters=amazon_linux)["Images"]
    snapshot = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    found = account.ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"]
    assert [item["SnapshotId"] for item in found] == [snapshot]
    assert account.ec2.describe_vpcs()["Vpcs"] == network
    with assert_refused("InvalidAMIID.NotFound", 400):
        account.ec2.describe_images(ImageIds=["ami-0123456789abcdef0"])


def test_an_acl_is_found_by_any_of_its_subnets(account: Account) -> None:
    network = account.vpc()
    one, other = network.subnets
    spare = account.ec2.create_subnet(VpcId=network.vpc, CidrBlock="10.9.77.0/24")["Subnet"][
        "SubnetId"
    ]
    own = account.ec2.create_network_acl(VpcId=network.vpc)["NetworkAcl"]["NetworkAclId"]

    def found(*subnets: str) -> list[str]:
        by_subnet = [{"Name": "association.subnet-id", "Values": list(subnets)}]
        return [
            acl["NetworkAclId"]
            for acl in account.ec2.describe_network_acls(Filters=by_subnet)["NetworkAcls"]
        ]

    (default,) = found(one)
    before = account.ec2.describe_network_acls(NetworkAclIds=[default])["NetworkAcls"][0][
        "Associations"
    ]
    (of_spare,) = (each["NetworkAclAssociationId"] for each in before if each["SubnetId"] == spare)
    account.ec2.replace_network_acl_association(AssociationId=of_spare, NetworkAclId=own)
    assert found(one, spare) == [default, own]
    assert found(spare) == [own]
    assert found(one, other) == [default]
    assert found("subnet-0123456789abcdef0") == []
