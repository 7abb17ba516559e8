"""The preflight over what the adapter really sees in the lab: the seeded targets, and faults made
by AWS calls.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from checks.preflight import Level, PreflightResult, PreflightSubject, evaluate
from provisioning.aws import distributions, quotas, targets
from provisioning.aws.session import Aws
from provisioning.aws.snapshot import take_snapshot
from provisioning.spec.parsing import complete_answers, parse_spec
from tests.lab.account import (
    CHAT_ACCOUNT,
    REGION,
    REPOSITORY,
    Account,
    Lab,
    behavior,
    listed,
    viewer_certificate,
)
from tests.lab.staging_pair import StagingPair
from tests.provisioning.aws.conftest import enter

OWNER = "edge-portal"
POLICY = json.loads((REPOSITORY / "docs" / "iam-policy.json").read_text())


def give_role(account: Account, statements: Iterable[Any] = POLICY["Statement"]) -> None:
    """The portal's role, with these rights and no others."""
    opened = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
        "Condition": {"StringEquals": {"sts:ExternalId": "external-id"}},
    }
    trust = {"Version": "2012-10-17", "Statement": [opened]}
    names = {one["RoleName"] for one in account.iam.list_roles()["Roles"]}
    if OWNER not in names:
        account.iam.create_role(RoleName=OWNER, AssumeRolePolicyDocument=json.dumps(trust))
    document = json.dumps(POLICY | {"Statement": list(statements)})
    account.iam.put_role_policy(RoleName=OWNER, PolicyName=OWNER, PolicyDocument=document)


def asked(
    aws: Aws, account_id: str, arn: str, distribution_id: str = "", **more: object
) -> dict[str, PreflightResult]:
    """The worst result under each code, with settings derived as the form derives them."""
    snapshot = take_snapshot(
        aws, target_arn=arn, distribution_id=distribution_id, owner=OWNER, permissions=True
    )
    assert snapshot.gaps == ()
    answers = {
        "name": "chat",
        "account_id": account_id,
        "distribution_id": distribution_id or "E1A2B3C4D5E6F7",
        "target_arn": arn,
        "path_patterns": ["/ws/chat"],
    } | more
    target = snapshot.target
    told = (target.listener_protocols(), target.certificate_names()) if target else ()
    subject = PreflightSubject.of(parse_spec(complete_answers(answers, *told)))
    found: dict[str, PreflightResult] = {}
    for result in sorted(evaluate(subject, snapshot), key=lambda one: one.level):
        found[result.code] = result
    return found


def against(found: dict[str, PreflightResult]) -> dict[str, str]:
    return {
        code: result.level.value for code, result in found.items() if result.level is not Level.PASS
    }


def test_the_seeded_targets_are_judged_as_their_names_say(chat: Aws) -> None:
    (front_door,) = distributions.list_all(chat)
    arns = {target.name: target.arn for target in targets.list_targets(chat, REGION)}

    def verdict(name: str, **more: object) -> dict[str, str]:
        return against(asked(chat, CHAT_ACCOUNT, arns[name], front_door.id, **more))

    # No VPC origin was made in this account yet, so its role is not there; the portal's may have it
    # made.
    assert verdict("int-chat") == {}
    assert verdict("int-orders") == {"PF-INGRESS": "fixable", "PF-ONLY-CLOUDFRONT": "warn"}
    assert verdict("pub-web")["PF-SCHEME"] == "block"
    assert verdict("int-web")["PF-OTHER-ROUTE"] == "warn"
    assert verdict("gwlb-inspect")["PF-KIND"] == "block"
    # Its certificate has one name, which becomes the origin's domain unless somebody says another.
    assert verdict("int-secure") == {"PF-CERTIFICATE": "unknown"}
    assert verdict("int-secure", origin_domain="other.chat.example")["PF-CERTIFICATE"] == "block"


def test_what_is_broken_by_aws_calls_is_told(account: Account, aws: Aws) -> None:
    give_role(account)
    network = account.vpc()
    arn = account.balancer(network)
    group = account.elbv2.create_target_group(
        Name="grpc",
        Protocol="HTTP",
        ProtocolVersion="GRPC",
        Port=80,
        VpcId=network.vpc,
        TargetType="ip",
    )["TargetGroups"][0]["TargetGroupArn"]
    made = account.elbv2.create_listener(
        LoadBalancerArn=arn,
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )["Listeners"][0]["ListenerArn"]
    before = asked(aws, account.number, arn, forward_host=False)
    assert before["PF-RULES"].level is Level.PASS
    assert before["PF-NACL"].level is Level.PASS
    assert before["PF-TARGET-GROUP"].level is Level.WARN

    fixed = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "403"}}
    account.elbv2.create_rule(
        ListenerArn=made,
        Priority=1,
        Conditions=[{"Field": "path-pattern", "Values": ["/ws/*"]}],
        Actions=[fixed],
    )
    mine = [{"Name": "association.subnet-id", "Values": list(network.subnets)}]
    acl = account.ec2.describe_network_acls(Filters=mine)["NetworkAcls"][0]["NetworkAclId"]
    account.ec2.create_network_acl_entry(
        NetworkAclId=acl,
        RuleNumber=10,
        Protocol="6",
        RuleAction="deny",
        Egress=True,
        CidrBlock="0.0.0.0/0",
        PortRange={"From": 1024, "To": 65535},
    )
    account.ec2.modify_vpc_block_public_access_options(
        InternetGatewayBlockMode="block-bidirectional"
    )
    after = asked(aws, account.number, arn, forward_host=False)
    assert after["PF-RULES"].level is Level.WARN
    assert "fixed-response" in after["PF-RULES"].seen
    assert after["PF-NACL"].level is Level.WARN
    assert acl in after["PF-NACL"].seen
    assert after["PF-BPA"].level is Level.BLOCK


