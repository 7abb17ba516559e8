"""/_lab: the edge's document and its versions, and the seeded accounts."""

from __future__ import annotations

import threading
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.lab.account import CHAT_ACCOUNT, REGION, Account, Lab, assert_refused

TRADING_ACCOUNT = "444455556666"
SLOW_EDGE_SECONDS = 0.5


def balancer(lab: Lab, name: str) -> dict[str, Any]:
    (found,) = [item for item in lab.get("/_lab/state")["load_balancers"] if item["name"] == name]
    result: dict[str, Any] = found
    return result


@contextmanager
def a_slow_edge(lab: Lab) -> Iterator[list[float]]:
    """An edge that polls twice a second: the speeds of the clock that it applied."""
    applied: list[float] = []
    ready, left = threading.Event(), threading.Event()

    def follow() -> None:
        version = 0
        while not left.is_set():
            state = lab.get(f"/_lab/state?version={version}")
            if state is not None:
                applied.append(state["clock"]["scale"])
                version = state["version"]
            else:
                ready.set()
            left.wait(SLOW_EDGE_SECONDS)

    follower = threading.Thread(target=follow)
    follower.start()
    try:
        assert ready.wait(30)
        yield applied
    finally:
        left.set()
        follower.join()


class TestVersion:
    def test_unchanged_is_no_content(self, lab: Lab) -> None:
        version = lab.get("/_lab/state")["version"]
        assert lab.get(f"/_lab/state?version={version}") is None
        assert lab.get("/_lab/state?version=0")["version"] == version
        assert lab.get("/_lab/state?version=nonsense")["version"] == version

    def test_it_grows_with_every_change_by_a_caller_or_by_time(
        self, lab: Lab, account: Account
    ) -> None:
        versions = [lab.get("/_lab/state")["version"]]

        def changed() -> bool:
            versions.append(lab.get("/_lab/state")["version"])
            return bool(versions[-1] > versions[-2])

        group = account.vpc().group
        assert changed()
        permission = {
            "IpProtocol": "tcp",
            "FromPort": 80,
            "ToPort": 80,
            "IpRanges": [{"CidrIp": "10.0.0.0/8"}],
        }
        account.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
        assert changed()
        account.ec2.describe_security_groups()
        assert not changed()
        account.create_distribution()
        assert changed()
        account.cloudfront.list_distributions()
        assert not changed()
        lab.advance(1)
        assert changed()


class TestClock:
    def test_it_is_stepped_forward_only(self, lab: Lab) -> None:
        before = lab.get("/_lab/clock")
        after = lab.post("/_lab/clock", {"advance_seconds": 90})
        assert after["offset_seconds"] == before["offset_seconds"] + 90
        assert after["now"] > before["now"]
        for nonsense in (-1, "1", None, True, 1e12):
            with pytest.raises(urllib.error.HTTPError, match="400"):
                lab.post("/_lab/clock", {"advance_seconds": nonsense})
        with pytest.raises(urllib.error.HTTPError, match="400"):
            lab.post("/_lab/clock", [1])

    def test_a_change_of_speed_returns_when_the_edge_has_applied_it(self, lab: Lab) -> None:
        before = lab.get("/_lab/clock")["scale"]
        with a_slow_edge(lab) as applied:
            for scale in (30, before):
                assert lab.post("/_lab/clock", {"scale": scale})["scale"] == scale
                assert applied[-1] == scale


def test_calls_are_counted(lab: Lab, account: Account) -> None:
    before = lab.get("/_lab/calls")
    for _ in range(3):
        account.cloudfront.list_vpc_origins()
    after = lab.get("/_lab/calls")
    assert (
        after["cloudfront"]["ListVpcOrigins"] == before["cloudfront"].get("ListVpcOrigins", 0) + 3
    )
    assert after["total"] == before["total"] + 3


def test_hosts_can_be_added(lab: Lab) -> None:
    assert "10.10.8.174:8080" in lab.get("/_lab/state")["hosts"]
    lab.post("/_lab/hosts", {"10.9.8.1:9000": "127.0.0.1:1"})
    assert lab.get("/_lab/state")["hosts"]["10.9.8.1:9000"] == "127.0.0.1:1"
    lab.post("/_lab/hosts", {"10.9.8.1:9000": ""})
    assert "10.9.8.1:9000" not in lab.get("/_lab/state")["hosts"]


