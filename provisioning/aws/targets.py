"""Load balancers and instances as targets: a quick list to choose from, and one target in detail.

A part that could not be read is reported with its error, never as empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from provisioning.aws import api_gateway, target_groups, vpcs
from provisioning.aws.certificates import certificate
from provisioning.aws.errors import AwsError, calling
from provisioning.aws.security_groups import (
    group_tags,
    ingress_rules,
    list_weights,
    origin_facing_lists,
    service_group,
)
from provisioning.aws.session import Aws
from provisioning.aws.thread_pool import ThreadPool
from provisioning.facts.certificate import Certificate
from provisioning.facts.load_balancer import Listener, ListenerRule, TargetGroup
from provisioning.facts.names import Arn, SecurityGroupId
from provisioning.facts.network import AclEntry, Subnet
from provisioning.facts.target import TargetFacts

APPLICATION, NETWORK, GATEWAY, INSTANCE = "application", "network", "gateway", "instance"
INTERNAL, INTERNET_FACING = "internal", "internet-facing"
LOOKS_AT_ONCE = 8
_CARRIED = {
    "upgrade": frozenset({"websocket", "*"}),
    "connection": frozenset({"upgrade", "*upgrade*", "*"}),
    "sec-websocket-version": frozenset({"13", "*"}),
}
_ALB_IDLE, _NLB_IDLE = "idle_timeout.timeout_seconds", "tcp.idle_timeout.seconds"

Part = TypeVar("Part")


@dataclass(frozen=True)
class Survey:
    """A target as far as it could be read, and the parts that could not (name → error). Where it
    does not exist, `successor` is a load balancer of the same name.
    """

    facts: TargetFacts | None
    failures: Mapping[str, AwsError]
    successor: str = ""


def list_targets(aws: Aws, region: str) -> tuple[TargetFacts, ...]:
    """All load balancers, with their listeners, and all running instances of a Region, by name.

    Listeners cost one call per load balancer (AWS has no other way); they are asked for side by
    side.
    """
    with ThreadPool(LOOKS_AT_ONCE, "targets") as pool:
        instances = pool.submit(_running_instances, aws, region)
        balancers = [_balancer(found) for found in _balancers(aws, region)]
        listeners = [
            pool.submit(_listeners_for_list, aws, region, balancer) for balancer in balancers
        ]
        listed = [
            replace(balancer, listeners=found.result())
            for balancer, found in zip(balancers, listeners, strict=True)
        ]
        return tuple(
            sorted(
                listed + instances.result(),
                key=lambda target: (target.kind == INSTANCE, target.name),
            )
        )


def target_facts(aws: Aws, arn: str) -> TargetFacts | None:
    """Everything about one target, or None if the account has no such target. Raises AwsError if a
    part cannot be read.
    """
    with ThreadPool(LOOKS_AT_ONCE, "target") as pool:
        survey = survey_target(aws, arn, pool)
    for error in survey.failures.values():
        raise error
    return survey.facts


def admission_facts(aws: Aws, arn: str) -> TargetFacts | None:
    """The target with only what `admits_cloudfront` needs, in four calls; None when the account has
    no such target.
    """
    region = arn.split(":")[3]
    found = _find(aws, region, arn)
    if found is None:
        return None
    target, _ = found
    return replace(
        target,
        ingress=ingress_rules(aws, region, target.security_groups),
        origin_facing_prefix_list=origin_facing_lists(aws, region)[0],
        service_group_id=service_group(aws, region, target.vpc_id),
    )


def survey_target(aws: Aws, arn: str, pool: Executor) -> Survey:
    """Everything that can be read about one target. Raises AwsError if the target itself cannot be.

    1. The target itself says its VPC, groups and subnets.
    2. Everything else is asked side by side.
    3. What failed keeps its unknown value, and is named in `failures`.
    """
    region = arn.split(":")[3]
    found = _find(aws, region, arn)
    if found is None:
        return Survey(None, {}, _successor(aws, region, arn))
    target, subnet_ids = found
    balanced = target.kind in (APPLICATION, NETWORK)
    looks: dict[str, Future[Any]] = {
        "group_tags": pool.submit(group_tags, aws, region, target.security_groups),
        "ingress": pool.submit(ingress_rules, aws, region, target.security_groups),
        "subnets": pool.submit(vpcs.subnets, aws, region, target.vpc_id, subnet_ids),
        "acls": pool.submit(vpcs.acls, aws, region, subnet_ids),
        "internet_gateway": pool.submit(vpcs.has_internet_gateway, aws, region, target.vpc_id),
        "block_public_access": pool.submit(
            vpcs.block_public_access, aws, region, target.vpc_id, subnet_ids
        ),
        "prefix_list": pool.submit(origin_facing_lists, aws, region),
        "service_group": pool.submit(service_group, aws, region, target.vpc_id),
        "addresses": pool.submit(_own_addresses, aws, region, target),
        "internet_facing_load_balancers": pool.submit(
            target_groups.internet_facing_load_balancers, aws, region, arn, target.vpc_id
        ),
    }
    if balanced:
        looks["listeners"] = pool.submit(
            _listeners, aws, region, arn, with_idle=target.kind == NETWORK
        )
        looks["target_health"] = pool.submit(target_groups.groups_of, aws, region, arn)
        looks["attributes"] = pool.submit(_attributes, aws, region, arn)
    failures: dict[str, AwsError] = {}

    def part(name: str, unknown: Part) -> Part:
        if name not in looks:
            return unknown
        try:
            result: Part = looks[name].result()
        except AwsError as error:
            failures[name] = error
            return unknown
        return result

    listeners = part("listeners", cast("tuple[Listener, ...]", ()))
    if target.kind == APPLICATION:
        # These wait for the listeners: which certificates and rules to ask for stands there.
        looks["rules"] = pool.submit(_all_rules, aws, region, listeners)
        looks["certificates"] = pool.submit(_all_certificates, aws, region, listeners)
        rules = part("rules", cast("dict[str, tuple[ListenerRule, ...]]", {}))
        certificates = part("certificates", cast("dict[str, tuple[Certificate, ...]]", {}))
        listeners = tuple(
            replace(one, rules=rules.get(one.arn), certificates=certificates.get(one.arn))
            for one in listeners
        )
    ingress, (cloudfronts, cloudfronts_ipv6) = (
        part("ingress", target.ingress),
        part("prefix_list", ("", "")),
    )
    others = {rule.source for rule in ingress if rule.source_kind == "prefix-list"} - {cloudfronts}
    looks["list_weights"] = pool.submit(list_weights, aws, region, sorted(others))
    if balanced and "listeners" not in failures:
        arns = [listener.arn for listener in listeners]
        looks["api_gateway"] = pool.submit(api_gateway.links, aws, region, arn, arns)
    weights, own_lists = part(
        "list_weights", cast("tuple[Any, tuple[str, ...]]", ((), tuple(sorted(others))))
    )
    groups = part("target_health", cast("tuple[TargetGroup, ...] | None", None))
    if groups:
        looks["addresses_behind"] = pool.submit(
            target_groups.addresses_behind, aws, region, target.vpc_id, groups
        )
    registered = None if groups is None else [one for group in groups for one in group.targets]
    attributes = part("attributes", cast("dict[str, str] | None", None))
    acls = part("acls", cast("dict[str, tuple[str, tuple[AclEntry, ...]]]", {}))
    mode, exclusions_allowed = part("block_public_access", ("", True))
    facts = replace(
        target,
        listeners=listeners,
        subnets=tuple(
            _with_acl(one, acls) for one in part("subnets", cast("tuple[Subnet, ...]", ()))
        ),
        ingress=ingress,
        attributes=None if attributes is None else tuple(sorted(attributes.items())),
        idle_timeout_seconds=_seconds(attributes or {}, _ALB_IDLE),
        groups=groups,
        healthy_targets=None if registered is None else sum(one.well for one in registered),
        registered_targets=None if registered is None else len(registered),
        internet_gateway=part("internet_gateway", target.internet_gateway),
        block_public_access=mode,
        exclusions_allowed=exclusions_allowed,
        public_addresses=part("addresses", cast("tuple[str, ...] | None", None)),
        addresses_behind=part("addresses_behind", cast("tuple[str, ...]", ())),
        internet_facing_load_balancers=part(
            "internet_facing_load_balancers", cast("tuple[str, ...] | None", None)
        ),
        api_gateway_links=part("api_gateway", cast("tuple[str, ...]", ())),
        origin_facing_prefix_list=cloudfronts,
        origin_facing_ipv6_list=cloudfronts_ipv6,
        list_weights=weights,
        own_lists=own_lists,
        service_group_id=part("service_group", ""),
        group_tags=part("group_tags", None),
    )
    return Survey(facts, failures)


def _own_addresses(aws: Aws, region: str, target: TargetFacts) -> tuple[str, ...]:
    """Public addresses of the target's own interfaces; a load balancer's are known by their
    description.
    """
    name, value = "description", f"ELB {target.arn.split('loadbalancer/', 1)[-1]}"
    if target.kind == INSTANCE:
        name, value = "attachment.instance-id", target.arn.rsplit("/", 1)[1]
    return vpcs.public_addresses(aws, region, target.vpc_id, name, [value])


def _with_acl(subnet: Subnet, acls: Mapping[str, tuple[str, tuple[AclEntry, ...]]]) -> Subnet:
    acl_id, entries = acls.get(subnet.id, ("", None))
    return replace(subnet, acl_id=acl_id, acl_egress=entries)


def _find(aws: Aws, region: str, arn: str) -> tuple[TargetFacts, tuple[str, ...]] | None:
    """The bare target and the ids of its subnets."""
    try:
        if arn.split(":")[2] == "ec2":
            return next(iter(_instances(aws, region, InstanceIds=[arn.rsplit("/", 1)[1]])), None)
        with calling("DescribeLoadBalancers"):
            answer = aws.elbv2_read(region).describe_load_balancers(LoadBalancerArns=[arn])
    except AwsError as error:
        if error.is_absent:
            return None
        raise
    found = cast("Any", answer["LoadBalancers"])
    if not found:
        return None
    return _balancer(found[0]), tuple(
        zone["SubnetId"] for zone in found[0].get("AvailabilityZones", ())
    )


def _successor(aws: Aws, region: str, arn: str) -> str:
    """The ARN of the load balancer that has the name of one that does not exist. Names are unique
    in an account and Region, and AWS gives a new ARN to one that is created again.
    """
    rest = arn.partition(":loadbalancer/")[2]
    if not rest:
        return ""
    try:
        with calling("DescribeLoadBalancers"):
            answer = aws.elbv2_read(region).describe_load_balancers(Names=[rest.split("/")[1]])
    except AwsError as error:
        if error.is_absent:
            return ""
        raise
    return next((str(one["LoadBalancerArn"]) for one in answer["LoadBalancers"]), "")


def _balancers(aws: Aws, region: str) -> Iterator[Mapping[str, Any]]:
    with calling("DescribeLoadBalancers"):
        for page in aws.elbv2_read(region).get_paginator("describe_load_balancers").paginate():
            yield from cast("Any", page["LoadBalancers"])


def _balancer(found: Mapping[str, Any]) -> TargetFacts:
    return TargetFacts(
        arn=Arn(found["LoadBalancerArn"]),
        kind=found["Type"],
        name=found["LoadBalancerName"],
        dns_name=found.get("DNSName", ""),
        # A Gateway Load Balancer has no scheme; nothing reaches it from the internet.
        scheme=found.get("Scheme", INTERNAL),
        state=found.get("State", {}).get("Code", ""),
        vpc_id=found.get("VpcId", ""),
        security_groups=tuple(SecurityGroupId(group) for group in found.get("SecurityGroups", ())),
        ip_address_type=found.get("IpAddressType", "ipv4"),
    )


def _running_instances(aws: Aws, region: str) -> list[TargetFacts]:
    running = [{"Name": "instance-state-name", "Values": ["running"]}]
    return [target for target, _ in _instances(aws, region, Filters=running)]


def _instances(
    aws: Aws, region: str, **which: Any
) -> Iterator[tuple[TargetFacts, tuple[str, ...]]]:
    with calling("DescribeInstances"):
        for page in aws.ec2_read(region).get_paginator("describe_instances").paginate(**which):
            for reservation in page["Reservations"]:
                owner = reservation.get("OwnerId", aws.account.account_id)
                for found in reservation["Instances"]:
                    yield _instance(cast("Any", found), region, owner)


def _instance(
    found: Mapping[str, Any], region: str, owner: str
) -> tuple[TargetFacts, tuple[str, ...]]:
    """A running instance counts as active, and as internal when it has no public address."""
    instance_id = found["InstanceId"]
    state = found["State"]["Name"]
    target = TargetFacts(
        arn=Arn(f"arn:aws:ec2:{region}:{owner}:instance/{instance_id}"),
        kind=INSTANCE,
        name=next((tag["Value"] for tag in found.get("Tags", ()) if tag["Key"] == "Name"), "")
        or instance_id,
        dns_name=found.get("PrivateDnsName", ""),
        scheme=INTERNET_FACING if found.get("PublicIpAddress") else INTERNAL,
        state="active" if state == "running" else state,
        vpc_id=found.get("VpcId", ""),
        security_groups=tuple(
            SecurityGroupId(group["GroupId"]) for group in found.get("SecurityGroups", ())
        ),
    )
    return target, ((found["SubnetId"],) if found.get("SubnetId") else ())


def _listeners_for_list(aws: Aws, region: str, balancer: TargetFacts) -> tuple[Listener, ...]:
    """For the list; a load balancer deleted while we were listing simply has none."""
    if balancer.kind == GATEWAY:
        return ()
    try:
        return _listeners(aws, region, balancer.arn, with_idle=False)
    except AwsError as error:
        if error.is_absent:
            return ()
        raise


def _listeners(aws: Aws, region: str, arn: str, *, with_idle: bool) -> tuple[Listener, ...]:
    client = aws.elbv2_read(region)
    listeners = []
    with calling("DescribeListeners"):
        for page in client.get_paginator("describe_listeners").paginate(LoadBalancerArn=arn):
            for found in cast("Any", page["Listeners"]):
                idle = None
                if with_idle and found.get("Protocol") in ("TCP", "TLS"):
                    idle = _listener_idle(aws, region, found["ListenerArn"])
                listeners.append(_listener(found, idle))
    return tuple(sorted(listeners, key=lambda listener: listener.port))


def _listener(found: Mapping[str, Any], idle_timeout_seconds: int | None) -> Listener:
    """The first default action tells what happens to a handshake; authenticate-* actions come
    before forward.
    """
    actions = sorted(found.get("DefaultActions", ()), key=lambda action: action.get("Order", 0))
    first = actions[0] if actions else {}
    return Listener(
        port=found.get("Port", 0),
        protocol=found.get("Protocol", ""),
        default_action=first.get("Type", ""),
        redirect_protocol=first.get("RedirectConfig", {}).get("Protocol", ""),
        idle_timeout_seconds=idle_timeout_seconds,
        arn=found.get("ListenerArn", ""),
        target_groups=_forwarded_to(actions),
    )


def _forwarded_to(actions: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The ARNs of the target groups that actions forward to; one of weight 0 gets nothing."""
    arns: dict[str, None] = {}
    for action in actions:
        if action.get("Type") != "forward":
            continue
        weighted = action.get("ForwardConfig", {}).get("TargetGroups") or ()
        arns |= dict.fromkeys(
            one["TargetGroupArn"] for one in weighted if one.get("Weight", 1) != 0
        )
        if not weighted and action.get("TargetGroupArn"):
            arns[action["TargetGroupArn"]] = None
    return tuple(arns)


