"""Load balancers and instances as targets: a quick list for choosing, and one target looked at closely.

It judges nothing. A part that could not be looked at is named with its error, never left looking empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from provisioning.edge.errors import EdgeError, calling
from provisioning.edge.security_groups import ingress_rules, origin_facing_prefix_list, service_group
from provisioning.edge.session import Aws
from provisioning.facts import Listener, Subnet, TargetFacts
from provisioning.names import Arn, SecurityGroupId

APPLICATION, NETWORK, GATEWAY, INSTANCE = "application", "network", "gateway", "instance"
INTERNAL, INTERNET_FACING = "internal", "internet-facing"
LOOKS_AT_ONCE = 8
_ALB_IDLE, _NLB_IDLE = "idle_timeout.timeout_seconds", "tcp.idle_timeout.seconds"
_EVERYWHERE = ("0.0.0.0/0", "::/0")

Part = TypeVar("Part")


@dataclass(frozen=True)
class Survey:
    """A target as far as it could be seen, and the parts that could not: name of the part → error."""

    facts: TargetFacts | None
    failures: Mapping[str, EdgeError]


def list_targets(aws: Aws, region: str) -> tuple[TargetFacts, ...]:
    """All load balancers, with their listeners, and all running instances of a Region, by name.

    Listeners cost one call per load balancer (AWS has no other way); they are asked for side by side.
    """
    with ThreadPoolExecutor(LOOKS_AT_ONCE, "targets") as pool:
        instances = pool.submit(_running_instances, aws, region)
        balancers = [_balancer(found) for found in _balancers(aws, region)]
        listeners = [pool.submit(_listeners_for_list, aws, region, balancer) for balancer in balancers]
        listed = [
            replace(balancer, listeners=found.result()) for balancer, found in zip(balancers, listeners, strict=True)
        ]
        return tuple(sorted(listed + instances.result(), key=lambda target: (target.kind == INSTANCE, target.name)))


def target_facts(aws: Aws, arn: str) -> TargetFacts | None:
    """Everything about one target, or None when the account has no such target. Raises when a part is not to be had."""
    with ThreadPoolExecutor(LOOKS_AT_ONCE, "target") as pool:
        survey = survey_target(aws, arn, pool)
    for error in survey.failures.values():
        raise error
    return survey.facts


def admission_facts(aws: Aws, arn: str) -> TargetFacts | None:
    """The target with only what `admits_cloudfront` needs, in four calls; None when the account has no such target."""
    region = arn.split(":")[3]
    found = _find(aws, region, arn)
    if found is None:
        return None
    target, _ = found
    return replace(
        target,
        ingress=ingress_rules(aws, region, target.security_groups),
        origin_facing_prefix_list=origin_facing_prefix_list(aws, region),
        service_group_id=service_group(aws, region, target.vpc_id),
    )


def survey_target(aws: Aws, arn: str, pool: Executor) -> Survey:
    """Everything that can be seen of one target. Raises when the target itself cannot be looked at.

    1. The target itself says its VPC, groups and subnets.
    2. Everything else is asked side by side.
    3. What failed keeps its unknown value, and is named in `failures`.
    """
    region = arn.split(":")[3]
    found = _find(aws, region, arn)
    if found is None:
        return Survey(None, {})
    target, subnet_ids = found
    looks: dict[str, Future[Any]] = {
        "ingress": pool.submit(ingress_rules, aws, region, target.security_groups),
        "subnets": pool.submit(_subnets, aws, region, target.vpc_id, subnet_ids),
        "internet_gateway": pool.submit(_has_internet_gateway, aws, region, target.vpc_id),
        "block_public_access": pool.submit(_block_public_access, aws, region, target.vpc_id, subnet_ids),
        "prefix_list": pool.submit(origin_facing_prefix_list, aws, region),
        "service_group": pool.submit(service_group, aws, region, target.vpc_id),
    }
    if target.kind in (APPLICATION, NETWORK):
        looks["listeners"] = pool.submit(_listeners, aws, region, arn, with_idle=target.kind == NETWORK)
        looks["target_health"] = pool.submit(_target_health, aws, region, arn)
    if target.kind == APPLICATION:
        looks["idle_timeout"] = pool.submit(_idle_timeout, aws, region, arn)
    failures: dict[str, EdgeError] = {}

    def part(name: str, unknown: Part) -> Part:
        if name not in looks:
            return unknown
        try:
            result: Part = looks[name].result()
        except EdgeError as error:
            failures[name] = error
            return unknown
        return result

    healthy, registered = part("target_health", cast("tuple[int | None, int | None]", (None, None)))
    facts = replace(
        target,
        listeners=part("listeners", cast("tuple[Listener, ...]", ())),
        subnets=part("subnets", cast("tuple[Subnet, ...]", ())),
        ingress=part("ingress", target.ingress),
        idle_timeout_seconds=part("idle_timeout", target.idle_timeout_seconds),
        healthy_targets=healthy,
        registered_targets=registered,
        internet_gateway=part("internet_gateway", target.internet_gateway),
        block_public_access=part("block_public_access", ""),
        origin_facing_prefix_list=part("prefix_list", ""),
        service_group_id=part("service_group", ""),
    )
    return Survey(facts, failures)


def _find(aws: Aws, region: str, arn: str) -> tuple[TargetFacts, tuple[str, ...]] | None:
    """The bare target and the ids of its subnets."""
    try:
        if arn.split(":")[2] == "ec2":
            return next(iter(_instances(aws, region, InstanceIds=[arn.rsplit("/", 1)[1]])), None)
        with calling("DescribeLoadBalancers"):
            answer = aws.elbv2_read(region).describe_load_balancers(LoadBalancerArns=[arn])
    except EdgeError as error:
        if error.is_absent:
            return None
        raise
    found = cast("Any", answer["LoadBalancers"])
    if not found:
        return None
    return _balancer(found[0]), tuple(zone["SubnetId"] for zone in found[0].get("AvailabilityZones", ()))


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


def _instances(aws: Aws, region: str, **which: Any) -> Iterator[tuple[TargetFacts, tuple[str, ...]]]:
    with calling("DescribeInstances"):
        for page in aws.ec2_read(region).get_paginator("describe_instances").paginate(**which):
            for reservation in page["Reservations"]:
                owner = reservation.get("OwnerId", aws.account.account_id)
                for found in reservation["Instances"]:
                    yield _instance(cast("Any", found), region, owner)


def _instance(found: Mapping[str, Any], region: str, owner: str) -> tuple[TargetFacts, tuple[str, ...]]:
    """A running instance counts as active, and as internal when it has no public address."""
    instance_id = found["InstanceId"]
    state = found["State"]["Name"]
    target = TargetFacts(
        arn=Arn(f"arn:aws:ec2:{region}:{owner}:instance/{instance_id}"),
        kind=INSTANCE,
        name=next((tag["Value"] for tag in found.get("Tags", ()) if tag["Key"] == "Name"), "") or instance_id,
        dns_name=found.get("PrivateDnsName", ""),
        scheme=INTERNET_FACING if found.get("PublicIpAddress") else INTERNAL,
        state="active" if state == "running" else state,
        vpc_id=found.get("VpcId", ""),
        security_groups=tuple(SecurityGroupId(group["GroupId"]) for group in found.get("SecurityGroups", ())),
    )
    return target, ((found["SubnetId"],) if found.get("SubnetId") else ())


def _listeners_for_list(aws: Aws, region: str, balancer: TargetFacts) -> tuple[Listener, ...]:
    """For the list; a load balancer deleted while we were listing simply has none."""
    if balancer.kind == GATEWAY:
        return ()
    try:
        return _listeners(aws, region, balancer.arn, with_idle=False)
    except EdgeError as error:
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
    """The first default action tells what happens to a handshake; authenticate-* actions come before forward."""
    actions = sorted(found.get("DefaultActions", ()), key=lambda action: action.get("Order", 0))
    first = actions[0] if actions else {}
    return Listener(
        port=found.get("Port", 0),
        protocol=found.get("Protocol", ""),
        default_action=first.get("Type", ""),
        redirect_protocol=first.get("RedirectConfig", {}).get("Protocol", ""),
        idle_timeout_seconds=idle_timeout_seconds,
    )


def _listener_idle(aws: Aws, region: str, listener_arn: str) -> int | None:
    with calling("DescribeListenerAttributes"):
        answer = aws.elbv2_read(region).describe_listener_attributes(ListenerArn=listener_arn)
    return _seconds(cast("Any", answer["Attributes"]), _NLB_IDLE)


def _idle_timeout(aws: Aws, region: str, arn: str) -> int | None:
    with calling("DescribeLoadBalancerAttributes"):
        answer = aws.elbv2_read(region).describe_load_balancer_attributes(LoadBalancerArn=arn)
    return _seconds(cast("Any", answer["Attributes"]), _ALB_IDLE)


def _seconds(attributes: Sequence[Mapping[str, str]], key: str) -> int | None:
    return next((int(attribute["Value"]) for attribute in attributes if attribute["Key"] == key), None)


def _target_health(aws: Aws, region: str, arn: str) -> tuple[int, int]:
    """How many targets are healthy, and how many are registered, over all target groups of a load balancer."""
    client = aws.elbv2_read(region)
    healthy = registered = 0
    for group in _target_groups(aws, region, arn):
        with calling("DescribeTargetHealth"):
            states = client.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        registered += len(states)
        healthy += sum(state["TargetHealth"]["State"] == "healthy" for state in states)
    return healthy, registered


def _target_groups(aws: Aws, region: str, arn: str) -> list[str]:
    groups: list[str] = []
    pages = aws.elbv2_read(region).get_paginator("describe_target_groups")
    try:
        with calling("DescribeTargetGroups"):
            for page in pages.paginate(LoadBalancerArn=arn):
                groups += [group["TargetGroupArn"] for group in page["TargetGroups"]]
    except EdgeError as error:
        # One way of saying that the load balancer has none.
        if error.code != "TargetGroupNotFound":
            raise
    return groups


def _subnets(aws: Aws, region: str, vpc_id: str, subnet_ids: Sequence[str]) -> tuple[Subnet, ...]:
    if not subnet_ids:
        return ()
    with calling("DescribeSubnets"):
        found = aws.ec2_read(region).describe_subnets(SubnetIds=list(subnet_ids))["Subnets"]
    is_public = _public_test(aws, region, vpc_id)
    return tuple(
        Subnet(one["SubnetId"], one["AvailabilityZoneId"], one["AvailableIpAddressCount"], is_public(one["SubnetId"]))
        for one in sorted(found, key=lambda one: one["SubnetId"])
    )


def _public_test(aws: Aws, region: str, vpc_id: str) -> Callable[[str], bool]:
    """A subnet is public when its route table, or without one of its own the VPC's main table, leads out by an igw."""
    public_tables: dict[str, bool] = {}
    main_is_public = False
    with calling("DescribeRouteTables"):
        pages = aws.ec2_read(region).get_paginator("describe_route_tables")
        for page in pages.paginate(Filters=[{"Name": "vpc-id", "Values": [vpc_id]}]):
            for table in cast("Any", page["RouteTables"]):
                leads_out = any(map(_leads_to_internet, table.get("Routes", ())))
                for association in table.get("Associations", ()):
                    if association.get("Main"):
                        main_is_public = leads_out
                    elif association.get("SubnetId"):
                        public_tables[association["SubnetId"]] = leads_out
    return lambda subnet_id: public_tables.get(subnet_id, main_is_public)