@pytest.mark.parametrize(
    "given",
    [
        {"10.9.8.1:9000": "somewhere"},
        {"10.9.8.1:9000": "127.0.0.1:65536"},
        {"a": "127.0.0.1:1"},
        {"a:1": 1},
    ],
)
def test_what_is_no_place_is_refused_with_words(lab: Lab, given: dict[str, Any]) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        lab.post("/_lab/hosts", given)
    assert (caught.value.code, b"must be host:port" in caught.value.read()) == (400, True)


class TestSeed:
    def test_a_target_that_is_ready(self, lab: Lab) -> None:
        state = lab.get("/_lab/state")
        chat = balancer(lab, "int-chat")
        assert (chat["account"], chat["scheme"], chat["type"], chat["state"]) == (
            CHAT_ACCOUNT,
            "internal",
            "application",
            "active",
        )
        assert chat["dns_name"].startswith("internal-int-chat-")
        assert chat["attributes"]["idle_timeout.timeout_seconds"] == "60"
        (listener,) = chat["listeners"]
        assert (listener["port"], listener["protocol"]) == (80, "HTTP")
        arn = listener["default_actions"][0]["target_group_arn"]
        (group,) = [item for item in state["target_groups"] if item["arn"] == arn]
        assert group["targets"] == [{"id": "10.10.8.174", "port": 8080, "health": "healthy"}]
        (rule,) = state["security_groups"][chat["security_groups"][0]]["ingress"]
        (list_id,) = rule["prefix_lists"]
        assert (rule["protocol"], rule["from_port"], rule["to_port"]) == ("tcp", 80, 80)
        assert "130.176.0.0/16" in state["prefix_lists"][list_id]["cidrs"]
        filters = [{"Name": "group-id", "Values": chat["security_groups"]}]
        rules = lab.account(CHAT_ACCOUNT).ec2.describe_security_group_rules(Filters=filters)[
            "SecurityGroupRules"
        ]
        assert list_id in {rule.get("PrefixListId") for rule in rules}

    def test_targets_that_are_not(self, lab: Lab) -> None:
        state = lab.get("/_lab/state")
        orders = balancer(lab, "int-orders")
        (rule,) = state["security_groups"][orders["security_groups"][0]]["ingress"]
        assert (rule["prefix_lists"], rule["cidrs"]) == ([], ["10.10.0.0/16"])
        assert [listener["port"] for listener in balancer(lab, "int-admin")["listeners"]] == [8443]
        assert balancer(lab, "gwlb-inspect")["type"] == "gateway"
        assert balancer(lab, "gwlb-inspect")["arn"].split("/")[1] == "gwy"
        assert balancer(lab, "pub-web")["scheme"] == "internet-facing"

    def test_the_private_subnets_have_no_way_to_the_internet_the_public_ones_have(
        self, lab: Lab
    ) -> None:
        chat = lab.account(CHAT_ACCOUNT)
        for name, public in (("int-chat", False), ("pub-web", True)):
            subnet = balancer(lab, name)["subnets"][0]
            filters = [{"Name": "association.subnet-id", "Values": [subnet]}]
            (table,) = chat.ec2.describe_route_tables(Filters=filters)["RouteTables"]
            gateways = [route.get("GatewayId", "") for route in table["Routes"]]
            assert any(gateway.startswith("igw-") for gateway in gateways) is public
            attached = [{"Name": "attachment.vpc-id", "Values": [table["VpcId"]]}]
            assert (
                len(chat.ec2.describe_internet_gateways(Filters=attached)["InternetGateways"]) == 1
            )

    def test_both_front_doors_are_open(self, lab: Lab) -> None:
        doors = {
            item["config"]["Comment"]: item
            for item in lab.get("/_lab/state")["distributions"]
            if item["config"]
        }
        assert doors["Chat front door"]["account"] == CHAT_ACCOUNT
        origin = doors["Chat front door"]["config"]["Origins"]["Items"][0]
        assert origin["DomainName"] == balancer(lab, "pub-web")["dns_name"]
        assert doors["Trading front door"]["account"] == TRADING_ACCOUNT
        assert {
            door["status"] for door in (doors["Chat front door"], doors["Trading front door"])
        } == {"Deployed"}