def _all_rules(
    aws: Aws, region: str, listeners: Sequence[Listener]
) -> dict[str, tuple[ListenerRule, ...]]:
    """Listener ARN → its rules without the default one, first asked first. One call for each
    listener.
    """
    rules = {}
    for listener in listeners:
        found: list[Any] = []
        with calling("DescribeRules"):
            for page in (
                aws.elbv2_read(region)
                .get_paginator("describe_rules")
                .paginate(ListenerArn=listener.arn)
            ):
                found += page["Rules"]
        ordered = sorted(
            (one for one in found if not one.get("IsDefault")), key=lambda one: int(one["Priority"])
        )
        rules[listener.arn] = tuple(map(_rule, ordered))
    return rules


def _rule(found: Mapping[str, Any]) -> ListenerRule:
    hosts: list[str] = []
    paths: list[str] = []
    narrow = False
    headers: list[str] = []
    for condition in found.get("Conditions", ()):
        values = condition.get("Values") or ()
        match condition.get("Field"):
            case "host-header":
                wanted = condition.get("HostHeaderConfig", {}).get("Values") or values
                hosts += wanted
                narrow = narrow or not wanted
            case "path-pattern":
                wanted = condition.get("PathPatternConfig", {}).get("Values") or values
                paths += wanted
                narrow = narrow or not wanted
            case _:
                if not _met_by_every_handshake(condition):
                    narrow = True
                    name = condition.get("HttpHeaderConfig", {}).get("HttpHeaderName")
                    headers += [name] if name else []
    actions = sorted(found.get("Actions", ()), key=lambda action: action.get("Order", 0))
    first = actions[0].get("Type", "") if actions else ""
    return ListenerRule(
        tuple(hosts), tuple(paths), narrow, first, _forwarded_to(actions), tuple(headers)
    )