def _leads_to_internet(route: Mapping[str, Any]) -> bool:
    destinations = (route.get("DestinationCidrBlock"), route.get("DestinationIpv6CidrBlock"))
    gateway = str(route.get("GatewayId", ""))
    return (
        any(place in destinations for place in _EVERYWHERE)
        and gateway.startswith("igw-")
        and route.get("State", "active") == "active"
    )


def _has_internet_gateway(aws: Aws, region: str, vpc_id: str) -> bool:
    with calling("DescribeInternetGateways"):
        found = aws.ec2_read(region).describe_internet_gateways(
            Filters=[{"Name": "attachment.vpc-id", "Values": [vpc_id]}]
        )["InternetGateways"]
    states = (
        attachment["State"]
        for gateway in found
        for attachment in gateway["Attachments"]
        if attachment["VpcId"] == vpc_id
    )
    return any(state in ("available", "attached") for state in states)


def _block_public_access(aws: Aws, region: str, vpc_id: str, subnet_ids: Sequence[str]) -> str:
    """The VPC Block Public Access mode: off, block-bidirectional or block-ingress.

    Where the mode is on and exclusions cover the VPC or each of the subnets, the weakest of their modes is
    appended: "block-bidirectional+allow-bidirectional".
    """
    client = aws.ec2_read(region)
    with calling("DescribeVpcBlockPublicAccessOptions"):
        options = client.describe_vpc_block_public_access_options()["VpcBlockPublicAccessOptions"]
    mode = str(options.get("InternetGatewayBlockMode", "off"))
    if mode == "off":
        return mode
    with calling("DescribeVpcBlockPublicAccessExclusions"):
        excluded = client.describe_vpc_block_public_access_exclusions()["VpcBlockPublicAccessExclusions"]
    modes = {
        one["ResourceArn"].rsplit("/", 1)[1]: str(one["InternetGatewayExclusionMode"])
        for one in excluded
        if one.get("State") in ("create-complete", "update-complete", "update-in-progress")
    }
    covering = [modes.get(vpc_id) or modes.get(subnet_id, "") for subnet_id in subnet_ids or ("",)]
    if not all(covering):
        return mode
    weakest = "allow-egress" if "allow-egress" in covering else covering[0]
    return f"{mode}+{weakest}"
