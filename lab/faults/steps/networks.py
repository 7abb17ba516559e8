"""Steps that change VPCs and load balancers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.faults.steps.step import JsonObject, Step, unchanged
from lab.faults.steps.step_kind import StepContext, StepKind, ignoring

_GONE = ("ListenerNotFound", "LoadBalancerNotFound", "RuleNotFound", "TargetGroupNotFound")
# Below AWS's own 100, since a deny must come before every allow.
FIRST_RULE_NUMBER = 1
_EPHEMERAL_PORTS = {"From": 1024, "To": 65535}


class RevokeIngress(StepKind):
    """Rules of a security group. `before` lists them with their tags, `after` is the group."""

    verb = "revoke ingress"
    removes = True

    def do(self, context: StepContext, step: Step) -> None:
        if step.before:
            context.client("ec2", step).revoke_security_group_ingress(
                GroupId=step.after, IpPermissions=[item["permission"] for item in step.before]
            )

    def undo(self, context: StepContext, step: Step) -> None:
        ec2 = context.client("ec2", step)
        for item in step.before:
            given: JsonObject = {"GroupId": step.after, "IpPermissions": [item["permission"]]}
            if item["tags"]:
                given["TagSpecifications"] = [
                    {"ResourceType": "security-group-rule", "Tags": item["tags"]}
                ]
            ignoring(
                ("InvalidPermission.Duplicate", "InvalidGroup.NotFound"),
                lambda given=given: ec2.authorize_security_group_ingress(**given),  # type: ignore[misc]
            )


class BlockPublicAccess(StepKind):
    """VPC Block Public Access of an account and Region; the values are modes."""

    verb = "block public access"

    def do(self, context: StepContext, step: Step) -> None:
        context.client("ec2", step).modify_vpc_block_public_access_options(
            InternetGatewayBlockMode=step.after
        )

    def undo(self, context: StepContext, step: Step) -> None:
        ec2 = context.client("ec2", step)
        options = ec2.describe_vpc_block_public_access_options()["VpcBlockPublicAccessOptions"]
        if options["InternetGatewayBlockMode"] == step.after:
            ec2.modify_vpc_block_public_access_options(InternetGatewayBlockMode=step.before)


class DenyEgress(StepKind):
    """A network ACL's outbound rule that denies ephemeral ports. `after` has `acl` and `number`."""

    verb = "deny egress"

    def do(self, context: StepContext, step: Step) -> None:
        context.client("ec2", step).create_network_acl_entry(
            NetworkAclId=step.after["acl"],
            RuleNumber=step.after["number"],
            Egress=True,
            CidrBlock="0.0.0.0/0",
            PortRange=_EPHEMERAL_PORTS,
            RuleAction="deny",
            Protocol="6",
        )

    def undo(self, context: StepContext, step: Step) -> None:
        ec2 = context.client("ec2", step)
        acl_id, number = step.after["acl"], step.after["number"]
        described = ignoring(
            ("InvalidNetworkAclID.NotFound", "InvalidNetworkAclId.NotFound"),
            lambda: ec2.describe_network_acls(NetworkAclIds=[acl_id]),
        )
        for acl in (described or {}).get("NetworkAcls", []):
            for entry in acl["Entries"]:
                found = (entry["Egress"], entry["RuleNumber"], entry["RuleAction"])
                if found == (True, number, "deny") and entry.get("PortRange") == _EPHEMERAL_PORTS:
                    ec2.delete_network_acl_entry(
                        NetworkAclId=acl_id, RuleNumber=number, Egress=True
                    )


class RemoveListener(StepKind):
    """A listener with its rules and attributes, all in `before`."""

    verb = "remove listener"
    removes = True

    def do(self, context: StepContext, step: Step) -> None:
        for item in step.before:
            context.client("elbv2", step).delete_listener(ListenerArn=item["arn"])

    def undo(self, context: StepContext, step: Step) -> Mapping[str, str]:
        """AWS gives the new listener and its rules ARNs of their own."""
        elbv2 = context.client("elbv2", step)
        new_arns: dict[str, str] = {}
        for item in step.before:
            arn = self._create(elbv2, item["listener"])
            if arn is None:
                continue
            new_arns[item["arn"]] = arn
            there = {
                rule["Priority"]: rule["RuleArn"]
                for rule in elbv2.describe_rules(ListenerArn=arn)["Rules"]
            }
            for rule in item["rules"]:
                priority = str(rule["given"]["Priority"])
                if priority not in there:
                    made = ignoring(
                        ("TargetGroupNotFound",),
                        lambda arn=arn, rule=rule: elbv2.create_rule(  # type: ignore[misc]
                            ListenerArn=arn, **rule["given"]
                        ),
                    )
                    there |= {priority: made["Rules"][0]["RuleArn"]} if made else {}
                if priority in there:
                    new_arns[rule["arn"]] = there[priority]
            if item["attributes"]:
                elbv2.modify_listener_attributes(ListenerArn=arn, Attributes=item["attributes"])
        return new_arns

    def _create(self, elbv2: Any, listener: JsonObject) -> str | None:
        """The ARN of the listener, created now or before this process was killed. None if another
        listener has its port (that one stays), or if what it needs is gone.
        """
        shown = ignoring(
            _GONE, lambda: elbv2.describe_listeners(LoadBalancerArn=listener["LoadBalancerArn"])
        )
        for other in (shown or {}).get("Listeners", []):
            if other["Port"] == listener["Port"]:
                return str(other["ListenerArn"]) if unchanged(other, listener) else None
        made = ignoring(
            (
                "DuplicateListener",
                "LoadBalancerNotFound",
                "TargetGroupNotFound",
                "CertificateNotFound",
            ),
            lambda: elbv2.create_listener(**listener),
        )
        return None if made is None else str(made["Listeners"][0]["ListenerArn"])


