"""VPC origins behave as AWS documents, each refusal beside what is allowed."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import pytest

from tests.lab.account import (
    Account,
    Lab,
    assert_refused,
    behavior,
    custom_origin,
    listed,
    vpc_origin,
)


def status(account: Account, origin_id: str) -> str:
    return str(account.cloudfront.get_vpc_origin(Id=origin_id)["VpcOrigin"]["Status"])


def service_groups(account: Account, vpc: str) -> list[dict[str, Any]]:
    filters = [
        {"Name": "group-name", "Values": ["CloudFront-VPCOrigins-Service-SG"]},
        {"Name": "vpc-id", "Values": [vpc]},
    ]
    found: list[dict[str, Any]] = account.ec2.describe_security_groups(Filters=filters)[
        "SecurityGroups"
    ]
    return found


def service_interfaces(account: Account) -> list[dict[str, Any]]:
    filters = [{"Name": "tag:aws.cloudfront.vpcorigin", "Values": ["enabled"]}]
    found: list[dict[str, Any]] = account.ec2.describe_network_interfaces(Filters=filters)[
        "NetworkInterfaces"
    ]
    return found


class TestCreate:
    @pytest.mark.rule(
        "vpc-origin/deploying-then-deployed", "vpc-origin/ids", "vpc-origin/answers-202"
    )
    def test_it_deploys_in_about_nine_minutes(self, lab: Lab, account: Account) -> None:
        made = account.create_vpc_origin("chat")
        assert made["ResponseMetadata"]["HTTPStatusCode"] == 202
        assert made["Location"].endswith(made["VpcOrigin"]["Id"])
        origin_id = made["VpcOrigin"]["Id"]
        assert origin_id.startswith("vo_")
        assert (
            made["VpcOrigin"]["Arn"]
            == f"arn:aws:cloudfront::{account.number}:vpcorigin/{origin_id}"
        )
        assert status(account, origin_id) == "Deploying"
        lab.advance(400)
        assert status(account, origin_id) == "Deploying"
        lab.advance(200)
        assert status(account, origin_id) == "Deployed"

    @pytest.mark.rule("vpc-origin/unknown-id", "api/own-account")
    def test_the_list_shows_it_to_its_account_only(self, lab: Lab, account: Account) -> None:
        made = account.create_vpc_origin("chat")["VpcOrigin"]
        (summary,) = account.cloudfront.list_vpc_origins()["VpcOriginList"]["Items"]
        assert (summary["Id"], summary["Name"], summary["OriginEndpointArn"]) == (
            made["Id"],
            "chat",
            account.target,
        )
        other = lab.account()
        assert other.cloudfront.list_vpc_origins()["VpcOriginList"]["Quantity"] == 0
        with assert_refused("EntityNotFound", 404):
            other.cloudfront.get_vpc_origin(Id=made["Id"])

    @pytest.mark.rule("vpc-origin/name-unique")
    def test_names_are_unique_in_an_account(self, lab: Lab, account: Account) -> None:
        account.create_vpc_origin("chat")
        with assert_refused("EntityAlreadyExists", 409):
            account.create_vpc_origin("chat")
        account.create_vpc_origin("chat-2")
        lab.account().create_vpc_origin("chat")

    @pytest.mark.rule("vpc-origin/ports")
    def test_ports(self, account: Account) -> None:
        for port in (80, 443, 1024, 65535):
            account.create_vpc_origin(f"chat-{port}", HTTPPort=port, HTTPSPort=port)
        for port in (0, 22, 1023, 65536, -1):
            with assert_refused("InvalidArgument", 400):
                account.create_vpc_origin("refused", HTTPPort=port)
            with assert_refused("InvalidArgument", 400):
                account.create_vpc_origin("refused", HTTPSPort=port)

    @pytest.mark.rule("vpc-origin/ipv6")
    def test_ip_address_types(self, account: Account) -> None:
        for kind in ("ipv4", "dualstack"):
            account.create_vpc_origin(f"chat-{kind}", IpAddressType=kind)
        shown = account.cloudfront.list_vpc_origins()["VpcOriginList"]["Items"]
        assert {item["IpAddressType"] for item in shown} == {"ipv4", "dualstack"}
        with assert_refused("MalformedXML", 400):
            account.create_vpc_origin("refused", IpAddressType="ipv6")

    @pytest.mark.rule("vpc-origin/quantity")
    def test_quantity_must_fit_the_items(self, account: Account) -> None:
        protocols = {"Quantity": 1, "Items": ["TLSv1.1", "TLSv1.2"]}
        with assert_refused("InconsistentQuantities", 400):
            account.create_vpc_origin("chat", OriginSslProtocols=protocols)
        account.create_vpc_origin("chat", OriginSslProtocols={**protocols, "Quantity": 2})

    @pytest.mark.rule("vpc-origin/ssl-protocols", "vpc-origin/ssl-protocols-left-out")
    def test_ssl_protocols(self, account: Account) -> None:
        made = account.create_vpc_origin("chat")["VpcOrigin"]["VpcOriginEndpointConfig"]
        assert made["OriginSslProtocols"] == {"Quantity": 1, "Items": ["TLSv1.2"]}
        all_four = {"Quantity": 4, "Items": ["SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2"]}
        kept = account.create_vpc_origin("old", OriginSslProtocols=all_four)["VpcOrigin"][
            "VpcOriginEndpointConfig"
        ]
        assert kept["OriginSslProtocols"] == all_four
        with assert_refused("MalformedXML", 400):
            account.create_vpc_origin(
                "new", OriginSslProtocols={"Quantity": 1, "Items": ["TLSv1.3"]}
            )

    @pytest.mark.rule("quota/vpc-origins")
    def test_quota(self, lab: Lab, account: Account) -> None:
        for number in range(25):
            account.create_vpc_origin(f"chat-{number}")
        with assert_refused("EntityLimitExceeded", 400):
            account.create_vpc_origin("one-too-many")


class TestTargets:
    @pytest.mark.rule("vpc-origin/target-kinds")
    def test_a_load_balancer_of_the_account(self, lab: Lab, account: Account) -> None:
        with assert_refused("InvalidArgument", 400):
            lab.account().create_vpc_origin(Arn=account.target)
        with assert_refused("InvalidArgument", 400):
            account.create_vpc_origin(Arn=account.target[:-1] + "f0")
        with assert_refused("InvalidArgument", 400):
            account.create_vpc_origin(Arn="arn:aws:s3:::bucket")
        account.create_vpc_origin(Arn=account.target)

    @pytest.mark.rule("vpc-origin/no-tls-listener", "vpc-origin/target-kinds")
    def test_a_network_load_balancer_without_tls(self, account: Account) -> None:
        network = account.vpc()
        plain = account.balancer(network, "plain", Type="network")
        account.create_vpc_origin("plain", Arn=plain)
        certificate = account.client("acm").request_certificate(DomainName="ws.example.com")
        terminating = account.balancer(network, "terminating", Type="network")
        group = account.elbv2.create_target_group(
            Name="t", Protocol="TCP", Port=443, VpcId=network.vpc
        )
        account.elbv2.create_listener(
            LoadBalancerArn=terminating,
            Protocol="TLS",
            Port=443,
            Certificates=[{"CertificateArn": certificate["CertificateArn"]}],
            DefaultActions=[
                {"Type": "forward", "TargetGroupArn": group["TargetGroups"][0]["TargetGroupArn"]}
            ],
        )
        with assert_refused("InvalidArgument", 400):
            account.create_vpc_origin("terminating", Arn=terminating)

    @pytest.mark.rule("vpc-origin/region")
    def test_in_a_region_that_has_vpc_origins(self, account: Account) -> None:
        for region, fits in (("eu-west-1", True), ("us-gov-west-1", False)):
            there = replace(account, region=region)
            arn = there.balancer(there.vpc())
            with contextlib.nullcontext() if fits else assert_refused("InvalidArgument", 400):
                account.create_vpc_origin(region, Arn=arn)

    @pytest.mark.rule("vpc-origin/excluded-zone")
    def test_in_no_excluded_zone(self, account: Account) -> None:
        network = account.vpc()
        in_e = account.ec2.create_subnet(
            VpcId=network.vpc, CidrBlock="10.9.10.0/24", AvailabilityZone="us-east-1e"
        )
        assert in_e["Subnet"]["AvailabilityZoneId"] == "use1-az3"
        one, _ = network.subnets
        there = account.balancer(
            replace(network, subnets=[one, in_e["Subnet"]["SubnetId"]]), "partly-in-e"
        )
        with assert_refused("InvalidArgument", 400):
            account.create_vpc_origin(Arn=there)
        account.create_vpc_origin(Arn=account.balancer(network, "elsewhere"))

    @pytest.mark.rule("vpc-origin/free-address")
    def test_where_a_subnet_has_a_free_address(self, account: Account) -> None:
        network = account.vpc()
        small = account.ec2.create_subnet(
            VpcId=network.vpc, CidrBlock="10.9.10.0/28", AvailabilityZone="us-east-1c"
        )
        subnet = small["Subnet"]["SubnetId"]
        tight = account.balancer(replace(network, subnets=[network.subnets[0], subnet]), "tight")
        full = account.ec2.create_network_interface(
            SubnetId=subnet, SecondaryPrivateIpAddressCount=10
        )
        (shown,) = account.ec2.describe_subnets(SubnetIds=[subnet])["Subnets"]
        assert shown["AvailableIpAddressCount"] == 0
        with assert_refused("InvalidArgument", 400):
            account.create_vpc_origin("tight", Arn=tight)
        account.ec2.delete_network_interface(
            NetworkInterfaceId=full["NetworkInterface"]["NetworkInterfaceId"]
        )
        account.create_vpc_origin("tight", Arn=tight)
        # The second one shares the existing interface.
        account.ec2.create_network_interface(SubnetId=subnet, SecondaryPrivateIpAddressCount=9)
        account.create_vpc_origin("beside", Arn=tight)

    @pytest.mark.rule("vpc-origin/internet-facing", "vpc-origin/public-subnet")
    def test_nobody_asks_whether_it_is_private(self, account: Account) -> None:
        network = account.vpc()
        table = account.ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
        named = [{"Name": "attachment.vpc-id", "Values": [network.vpc]}]
        (gateway,) = account.ec2.describe_internet_gateways(Filters=named)["InternetGateways"]
        account.ec2.create_route(
            RouteTableId=table,
            DestinationCidrBlock="0.0.0.0/0",
            GatewayId=gateway["InternetGatewayId"],
        )
        for subnet in network.subnets:
            account.ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
        public = account.balancer(network, "public", Scheme="internet-facing")
        made = account.create_vpc_origin("public", Arn=public)["VpcOrigin"]
        assert made["VpcOriginEndpointConfig"]["Arn"] == public

    @pytest.mark.rule("vpc-origin/no-gateway-load-balancer")
    def test_never_a_gateway_load_balancer(self, account: Account) -> None:
        network = account.vpc()
        made = account.elbv2.create_load_balancer(
            Name="gw", Type="gateway", Subnets=network.subnets
        )
        with assert_refused("InvalidArgument", 400):
            account.create_vpc_origin(Arn=made["LoadBalancers"][0]["LoadBalancerArn"])

    @pytest.mark.rule("vpc-origin/dual-stack-nlb")
    def test_a_dual_stack_network_load_balancer(self, account: Account) -> None:
        arn = account.balancer(account.vpc(), "both", Type="network", IpAddressType="dualstack")
        assert account.elbv2.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"][0][
            "IpAddressType"
        ] == ("dualstack")
        account.create_vpc_origin(Arn=arn)

    @pytest.mark.rule("vpc-origin/target-kinds", "vpc-origin/target-active")
    def test_an_instance(self, account: Account) -> None:
        network = account.vpc()
        made = account.ec2.run_instances(
            ImageId=account.image,
            MinCount=1,
            MaxCount=1,
            SubnetId=network.subnets[0],
            SecurityGroupIds=[network.group],
        )["Instances"][0]["InstanceId"]
        arn = f"arn:aws:ec2:us-east-1:{account.number}:instance/{made}"
        account.create_vpc_origin("instance", Arn=arn)
        account.ec2.stop_instances(InstanceIds=[made])
        with assert_refused("InvalidArgument", 400):
            account.create_vpc_origin("stopped", Arn=arn)

    @pytest.mark.rule("vpc-origin/internet-gateway")
    def test_the_vpc_must_have_an_internet_gateway(self, account: Account) -> None:
        sealed = account.balancer(account.vpc(gateway=False), "sealed")
        with assert_refused("InvalidArgument", 400):
            account.create_vpc_origin(Arn=sealed)

    @pytest.mark.rule("vpc-origin/target-has-security-group")
    def test_it_must_have_a_security_group(self, account: Account) -> None:
        bare = account.balancer(account.vpc(), "bare", Type="network", SecurityGroups=[])
        with assert_refused("InvalidArgument", 400):
            account.create_vpc_origin(Arn=bare)


class TestServiceNetwork:
    @pytest.mark.rule(
        "vpc-origin/service-group",
        "vpc-origin/interfaces",
        "vpc-origin/interfaces-per-subnet",
        "vpc-origin/service-linked-role",
        "vpc-origin/same-target-twice",
    )
    def test_group_and_interfaces_come_with_the_first_and_go_with_the_last(
        self, lab: Lab, account: Account
    ) -> None:
        network = account.vpc()
        arn = account.balancer(network)
        assert service_groups(account, network.vpc) == []
        first = account.create_vpc_origin("first", Arn=arn)
        (group,) = service_groups(account, network.vpc)
        assert {"Key": "aws.cloudfront.vpcorigin", "Value": "enabled"} in group["Tags"]
        interfaces = service_interfaces(account)
        assert {interface["SubnetId"] for interface in interfaces} == set(network.subnets)
        assert all(interface["RequesterManaged"] for interface in interfaces)
        assert account.iam.get_role(RoleName="AWSServiceRoleForCloudFrontVPCOrigin")

        second = account.create_vpc_origin("second", Arn=arn)
        assert service_groups(account, network.vpc) == [group]
        assert len(service_interfaces(account)) == len(interfaces)

        lab.advance()
        account.cloudfront.delete_vpc_origin(Id=first["VpcOrigin"]["Id"], IfMatch=first["ETag"])
        lab.advance()
        assert service_groups(account, network.vpc) == [group]
        account.cloudfront.delete_vpc_origin(Id=second["VpcOrigin"]["Id"], IfMatch=second["ETag"])
        assert service_groups(account, network.vpc) == [group], (
            "still there while the deletion runs"
        )
        lab.advance()
        assert service_groups(account, network.vpc) == []
        assert service_interfaces(account) == []

    @pytest.mark.rule("vpc-origin/interfaces-managed", "vpc-origin/service-group-reserved")
    def test_the_owner_of_the_account_can_neither_take_them_away_nor_forge_them(
        self, account: Account
    ) -> None:
        account.create_vpc_origin()
        interface = service_interfaces(account)[0]["NetworkInterfaceId"]
        with assert_refused("InvalidNetworkInterface.InUse", 400):
            account.ec2.delete_network_interface(NetworkInterfaceId=interface)
        with assert_refused("InvalidParameterValue", 400):
            account.ec2.create_security_group(
                GroupName="CloudFront-VPCOrigins-Service-SG",
                Description="forged",
                VpcId=account.vpc().vpc,
            )

    @pytest.mark.rule("vpc-origin/service-group-referenced")
    def test_a_group_that_a_rule_names_stays(self, lab: Lab, account: Account) -> None:
        network = account.vpc()
        made = account.create_vpc_origin(Arn=account.balancer(network))
        (group,) = service_groups(account, network.vpc)
        source = [{"GroupId": group["GroupId"]}]
        permission = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "UserIdGroupPairs": source}
        account.ec2.authorize_security_group_ingress(
            GroupId=network.group, IpPermissions=[permission]
        )
        lab.advance()
        account.cloudfront.delete_vpc_origin(Id=made["VpcOrigin"]["Id"], IfMatch=made["ETag"])
        lab.advance()
        assert len(service_groups(account, network.vpc)) == 1
        assert service_interfaces(account) == []


class TestUpdateAndDelete:
    @pytest.mark.rule(
        "vpc-origin/update-deploys-again",
        "vpc-origin/update-arn-or-name",
        "api/stale-version",
        "api/missing-version",
        "api/version-of-every-write",
        "vpc-origin/unknown-id",
    )
    def test_a_write_needs_the_current_version(self, lab: Lab, account: Account) -> None:
        made = account.create_vpc_origin("chat")
        origin_id, endpoint = made["VpcOrigin"]["Id"], made["VpcOrigin"]["VpcOriginEndpointConfig"]
        lab.advance()
        other = account.balancer(account.vpc(), "other")
        changed = {**endpoint, "HTTPPort": 8080, "Name": "renamed", "Arn": other}
        update = account.cloudfront.update_vpc_origin
        with assert_refused("InvalidIfMatchVersion", 400):
            update(Id=origin_id, IfMatch="nonsense", VpcOriginEndpointConfig=changed)
        for old in ("E000000000000", "EOLD"):
            with assert_refused("PreconditionFailed", 412):
                update(Id=origin_id, IfMatch=old, VpcOriginEndpointConfig=changed)
        written = update(Id=origin_id, IfMatch=made["ETag"], VpcOriginEndpointConfig=changed)
        assert written["ETag"] != made["ETag"]
        assert written["VpcOrigin"]["Status"] == "Deploying"
        with assert_refused("PreconditionFailed", 412):
            update(Id=origin_id, IfMatch=made["ETag"], VpcOriginEndpointConfig=endpoint)
        lab.advance()
        shown = account.cloudfront.get_vpc_origin(Id=origin_id)
        assert shown["VpcOrigin"]["VpcOriginEndpointConfig"] == changed
        assert shown["VpcOrigin"]["Status"] == "Deployed"
        with assert_refused("EntityNotFound", 404):
            update(Id="vo_nobody", IfMatch=made["ETag"], VpcOriginEndpointConfig=endpoint)

    @pytest.mark.rule(
        "vpc-origin/delete-takes-minutes",
        "vpc-origin/delete-while-deploying",
        "vpc-origin/answers-202",
    )
    def test_deleting_takes_minutes(self, lab: Lab, account: Account) -> None:
        made = account.create_vpc_origin("chat")
        origin_id = made["VpcOrigin"]["Id"]
        with assert_refused("IllegalDelete", 400):
            account.cloudfront.delete_vpc_origin(Id=origin_id, IfMatch=made["ETag"])
        lab.advance()
        gone = account.cloudfront.delete_vpc_origin(Id=origin_id, IfMatch=made["ETag"])
        assert gone["ResponseMetadata"]["HTTPStatusCode"] == 202
        assert gone["VpcOrigin"]["Status"] == "Deploying"
        assert gone["ETag"] != made["ETag"]
        lab.advance(120)
        assert status(account, origin_id) == "Deploying"
        lab.advance(120)
        with assert_refused("EntityNotFound", 404):
            account.cloudfront.get_vpc_origin(Id=origin_id)
        assert account.cloudfront.list_vpc_origins()["VpcOriginList"]["Quantity"] == 0
        account.create_vpc_origin("chat")

    @pytest.mark.rule(
        "vpc-origin/update-refused-in-use",
        "vpc-origin/delete-refused-in-use",
        "vpc-origin/in-use-until-detach-is-deployed",
        "vpc-origin/lists-its-distributions",
    )
    def test_in_use_until_the_detaching_update_is_deployed(
        self, lab: Lab, account: Account
    ) -> None:
        made = account.create_vpc_origin("chat")
        origin_id, etag = made["VpcOrigin"]["Id"], made["ETag"]
        endpoint = made["VpcOrigin"]["VpcOriginEndpointConfig"]
        lab.advance()
        attached = account.create_distribution(
            Origins=listed(vpc_origin("ws", origin_id)), DefaultCacheBehavior=behavior("ws")
        )
        distribution_id = attached["Distribution"]["Id"]

        def refused_both() -> None:
            with assert_refused("CannotUpdateEntityWhileInUse", 409):
                account.cloudfront.update_vpc_origin(
                    Id=origin_id, IfMatch=etag, VpcOriginEndpointConfig=endpoint
                )
            with assert_refused("CannotDeleteEntityWhileInUse", 409):
                account.cloudfront.delete_vpc_origin(Id=origin_id, IfMatch=etag)

        refused_both()
        lab.advance()
        refused_both()
        config = account.cloudfront.get_distribution_config(Id=distribution_id)[
            "DistributionConfig"
        ]
        config["Origins"]["Items"] = [custom_origin("ws")]
        account.cloudfront.update_distribution(
            Id=distribution_id, IfMatch=attached["ETag"], DistributionConfig=config
        )
        by_origin = account.cloudfront.list_distributions_by_vpc_origin_id(VpcOriginId=origin_id)
        assert by_origin["DistributionIdList"]["Quantity"] == 0
        refused_both()
        lab.advance(400)
        account.cloudfront.delete_vpc_origin(Id=origin_id, IfMatch=etag)


@pytest.mark.rule("vpc-origin/lists-come-in-pages", "api/pages")
def test_lists_come_in_pages(account: Account) -> None:
    ids = {account.create_vpc_origin(f"chat-{number}")["VpcOrigin"]["Id"] for number in range(5)}
    seen: list[str] = []
    marker = ""
    while True:
        shown = account.cloudfront.list_vpc_origins(Marker=marker, MaxItems="2")["VpcOriginList"]
        seen += [item["Id"] for item in shown["Items"]]
        if not shown["IsTruncated"]:
            break
        assert shown["Quantity"] == 2
        marker = shown["NextMarker"]
    assert sorted(seen) == sorted(ids)
    with assert_refused("InvalidArgument", 400):
        account.cloudfront.list_vpc_origins(MaxItems="many")


@pytest.mark.rule("api/pages")
def test_a_full_last_page_is_the_last(account: Account) -> None:
    """As for botocore's paginator, which stops if there is no NextMarker."""
    ids = {account.create_distribution()["Distribution"]["Id"] for _ in range(4)}
    paginator = account.cloudfront.get_paginator("list_distributions")
    pages = [
        page["DistributionList"] for page in paginator.paginate(PaginationConfig={"PageSize": 2})
    ]
    assert [(page["Quantity"], page["IsTruncated"], "NextMarker" in page) for page in pages] == [
        (2, True, True),
        (2, False, False),
    ]
    assert pages[1]["Marker"] == pages[0]["NextMarker"]
    assert {item["Id"] for page in pages for item in page["Items"]} == ids
    first = paginator.paginate(PaginationConfig={"MaxItems": 3}).build_full_result()
    rest = paginator.paginate(
        PaginationConfig={"StartingToken": first["NextToken"]}
    ).build_full_result()
    both = [*first["DistributionList"]["Items"], *rest["DistributionList"]["Items"]]
    assert sorted(item["Id"] for item in both) == sorted(ids)
