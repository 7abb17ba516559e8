"""Which steps a fault of the network or the load balancer takes, from what the account looks like.

They decide what must change so that the fault really shows, and nothing more. They only look; steps
act.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from lab.aws.cloudfront.service import CloudFront
from lab.edge.account.state import State
from lab.edge.network.packet_filter import TCP_PROTOCOLS
from lab.faults.aws_clients import Aws
from lab.faults.steps.networks import (
    FIRST_RULE_NUMBER,
    plain_action,
    read_actions,
    read_attributes,
)
from lab.faults.steps.step import JsonObject, Step
from lab.faults.targeting import Aim, FaultRefused, place_of

# A plan yields steps; what doing one gave comes back into it.
Plan: TypeAlias = Generator[Step, Any, None]
ALB_IDLE_SECONDS = "6"
# The shortest that a Network Load Balancer's listener can have.
NLB_IDLE_SECONDS = "60"


@dataclass(frozen=True)
class Circumstances:
    """What a plan looks at. `mark` is unique to the fault that is being set; what is made for it is
    named so.
    """

    aws: Aws
    cloudfront: CloudFront
    state: State
    aim: Aim
    mark: str


def close_security_groups(given: Circumstances) -> Plan:
    """Revoke the rules that let CloudFront in: by its prefix list, its service group, or its
    addresses.
    """
    balancer = given.aim.need_balancer()
    port = given.aim.need_listener().port
    account, region = place_of(balancer.arn)
    ec2 = given.aws.client("ec2", account, region)
    network = given.state.network
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


def block_public_access(given: Circumstances) -> Plan:
    """Both directions, in the account and Region of the target."""
    account, region = place_of(given.aim.need_vpc_origin().endpoint_arn)
    ec2 = given.aws.client("ec2", account, region)
    options = ec2.describe_vpc_block_public_access_options()["VpcBlockPublicAccessOptions"]
    before = options["InternetGatewayBlockMode"]
    yield Step(
        "block public access", account, region, "block public access", before, "block-bidirectional"
    )


def deny_answers(given: Circumstances) -> Plan:
    """A deny before every other outbound rule, in each network ACL of the target's subnets."""
    balancer = given.aim.need_balancer()
    account, region = place_of(balancer.arn)
    ec2 = given.aws.client("ec2", account, region)
    found = ec2.describe_network_acls(
        Filters=[{"Name": "association.subnet-id", "Values": list(balancer.subnets)}]
    )
    if not found["NetworkAcls"]:
        raise FaultRefused(f"the subnets of {balancer.name} have no network ACL", 409)
    for acl in found["NetworkAcls"]:
        taken = {entry["RuleNumber"] for entry in acl["Entries"] if entry["Egress"]}
        number = next(number for number in range(FIRST_RULE_NUMBER, 32767) if number not in taken)
        arn = acl["NetworkAclId"]
        yield Step(
            "deny egress", account, region, f"{arn}/{number}", None, {"acl": arn, "number": number}
        )


