"""Plans for faults of the network and the load balancer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.edge.network.packet_filter import TCP_PROTOCOLS
from lab.faults.plans.plan import Plan, PlanContext, Plans
from lab.faults.steps.networks import (
    FIRST_RULE_NUMBER,
    as_written,
    read_actions,
    read_attributes,
)
from lab.faults.steps.step import JsonObject, Step
from lab.faults.targeting import FaultRefused, FaultTarget, account_and_region

ALB_IDLE_SECONDS = "6"
# The shortest that a Network Load Balancer's listener can have.
NLB_IDLE_SECONDS = "60"

PLANS = Plans()


@PLANS.plan("security-group-closed")
def close_security_groups(context: PlanContext) -> Plan:
    """Revoke the rules that allow CloudFront by its prefix list, its security group, or its
    addresses.
    """
    balancer = context.target.require_balancer()
    port = context.target.require_listener().port
    account, region = account_and_region(balancer.arn)
    ec2 = context.aws.client("ec2", account, region)
    network = context.state.network
    lists = set(network.prefix_lists)
    service = network.service_groups.get(balancer.vpc_id)
    for group in balancer.security_groups:
        rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])
        removed = [
            {"permission": _permission(rule), "tags": rule.get("Tags", [])}
            for rule in rules["SecurityGroupRules"]
            if not rule["IsEgress"]
            and _covers(rule, port)
            and _admits_cloudfront(rule, lists, service)
        ]
        yield Step("revoke ingress", account, region, group, removed, group)


@PLANS.plan("block-public-access")
def block_public_access(context: PlanContext) -> Plan:
    """Block both directions in the account and Region of the target."""
    account, region = account_and_region(context.target.require_vpc_origin().endpoint_arn)
    ec2 = context.aws.client("ec2", account, region)
    options = ec2.describe_vpc_block_public_access_options()["VpcBlockPublicAccessOptions"]
    before = options["InternetGatewayBlockMode"]
    yield Step(
        "block public access", account, region, "block public access", before, "block-bidirectional"
    )


@PLANS.plan("network-acl-egress")
def deny_answers(context: PlanContext) -> Plan:
    """Deny outbound traffic first, in each network ACL of the target's subnets."""
    balancer = context.target.require_balancer()
    account, region = account_and_region(balancer.arn)
    ec2 = context.aws.client("ec2", account, region)
    found = ec2.describe_network_acls(
        Filters=[{"Name": "association.subnet-id", "Values": list(balancer.subnets)}]
    )
    if not found["NetworkAcls"]:
        raise FaultRefused(f"The subnets of {balancer.name} have no network ACL.", 409)
    for acl in found["NetworkAcls"]:
        taken = {entry["RuleNumber"] for entry in acl["Entries"] if entry["Egress"]}
        number = next(number for number in range(FIRST_RULE_NUMBER, 32767) if number not in taken)
        arn = acl["NetworkAclId"]
        yield Step(
            "deny egress", account, region, f"{arn}/{number}", None, {"acl": arn, "number": number}
        )


@PLANS.plan("listener-missing")
def remove_listener(context: PlanContext) -> Plan:
    """Delete the listener, and keep what is needed to create it again."""
    listener = context.target.require_listener()
    account, region = account_and_region(listener.arn)
    elbv2 = context.aws.client("elbv2", account, region)
    shown = elbv2.describe_listeners(ListenerArns=[listener.arn])["Listeners"][0]
    rules = elbv2.describe_rules(ListenerArn=listener.arn)["Rules"]
    kept = {
        "arn": listener.arn,
        "listener": {
            "LoadBalancerArn": shown["LoadBalancerArn"],
            "Protocol": shown["Protocol"],
            "Port": shown["Port"],
            "DefaultActions": [as_written(action) for action in shown["DefaultActions"]],
            **{
                name: shown[name]
                for name in ("Certificates", "SslPolicy", "AlpnPolicy")
                if shown.get(name)
            },
        },
        "rules": [
            {
                "arn": rule["RuleArn"],
                "given": {
                    "Priority": int(rule["Priority"]),
                    "Conditions": [as_written(condition) for condition in rule["Conditions"]],
                    "Actions": [as_written(action) for action in rule["Actions"]],
                },
            }
            for rule in rules
            if not rule["IsDefault"]
        ],
        "attributes": [
            {"Key": name, "Value": text}
            for name, text in read_attributes(elbv2, listener.arn).items()
        ],
    }
    key = f"{shown['LoadBalancerArn']}:{shown['Port']}"
    yield Step("remove listener", account, region, key, [kept], None)


@PLANS.plan("port-mismatch")
def move_listener(context: PlanContext) -> Plan:
    """Move the listener to the first free port from 8443 on."""
    listener, balancer = context.target.require_listener(), context.target.require_balancer()
    account, region = account_and_region(listener.arn)
    taken = {other.port for other in balancer.listeners}
    elsewhere = next(port for port in range(8443, 65536) if port not in taken)
    yield Step("move listener", account, region, listener.arn, listener.port, elsewhere)