class MoveListener(StepKind):
    """A listener's port."""

    verb = "move listener"

    def do(self, context: StepContext, step: Step) -> None:
        context.client("elbv2", step).modify_listener(ListenerArn=step.key, Port=step.after)

    def undo(self, context: StepContext, step: Step) -> None:
        elbv2 = context.client("elbv2", step)
        described = ignoring(_GONE, lambda: elbv2.describe_listeners(ListenerArns=[step.key]))
        if described and described["Listeners"][0]["Port"] == step.after:
            ignoring(
                ("DuplicateListener",),
                lambda: elbv2.modify_listener(ListenerArn=step.key, Port=step.before),
            )


class ReplaceActions(StepKind):
    """The actions of a listener or a rule."""

    verb = "replace actions"

    def do(self, context: StepContext, step: Step) -> None:
        self._write(context, step, step.after)

    def undo(self, context: StepContext, step: Step) -> None:
        current = ignoring(_GONE, lambda: read_actions(context.client("elbv2", step), step.key))
        if current is not None and unchanged(current, step.after):
            ignoring(("TargetGroupNotFound",), lambda: self._write(context, step, step.before))

    def _write(self, context: StepContext, step: Step, actions: list[JsonObject]) -> None:
        elbv2 = context.client("elbv2", step)
        if ":listener-rule/" in step.key:
            elbv2.modify_rule(RuleArn=step.key, Actions=actions)
        else:
            elbv2.modify_listener(ListenerArn=step.key, DefaultActions=actions)


class AddRule(StepKind):
    """A rule of a listener. `after` has `listener` and `rule`."""

    verb = "add rule"

    def do(self, context: StepContext, step: Step) -> None:
        context.client("elbv2", step).create_rule(
            ListenerArn=step.after["listener"], **step.after["rule"]
        )

    def undo(self, context: StepContext, step: Step) -> None:
        elbv2, made = context.client("elbv2", step), step.after["rule"]
        described = ignoring(
            _GONE, lambda: elbv2.describe_rules(ListenerArn=step.after["listener"])
        )
        for rule in (described or {}).get("Rules", []):
            # By priority and path: another fault may have replaced its actions.
            conditions = [as_written(condition) for condition in rule["Conditions"]]
            if (rule["Priority"], conditions) == (str(made["Priority"]), made["Conditions"]):
                elbv2.delete_rule(RuleArn=rule["RuleArn"])


class SetAttribute(StepKind):
    """One attribute of a load balancer or a listener; the values are {name: text}."""

    verb = "set attribute"

    def do(self, context: StepContext, step: Step) -> None:
        self._write(context, step, step.after)

    def undo(self, context: StepContext, step: Step) -> None:
        current = ignoring(_GONE, lambda: read_attributes(context.client("elbv2", step), step.key))
        name, value = next(iter(step.after.items()))
        if current is not None and current.get(name) == value:
            self._write(context, step, step.before)

    def _write(self, context: StepContext, step: Step, attributes: Mapping[str, str]) -> None:
        elbv2 = context.client("elbv2", step)
        given = [{"Key": name, "Value": value} for name, value in attributes.items()]
        if ":listener/" in step.key:
            elbv2.modify_listener_attributes(ListenerArn=step.key, Attributes=given)
        else:
            elbv2.modify_load_balancer_attributes(LoadBalancerArn=step.key, Attributes=given)


class DeregisterTargets(StepKind):
    """Targets of a group; `before` lists them."""

    verb = "deregister targets"
    removes = True

    def do(self, context: StepContext, step: Step) -> None:
        if step.before:
            context.client("elbv2", step).deregister_targets(
                TargetGroupArn=step.key, Targets=step.before
            )

    def undo(self, context: StepContext, step: Step) -> None:
        elbv2 = context.client("elbv2", step)
        for target in step.before:
            ignoring(
                ("TargetGroupNotFound", "InvalidTarget"),
                lambda target=target: elbv2.register_targets(  # type: ignore[misc]
                    TargetGroupArn=step.key, Targets=[target]
                ),
            )


def read_actions(elbv2: Any, arn: str) -> list[JsonObject]:
    """The actions of a listener or a rule, in the form in which they can be written."""
    if ":listener-rule/" in arn:
        actions = elbv2.describe_rules(RuleArns=[arn])["Rules"][0]["Actions"]
    else:
        actions = elbv2.describe_listeners(ListenerArns=[arn])["Listeners"][0]["DefaultActions"]
    return [as_written(action) for action in actions]


def as_written(shown: Mapping[str, Any]) -> JsonObject:
    """An action or a condition as it was given: moto adds empty members to what it shows."""
    return {name: value for name, value in shown.items() if value not in (None, {}, [])}


def read_attributes(elbv2: Any, arn: str) -> dict[str, str]:
    """The attributes of a load balancer or a listener."""
    if ":listener/" in arn:
        described = elbv2.describe_listener_attributes(ListenerArn=arn)
    else:
        described = elbv2.describe_load_balancer_attributes(LoadBalancerArn=arn)
    return {item["Key"]: item["Value"] for item in described["Attributes"]}


STEP_KINDS: tuple[StepKind, ...] = (
    RevokeIngress(),
    BlockPublicAccess(),
    DenyEgress(),
    RemoveListener(),
    MoveListener(),
    ReplaceActions(),
    AddRule(),
    SetAttribute(),
    DeregisterTargets(),
)