def remove_listener(given: Circumstances) -> Plan:
    """Delete it, with all that is needed to make it again."""
    listener = given.aim.need_listener()
    account, region = place_of(listener.arn)
    elbv2 = given.aws.client("elbv2", account, region)
    shown = elbv2.describe_listeners(ListenerArns=[listener.arn])["Listeners"][0]
    rules = elbv2.describe_rules(ListenerArn=listener.arn)["Rules"]
    kept = {
        "arn": listener.arn,
        "listener": {
            "LoadBalancerArn": shown["LoadBalancerArn"],
            "Protocol": shown["Protocol"],
            "Port": shown["Port"],
            "DefaultActions": [plain_action(action) for action in shown["DefaultActions"]],
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
                    "Conditions": [plain_action(condition) for condition in rule["Conditions"]],
                    "Actions": [plain_action(action) for action in rule["Actions"]],
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


def move_listener(given: Circumstances) -> Plan:
    """To the next port above 8443 that the load balancer does not use."""
    listener, balancer = given.aim.need_listener(), given.aim.need_balancer()
    account, region = place_of(listener.arn)
    taken = {other.port for other in balancer.listeners}
    elsewhere = next(port for port in range(8443, 65536) if port not in taken)
    yield Step("move listener", account, region, listener.arn, listener.port, elsewhere)


def redirect_to_https(given: Circumstances) -> Plan:
    """Replace the actions that decide about the path, those of a rule or of the listener."""
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
    listener = given.aim.need_listener()
    if listener.terminates_tls:
        raise FaultRefused(
            f"the listener on port {listener.port} speaks HTTPS; a loop needs an http-only origin",
            409,
        )
    account, region = place_of(listener.arn)
    elbv2 = given.aws.client("elbv2", account, region)
    arn = _deciding_arn(elbv2, given.aim)
    yield Step("replace actions", account, region, arn, read_actions(elbv2, arn), [redirect])


def shorten_idle_timeout(given: Circumstances) -> Plan:
    """The attribute of the load balancer, or of a Network Load Balancer's listener."""
    balancer, listener = given.aim.need_balancer(), given.aim.need_listener()
    account, region = place_of(balancer.arn)
    is_network = balancer.type == "network"
    arn = listener.arn if is_network else balancer.arn
    name = "tcp.idle_timeout.seconds" if is_network else "idle_timeout.timeout_seconds"
    default, short = ("350", NLB_IDLE_SECONDS) if is_network else ("60", ALB_IDLE_SECONDS)
    current = read_attributes(given.aws.client("elbv2", account, region), arn).get(name, default)
    yield Step("set attribute", account, region, arn, {name: current}, {name: short})


def deregister_targets(given: Circumstances) -> Plan:
    """All targets of every group to which the path leads; there must be one to lose."""
    given.aim.need_balancer()
    given.aim.need_targets()
    for group in given.aim.groups:
        account, region = place_of(group.arn)
        targets = [{"Id": target.id, "Port": target.port} for target in group.targets]
        yield Step("deregister targets", account, region, group.arn, targets, None)


def answer_not_found(given: Circumstances) -> Plan:
    """A rule before all others: 404 for the path."""
    listener = given.aim.need_listener()
    account, region = place_of(listener.arn)
    taken = {rule.priority for rule in listener.rules}
    priority = next(number for number in range(1, 50_001) if number not in taken)
    fixed = {"StatusCode": "404", "ContentType": "text/plain", "MessageBody": "no such route"}
    rule = {
        "Priority": priority,
        "Conditions": [
            {"Field": "path-pattern", "PathPatternConfig": {"Values": [given.aim.path]}}
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
    """A VPC's own addresses are not CloudFront's, so rules for private ranges may stay."""
    if rule.get("PrefixListId"):
        return rule["PrefixListId"] in lists
    if rule.get("ReferencedGroupInfo"):
        return bool(service_group) and rule["ReferencedGroupInfo"]["GroupId"] == service_group
    return not str(rule.get("CidrIpv4") or "10.").startswith(("10.", "172.", "192.168."))


def _deciding_arn(elbv2: Any, aim: Aim) -> str:
    listener = aim.need_listener()
    if aim.rule is None:
        return listener.arn
    for rule in elbv2.describe_rules(ListenerArn=listener.arn)["Rules"]:
        if rule["Priority"] == str(aim.rule.priority):
            return str(rule["RuleArn"])
    return listener.arn


PLANS: Mapping[str, Callable[[Circumstances], Plan]] = {
    "security-group-closed": close_security_groups,
    "block-public-access": block_public_access,
    "network-acl-egress": deny_answers,
    "listener-missing": remove_listener,
    "port-mismatch": move_listener,
    "listener-redirect": redirect_to_https,
    "idle-cut": shorten_idle_timeout,
    "no-targets": deregister_targets,
}
