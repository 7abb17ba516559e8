"""What the long article of 2026 warns of: each limitation is raised before anybody approves, or
named when it strikes, in words that say what to do.

Those that strike a live endpoint (a quiet connection, one that breaks, a header that is not
forwarded, a VPC origin that is not ready) are told in `test_stories.py`.
"""

from __future__ import annotations

from typing import Any

import pytest

from checks.diagnosis.verdicts import VERDICTS
from tests.journeys.conftest import SECURE_NAME, Product
from tests.journeys.team_account import Target, TeamAccount

BAD_ZONE = "use1-az3"
ALL_METHODS = "GET,HEAD,OPTIONS,PUT,POST,PATCH,DELETE"
ABOUT_A_QUARTER_OF_AN_HOUR = range(13 * 60, 20 * 60)

GOTCHAS: list[tuple[str, str, str, str, str]] = [
    # the article's warning; the question that raises it; how gravely; what is seen; what is to be
    # done
    (
        "the handshake is HTTP/1.1 only",
        "PF-TARGET-GROUP",
        "warn",
        "uses HTTP2",
        "protocol version HTTP1",
    ),
    (
        "idle connections die",
        "PF-IDLE",
        "warn",
        "after 60 s of silence",
        "ping from the server every 20 to 30 s",
    ),
    ("idle connections die", "PF-IDLE", "warn", "up to 90 s", "idle_timeout.timeout_seconds"),
    (
        "sticky sessions still apply",
        "PF-STICKY",
        "warn",
        "2 targets and no stickiness",
        "stickiness.enabled",
    ),
    ("regional availability", "PF-ZONE", "block", BAD_ZONE, "use other zones"),
    (
        "an overly permissive security group",
        "PF-PUBLIC",
        "warn",
        "0.0.0.0/0",
        "Edit inbound rules: delete",
    ),
    (
        "a forgotten public subnet",
        "PF-SUBNET",
        "warn",
        "internet gateway",
        "remove every route to the internet gateway",
    ),
    (
        "an ACL that drifted",
        "PF-NACL",
        "warn",
        "does not allow all of TCP",
        "allow TCP 1024-65535 to 0.0.0.0/0",
    ),
    (
        "path routing: /ws/* is not /ws",
        "PF-PATH-BARE",
        "warn",
        "does not match /drifted",
        "add it as a second path",
    ),
]


@pytest.fixture(scope="module")
def drifted(product: Product) -> dict[str, dict[str, Any]]:
    """The preflight of a request for a target where everything has drifted, by the question's
    code.
    """
    target = drifted_target(product.account)
    answers = product.answers(
        "drifted", target, "/drifted/*", max_silence_seconds="90", allowed_methods=ALL_METHODS
    )
    return preflight_of(product, answers, "blocked")


@pytest.mark.parametrize(
    ("warning", "code", "level", "seen", "fix"),
    GOTCHAS,
    ids=[f"{row[0]}-{row[1]}" for row in GOTCHAS],
)
def test_what_the_article_warns_of_is_raised_before_anybody_decides(
    drifted: dict[str, dict[str, Any]], warning: str, code: str, level: str, seen: str, fix: str
) -> None:
    found = drifted[code]
    assert found["level"] == level, found
    assert seen in found["seen"], found
    assert fix in " ".join(found["fix"].values()), found


def test_a_load_balancer_made_public_for_the_sake_of_websockets_is_no_target_any_more(
    product: Product,
) -> None:
    """The article's migration: an internal one for the same servers, and the public one goes."""
    public = product.account.target("pub-web")
    found = preflight_of(
        product, product.answers("still-public", public, "/still-public"), "blocked"
    )["PF-SCHEME"]
    assert (found["level"], found["seen"]) == ("block", "pub-web is internet-facing.")
    assert "create a second, internal one for the same targets" in found["why"]


def test_the_security_group_is_opened_by_the_plan_and_the_quarter_of_an_hour_is_told(
    product: Product,
) -> None:
    """The article: reference CloudFront's group in the load balancer's, and account for the time
    that it takes.
    """
    closed = product.account.target("int-orders")
    ana = product.api("ana")
    asked = ana.ask(**product.answers("closed-group", closed, "/closed-group"))
    planned = ana.await_state(asked["id"], "awaiting_approval")
    found = {one["code"]: one for one in planned["preflight"]}["PF-INGRESS"]
    assert (found["level"], found["in_plan"]) == ("fixable", True)
    assert "allows only this VPC's own VPC origins; nothing public gets in" in found["why"]
    assert planned["plan"]["expected_seconds"] in ABOUT_A_QUARTER_OF_AN_HOUR
    assert ana.post(f"/requests/{asked['id']}/cancel").status_code == 200