def _met_by_every_handshake(condition: Mapping[str, Any]) -> bool:
    """A condition on what all handshakes have: the method, and the header lines of RFC 6455 4.1.
    Regular expressions are not read.
    """
    methods = condition.get("HttpRequestMethodConfig", {}).get("Values") or ()
    header = condition.get("HttpHeaderConfig", {})
    wanted = {str(value).lower() for value in header.get("Values") or ()}
    carried = _CARRIED.get(str(header.get("HttpHeaderName", "")).lower(), frozenset())
    return "GET" in methods or bool(wanted & carried)


def _all_certificates(
    aws: Aws, region: str, listeners: Sequence[Listener]
) -> dict[str, tuple[Certificate, ...]]:
    """ARN of each HTTPS listener → its certificates, the default one first."""
    certificates = {}
    for listener in listeners:
        if listener.protocol != "HTTPS":
            continue
        found: list[Any] = []
        with calling("DescribeListenerCertificates"):
            pages = aws.elbv2_read(region).get_paginator("describe_listener_certificates")
            for page in pages.paginate(ListenerArn=listener.arn):
                found += page["Certificates"]
        arns = dict.fromkeys(
            one["CertificateArn"]
            for one in sorted(found, key=lambda one: not one.get("IsDefault", False))
        )
        certificates[listener.arn] = tuple(certificate(aws, arn) for arn in arns)
    return certificates


def _listener_idle(aws: Aws, region: str, listener_arn: str) -> int | None:
    with calling("DescribeListenerAttributes"):
        answer = aws.elbv2_read(region).describe_listener_attributes(ListenerArn=listener_arn)
    return _seconds(_pairs(answer["Attributes"]), _NLB_IDLE)


def _attributes(aws: Aws, region: str, arn: str) -> dict[str, str]:
    with calling("DescribeLoadBalancerAttributes"):
        answer = aws.elbv2_read(region).describe_load_balancer_attributes(LoadBalancerArn=arn)
    return _pairs(answer["Attributes"])


def _pairs(attributes: Any) -> dict[str, str]:
    return {attribute["Key"]: attribute["Value"] for attribute in attributes}


def _seconds(attributes: Mapping[str, str], key: str) -> int | None:
    return int(attributes[key]) if key in attributes else None
