"""Steps that change VPCs and load balancers: rules of groups and ACLs, listeners, targets,
attributes.

They decide how each is put back. None may touch anything that its step does not name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.faults.steps.step import JsonObject, Step, like
from lab.faults.steps.step_kinds import Hands, Verb, unless

_GONE = ("ListenerNotFound", "LoadBalancerNotFound", "RuleNotFound", "TargetGroupNotFound")
# Rule numbers below AWS's own 100; a deny must come before whatever allows.
FIRST_RULE_NUMBER = 1


def _revoke(hands: Hands, step: Step) -> None:
    if step.before:
        wanted = [item["permission"] for item in step.before]
        hands.client("ec2", step).revoke_security_group_ingress(
            GroupId=step.after, IpPermissions=wanted
        )


def _authorize(hands: Hands, step: Step) -> None:
    ec2 = hands.client("ec2", step)
    for item in step.before:
        given: JsonObject = {"GroupId": step.after, "IpPermissions": [item["permission"]]}
        if item["tags"]:
            given["TagSpecifications"] = [
                {"ResourceType": "security-group-rule", "Tags": item["tags"]}
            ]
        unless(
            ("InvalidPermission.Duplicate", "InvalidGroup.NotFound"),
            lambda given=given: ec2.authorize_security_group_ingress(**given),  # type: ignore[misc]
        )


def _set_public_access(hands: Hands, step: Step) -> None:
    hands.client("ec2", step).modify_vpc_block_public_access_options(
        InternetGatewayBlockMode=step.after
    )


def _restore_public_access(hands: Hands, step: Step) -> None:
    ec2 = hands.client("ec2", step)
    options = ec2.describe_vpc_block_public_access_options()["VpcBlockPublicAccessOptions"]
    if options["InternetGatewayBlockMode"] == step.after:
        ec2.modify_vpc_block_public_access_options(InternetGatewayBlockMode=step.before)


def _deny(hands: Hands, step: Step) -> None:
    hands.client("ec2", step).create_network_acl_entry(
        **_acl_entry(step), RuleAction="deny", Protocol="6"
    )


def _allow_again(hands: Hands, step: Step) -> None:
    ec2 = hands.client("ec2", step)
    described = unless(
        ("InvalidNetworkAclID.NotFound", "InvalidNetworkAclId.NotFound"),
        lambda: ec2.describe_network_acls(NetworkAclIds=[step.after["acl"]]),
    )
    for acl in (described or {}).get("NetworkAcls", []):
        for entry in acl["Entries"]:
            ours = (
                entry["Egress"]
                and entry["RuleNumber"] == step.after["number"]
                and entry["RuleAction"] == "deny"
            )
            if ours and entry.get("PortRange") == _PORTS:
                ec2.delete_network_acl_entry(
                    NetworkAclId=step.after["acl"], RuleNumber=step.after["number"], Egress=True
                )


_PORTS = {"From": 1024, "To": 65535}


def _acl_entry(step: Step) -> JsonObject:
    return {
        "NetworkAclId": step.after["acl"],
        "RuleNumber": step.after["number"],
        "Egress": True,
        "CidrBlock": "0.0.0.0/0",
        "PortRange": _PORTS,
    }


def _remove_listener(hands: Hands, step: Step) -> None:
    for item in step.before:
        hands.client("elbv2", step).delete_listener(ListenerArn=item["arn"])


def _make_listener(hands: Hands, step: Step) -> Mapping[str, str]:
    """As it was, with other ARNs: AWS gives every listener and every rule one of its own."""
    elbv2 = hands.client("elbv2", step)
    renamed: dict[str, str] = {}
    for item in step.before:
        arn = _made_again(elbv2, item["listener"])
        if arn is None:
            continue
        renamed[item["arn"]] = arn
        there = {
            rule["Priority"]: rule["RuleArn"]
            for rule in elbv2.describe_rules(ListenerArn=arn)["Rules"]
        }
        for rule in item["rules"]:
            priority = str(rule["given"]["Priority"])
            if priority not in there:
                made = unless(
                    ("TargetGroupNotFound",),
                    lambda arn=arn, rule=rule: elbv2.create_rule(ListenerArn=arn, **rule["given"]),  # type: ignore[misc]
                )
                there |= {priority: made["Rules"][0]["RuleArn"]} if made else {}
            if priority in there:
                renamed[rule["arn"]] = there[priority]
        if item["attributes"]:
            elbv2.modify_listener_attributes(ListenerArn=arn, Attributes=item["attributes"])
    return renamed


def _made_again(elbv2: Any, listener: JsonObject) -> str | None:
    """The ARN of a listener that was made again, now or before this process was killed; None where
    somebody has put another one on its port, which stays, or where it has no place any more.
    """
    shown = unless(
        _GONE, lambda: elbv2.describe_listeners(LoadBalancerArn=listener["LoadBalancerArn"])
    )
    for other in (shown or {}).get("Listeners", []):
        if other["Port"] == listener["Port"]:
            return str(other["ListenerArn"]) if like(other, listener) else None
    made = unless(
        ("DuplicateListener", "LoadBalancerNotFound", "TargetGroupNotFound", "CertificateNotFound"),
        lambda: elbv2.create_listener(**listener),
    )
    return None if made is None else str(made["Listeners"][0]["ListenerArn"])


def _move_listener(hands: Hands, step: Step) -> None:
    hands.client("elbv2", step).modify_listener(ListenerArn=step.key, Port=step.after)


def _move_listener_back(hands: Hands, step: Step) -> None:
    elbv2 = hands.client("elbv2", step)
    described = unless(_GONE, lambda: elbv2.describe_listeners(ListenerArns=[step.key]))
    if described and described["Listeners"][0]["Port"] == step.after:
        unless(
            ("DuplicateListener",),
            lambda: elbv2.modify_listener(ListenerArn=step.key, Port=step.before),
        )


def _set_actions(hands: Hands, step: Step) -> None:
    _write_actions(hands, step, step.after)


def _restore_actions(hands: Hands, step: Step) -> None:
    found = unless(_GONE, lambda: read_actions(hands.client("elbv2", step), step.key))
    if found is not None and like(found, step.after):
        unless(("TargetGroupNotFound",), lambda: _write_actions(hands, step, step.before))


def read_actions(elbv2: Any, arn: str) -> list[JsonObject]:
    """The actions of a listener or of a rule, in the form in which they can be written."""
    if ":listener-rule/" in arn:
        actions = elbv2.describe_rules(RuleArns=[arn])["Rules"][0]["Actions"]
    else:
        actions = elbv2.describe_listeners(ListenerArns=[arn])["Listeners"][0]["DefaultActions"]
    return [plain_action(action) for action in actions]


def plain_action(action: Mapping[str, Any]) -> JsonObject:
    """An action as it was given: moto adds an empty Order to what it shows."""
    return {name: value for name, value in action.items() if value not in (None, {}, [])}


def _write_actions(hands: Hands, step: Step, actions: list[JsonObject]) -> None:
    elbv2 = hands.client("elbv2", step)
    if ":listener-rule/" in step.key:
        elbv2.modify_rule(RuleArn=step.key, Actions=actions)
    else:
        elbv2.modify_listener(ListenerArn=step.key, DefaultActions=actions)


def _add_rule(hands: Hands, step: Step) -> None:
    hands.client("elbv2", step).create_rule(
        ListenerArn=step.after["listener"], **step.after["rule"]
    )


def _drop_rule(hands: Hands, step: Step) -> None:
    elbv2 = hands.client("elbv2", step)
    described = unless(_GONE, lambda: elbv2.describe_rules(ListenerArn=step.after["listener"]))
    for rule in (described or {}).get("Rules", []):
        # By number and path: another fault may have replaced its actions.
        conditions = [plain_action(condition) for condition in rule["Conditions"]]
        if (
            rule["Priority"] == str(step.after["rule"]["Priority"])
            and conditions == step.after["rule"]["Conditions"]
        ):
            elbv2.delete_rule(RuleArn=rule["RuleArn"])


def _set_attribute(hands: Hands, step: Step) -> None:
    _write_attribute(hands, step, step.after)


def _restore_attribute(hands: Hands, step: Step) -> None:
    current = unless(_GONE, lambda: read_attributes(hands.client("elbv2", step), step.key))
    name, value = next(iter(step.after.items()))
    if current is not None and current.get(name) == value:
        _write_attribute(hands, step, step.before)


def read_attributes(elbv2: Any, arn: str) -> dict[str, str]:
    """The attributes of a load balancer or a listener."""
    if ":listener/" in arn:
        described = elbv2.describe_listener_attributes(ListenerArn=arn)
    else:
        described = elbv2.describe_load_balancer_attributes(LoadBalancerArn=arn)
    return {item["Key"]: item["Value"] for item in described["Attributes"]}


def _write_attribute(hands: Hands, step: Step, attributes: Mapping[str, str]) -> None:
    elbv2 = hands.client("elbv2", step)
    given = [{"Key": name, "Value": value} for name, value in attributes.items()]
    if ":listener/" in step.key:
        elbv2.modify_listener_attributes(ListenerArn=step.key, Attributes=given)
    else:
        elbv2.modify_load_balancer_attributes(LoadBalancerArn=step.key, Attributes=given)


def _deregister(hands: Hands, step: Step) -> None:
    if step.before:
        hands.client("elbv2", step).deregister_targets(TargetGroupArn=step.key, Targets=step.before)


def _register(hands: Hands, step: Step) -> None:
    elbv2 = hands.client("elbv2", step)
    for target in step.before:
        unless(
            ("TargetGroupNotFound", "InvalidTarget"),
            lambda target=target: elbv2.register_targets(TargetGroupArn=step.key, Targets=[target]),  # type: ignore[misc]
        )


VERBS: Mapping[str, Verb] = {
    "revoke ingress": Verb(_revoke, _authorize, collects=True),
    "block public access": Verb(_set_public_access, _restore_public_access),
    "deny egress": Verb(_deny, _allow_again),
    "remove listener": Verb(_remove_listener, _make_listener, collects=True),
    "move listener": Verb(_move_listener, _move_listener_back),
    "replace actions": Verb(_set_actions, _restore_actions),
    "add rule": Verb(_add_rule, _drop_rule),
    "set attribute": Verb(_set_attribute, _restore_attribute),
    "deregister targets": Verb(_deregister, _register, collects=True),
}
