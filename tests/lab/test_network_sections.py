"""What /_lab/state says about networks, and how the edge's health checks show in the account."""

from __future__ import annotations

import time
import urllib.error
from typing import Any

import pytest

from lab.origin_certificates import OriginAuthority
from tests.lab.account import CHAT_ACCOUNT, Account, Lab


def target_group(account: Account, vpc: str, *addresses: str, **given: Any) -> str:
    made = account.elbv2.create_target_group(
        Name=f"tg-{time.monotonic_ns() % 10**9}",
        Protocol="HTTP",
        Port=8080,
        VpcId=vpc,
        TargetType="ip",
        HealthCheckPath="/healthz",
        **given,
    )
    arn = str(made["TargetGroups"][0]["TargetGroupArn"])
    if addresses:
        account.elbv2.register_targets(
            TargetGroupArn=arn, Targets=[{"Id": one, "Port": 8080} for one in addresses]
        )
    return arn


def section(lab: Lab, name: str) -> Any:
    return lab.get("/_lab/state")[name]


def test_subnets_acls_interfaces_and_instances_of_a_vpc_in_use(lab: Lab, account: Account) -> None:
    network = account.vpc()
    assert network.subnets[0] not in section(lab, "subnets"), "nothing there could be reached"
    (instance,) = account.ec2.run_instances(
        ImageId=account.image,
        MinCount=1,
        MaxCount=1,
        SubnetId=network.subnets[0],
        SecurityGroupIds=[network.group],
    )["Instances"]
    state = lab.get("/_lab/state")
    assert state["subnets"][network.subnets[0]]["vpc_id"] == network.vpc
    (told,) = [one for one in state["instances"] if one["id"] == instance["InstanceId"]]
    assert told["private_ip"] == instance["PrivateIpAddress"]
    assert told["private_dns"] == instance["PrivateDnsName"]
    assert (told["state"], told["security_groups"]) == ("running", [network.group])
    assert {
        "vpc_id": network.vpc,
        "address": instance["PrivateIpAddress"],
        "security_groups": [network.group],
    } in state["network_interfaces"]

    acl = account.ec2.create_network_acl(VpcId=network.vpc)["NetworkAcl"]["NetworkAclId"]
    ports = {"From": 1024, "To": 65535}
    account.ec2.create_network_acl_entry(
        NetworkAclId=acl,
        RuleNumber=7,
        Protocol="6",
        RuleAction="deny",
        Egress=True,
        CidrBlock="0.0.0.0/0",
        PortRange=ports,
    )
    (before,) = account.ec2.describe_network_acls(
        Filters=[{"Name": "association.subnet-id", "Values": [network.subnets[0]]}]
    )["NetworkAcls"]
    (association,) = [
        one for one in before["Associations"] if one["SubnetId"] == network.subnets[0]
    ]
    account.ec2.replace_network_acl_association(
        AssociationId=association["NetworkAclAssociationId"], NetworkAclId=acl
    )
    (told,) = [one for one in section(lab, "network_acls") if one["id"] == acl]
    assert told["subnets"] == [network.subnets[0]]
    rule = {"number": 7, "egress": True, "protocol": "6", "action": "deny", "cidr": "0.0.0.0/0"}
    assert {**rule, "from_port": 1024, "to_port": 65535} in told["entries"]


def test_certificates_of_listeners_imported_and_requested(lab: Lab, account: Account) -> None:
    network = account.vpc()
    acm = account.client("acm")
    issued = OriginAuthority.new().issue(["one.example", "*.two.example"])
    imported = acm.import_certificate(
        Certificate=issued.leaf.encode(),
        PrivateKey=issued.key.encode(),
        CertificateChain=issued.rest.encode(),
    )["CertificateArn"]
    unused = acm.import_certificate(
        Certificate=issued.leaf.encode(), PrivateKey=issued.key.encode()
    )["CertificateArn"]
    requested = acm.request_certificate(DomainName="three.example")["CertificateArn"]
    forward = [{"Type": "forward", "TargetGroupArn": target_group(account, network.vpc)}]
    listener = account.elbv2.create_listener(
        LoadBalancerArn=account.balancer(network, "alb"),
        Protocol="HTTPS",
        Port=443,
        DefaultActions=forward,
        Certificates=[{"CertificateArn": imported}],
    )["Listeners"][0]["ListenerArn"]
    account.elbv2.add_listener_certificates(
        ListenerArn=listener, Certificates=[{"CertificateArn": requested}]
    )
    state = lab.get("/_lab/state")
    (told,) = [
        one for lb in state["load_balancers"] for one in lb["listeners"] if one["arn"] == listener
    ]
    assert told["certificates"] == [imported, requested]
    assert state["certificates"][imported]["names"] == ["one.example", "*.two.example"]
    assert state["certificates"][imported]["chain"].split() == (issued.leaf + issued.rest).split()
    assert state["certificates"][requested] == {"names": ["three.example"]}
    assert unused not in state["certificates"]


