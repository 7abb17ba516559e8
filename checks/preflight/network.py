"""Preflight questions about the network around the target: gateway, subnets, addresses, zones,
security groups.

PURE.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from checks.preflight.results import (
    Amendment,
    Fix,
    Level,
    PreflightResult,
    PreflightSubject,
    join_ports,
    unknown,
)
from provisioning.facts import names
from provisioning.facts.exposures import sources_besides_cloudfront
from provisioning.facts.group_managers import RECONCILES, GroupManager, Tool
from provisioning.facts.network import CLOUDFRONT_LIST_WEIGHT, SecurityGroupRule, is_public
from provisioning.facts.snapshot import Snapshot
from provisioning.facts.target import TargetFacts

# CloudFront Developer Guide, "Restrict access with VPC origins". Zones are excluded by id: names
# differ by account.
REGIONS = frozenset(
    """
    us-east-1 us-east-2 us-west-1 us-west-2 af-south-1 ap-east-1 ap-east-2 ap-south-1 ap-
    south-2 ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-
    southeast-6 ap-southeast-7 ap-northeast-1 ap-northeast-2 ap-northeast-3 ca-central-1 ca-
    west-1 eu-central-1 eu-central-2 eu-west-1 eu-west-2 eu-west-3 eu-south-1 eu-south-2 eu-
    north-1 il-central-1 me-south-1 me-central-1 sa-east-1 mx-central-1
    """.split()  # noqa: SIM905
)
EXCLUDED_ZONES = frozenset({"use1-az3", "usw1-az2", "apne1-az3", "cac1-az3"})
FEW_ADDRESSES = 8


def gateway(
    subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """Attached, although no route leads to it; AWS takes it as leave to bring in traffic."""
    gap = snapshot.gap("internet_gateway")
    if gap or target.internet_gateway is None:
        yield unknown("PF-GATEWAY", gap.reason if gap else "Not checked.")
    elif target.internet_gateway:
        yield PreflightResult(
            "PF-GATEWAY", Level.PASS, f"{target.vpc_id} has one. It needs no route."
        )
    else:
        yield PreflightResult(
            "PF-GATEWAY",
            Level.BLOCK,
            f"{target.vpc_id} has none.",
            "AWS requires an attached internet gateway before CloudFront may "
            "enter a VPC. Without a route to it, nothing becomes public.",
            Fix(
                "VPC > Internet gateways > Create, then Actions > Attach to VPC > "
                f"{target.vpc_id}. Add no route.",
                "aws ec2 attach-internet-gateway --internet-gateway-id "
                "$(aws ec2 create-internet-gateway --query "
                "InternetGateway.InternetGatewayId --output text) "
                f"--vpc-id {target.vpc_id}",
                f'resource "aws_internet_gateway" "edge" {{ vpc_id = "{target.vpc_id}" }}',
                opens="An attached gateway alone lets nothing in; a route to it would.",
                narrower="Attach it without a route in any route table.",
            ),
        )


def block_public_access(
    subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """That an exclusion restores VPC origins is inferred, not documented, hence a warning."""
    gap = snapshot.gap("block_public_access")
    mode, _, exclusion = target.block_public_access.partition("+")
    subnet = target.subnets[0].id if target.subnets else "SUBNET"
    repeated = "; the same for each of its subnets" if len(target.subnets) > 1 else ""
    if gap or not mode:
        yield unknown("PF-BPA", gap.reason if gap else "Not checked.")
    elif mode == "off":
        yield PreflightResult("PF-BPA", Level.PASS, "Block Public Access is off in this Region.")
    elif exclusion == "allow-bidirectional":
        yield PreflightResult(
            "PF-BPA",
            Level.WARN,
            f"Block Public Access is {mode}, and {target.vpc_id} is excluded.",
            "AWS does not document that an exclusion lets VPC origins work. "
            "The handshake check will show it.",
        )
    elif not target.exclusions_allowed:
        yield PreflightResult(
            "PF-BPA",
            Level.BLOCK,
            f"Block Public Access is {mode}, and an organization policy allows no exclusions.",
            "It blocks CloudFront in both directions; handshakes would fail with 504.",
            Fix(
                "Ask the organization's administrators: AWS Organizations > "
                "Policies > Declarative policies for EC2.",
                "aws ec2 describe-vpc-block-public-access-options",
                "aws_organizations_policy of type DECLARATIVE_POLICY_EC2",
            ),
        )
    else:
        yield PreflightResult(
            "PF-BPA",
            Level.BLOCK,
            f"Block Public Access is {mode}.",
            "It blocks CloudFront in both directions; handshakes would fail with 504.",
            Fix(
                "VPC > Settings > Block public access > Create exclusions: subnet "
                f"{subnet}, bidirectional{repeated}. If an organization policy manages it, ask "
                "its administrators.",
                f"aws ec2 create-vpc-block-public-access-exclusion --subnet-id {subnet} "
                "--internet-gateway-exclusion-mode allow-bidirectional",
                'resource "aws_vpc_block_public_access_exclusion" "edge" {\n'
                f'  subnet_id                       = "{subnet}"\n'
                '  internet_gateway_exclusion_mode = "allow-bidirectional"\n}',
                opens="In an excluded subnet, Block Public Access stops nothing: routes, security "
                "groups and network ACLs alone decide what gets in and out.",
                narrower="Exclude only the target's subnets, not the whole VPC.",
            ),
        )


def subnets(
    subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """Whether they are private, have room, and lie where VPC origins exist."""
    if (gap := snapshot.gap("subnets")) or not target.subnets:
        reason = gap.reason if gap else "AWS returned no subnets for the target."
        yield from (unknown(code, reason) for code in ("PF-SUBNET", "PF-ADDRESS", "PF-ZONE"))
        return
    yield _private_subnets(target)
    yield _free_addresses(target)
    yield _zones(target)


def _private_subnets(target: TargetFacts) -> PreflightResult:
    public = [subnet.id for subnet in target.subnets if subnet.public]
    if not public:
        return PreflightResult(
            "PF-SUBNET", Level.PASS, "None of them has a route to an internet gateway."
        )
    return PreflightResult(
        "PF-SUBNET",
        Level.WARN,
        f"{', '.join(public)}: the route table has a route to an internet gateway.",
        "The endpoint works, but the target is not isolated from the internet.",
        Fix(
            f"VPC > Subnets > {public[0]} > Route table: remove every route to "
            "the internet gateway; routes to a NAT gateway may stay. Or use "
            "private subnets.",
            # The facts do not tell which destination: 0.0.0.0/0 may well lead to a NAT gateway, and
            # only ::/0 out.
            "aws ec2 delete-route --route-table-id TABLE --destination-cidr-block "
            "DESTINATION-OF-THE-ROUTE-TO-THE-IGW",
            "no route with gateway_id in the subnets' aws_route_table",
        ),
    )


def _free_addresses(target: TargetFacts) -> PreflightResult:
    fewest = min(target.subnets, key=lambda subnet: subnet.free_addresses)
    seen = f"{fewest.id} has {fewest.free_addresses} free."
    if fewest.free_addresses >= FEW_ADDRESSES:
        return PreflightResult(
            "PF-ADDRESS", Level.PASS, f"At least {fewest.free_addresses} in each."
        )
    fix = Fix(
        f"EC2 > Network interfaces, filter subnet {fewest.id}: delete unused ones.",
        f"aws ec2 describe-network-interfaces --filters Name=subnet-id,Values={fewest.id} "
        "Name=status,Values=available",
    )
    if fewest.free_addresses == 0:
        return PreflightResult(
            "PF-ADDRESS",
            Level.BLOCK,
            seen,
            "CloudFront needs an address in the subnet for its network interface.",
            fix,
        )
    return PreflightResult(
        "PF-ADDRESS",
        Level.WARN,
        seen,
        "CloudFront needs one of them, and a load balancer needs eight to scale.",
        fix,
    )


def _zones(target: TargetFacts) -> PreflightResult:
    region = target.arn.split(":")[3]
    if region not in REGIONS:
        return PreflightResult(
            "PF-ZONE",
            Level.BLOCK,
            f"The target is in {region}.",
            "AWS does not offer VPC origins there.",
            Fix("Choose a target in another Region."),
        )
    excluded = [
        f"{s.id} ({s.availability_zone_id})"
        for s in target.subnets
        if s.availability_zone_id in EXCLUDED_ZONES
    ]
    if excluded:
        return PreflightResult(
            "PF-ZONE",
            Level.BLOCK,
            f"In an excluded zone: {', '.join(excluded)}.",
            "AWS offers VPC origins in this Region, but not in this Availability Zone.",
            Fix(
                f"EC2 > Load Balancers > {target.name} > Network mapping > Edit subnets: "
                "use other zones.",
                f"aws elbv2 set-subnets --load-balancer-arn {target.arn} --subnets OTHER-SUBNETS",
                "subnets = […] of other zones in the aws_lb",
            ),
        )
    zones = sorted({subnet.availability_zone_id for subnet in target.subnets})
    return PreflightResult("PF-ZONE", Level.PASS, f"{region}, {', '.join(zones)}.")


def ingress(
    subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """CloudFront comes from its own public ranges, so a rule for the VPC's addresses does not admit
    it.
    """
    if not target.security_groups or not subject.origin_ports:
        return
    if gap := snapshot.gap("ingress"):
        yield unknown("PF-INGRESS", gap.reason)
        return
    admitting = {port: target.admits_cloudfront(port) for port in subject.origin_ports}
    closed = [port for port, rule in admitting.items() if rule is None]
    if not closed:
        seen = "; ".join(f"{port} from {_source(rule)}" for port, rule in admitting.items() if rule)
        yield PreflightResult("PF-INGRESS", Level.PASS, f"Open: {seen}.")
        return
    if gap := snapshot.gap("prefix_list") or snapshot.gap("service_group"):
        # A rule may name what we could not look up.
        yield unknown("PF-INGRESS", gap.reason)
        return
    seen = (
        f"{', '.join(target.security_groups)} does not allow CloudFront on "
        f"port{'s' if len(closed) > 1 else ''} {join_ports(closed)}."
    )
    listed = sorted(
        {
            rule.source
            for rule in target.ingress
            if rule.source_kind == "prefix-list"
            and rule.source in target.own_lists
            and any(map(rule.covers, closed))
        }
    )
    if listed and not subject.open_security_group:
        told = (
            f"{', '.join(listed)} may contain CloudFront's addresses; its "
            "entries are not checked. If it does not, "
        )
        opening = Amendment(
            "Let the plan open the security group", (("open_security_group", True),)
        )
        yield replace(unknown("PF-INGRESS", f"{told}handshakes fail with 504."), amendment=opening)
        return
    group = target.group_to_open
    service = target.service_group_id
    source = service or "SERVICE-GROUP"
    found = (
        ""
        if service
        else "aws ec2 describe-security-groups --filters "
        f"Name=group-name,Values={names.SERVICE_GROUP_NAME} Name=vpc-id,Values={target.vpc_id} "
        "--query 'SecurityGroups[0].GroupId'\n"
    )
    fix = Fix(
        f"EC2 > Security Groups > {group} > Edit inbound rules: TCP {join_ports(closed)} from "
        f"{service or names.SERVICE_GROUP_NAME}"
        + ("." if service else ", which AWS creates with the VPC's first VPC origin."),
        found + f"aws ec2 authorize-security-group-ingress --group-id {group} --protocol tcp "
        f"--port {closed[0]} --source-group {source}",
        'resource "aws_vpc_security_group_ingress_rule" "edge" {\n'
        f'  security_group_id            = "{group}"\n'
        f'  referenced_security_group_id = "{source}"\n'
        '  ip_protocol                  = "tcp"\n'
        f"  from_port                    = {closed[0]}\n"
        f"  to_port                      = {closed[0]}\n}}",
        opens=f"The rule lets CloudFront reach {target.name} on {join_ports(closed)}, through the "
        "VPC origins of this VPC only.",
        narrower="This is the narrow rule. Do not use the prefix list "
        f"{names.ORIGIN_FACING_PREFIX_LIST} instead: it admits every CloudFront customer.",
    )
    if subject.open_security_group:
        why = (
            f"The plan adds a rule to {group} that allows only this VPC's own "
            "VPC origins; nothing public gets in."
        )
        yield PreflightResult("PF-INGRESS", Level.FIXABLE, seen, why, fix, in_plan=True)
    else:
        why = (
            "CloudFront's packets would be dropped; handshakes fail with 504. "
            "Let the plan open the group, or open it yourself."
        )
        opening = Amendment(
            "Let the plan open the security group", (("open_security_group", True),)
        )
        yield PreflightResult("PF-INGRESS", Level.BLOCK, seen, why, fix, amendment=opening)


def group_room(
    subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """Whether the rules that the plan would add fit in. Rules for IPv4 and IPv6 are counted
    apart.
    """
    group = target.group_to_open
    if group is None or not subject.origin_ports:
        return
    if gap := snapshot.gap("ingress") or snapshot.gap("prefix_list"):
        yield unknown("PF-GROUP-ROOM", gap.reason)
        return
    adding = sum(target.admits_cloudfront(port) is None for port in subject.origin_ports)
    used = target.rules_used(group)
    if used is None:
        if adding:
            gap = snapshot.gap("list_weights")
            reason = (
                gap.reason
                if gap
                else (f"AWS does not say how many rules the prefix lists of {group} count as.")
            )
            yield unknown("PF-GROUP-ROOM", reason)
        return
    quota = snapshot.rules_per_group
    seen = (
        f"{group} uses {used} of {quota} rules; CloudFront's prefix list "
        f"counts as {CLOUDFRONT_LIST_WEIGHT}."
    )
    if not adding or used + adding <= quota:
        yield PreflightResult("PF-GROUP-ROOM", Level.PASS, seen)
        return
    unless = ", unless the account's quota is above the default" if snapshot.gap("quotas") else ""
    yield PreflightResult(
        "PF-GROUP-ROOM",
        Level.WARN,
        seen,
        f"The plan's rule does not fit{unless}.",
        Fix(
            f"EC2 > Security Groups > {group}: remove rules; or Service Quotas > Amazon VPC "
            "> Inbound or outbound "
            "rules per security group.",
            f"aws ec2 describe-security-group-rules --filters Name=group-id,Values={group}",
            "fewer aws_vpc_security_group_ingress_rule of the group",
        ),
    )


_ANNOTATIONS = {
    Tool.INGRESS: "alb.ingress.kubernetes.io/security-groups",
    Tool.SERVICE: "service.beta.kubernetes.io/aws-load-balancer-security-groups",
}
_KEEP_BACKEND_RULES = {
    Tool.INGRESS: "alb.ingress.kubernetes.io/manage-backend-security-group-rules",
    Tool.SERVICE: "service.beta.kubernetes.io/"
    "aws-load-balancer-manage-backend-security-group-rules",
}


def group_managers(
    subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """Whether another tool would remove the rule that the plan adds, or the one that lets
    CloudFront in.
    """
    group = target.group_to_open
    if group is None or not subject.origin_ports:
        return
    if gap := snapshot.gap("group_tags"):
        yield unknown("PF-GROUP-MANAGED", gap.reason)
        return
    if target.group_tags is None:
        yield unknown("PF-GROUP-MANAGED", "Not checked.")
        return
    admitting = [target.admits_cloudfront(port) for port in subject.origin_ports]
    by_portal = any(rule is None or rule.owner for rule in admitting)
    manager = target.group_manager(group)
    if manager is None or not by_portal:
        seen = (
            f"The tags of {group} name no tool that manages it."
            if manager is None
            else f"{group} is managed by {manager.tool}, which already allows CloudFront."
        )
        yield PreflightResult("PF-GROUP-MANAGED", Level.PASS, seen)
        return
    name = f" ({manager.name})" if manager.name else ""
    when = (
        "It compares the rules all the time and removes those that it did not ask for; then "
        "CloudFront's packets are dropped and handshakes fail with 504."
        if manager.tool in RECONCILES
        else "If the rules stand in the group's own resource, its next deployment removes the "
        "portal's rule; then handshakes fail with 504."
    )
    yield PreflightResult(
        "PF-GROUP-MANAGED",
        Level.WARN,
        f"{group} is managed by {manager.tool}{name}, as its tag {manager.tag} shows.",
        when,
        _keep_rule(manager, target),
    )


def _keep_rule(manager: GroupManager, target: TargetFacts) -> Fix:
    """How the rule survives: a security group of the team's own, which the tool leaves alone."""
    describe = (
        f"aws ec2 describe-security-groups --group-ids {' '.join(sorted(target.security_groups))} "
        "--query 'SecurityGroups[].[GroupId,Tags]'"
    )
    if manager.tool in RECONCILES:
        tool = manager.tool if manager.tool in _ANNOTATIONS else Tool.INGRESS
        known = manager.tool in _ANNOTATIONS
        other = "" if known else f" (of a Service: {_ANNOTATIONS[Tool.SERVICE]})"
        return Fix(
            f"Give the load balancer a security group of your own with the annotation "
            f"{_ANNOTATIONS[tool]}{other}, and set {_KEEP_BACKEND_RULES[tool]} to true, so that "
            "the controller keeps the rules of its backends. Then create the plan again: the rule "
            "goes into your group, which the controller leaves as it is.",
            describe,
        )
    if manager.tool is Tool.CLOUDFORMATION:
        return Fix(
            "Keep the group's rules in resources of their own (AWS::EC2::SecurityGroupIngress) "
            f"instead of SecurityGroupIngress of the group, in stack {manager.name}.",
            describe,
        )
    return Fix(
        "Keep the group's rules in resources of their own instead of ingress blocks of the group.",
        describe,
        "no ingress block in the aws_security_group; rules as resources of their own",
    )