def test_what_the_portals_role_may_not_do_is_told_before_the_run(
    account: Account, aws: Aws
) -> None:
    """The role of docs/iam-policy.json passes; then without one of its rights, then with one bound
    to a place.
    """
    arn = account.balancer(account.vpc())
    give_role(account)
    made = asked(aws, account.number, arn)
    assert made["PF-PERMISSION"].level is Level.PASS
    assert made["PF-ROLE"].level is Level.PASS

    rights = {one["Sid"]: one for one in deepcopy(POLICY["Statement"])}
    del rights["CreateMarkedVpcOrigins"], rights["MakeTheFirstVpcOriginsServiceRole"]
    give_role(account, rights.values())
    less = asked(aws, account.number, arn)
    assert less["PF-PERMISSION"].level is Level.WARN
    assert "IAM would deny cloudfront:CreateVpcOrigin to" in less["PF-PERMISSION"].seen
    assert less["PF-ROLE"].level is Level.WARN

    rights["DeleteOurVpcOrigins"]["Condition"]["StringEquals"]["aws:SourceVpc"] = "vpc-1"
    rights["CreateMarkedVpcOrigins"] = {
        "Effect": "Allow",
        "Action": "cloudfront:CreateVpcOrigin",
        "Resource": "*",
    }
    give_role(account, rights.values())
    depends = asked(aws, account.number, arn)["PF-PERMISSION"]
    assert depends.level is Level.UNKNOWN
    assert "cloudfront:DeleteVpcOrigin depends on aws:SourceVpc" in depends.why


def test_a_crowded_group_is_counted_with_its_lists_and_with_what_aws_allows(
    account: Account, aws: Aws
) -> None:
    """Fifty rules by a list of the team's own and ten by addresses: sixty are there, and one more
    has no room.
    """
    give_role(account)
    network = account.vpc()
    arn = account.balancer(network)
    ours = account.ec2.create_managed_prefix_list(
        PrefixListName="offices", MaxEntries=50, AddressFamily="IPv4"
    )
    offices = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80} | {
        "PrefixListIds": [{"PrefixListId": ours["PrefixList"]["PrefixListId"]}]
    }
    account.ec2.authorize_security_group_ingress(GroupId=network.group, IpPermissions=[offices])
    roomy = asked(aws, account.number, arn)["PF-GROUP-ROOM"]
    assert roomy.level is Level.PASS
    assert f"{network.group} uses 50 of 60 rules" in roomy.seen
    ranges = [{"CidrIp": f"10.1.{number}.0/24"} for number in range(10)]
    addresses = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": ranges}
    account.ec2.authorize_security_group_ingress(GroupId=network.group, IpPermissions=[addresses])
    full = asked(aws, account.number, arn)["PF-GROUP-ROOM"]
    assert full.level is Level.WARN
    assert f"{network.group} uses 60 of 60 rules" in full.seen
    assert quotas.of_security_groups(aws, REGION) == {"rules_per_group": 60}
    assert quotas.of_cloudfront(aws) == {
        "vpc_origin_quota": 25,
        "behavior_quota": 75,
        "origin_quota": 100,
    }


