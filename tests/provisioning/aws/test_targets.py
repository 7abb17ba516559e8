"""Targets and snapshots through the adapter, against the lab's seeded account and against accounts
made here.
"""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from provisioning.aws import (
    api_gateway,
    distributions,
    domain_conflicts,
    target_groups,
    targets,
    vpc_origins,
    vpcs,
)
from provisioning.aws import snapshot as snapshot_module
from provisioning.aws.errors import AwsError, translate
from provisioning.aws.session import Aws
from provisioning.aws.snapshot import take_snapshot
from provisioning.facts.names import OWNER_TAG
from provisioning.facts.target import TargetFacts
from tests.lab.account import REGION, Account

OWNER = "edge-portal"


def seeded(chat: Aws, name: str) -> TargetFacts:
    return next(target for target in targets.list_targets(chat, REGION) if target.name == name)


def looked_at(aws: Aws, arn: str) -> TargetFacts:
    facts = targets.target_facts(aws, arn)
    assert facts is not None
    return facts


def instance_in(account: Account, subnet: str, **given: Any) -> str:
    made = account.ec2.run_instances(
        ImageId=account.image, MinCount=1, MaxCount=1, SubnetId=subnet, **given
    )
    return f"arn:aws:ec2:{REGION}:{account.number}:instance/{made['Instances'][0]['InstanceId']}"


def test_the_list_shows_every_kind_with_state_and_listeners(chat: Aws) -> None:
    listed = {target.name: target for target in targets.list_targets(chat, REGION)}
    assert {"int-chat", "int-orders", "int-admin", "pub-web", "gwlb-inspect"} <= set(listed)
    assert listed["int-chat"].listener_protocols() == {80: "HTTP"}
    assert listed["int-admin"].listener_protocols() == {8443: "HTTP"}
    assert listed["gwlb-inspect"].kind == targets.GATEWAY
    assert (listed["int-chat"].scheme, listed["pub-web"].scheme) == ("internal", "internet-facing")


def test_a_ready_target_is_known_in_full(chat: Aws) -> None:
    target = looked_at(chat, seeded(chat, "int-chat").arn)
    assert (target.kind, target.state, target.idle_timeout_seconds) == ("application", "active", 60)
    assert target.dns_name.startswith("internal-int-chat-")
    assert (target.healthy_targets, target.registered_targets) == (1, 1)
    assert target.groups is not None
    assert [one.health_check_codes for one in target.groups] == ["200"]
    assert (target.internet_gateway, target.block_public_access) == (True, "off")
    assert target.origin_facing_prefix_list.startswith("pl-")
    assert target.origin_facing_ipv6_list.startswith("pl-")
    assert target.origin_facing_ipv6_list != target.origin_facing_prefix_list
    assert target.admits_cloudfront(80) is not None
    assert len(target.subnets) == 2
    assert not any(subnet.public for subnet in target.subnets)
    assert all(
        subnet.availability_zone_id.startswith("use1-az") and subnet.free_addresses
        for subnet in target.subnets
    )


def test_a_closed_and_a_public_one_look_different(chat: Aws) -> None:
    assert looked_at(chat, seeded(chat, "int-orders").arn).admits_cloudfront(80) is None
    assert all(subnet.public for subnet in looked_at(chat, seeded(chat, "pub-web").arn).subnets)


def test_a_subnet_without_a_table_of_its_own_goes_by_the_main_table(
    account: Account, aws: Aws
) -> None:
    network = account.vpc()
    arn = account.balancer(network)
    assert not any(subnet.public for subnet in looked_at(aws, arn).subnets)
    gateway = account.ec2.describe_internet_gateways(
        Filters=[{"Name": "attachment.vpc-id", "Values": [network.vpc]}]
    )["InternetGateways"][0]["InternetGatewayId"]
    mine = [
        {"Name": "vpc-id", "Values": [network.vpc]},
        {"Name": "association.main", "Values": ["true"]},
    ]
    main = account.ec2.describe_route_tables(Filters=mine)["RouteTables"][0]["RouteTableId"]
    account.ec2.create_route(RouteTableId=main, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    assert all(subnet.public for subnet in looked_at(aws, arn).subnets)

    own = account.ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
    account.ec2.associate_route_table(RouteTableId=own, SubnetId=network.subnets[0])
    public = {subnet.id: subnet.public for subnet in looked_at(aws, arn).subnets}
    assert public == {network.subnets[0]: False, network.subnets[1]: True}


def test_a_vpc_without_a_gateway_says_so(account: Account, aws: Aws) -> None:
    assert looked_at(aws, account.balancer(account.vpc(gateway=False))).internet_gateway is False


def test_a_redirecting_listener_says_where_to(account: Account, aws: Aws) -> None:
    arn = account.balancer(account.vpc())
    redirect = {
        "Type": "redirect",
        "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"},
    }
    account.elbv2.create_listener(
        LoadBalancerArn=arn, Protocol="HTTP", Port=80, DefaultActions=[redirect]
    )
    (listener,) = looked_at(aws, arn).listeners
    assert (listener.default_action, listener.redirect_protocol) == ("redirect", "HTTPS")