def public_ingress(
    subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """As far as the target's own groups tell."""
    if not target.security_groups:
        return
    if gap := snapshot.gap("ingress"):
        yield unknown("PF-PUBLIC", gap.reason)
        return
    public = [
        rule for rule in target.ingress if rule.source_kind == "cidr" and is_public(rule.source)
    ]
    named = {
        rule.source for rule in target.ingress if rule.source_kind == "prefix-list" and rule.source
    }
    lists = sorted(named - target.cloudfront_lists)
    if lists and not public:
        # AWS's own lists are no better known: most hold public addresses, of services that
        # anybody's account may use.
        gap = snapshot.gap("prefix_list")
        told = f"Whether {', '.join(lists)} contains public addresses is not checked."
        yield unknown("PF-PUBLIC", gap.reason if gap else told)
        return
    if not public:
        yield PreflightResult("PF-PUBLIC", Level.PASS, "No rule allows public addresses.")
        return
    why = "The scheme keeps the internet out today; if that changes, these rules let it in."
    if target.scheme != "internal":
        why = "The internet can reach the target and bypass CloudFront."
    yield PreflightResult(
        "PF-PUBLIC",
        Level.WARN,
        f"The security groups allow {', '.join(sorted({rule.source for rule in public}))}.",
        why,
        _delete_rules(public, "no cidr_ipv4 with public addresses in the group's ingress rules"),
    )


def other_sources(
    subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """Whether anything but CloudFront may reach the endpoint's ports: private sources bypass
    CloudFront and its protections too.
    """
    code = "PF-ONLY-CLOUDFRONT"
    if not target.security_groups or not subject.origin_ports:
        return
    needed = ("ingress", "prefix_list", "service_group")
    if gap := next(filter(None, map(snapshot.gap, needed)), None):
        yield unknown(code, gap.reason)
        return
    others = sources_besides_cloudfront(target, subject.origin_ports)
    if not others:
        yield PreflightResult(
            code, Level.PASS, f"Nothing else is allowed on {join_ports(subject.origin_ports)}."
        )
        return
    kinds = {rule.source_kind == "group" for rule in others}
    whose = ["in such a group" if group else "with such an address" for group in sorted(kinds)]
    yield PreflightResult(
        code,
        Level.WARN,
        f"Also allowed: {', '.join(sorted({rule.source for rule in others}))}.",
        f"Anyone {' or '.join(whose)} can bypass CloudFront and its protections.",
        _delete_rules(
            others,
            "only CloudFront's VPC origin security group in the group's ingress rules",
            unless=", unless these clients should reach the target directly",
        ),
    )


def _delete_rules(rules: Sequence[SecurityGroupRule], terraform: str, *, unless: str = "") -> Fix:
    """Delete each of these rules."""
    of_group: dict[str, list[str]] = {}
    for rule in rules:
        named = of_group.setdefault(rule.group_id, [])
        if rule.rule_id not in named:
            named.append(rule.rule_id)
    places = "; ".join(
        f"EC2 > Security Groups > {group} > Edit inbound rules: delete {', '.join(ids)}"
        for group, ids in of_group.items()
    )
    commands = " && ".join(
        f"aws ec2 revoke-security-group-ingress --group-id {group} "
        f"--security-group-rule-ids {' '.join(ids)}"
        for group, ids in of_group.items()
    )
    return Fix(f"{places}{unless}.", commands, terraform)


def _source(rule: SecurityGroupRule) -> str:
    return "everywhere" if rule.source_kind == "cidr" else rule.source