def test_ways_past_cloudfront_are_told_until_they_are_closed(account: Account, aws: Aws) -> None:
    """A target behind the load balancer with an address of its own; an HTTP API and a REST API's
    link into the VPC.
    """
    give_role(account)
    network = account.vpc()
    arn, inner = account.balancer(network), account.balancer(network, "int-tcp", Type="network")
    group = account.elbv2.create_target_group(
        Name="app", Protocol="HTTP", Port=80, VpcId=network.vpc, TargetType="ip"
    )["TargetGroups"][0]["TargetGroupArn"]
    forward = [{"Type": "forward", "TargetGroupArn": group}]
    listener = account.elbv2.create_listener(
        LoadBalancerArn=arn, Protocol="HTTP", Port=80, DefaultActions=forward
    )
    app = account.ec2.create_network_interface(SubnetId=network.subnets[0])["NetworkInterface"]
    account.elbv2.register_targets(TargetGroupArn=group, Targets=[{"Id": app["PrivateIpAddress"]}])
    closed = asked(aws, account.number, arn)
    assert (closed["PF-OTHER-ROUTE"].level, closed["PF-PUBLIC-ADDRESS"].level) == (
        Level.PASS,
        Level.PASS,
    )

    address = account.ec2.allocate_address(Domain="vpc")
    account.ec2.associate_address(
        AllocationId=address["AllocationId"], NetworkInterfaceId=app["NetworkInterfaceId"]
    )
    http, rest = account.client("apigatewayv2"), account.client("apigateway")
    link = http.create_vpc_link(Name="into", SubnetIds=network.subnets)["VpcLinkId"]
    api = http.create_api(Name="chat-http", ProtocolType="HTTP")["ApiId"]
    integration = http.create_integration(
        ApiId=api,
        IntegrationType="HTTP_PROXY",
        IntegrationMethod="ANY",
        ConnectionType="VPC_LINK",
        ConnectionId=link,
        IntegrationUri=listener["Listeners"][0]["ListenerArn"],
    )["IntegrationId"]
    rest.create_vpc_link(name="from-rest", targetArns=[inner])
    opened = asked(aws, account.number, arn)
    assert opened["PF-PUBLIC-ADDRESS"].level is Level.WARN
    assert address["PublicIp"] in opened["PF-PUBLIC-ADDRESS"].seen
    assert "API chat-http of API Gateway forwards to int-app" in opened["PF-OTHER-ROUTE"].seen
    assert (
        "VPC link from-rest of API Gateway"
        in asked(aws, account.number, inner)["PF-OTHER-ROUTE"].seen
    )
    http.delete_integration(ApiId=api, IntegrationId=integration)
    assert asked(aws, account.number, arn)["PF-OTHER-ROUTE"].level is Level.PASS


def test_a_more_specific_name_of_another_account_is_told_and_a_wider_one_is_not(
    lab: Lab, account: Account
) -> None:
    zone = f"z{account.number}.example.com"

    def serving(owner: Account, name: str) -> str:
        shown = viewer_certificate(owner.certificate(name))
        return str(
            owner.create_distribution(Aliases=listed(name), ViewerCertificate=shown)[
                "Distribution"
            ]["Id"]
        )

    give_role(account)
    other, arn, mine = lab.account(), account.balancer(account.vpc()), serving(account, f"*.{zone}")
    serving(other, f"*.{zone.partition('.')[2]}")
    portal = enter(account.number)
    alone = asked(portal, account.number, arn, mine)["PF-ALIAS"]
    assert alone.level is Level.PASS
    serving(other, f"chat.{zone}")
    shared = asked(portal, account.number, arn, mine)["PF-ALIAS"]
    assert shared.level is Level.WARN
    assert f"chat.{zone} belongs to another distribution" in shared.seen
    assert other.number[-4:] in shared.seen
    assert other.number not in shared.seen


def test_a_promotion_takes_away_what_was_published_on_the_primary_meanwhile(
    account: Account, aws: Aws
) -> None:
    """The preflight warns of that. It has nothing to say without a policy, and refuses a staging
    distribution.
    """
    give_role(account)
    arn, pair = account.balancer(account.vpc()), StagingPair(account)

    def said(distribution_id: str) -> PreflightResult:
        return asked(aws, account.number, arn, distribution_id)["PF-STAGING"]

    assert said(pair.primary).level is Level.PASS
    refused = said(pair.staging)
    assert (refused.level, refused.seen) == (
        Level.BLOCK,
        f"{pair.staging} is a staging distribution.",
    )
    assert refused.fix is not None
    assert pair.domain in refused.fix.cli

    pair.update(pair.primary, ContinuousDeploymentPolicyId=pair.create_policy())
    assert said(pair.primary).level is Level.WARN
    pair.update(pair.primary, CacheBehaviors=listed(behavior("web", "/ws/chat")))
    pair.promote()
    assert not pair.config(pair.primary)["CacheBehaviors"].get("Items")


def test_iam_is_asked_about_the_group_that_the_plan_would_open(account: Account, aws: Aws) -> None:
    """AWS lists a target's groups in no order; the portal opens the first by its id."""
    give_role(account)
    network = account.vpc()
    arn = account.balancer(network)
    made = account.ec2.create_security_group(
        GroupName="another", Description="another", VpcId=network.vpc
    )
    groups = sorted((network.group, made["GroupId"]), reverse=True)
    account.elbv2.set_security_groups(LoadBalancerArn=arn, SecurityGroups=groups)
    snapshot = take_snapshot(aws, target_arn=arn, distribution_id="", owner=OWNER, permissions=True)
    about = [
        one.resource
        for one in snapshot.permissions or ()
        if one.action == "ec2:AuthorizeSecurityGroupIngress"
    ]
    assert any(resource.endswith(groups[-1]) for resource in about), about
    assert not any(resource.endswith(groups[0]) for resource in about)