@PLANS.plan("listener-redirect")
def redirect_to_https(context: PlanContext) -> Plan:
    """Redirect with the rule that matches the path, or with the listener's default action."""
    redirect = {
        "Type": "redirect",
        "RedirectConfig": {
            "Protocol": "HTTPS",
            "Port": "443",
            "Host": "#{host}",
            "Path": "/#{path}",
            "Query": "#{query}",
            "StatusCode": "HTTP_301",
        },
    }
    listener = context.target.require_listener()
    if listener.terminates_tls:
        raise FaultRefused(
            f"The listener on port {listener.port} terminates TLS. A redirect loop needs an "
            "http-only origin.",
            409,
        )
    account, region = account_and_region(listener.arn)
    elbv2 = context.aws.client("elbv2", account, region)
    arn = _deciding_arn(elbv2, context.target)
    yield Step("replace actions", account, region, arn, read_actions(elbv2, arn), [redirect])


@PLANS.plan("idle-cut")
def shorten_idle_timeout(context: PlanContext) -> Plan:
    """Shorten the load balancer's idle timeout; a Network Load Balancer's is an attribute of the
    listener.
    """
    balancer, listener = context.target.require_balancer(), context.target.require_listener()
    account, region = account_and_region(balancer.arn)
    is_network = balancer.type == "network"
    arn = listener.arn if is_network else balancer.arn
    name = "tcp.idle_timeout.seconds" if is_network else "idle_timeout.timeout_seconds"
    default, short = ("350", NLB_IDLE_SECONDS) if is_network else ("60", ALB_IDLE_SECONDS)
    current = read_attributes(context.aws.client("elbv2", account, region), arn).get(name, default)
    yield Step("set attribute", account, region, arn, {name: current}, {name: short})


@PLANS.plan("no-targets")
def deregister_targets(context: PlanContext) -> Plan:
    """Deregister all targets of every group that the path leads to."""
    context.target.require_balancer()
    context.target.require_targets()
    for group in context.target.groups:
        account, region = account_and_region(group.arn)
        targets = [{"Id": target.id, "Port": target.port} for target in group.targets]
        yield Step("deregister targets", account, region, group.arn, targets, None)


def answer_not_found(context: PlanContext) -> Plan:
    """Add a rule before all others that answers 404 for the path."""
    listener = context.target.require_listener()
    account, region = account_and_region(listener.arn)
    taken = {rule.priority for rule in listener.rules}
    priority = next(number for number in range(1, 50_001) if number not in taken)
    fixed = {"StatusCode": "404", "ContentType": "text/plain", "MessageBody": "no such route"}
    rule = {
        "Priority": priority,
        "Conditions": [
            {"Field": "path-pattern", "PathPatternConfig": {"Values": [context.target.path]}}
        ],
        "Actions": [{"Type": "fixed-response", "FixedResponseConfig": fixed}],
    }
    yield Step(
        "add rule",
        account,
        region,
        f"{listener.arn}/{priority}",
        None,
        {"listener": listener.arn, "rule": rule},
    )


def _permission(rule: Mapping[str, Any]) -> JsonObject:
    words = {"Description": rule["Description"]} if rule.get("Description") else {}
    made: JsonObject = {"IpProtocol": rule["IpProtocol"]}
    for name in ("FromPort", "ToPort"):
        if rule.get(name) is not None:
            made[name] = rule[name]
    if rule.get("PrefixListId"):
        made["PrefixListIds"] = [{"PrefixListId": rule["PrefixListId"], **words}]
    elif rule.get("ReferencedGroupInfo"):
        made["UserIdGroupPairs"] = [{"GroupId": rule["ReferencedGroupInfo"]["GroupId"], **words}]
    elif rule.get("CidrIpv6"):
        made["Ipv6Ranges"] = [{"CidrIpv6": rule["CidrIpv6"], **words}]
    else:
        made["IpRanges"] = [{"CidrIp": rule["CidrIpv4"], **words}]
    return made


def _covers(rule: Mapping[str, Any], port: int) -> bool:
    if str(rule["IpProtocol"]).lower() not in TCP_PROTOCOLS:
        return False
    if str(rule["IpProtocol"]) == "-1" or rule.get("FromPort") is None:
        return True
    return bool(rule["FromPort"] <= port <= rule["ToPort"])


def _admits_cloudfront(rule: Mapping[str, Any], lists: set[str], service_group: str | None) -> bool:
    """Rules for private ranges may stay: CloudFront never connects from those addresses."""
    if rule.get("PrefixListId"):
        return rule["PrefixListId"] in lists
    if rule.get("ReferencedGroupInfo"):
        return bool(service_group) and rule["ReferencedGroupInfo"]["GroupId"] == service_group
    return not str(rule.get("CidrIpv4") or "10.").startswith(("10.", "172.", "192.168."))


def _deciding_arn(elbv2: Any, target: FaultTarget) -> str:
    listener = target.require_listener()
    if target.rule is None:
        return listener.arn
    for rule in elbv2.describe_rules(ListenerArn=listener.arn)["Rules"]:
        if rule["Priority"] == str(target.rule.priority):
            return str(rule["RuleArn"])
    return listener.arn