class TestGaps:
    """What moto lacks, as the portal calls it."""

    def test_block_public_access(self, account: Account) -> None:
        options = account.ec2.describe_vpc_block_public_access_options()[
            "VpcBlockPublicAccessOptions"
        ]
        assert (options["InternetGatewayBlockMode"], options["AwsRegion"]) == ("off", REGION)
        assert (
            account.ec2.describe_vpc_block_public_access_exclusions()[
                "VpcBlockPublicAccessExclusions"
            ]
            == []
        )

    @pytest.mark.rule("balancer/default-attributes", "balancer/internal-name")
    def test_load_balancers(self, account: Account) -> None:
        network = account.vpc()
        described = account.elbv2.describe_load_balancers(
            LoadBalancerArns=[account.balancer(network, "alb")]
        )
        (alb,) = described["LoadBalancers"]
        assert alb["DNSName"].startswith("internal-alb-")
        assert ":loadbalancer/app/alb/" in alb["LoadBalancerArn"]
        attributes = {
            item["Key"]: item["Value"]
            for item in account.elbv2.describe_load_balancer_attributes(
                LoadBalancerArn=alb["LoadBalancerArn"]
            )["Attributes"]
        }
        assert attributes["idle_timeout.timeout_seconds"] == "60"
        assert attributes["load_balancing.cross_zone.enabled"] == "true"
        described = account.elbv2.describe_load_balancers(
            LoadBalancerArns=[account.balancer(network, "nlb", Type="network")]
        )
        (nlb,) = described["LoadBalancers"]
        assert ":loadbalancer/net/nlb/" in nlb["LoadBalancerArn"]
        assert nlb["SecurityGroups"] == [network.group]

    @pytest.mark.rule("vpc-origin/service-linked-role")
    def test_the_service_linked_role(self, account: Account) -> None:
        made = account.iam.create_service_linked_role(
            AWSServiceName="vpcorigin.cloudfront.amazonaws.com"
        )
        assert made["Role"]["RoleName"] == "AWSServiceRoleForCloudFrontVPCOrigin"
        with assert_refused("InvalidInput", 400):
            account.iam.create_service_linked_role(
                AWSServiceName="vpcorigin.cloudfront.amazonaws.com"
            )

    @pytest.mark.rule("vpc-origin/role-stays-in-use")
    def test_the_service_linked_role_stays_while_there_is_a_vpc_origin(
        self, lab: Lab, account: Account
    ) -> None:
        made = account.create_vpc_origin()
        role = "AWSServiceRoleForCloudFrontVPCOrigin"
        with assert_refused("UnmodifiableEntity", 400):
            account.iam.delete_role(RoleName=role)

        def deletion() -> dict[str, Any]:
            task = account.iam.delete_service_linked_role(RoleName=role)["DeletionTaskId"]
            told: dict[str, Any] = account.iam.get_service_linked_role_deletion_status(
                DeletionTaskId=task
            )
            return told

        told = deletion()
        assert told["Status"] == "FAILED"
        assert told["Reason"]["RoleUsageList"][0]["Region"] == REGION
        assert account.iam.get_role(RoleName=role)
        lab.advance()
        account.cloudfront.delete_vpc_origin(Id=made["VpcOrigin"]["Id"], IfMatch=made["ETag"])
        lab.advance()
        lab.get("/_lab/state")  # settles what time has done
        assert deletion()["Status"] == "SUCCEEDED"
        with assert_refused("NoSuchEntity", 404):
            account.iam.get_role(RoleName=role)

    @pytest.mark.rule("vpc-origin/prefix-list-weight")
    def test_the_origin_facing_lists_are_the_same_everywhere(
        self, lab: Lab, account: Account
    ) -> None:
        names = [
            {
                "Name": "prefix-list-name",
                "Values": ["com.amazonaws.global.cloudfront.origin-facing"],
            }
        ]
        (mine,) = account.ec2.describe_managed_prefix_lists(Filters=names)["PrefixLists"]
        (theirs,) = lab.account().ec2.describe_managed_prefix_lists(Filters=names)["PrefixLists"]
        assert mine["PrefixListId"] == theirs["PrefixListId"]
        assert mine["MaxEntries"] == 55

    def test_what_moto_does_not_know_is_an_error_of_awss_form(self, account: Account) -> None:
        with assert_refused("InvalidAction", 400):
            account.ec2.describe_byoip_cidrs(MaxResults=5)