def test_alias_records_and_cnames_are_names(lab: Lab, account: Account) -> None:
    route53 = account.client("route53")
    zone = route53.create_hosted_zone(Name=f"z{account.number}.example", CallerReference="1")[
        "HostedZone"
    ]["Id"]
    alias = {
        "HostedZoneId": "Z35SXDOTRQ7X7K",
        "DNSName": "dualstack.Pub-Web-1.elb.amazonaws.com.",
        "EvaluateTargetHealth": False,
    }
    records: list[dict[str, Any]] = [
        {"Name": f"a.z{account.number}.example", "Type": "A", "AliasTarget": alias},
        {
            "Name": f"c.z{account.number}.example",
            "Type": "CNAME",
            "TTL": 60,
            "ResourceRecords": [{"Value": f"a.z{account.number}.example"}],
        },
    ]
    changes = [{"Action": "CREATE", "ResourceRecordSet": record} for record in records]
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
    names = section(lab, "names")
    assert names[f"a.z{account.number}.example"] == "pub-web-1.elb.amazonaws.com"
    assert names[f"c.z{account.number}.example"] == f"a.z{account.number}.example"


def test_weights_login_and_health_checks_reach_the_edge(lab: Lab, account: Account) -> None:
    network = account.vpc()
    blue = target_group(
        account, network.vpc, Matcher={"HttpCode": "200-299"}, HealthCheckIntervalSeconds=15
    )
    green = target_group(account, network.vpc)
    weighted = [{"TargetGroupArn": blue, "Weight": 3}, {"TargetGroupArn": green, "Weight": 0}]
    stickiness = {"Enabled": True, "DurationSeconds": 90}
    action = {
        "Type": "forward",
        "ForwardConfig": {"TargetGroups": weighted, "TargetGroupStickinessConfig": stickiness},
    }
    account.elbv2.create_listener(
        LoadBalancerArn=account.balancer(network, "alb"),
        Protocol="HTTP",
        Port=80,
        DefaultActions=[action],
    )
    state = lab.get("/_lab/state")
    (told,) = [
        one["default_actions"][0]
        for lb in state["load_balancers"]
        for one in lb["listeners"]
        if one["default_actions"][0].get("target_group_arn") == blue
    ]
    assert [one["weight"] for one in told["target_groups"]] == [3, 0]
    assert told["sticky_seconds"] == 90
    (group,) = [one for one in state["target_groups"] if one["arn"] == blue]
    assert group["protocol_version"] == "HTTP1"
    check = group["health_check"]
    assert (check["path"], check["codes"], check["interval"]) == ("/healthz", "200-299", 15)


@pytest.mark.rule("balancer/health-checks", "timeout/deregistration")
def test_what_the_edge_reports_shows_in_describe_target_health(lab: Lab, account: Account) -> None:
    network = account.vpc()
    group = target_group(account, network.vpc, "10.9.0.1", "10.9.0.2", "10.9.0.3")
    account.elbv2.deregister_targets(TargetGroupArn=group, Targets=[{"Id": "10.9.0.3"}])
    ill = {"group": group, "id": "10.9.0.1", "port": 8080, "state": "unhealthy"}
    ill |= {"reason": "Target.Timeout", "description": "Request timed out"}
    leaving = {"group": group, "id": "10.9.0.3", "port": 8080, "state": "draining"}

    def described() -> dict[str, tuple[str, str | None]]:
        found = account.elbv2.describe_target_health(TargetGroupArn=group)[
            "TargetHealthDescriptions"
        ]
        return {
            one["Target"]["Id"]: (one["TargetHealth"]["State"], one["TargetHealth"].get("Reason"))
            for one in found
        }

    assert lab.post(
        "/_lab/edge", {"targets": [ill, leaving], "public": {"pub:80": "127.0.0.1:1"}}
    ) == {"news": True}
    assert described() == {
        "10.9.0.1": ("unhealthy", "Target.Timeout"),
        "10.9.0.2": ("healthy", None),
        "10.9.0.3": ("draining", "Target.DeregistrationInProgress"),
    }
    told = {
        one["id"]: one["health"]
        for tg in section(lab, "target_groups")
        if tg["arn"] == group
        for one in tg["targets"]
    }
    assert told["10.9.0.1"] == "unhealthy"
    assert lab.get("/_lab/hosts")["public"] == {"pub:80": "127.0.0.1:1"}
    assert lab.post("/_lab/edge", {"targets": [], "public": {}}) == {"news": True}
    assert described() == {"10.9.0.1": ("healthy", None), "10.9.0.2": ("healthy", None)}
    assert lab.post("/_lab/edge", {"targets": [], "public": {}}) == {"news": False}
    unreadable: list[dict[str, Any]] = [
        {},
        {"targets": [{}], "public": {}},
        {"targets": [1], "public": {}},
        {"targets": {}, "public": []},
    ]
    for nonsense in unreadable:
        with pytest.raises(urllib.error.HTTPError, match="400"):
            lab.post("/_lab/edge", nonsense)


def test_the_ways_of_the_2025_article_are_seeded(lab: Lab) -> None:
    """Public ALB; public NLB in front of an internal ALB; CloudFront to the public ALB; one with
    HTTPS.
    """
    state = lab.get("/_lab/state")
    seeded = {lb["name"]: lb for lb in state["load_balancers"] if lb["account"] == CHAT_ACCOUNT}
    groups = {group["arn"]: group for group in state["target_groups"]}
    (first,) = seeded["pub-nlb"]["listeners"]
    row = groups[first["default_actions"][0]["target_group_arn"]]
    assert (first["protocol"], row["target_type"]) == ("TCP", "alb")
    assert [target["id"] for target in row["targets"]] == [seeded["int-web"]["arn"]]
    assert seeded["int-web"]["scheme"] == "internal"
    (secure,) = seeded["int-secure"]["listeners"]
    assert (secure["port"], secure["protocol"]) == (443, "HTTPS")
    assert state["certificates"][secure["certificates"][0]]["names"] == ["secure.chat.example"]