def test_a_network_load_balancer_has_its_idle_clock_on_the_listener(
    account: Account, aws: Aws
) -> None:
    network = account.vpc()
    arn = account.balancer(network, "nlb", Type="network")
    group = account.elbv2.create_target_group(
        Name="tcp", Protocol="TCP", Port=80, VpcId=network.vpc
    )
    forward = {"Type": "forward", "TargetGroupArn": group["TargetGroups"][0]["TargetGroupArn"]}
    account.elbv2.create_listener(
        LoadBalancerArn=arn, Protocol="TCP", Port=80, DefaultActions=[forward]
    )
    target = looked_at(aws, arn)
    assert (target.kind, target.idle_timeout_seconds) == ("network", None)
    assert [listener.idle_timeout_seconds for listener in target.listeners] == [350]
    assert (target.healthy_targets, target.registered_targets) == (0, 0)


def test_a_running_instance_is_a_target_and_a_stopped_one_is_not_active(
    account: Account, aws: Aws
) -> None:
    network = account.vpc()
    name = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "box"}]}]
    arn = instance_in(
        account, network.subnets[0], SecurityGroupIds=[network.group], TagSpecifications=name
    )
    target = looked_at(aws, arn)
    assert (target.arn, target.kind, target.name, target.state) == (
        arn,
        "instance",
        "box",
        "active",
    )
    assert target.dns_name.endswith(".internal")
    assert target.security_groups == (network.group,)
    assert [subnet.id for subnet in target.subnets] == [network.subnets[0]]
    assert "box" in {one.name for one in targets.list_targets(aws, REGION)}

    account.ec2.stop_instances(InstanceIds=[arn.rsplit("/", 1)[1]])
    assert looked_at(aws, arn).state != "active"
    assert "box" not in {one.name for one in targets.list_targets(aws, REGION)}


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/nobody/0123456789abcdef",
        "arn:aws:ec2:us-east-1:111122223333:instance/i-0123456789abcdef0",
    ],
)
def test_what_is_not_there_is_none(chat: Aws, arn: str) -> None:
    assert targets.target_facts(chat, arn) is None


def test_a_snapshot_holds_everything_together(chat: Aws) -> None:
    (front_door,) = distributions.list_all(chat)
    snapshot = take_snapshot(
        chat, target_arn=seeded(chat, "int-chat").arn, distribution_id=front_door.id, owner=OWNER
    )
    assert snapshot.gaps == ()
    assert snapshot.target is not None
    assert snapshot.target.name == "int-chat"
    assert snapshot.distribution is not None
    assert snapshot.distribution.comment == "Chat front door"


def test_a_snapshot_tells_our_vpc_origins_from_those_that_only_have_our_name(
    account: Account, aws: Aws
) -> None:
    config = {
        "Arn": account.target,
        "HTTPPort": 80,
        "HTTPSPort": 443,
        "OriginProtocolPolicy": "http-only",
    }
    vpc_origins.create(aws, config | {"Name": f"{OWNER}-a"}, {OWNER_TAG: OWNER})
    vpc_origins.create(aws, config | {"Name": f"{OWNER}-b"}, {OWNER_TAG: "somebody"})
    vpc_origins.create(aws, config | {"Name": "theirs"}, {})
    snapshot = take_snapshot(aws, target_arn="", distribution_id="", owner=OWNER)
    assert {origin.name: origin.ours for origin in snapshot.vpc_origins} == {
        f"{OWNER}-a": True,
        f"{OWNER}-b": False,
        "theirs": None,
    }
    assert (snapshot.target, snapshot.distribution, snapshot.gaps) == (None, None, ())