def test_an_origin_over_https_must_show_the_name_that_is_forwarded(product: Product) -> None:
    """Host forwarded by AllViewer and a certificate for another name is a 502 that nobody has to
    wait for.
    """
    answers = product.answers(
        "host-forwarded",
        product.account.target("int-secure"),
        "/host-forwarded",
        forward_host="true",
    )
    found = preflight_of(product, answers, "blocked")["PF-CERTIFICATE"]
    assert found["level"] == "block"
    assert f"is for {SECURE_NAME}, not for" in found["seen"]
    assert "answers every handshake with 502" in found["why"]
    assert "do not forward Host" in found["fix"]["console"]


def test_a_target_of_another_account_is_refused_where_it_is_typed(product: Product) -> None:
    """The article: verify the configuration across accounts. The portal builds within one
    account.
    """
    quotes = TeamAccount(product.stack.env, "444455556666").target("int-quotes")
    answer = product.api("ana").post(
        "/requests", product.answers("elsewhere", quotes, "/elsewhere")
    )
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert (fault["field"], fault["code"]) == ("target_arn", "other_account")
    assert "Choose one in this account" in fault["message"]


def test_what_strikes_later_says_what_the_client_or_the_team_must_do() -> None:
    """A VPC origin that takes its time, headers, the idle clocks: the words of the help."""
    assert "up to 15 minutes" in VERDICTS["WSE-502-VPCORIGIN"].cause
    assert "AllViewer" in VERDICTS["WSE-400-NOKEY"].fix
    for code in ("WSE-IDLE-ALB", "WSE-IDLE-NLB", "WSE-IDLE-CLOUDFRONT"):
        assert "every 20 to 30 seconds" in VERDICTS[code].fix


def preflight_of(
    product: Product, answers: dict[str, Any], state: str
) -> dict[str, dict[str, Any]]:
    """What is answered to each question about a request that then rests in `state`; the last answer
    to each.
    """
    ana = product.api("ana")
    found = ana.await_state(ana.ask(**answers)["id"], state)
    return {one["code"]: one for one in found["preflight"]}


def drifted_target(account: TeamAccount) -> Target:
    """An internal load balancer in a zone without VPC origins and a public subnet, whose group
    admits the internet and whose network ACL lets no answers out; behind it two targets that speak
    HTTP/2.
    """
    ec2, elbv2 = account.ec2, account.elbv2
    vpc = elbv2.describe_load_balancers(Names=["int-chat"])["LoadBalancers"][0]["VpcId"]
    zone = next(
        one["ZoneName"]
        for one in ec2.describe_availability_zones()["AvailabilityZones"]
        if one["ZoneId"] == BAD_ZONE
    )
    public = ec2.create_subnet(VpcId=vpc, CidrBlock="10.10.77.0/24", AvailabilityZone=zone)[
        "Subnet"
    ]["SubnetId"]
    private = ec2.create_subnet(
        VpcId=vpc, CidrBlock="10.10.78.0/24", AvailabilityZone="us-east-1a"
    )["Subnet"]["SubnetId"]
    gateways = ec2.describe_internet_gateways(
        Filters=[{"Name": "attachment.vpc-id", "Values": [vpc]}]
    )
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=public)
    ec2.create_route(
        RouteTableId=table,
        DestinationCidrBlock="0.0.0.0/0",
        GatewayId=gateways["InternetGateways"][0]["InternetGatewayId"],
    )
    # A new network ACL denies everything.
    acl = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    mine = [{"Name": "association.subnet-id", "Values": [public]}]
    (before,) = ec2.describe_network_acls(Filters=mine)["NetworkAcls"]
    (association,) = (one for one in before["Associations"] if one["SubnetId"] == public)
    ec2.replace_network_acl_association(
        AssociationId=association["NetworkAclAssociationId"], NetworkAclId=acl
    )

    group = ec2.create_security_group(GroupName="drifted", Description="drifted", VpcId=vpc)[
        "GroupId"
    ]
    everybody = {
        "IpProtocol": "tcp",
        "FromPort": 80,
        "ToPort": 80,
        "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
    }
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[everybody])
    behind = elbv2.create_target_group(
        Name="drifted",
        Protocol="HTTP",
        ProtocolVersion="HTTP2",
        Port=8080,
        VpcId=vpc,
        TargetType="ip",
    )["TargetGroups"][0]["TargetGroupArn"]
    targets = [{"Id": f"10.10.8.{last}", "Port": 8080} for last in (174, 175)]
    elbv2.register_targets(TargetGroupArn=behind, Targets=targets)
    made = elbv2.create_load_balancer(
        Name="drifted",
        Subnets=[public, private],
        SecurityGroups=[group],
        Scheme="internal",
        Type="application",
    )["LoadBalancers"][0]["LoadBalancerArn"]
    forward = {"Type": "forward", "TargetGroupArn": behind}
    elbv2.create_listener(LoadBalancerArn=made, Protocol="HTTP", Port=80, DefaultActions=[forward])
    return Target(made, group)