def test_a_snapshot_of_a_target_asks_for_the_tags_of_its_own_vpc_origins_only(
    account: Account, aws: Aws
) -> None:
    """The account's other VPC origins cost one call each, and no judgement of this target needs
    them.
    """
    network = account.vpc()
    mine, other = account.balancer(network, "mine"), account.balancer(network, "other")
    for name, arn in (("a", mine), ("b", other)):
        config = {"Arn": arn, "HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "http-only"}
        vpc_origins.create(aws, config | {"Name": f"{OWNER}-{name}"}, {OWNER_TAG: OWNER})
    seen = take_snapshot(aws, target_arn=mine, distribution_id="", owner=OWNER).vpc_origins
    assert {origin.name: origin.ours for origin in seen} == {f"{OWNER}-a": True, f"{OWNER}-b": None}


@pytest.mark.parametrize(("name", "admitted"), [("int-chat", True), ("int-orders", False)])
def test_whether_cloudfront_gets_in_needs_no_more_than_the_rules(
    chat: Aws, name: str, admitted: bool
) -> None:
    arn = seeded(chat, name).arn
    facts = targets.admission_facts(chat, arn)
    assert facts is not None
    assert (facts.admits_cloudfront(80) is not None) == admitted
    assert facts.admits_cloudfront(80) == looked_at(chat, arn).admits_cloudfront(80)
    assert targets.admission_facts(chat, f"{arn[:-4]}0000") is None


def denied(operation: str) -> AwsError:
    response: Any = {
        "Error": {"Code": "AccessDenied", "Message": f"not authorized to perform {operation}"},
        "ResponseMetadata": {"HTTPStatusCode": 403},
    }
    return translate(ClientError(response, operation), operation)


PARTS = [
    (targets, "ingress_rules", "ingress"),
    (vpcs, "subnets", "subnets"),
    (vpcs, "acls", "acls"),
    (vpcs, "has_internet_gateway", "internet_gateway"),
    (vpcs, "block_public_access", "block_public_access"),
    (targets, "_own_addresses", "addresses"),
    (targets, "origin_facing_lists", "prefix_list"),
    (targets, "service_group", "service_group"),
    (targets, "_listeners", "listeners"),
    (targets, "_all_rules", "rules"),
    (targets, "_all_certificates", "certificates"),
    (targets, "_attributes", "attributes"),
    (target_groups, "groups_of", "target_health"),
    (target_groups, "internet_facing_load_balancers", "internet_facing_load_balancers"),
    (api_gateway, "links", "api_gateway"),
    (target_groups, "addresses_behind", "addresses_behind"),
    (targets, "survey_target", "target"),
    (distributions, "read", "distribution"),
    (targets, "list_weights", "list_weights"),
    (snapshot_module, "has_service_role", "service_role"),
    (snapshot_module, "simulate", "permissions"),
    (snapshot_module, "_quotas", "quotas"),
    (domain_conflicts, "of_names", "domain_conflicts"),
    (vpc_origins, "list_all", "vpc_origins"),
]


@pytest.mark.parametrize(("module", "function", "gap"), PARTS, ids=[gap for _, _, gap in PARTS])
def test_what_is_not_allowed_becomes_a_gap_and_the_rest_is_there(
    module: Any, function: str, gap: str, chat: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    (front_door,) = distributions.list_all(chat)
    arn = seeded(chat, "int-chat").arn

    def refuse(*_: object, **__: object) -> None:
        raise denied(function)

    monkeypatch.setattr(module, function, refuse)
    snapshot = take_snapshot(
        chat, target_arn=arn, distribution_id=front_door.id, owner=OWNER, permissions=True
    )
    assert [one.what for one in snapshot.gaps] == [gap]
    assert "not authorized" in snapshot.gaps[0].reason
    assert "Ask the account's administrator" in snapshot.gaps[0].reason
    assert (snapshot.target is None) == (gap == "target")
    assert (snapshot.distribution is None) == (gap == "distribution")
