"""Is the target ready, and does the distribution have room? Questions answered from one snapshot, before approval.

PURE. It judges what AWS said (provisioning.facts) against what is wished, as far as the wish goes, so that a form
can ask while it is being filled in. It never asks AWS, and never passes what it could not see: a gap is `unknown`.
Rules: facts/aws.md section 7; each function names its row. Codes are stable; pages and tickets refer to them.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from provisioning import names
from provisioning.facts import DistributionFacts, IngressRule, Listener, Snapshot, TargetFacts, VpcOriginFacts
from provisioning.patterns import covers, matches, overlap
from provisioning.plan import position_for
from provisioning.spec import EndpointSpec


class Level(enum.StrEnum):
    """What a result means: `fixable` is put right by the plan itself; `block` must be put right by a person first."""

    PASS = "pass"  # noqa: S105
    FIXABLE = "fixable"
    WARN = "warn"
    UNKNOWN = "unknown"
    BLOCK = "block"


TITLES = {
    "PF-TARGET": "The target exists",
    "PF-KIND": "CloudFront can reach this kind of target",
    "PF-STATE": "The target is active",
    "PF-SCHEME": "The target is internal",
    "PF-GROUP": "The target has a security group",
    "PF-TLS": "No TLS listener in the way",
    "PF-LISTENER": "Something listens on the port",
    "PF-ACTION": "The listener forwards handshakes",
    "PF-IP-TYPE": "The target speaks IPv4",
    "PF-GATEWAY": "The VPC has an internet gateway attached",
    "PF-BPA": "VPC Block Public Access lets CloudFront in",
    "PF-SUBNET": "The subnets are private",
    "PF-ADDRESS": "The subnets have free addresses",
    "PF-ZONE": "VPC origins exist in this Region and zone",
    "PF-INGRESS": "The security group admits CloudFront",
    "PF-PUBLIC": "The security group admits nothing public",
    "PF-HEALTH": "The target's own targets are healthy",
    "PF-IDLE": "Quiet connections stay open",
    "PF-DISTRIBUTION": "The distribution exists and is enabled",
    "PF-LIBRARY": "The portal knows all of the distribution's settings",
    "PF-PATH-TAKEN": "The paths are free",
    "PF-PATH-ORDER": "No other behavior answers first",
    "PF-PATH-BARE": "The path without a slash is covered",
    "PF-VPC-ORIGIN": "A VPC origin can be reused or made",
    "PF-BEHAVIORS": "The distribution has room for behaviors",
}

# CFDG/private-content-vpc-origins (aws.md 1.3). Zones are excluded by id; their names differ per account.
REGIONS = frozenset(
    """
    us-east-1 us-east-2 us-west-1 us-west-2 af-south-1 ap-east-1 ap-east-2 ap-south-1 ap-south-2
    ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-6 ap-southeast-7
    ap-northeast-1 ap-northeast-2 ap-northeast-3 ca-central-1 ca-west-1 eu-central-1 eu-central-2
    eu-west-1 eu-west-2 eu-west-3 eu-south-1 eu-south-2 eu-north-1 il-central-1
    me-south-1 me-central-1 sa-east-1 mx-central-1
    """.split()  # noqa: SIM905
)
EXCLUDED_ZONES = frozenset({"use1-az3", "usw1-az2", "apne1-az3", "cac1-az3"})
# CloudFront closes a WebSocket after ten minutes without a byte from the origin (aws.md 2.4).
CLOUDFRONT_IDLE_SECONDS = 600
FEW_ADDRESSES = 8
ORIGIN_QUOTA = 100
# Protocols of a listener that can carry the leg; over TCP the target itself speaks HTTP or TLS.
_PLAIN, _SECURE = frozenset({"HTTP", "TCP", "TCP_UDP"}), frozenset({"HTTPS", "TCP", "TCP_UDP"})
_KINDS = {
    "application": "an Application Load Balancer",
    "network": "a Network Load Balancer",
    "instance": "an EC2 instance",
}


@dataclass(frozen=True)
class Fix:
    """How a person puts it right: where in the console, by command line, in Terraform. Empty where there is no way."""

    console: str
    cli: str = ""
    terraform: str = ""


@dataclass(frozen=True)
class PreflightResult:
    """One question answered. `seen` is what AWS said, `why` what follows from it; `in_plan`: the plan does it."""

    code: str
    level: Level
    seen: str
    why: str = ""
    fix: Fix | None = None
    in_plan: bool = False

    @property
    def title(self) -> str:
        """The question, as the statement that holds when it passes."""
        return TITLES[self.code]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"level": self.level.value, "title": self.title}


@dataclass(frozen=True)
class PreflightSubject:
    """As much of a wish as there is. What is empty is not judged.

    `vpc_origin_key` is the spec's. `origin_id` is the endpoint's own origin in the distribution, if it has one;
    behaviors leading to it are ours.
    """

    target_arn: str = ""
    distribution_id: str = ""
    origin_protocol: str = ""
    origin_ports: tuple[int, ...] = ()
    path_patterns: tuple[str, ...] = ()
    open_security_group: bool = True
    max_silence_seconds: int | None = None
    vpc_origin_key: str = ""
    origin_id: str = ""

    @classmethod
    def of(cls, spec: EndpointSpec, *, origin_id: str = "") -> PreflightSubject:
        """The subject of a complete spec; with `origin_id` when the endpoint exists already."""
        return cls(
            target_arn=spec.target_arn,
            distribution_id=spec.distribution_id,
            origin_protocol=spec.origin_protocol,
            origin_ports=spec.origin_ports,
            path_patterns=spec.path_patterns,
            open_security_group=spec.open_security_group,
            max_silence_seconds=spec.max_silence_seconds,
            vpc_origin_key=spec.vpc_origin_key,
            origin_id=origin_id,
        )


def judge(subject: PreflightSubject, snapshot: Snapshot) -> tuple[PreflightResult, ...]:
    """1. The target, if one is named: that it is there, what it is, and whether CloudFront can reach it.
    2. The distribution, if one is named: that it is there, and whether the paths fit in.
    3. The account's VPC origins.
    Where the thing itself is missing or unknown, nothing is said about its parts.
    """
    results: list[PreflightResult] = []
    if subject.target_arn:
        results.append(_target_exists(subject, snapshot))
        if snapshot.target is not None:
            results += _judge_target(subject, snapshot.target, snapshot)
    if subject.distribution_id:
        results.append(_distribution_exists(subject, snapshot))
        if snapshot.distribution is not None:
            for distribution_check in _DISTRIBUTION_CHECKS:
                results += distribution_check(subject, snapshot.distribution, snapshot)
    if subject.target_arn:
        results.append(_vpc_origin(subject, snapshot))
    return tuple(results)


def blocks(results: Iterable[PreflightResult]) -> bool:
    """Whether something must be put right before the request can go on."""
    return any(result.level is Level.BLOCK for result in results)


def _judge_target(subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot) -> Iterator[PreflightResult]:
    kind = _kind(target)
    yield kind
    if kind.level is Level.BLOCK:
        return
    for target_check in _TARGET_CHECKS:
        yield from target_check(subject, target, snapshot)


def _target_exists(subject: PreflightSubject, snapshot: Snapshot) -> PreflightResult:
    """Row 1."""
    gap = snapshot.gap("target")
    if gap:
        return _unknown("PF-TARGET", gap.reason)
    if snapshot.target is None:
        return PreflightResult(
            "PF-TARGET",
            Level.BLOCK,
            f"The account has no {subject.target_arn}.",
            "It was deleted, or belongs to another account.",
            Fix("Choose another target from the list."),
        )
    return PreflightResult("PF-TARGET", Level.PASS, f"{snapshot.target.name} is there.")


def _kind(target: TargetFacts) -> PreflightResult:
    """Row 1: never a Gateway Load Balancer."""
    if target.kind in _KINDS:
        return PreflightResult("PF-KIND", Level.PASS, f"{target.name} is {_KINDS[target.kind]}.")
    return PreflightResult(
        "PF-KIND",
        Level.BLOCK,
        f"{target.name} is a {target.kind} load balancer.",
        "A VPC origin leads to an Application or Network Load Balancer or to an EC2 instance, never to this.",
        Fix(
            "EC2 > Load Balancers > Create load balancer > Application Load Balancer, scheme Internal.",
            "aws elbv2 create-load-balancer --type application --scheme internal --name NAME --subnets SUBNETS "
            "--security-groups GROUP",
            'resource "aws_lb" … { load_balancer_type = "application", internal = true }',
        ),
    )


def _state(subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot) -> Iterator[PreflightResult]:
    """Row 2."""
    seen = f"{target.name} is {target.state}."
    if target.state == "active":
        yield PreflightResult("PF-STATE", Level.PASS, seen)
    elif target.state == "active_impaired":
        yield PreflightResult(
            "PF-STATE",
            Level.WARN,
            seen,
            "It works, but could not get all the capacity that it needs.",
            Fix(f"EC2 > Load Balancers > {target.name} > Details: look at the state's reason."),
        )
    else:
        yield PreflightResult(
            "PF-STATE",
            Level.BLOCK,
            seen,
            "AWS makes a VPC origin only for a target that is active.",
            Fix(
                f"EC2: start {target.name}, or wait until it is active.",
                f"aws ec2 start-instances --instance-ids {target.arn.rsplit('/', 1)[1]}"
                if target.kind == "instance"
                else f"aws elbv2 wait load-balancer-available --load-balancer-arns {target.arn}",
            ),
        )


def _scheme(subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot) -> Iterator[PreflightResult]:
    """Rows 3 and 12."""
    if target.scheme == "internal":
        yield PreflightResult("PF-SCHEME", Level.PASS, f"{target.name} is internal.")
    elif target.kind == "instance":
        yield PreflightResult(
            "PF-SCHEME",
            Level.WARN,
            f"{target.name} has a public address.",
            "CloudFront reaches it privately, but so may the internet, past CloudFront.",
            Fix(
                f"EC2 > Instances > {target.name} > Networking: remove the public address, or use a private subnet.",
                f"aws ec2 describe-addresses --filters Name=instance-id,Values={target.arn.rsplit('/', 1)[1]}",
                "associate_public_ip_address = false in the aws_instance",
            ),
        )
    else:
        yield PreflightResult(
            "PF-SCHEME",
            Level.BLOCK,
            f"{target.name} is {target.scheme}.",
            "A private endpoint needs an internal target: whoever finds this one's address gets past CloudFront. "
            "The scheme of a load balancer cannot be changed; make a second, internal one for the same targets.",
            Fix(
                "EC2 > Load Balancers > Create load balancer, scheme Internal, in private subnets.",
                f"aws elbv2 create-load-balancer --name NAME --type {target.kind} --scheme internal "
                "--subnets PRIVATE-SUBNETS --security-groups GROUP",
                'resource "aws_lb" … { internal = true }',
            ),
        )


def _group(subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot) -> Iterator[PreflightResult]:
    """Row 4: all three kinds need one; a Network Load Balancer can only get one when it is made."""
    if target.security_groups:
        yield PreflightResult("PF-GROUP", Level.PASS, f"Security group {', '.join(target.security_groups)}.")
        return
    why = "AWS makes a VPC origin only for a target with a security group."
    if target.kind == "network":
        why += " A Network Load Balancer made without one cannot get one later; make a new one."
    yield PreflightResult(
        "PF-GROUP",
        Level.BLOCK,
        f"{target.name} has no security group.",
        why,
        Fix(
            f"EC2 > Load Balancers > {target.name} > Security > Edit.",
            f"aws elbv2 set-security-groups --load-balancer-arn {target.arn} --security-groups GROUP",
            "security_groups = [aws_security_group.GROUP.id] in the aws_lb",
        ),
    )


def _tls(subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot) -> Iterator[PreflightResult]:
    """Row 5: any TLS listener disqualifies a Network Load Balancer."""
    if target.kind != "network":
        return
    if gap := snapshot.gap("listeners"):
        yield _unknown("PF-TLS", gap.reason)
        return
    ports = [listener.port for listener in target.listeners if listener.protocol == "TLS"]
    if not ports:
        yield PreflightResult("PF-TLS", Level.PASS, f"{target.name} has no TLS listener.")
        return
    yield PreflightResult(
        "PF-TLS",
        Level.BLOCK,
        f"{target.name} has a TLS listener on {_ports(ports)}.",
        "AWS makes no VPC origin for a Network Load Balancer with a TLS listener, on whatever port.",
        Fix(
            f"EC2 > Load Balancers > {target.name} > Listeners: change TLS to TCP and let the target do TLS.",
            "aws elbv2 modify-listener --listener-arn LISTENER --protocol TCP",
            'protocol = "TCP" in the aws_lb_listener',
        ),
    )


def _listener(subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot) -> Iterator[PreflightResult]:
    """Row 6: a listener on each port that CloudFront may use, with the leg's protocol."""
    if target.kind == "instance":
        yield _unknown(
            "PF-LISTENER", "Whether an instance listens cannot be seen from here; the handshake check will tell."
        )
        return
    if gap := snapshot.gap("listeners"):
        yield _unknown("PF-LISTENER", gap.reason)
        return
    if not subject.origin_ports and target.listeners:
        yield PreflightResult("PF-LISTENER", Level.PASS, f"{target.name} listens on {_listened(target)}.")
        return
    missing = [
        f"{_leg(subject, place)} on {port}"
        for place, port in enumerate(subject.origin_ports)
        if not _carries(subject, place, target.listener_on(port))
    ]
    if subject.origin_ports and not missing:
        yield PreflightResult("PF-LISTENER", Level.PASS, f"{target.name} listens on {_ports(subject.origin_ports)}.")
        return
    port = subject.origin_ports[0] if subject.origin_ports else 80
    yield PreflightResult(
        "PF-LISTENER",
        Level.BLOCK,
        f"{target.name} listens on {_listened(target)}." if target.listeners else f"{target.name} has no listener.",
        f"CloudFront would look for {' and '.join(missing)} and answer every handshake with 502 or 504."
        if missing
        else "CloudFront would reach nothing and answer every handshake with 502 or 504.",
        Fix(
            f"Choose another port or protocol here, or add one: EC2 > Load Balancers > {target.name} > Add listener.",
            f"aws elbv2 create-listener --load-balancer-arn {target.arn} --port {port} "
            f"--protocol {'TCP' if target.kind == 'network' else _leg(subject, 0)} "
            "--default-actions Type=forward,TargetGroupArn=TARGET-GROUP",
            f'resource "aws_lb_listener" … {{ port = {port} }}',
        ),
    )


def _action(subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot) -> Iterator[PreflightResult]:
    """Row 7. Only warnings: a rule of the listener may forward our paths before the default action is asked."""
    if snapshot.gap("listeners"):
        # PF-LISTENER has said so already.
        return
    listeners = [found for port in subject.origin_ports if (found := target.listener_on(port)) is not None]
    for listener in listeners:
        seen = f"The listener on {listener.port} does: {listener.default_action or 'nothing'}."
        edit = (
            f"EC2 > Load Balancers > {target.name} > Listeners > {listener.protocol}:{listener.port} > Default action."
        )
        if listener.default_action == "forward" or target.kind == "network":
            yield PreflightResult("PF-ACTION", Level.PASS, seen)
        elif listener.default_action == "redirect":
            why = (
                "A WebSocket client follows no redirect. Unless a rule forwards these paths, no handshake gets through."
            )
            if listener.redirect_protocol == "HTTPS" and listener.protocol == "HTTP":
                seen = f"The listener on {listener.port} redirects to HTTPS."
                why += " Choose https-only as origin protocol, or let this listener forward."
            yield PreflightResult("PF-ACTION", Level.WARN, seen, why, _forward_fix(edit))
        else:
            why = "Unless a rule forwards these paths, this answers every handshake instead of the app."
            if listener.default_action.startswith("authenticate-"):
                why = (
                    "A WebSocket client cannot sign in: without a session cookie the handshake is redirected and fails."
                )
            yield PreflightResult("PF-ACTION", Level.WARN, seen, why, _forward_fix(edit))


def _ip_type(subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot) -> Iterator[PreflightResult]:
    """Row 8: AWS's own pages disagree about dual-stack Network Load Balancers (aws.md 9)."""
    if target.kind == "network" and target.ip_address_type != "ipv4":
        yield PreflightResult(
            "PF-IP-TYPE",
            Level.WARN,
            f"{target.name} is {target.ip_address_type}.",
            "AWS once excluded dual-stack Network Load Balancers and no longer says so. It may refuse.",
            Fix(
                f"EC2 > Load Balancers > {target.name} > Actions > Edit IP address type > IPv4.",
                f"aws elbv2 set-ip-address-type --load-balancer-arn {target.arn} --ip-address-type ipv4",
                'ip_address_type = "ipv4" in the aws_lb',
            ),
        )


def _gateway(subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot) -> Iterator[PreflightResult]:
    """Row 9: attached, although no route leads to it; AWS takes it as leave to bring in traffic."""
    gap = snapshot.gap("internet_gateway")
    if gap or target.internet_gateway is None:
        yield _unknown("PF-GATEWAY", gap.reason if gap else "It was not looked at.")
    elif target.internet_gateway:
        yield PreflightResult("PF-GATEWAY", Level.PASS, f"{target.vpc_id} has one. No route to it is needed.")
    else:
        yield PreflightResult(
            "PF-GATEWAY",
            Level.BLOCK,
            f"{target.vpc_id} has none.",
            "AWS wants one attached before CloudFront may enter a VPC. Without a route to it, nothing becomes public.",
            Fix(
                f"VPC > Internet gateways > Create, then Actions > Attach to VPC > {target.vpc_id}. Add no route.",
                "aws ec2 attach-internet-gateway --internet-gateway-id "
                "$(aws ec2 create-internet-gateway --query InternetGateway.InternetGatewayId --output text) "
                f"--vpc-id {target.vpc_id}",
                f'resource "aws_internet_gateway" "edge" {{ vpc_id = "{target.vpc_id}" }}',
            ),
        )


def _block_public_access(
    subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """Row 10. That an exclusion restores VPC origins is inferred, not documented (aws.md 0.1), hence a warning."""
    gap = snapshot.gap("block_public_access")
    mode, _, exclusion = target.block_public_access.partition("+")
    if gap or not mode:
        yield _unknown("PF-BPA", gap.reason if gap else "It was not looked at.")
    elif mode == "off":
        yield PreflightResult("PF-BPA", Level.PASS, "Block Public Access is off in this Region.")
    elif exclusion == "allow-bidirectional":
        yield PreflightResult(
            "PF-BPA",
            Level.WARN,
            f"Block Public Access is {mode}, and {target.vpc_id} is excluded from it.",
            "AWS does not say that an exclusion lets VPC origins work. The handshake check will tell.",
        )
    else:
        yield PreflightResult(
            "PF-BPA",
            Level.BLOCK,
            f"Block Public Access is {mode}.",
            "It keeps CloudFront out of the VPC in both directions; handshakes would end with 504.",
            Fix(
                "VPC > Settings > Block public access > Create exclusions: this VPC, bidirectional. "
                "Where an organisation policy manages it, ask its administrators.",
                f"aws ec2 create-vpc-block-public-access-exclusion --vpc-id {target.vpc_id} "
                "--internet-gateway-exclusion-mode allow-bidirectional",
                f'resource "aws_vpc_block_public_access_exclusion" "edge" {{ vpc_id = "{target.vpc_id}", '
                'internet_gateway_exclusion_mode = "allow-bidirectional" }',
            ),
        )


def _subnets(subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot) -> Iterator[PreflightResult]:
    """Rows 11, 13 and 14."""
    if (gap := snapshot.gap("subnets")) or not target.subnets:
        reason = gap.reason if gap else "AWS named no subnets of the target."
        yield from (_unknown(code, reason) for code in ("PF-SUBNET", "PF-ADDRESS", "PF-ZONE"))
        return
    yield _private_subnets(target)
    yield _free_addresses(target)
    yield _zones(target)


def _private_subnets(target: TargetFacts) -> PreflightResult:
    public = [subnet.id for subnet in target.subnets if subnet.public]
    if not public:
        return PreflightResult("PF-SUBNET", Level.PASS, "None of them has a route to an internet gateway.")
    return PreflightResult(
        "PF-SUBNET",
        Level.WARN,
        f"{', '.join(public)}: the route table leads to an internet gateway.",
        "The endpoint works all the same, but the target is not shut off from the internet.",
        Fix(
            f"VPC > Subnets > {public[0]} > Route table: take away the route to the igw, or use private subnets.",
            "aws ec2 delete-route --route-table-id TABLE --destination-cidr-block 0.0.0.0/0",
            "no route with gateway_id in the subnets' aws_route_table",
        ),
    )


def _free_addresses(target: TargetFacts) -> PreflightResult:
    fewest = min(target.subnets, key=lambda subnet: subnet.free_addresses)
    seen = f"{fewest.id} has {fewest.free_addresses} free."
    if fewest.free_addresses >= FEW_ADDRESSES:
        return PreflightResult("PF-ADDRESS", Level.PASS, f"At least {fewest.free_addresses} in each.")
    fix = Fix(
        f"EC2 > Network interfaces, filter subnet {fewest.id}: delete those that nothing uses.",
        f"aws ec2 describe-network-interfaces --filters Name=subnet-id,Values={fewest.id} Name=status,Values=available",
    )
    if fewest.free_addresses == 0:
        return PreflightResult(
            "PF-ADDRESS", Level.BLOCK, seen, "CloudFront needs an address in the subnet for its network interface.", fix
        )
    return PreflightResult(
        "PF-ADDRESS", Level.WARN, seen, "CloudFront needs one of them, and a load balancer wants eight to grow.", fix
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
        f"{s.id} ({s.availability_zone_id})" for s in target.subnets if s.availability_zone_id in EXCLUDED_ZONES
    ]
    if excluded:
        return PreflightResult(
            "PF-ZONE",
            Level.BLOCK,
            f"In an excluded zone: {', '.join(excluded)}.",
            "AWS offers VPC origins in this Region, but not in this Availability Zone.",
            Fix(
                f"EC2 > Load Balancers > {target.name} > Network mapping > Edit subnets: use other zones.",
                f"aws elbv2 set-subnets --load-balancer-arn {target.arn} --subnets OTHER-SUBNETS",
                "subnets = […] of other zones in the aws_lb",
            ),
        )
    zones = sorted({subnet.availability_zone_id for subnet in target.subnets})
    return PreflightResult("PF-ZONE", Level.PASS, f"{region}, {', '.join(zones)}.")


def _ingress(subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot) -> Iterator[PreflightResult]:
    """Row 16. CloudFront comes from its own public ranges, so a rule for the VPC's addresses does not admit it."""
    if not target.security_groups or not subject.origin_ports:
        return
    if gap := snapshot.gap("ingress"):
        yield _unknown("PF-INGRESS", gap.reason)
        return
    admitting = {port: target.admits_cloudfront(port) for port in subject.origin_ports}
    closed = [port for port, rule in admitting.items() if rule is None]
    if not closed:
        seen = "; ".join(f"{port} from {_source(rule)}" for port, rule in admitting.items() if rule)
        yield PreflightResult("PF-INGRESS", Level.PASS, f"Open: {seen}.")
        return
    if gap := snapshot.gap("prefix_list") or snapshot.gap("service_group"):
        # A rule may name what we could not look up.
        yield _unknown("PF-INGRESS", gap.reason)
        return
    seen = f"{', '.join(target.security_groups)}: nothing admits CloudFront to {_ports(closed)}."
    group = target.security_groups[0]
    source = target.origin_facing_prefix_list or "PREFIX-LIST"
    fix = Fix(
        f"EC2 > Security Groups > {group} > Edit inbound rules: TCP {_ports(closed)} from "
        f"{names.ORIGIN_FACING_PREFIX_LIST}.",
        f"aws ec2 authorize-security-group-ingress --group-id {group} --ip-permissions "
        f"'IpProtocol=tcp,FromPort={closed[0]},ToPort={closed[0]},PrefixListIds=[{{PrefixListId={source}}}]'",
        f'resource "aws_vpc_security_group_ingress_rule" "edge" {{ security_group_id = "{group}", '
        f'prefix_list_id = "{source}", ip_protocol = "tcp", from_port = {closed[0]}, to_port = {closed[0]} }}',
    )
    if subject.open_security_group:
        why = f"The plan adds a rule to {group} that admits this VPC's own VPC origins, and nothing public."
        yield PreflightResult("PF-INGRESS", Level.FIXABLE, seen, why, fix, in_plan=True)
    else:
        why = "CloudFront's packets would be dropped; handshakes end with 504. Let the plan open it, or do it yourself."
        yield PreflightResult("PF-INGRESS", Level.BLOCK, seen, why, fix)


def _public_ingress(subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot) -> Iterator[PreflightResult]:
    """Row 17, as far as the target's own groups tell."""
    if not target.security_groups:
        return
    if gap := snapshot.gap("ingress"):
        yield _unknown("PF-PUBLIC", gap.reason)
        return
    public = [rule for rule in target.ingress if rule.source_kind == "cidr" and _is_public(rule.source)]
    if not public:
        yield PreflightResult("PF-PUBLIC", Level.PASS, "No rule names public addresses.")
        return
    first = public[0]
    why = "The scheme keeps the internet out today; should that change, these rules let it in."
    if target.scheme != "internal":
        why = "The internet reaches the target past CloudFront."
    yield PreflightResult(
        "PF-PUBLIC",
        Level.WARN,
        f"{len(public)} of {len(target.ingress)} rules: {', '.join(sorted({rule.source for rule in public}))}.",
        why,
        Fix(
            f"EC2 > Security Groups > {first.group_id} > Edit inbound rules: delete {first.rule_id}.",
            f"aws ec2 revoke-security-group-ingress --group-id {first.group_id} "
            f"--security-group-rule-ids {first.rule_id}",
            "no cidr_ipv4 with public addresses in the group's ingress rules",
        ),
    )


def _health(subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot) -> Iterator[PreflightResult]:
    """Row 18. A warning: the app may come later, but until then there is no handshake."""
    if target.kind == "instance":
        return
    gap = snapshot.gap("target_health")
    healthy, registered = target.healthy_targets, target.registered_targets
    if gap or healthy is None or registered is None:
        yield _unknown("PF-HEALTH", gap.reason if gap else "It was not looked at.")
        return
    seen = f"{healthy} of {registered} are healthy."
    fix = Fix(
        "EC2 > Target Groups > Targets: look at the health status details.",
        "aws elbv2 describe-target-health --target-group-arn TARGET-GROUP",
    )
    if registered == 0:
        why = "Nothing is registered; the load balancer answers every handshake with 503."
        yield PreflightResult("PF-HEALTH", Level.WARN, "No targets are registered.", why, fix)
    elif healthy == 0:
        why = "With no healthy target the load balancer tries all of them, and handshakes are likely to fail."
        yield PreflightResult("PF-HEALTH", Level.WARN, seen, why, fix)
    elif healthy < registered:
        why = "The endpoint works, with less behind it than was meant."
        yield PreflightResult("PF-HEALTH", Level.WARN, seen, why, fix)
    else:
        yield PreflightResult("PF-HEALTH", Level.PASS, seen)


def _idle(subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot) -> Iterator[PreflightResult]:
    """Row 20: the shortest idle clock on the way, against the longest silence of the app."""
    silence = subject.max_silence_seconds
    if silence is None:
        return
    if gap := snapshot.gap("idle_timeout") or (snapshot.gap("listeners") if target.kind == "network" else None):
        yield _unknown("PF-IDLE", gap.reason)
        return
    clocks = [("CloudFront, counting bytes from the app only,", CLOUDFRONT_IDLE_SECONDS)]
    if target.idle_timeout_seconds is not None:
        clocks.append((target.name, target.idle_timeout_seconds))
    clocks += [
        (f"{target.name} on {listener.port}", listener.idle_timeout_seconds)
        for listener in target.listeners
        if listener.idle_timeout_seconds is not None and listener.port in subject.origin_ports
    ]
    who, limit = min(clocks, key=lambda clock: clock[1])
    seen = f"{who} closes a connection after {limit} s of silence; the app is silent for up to {silence} s."
    if silence < limit:
        yield PreflightResult("PF-IDLE", Level.PASS, seen)
        return
    wanted = min(silence * 2, 4000)
    fix = Fix("In the app: send a ping from the server every 20 to 30 s. Nothing needs to change in AWS.")
    if target.kind == "application" and limit < CLOUDFRONT_IDLE_SECONDS:
        fix = Fix(
            "In the app: send a ping from the server every 20 to 30 s. "
            f"Or EC2 > Load Balancers > {target.name} > Attributes > Idle timeout.",
            f"aws elbv2 modify-load-balancer-attributes --load-balancer-arn {target.arn} "
            f"--attributes Key=idle_timeout.timeout_seconds,Value={wanted}",
            f"idle_timeout = {wanted} in the aws_lb",
        )
    yield PreflightResult("PF-IDLE", Level.WARN, seen, "The client will see the connection close with 1006.", fix)


def _distribution_exists(subject: PreflightSubject, snapshot: Snapshot) -> PreflightResult:
    distribution = snapshot.distribution
    if gap := snapshot.gap("distribution"):
        return _unknown("PF-DISTRIBUTION", gap.reason)
    if distribution is None:
        return PreflightResult(
            "PF-DISTRIBUTION",
            Level.BLOCK,
            f"The account has no distribution {subject.distribution_id}.",
            "It was deleted, or belongs to another account.",
            Fix("Choose another distribution from the list."),
        )
    if not distribution.enabled:
        return PreflightResult(
            "PF-DISTRIBUTION",
            Level.BLOCK,
            f"{distribution.id} is disabled.",
            "A disabled distribution answers nobody.",
            Fix(f"CloudFront > Distributions > {distribution.id} > Enable.", "", "enabled = true"),
        )
    return PreflightResult("PF-DISTRIBUTION", Level.PASS, f"{distribution.domain_name} is {distribution.status}.")


def _library(
    subject: PreflightSubject, distribution: DistributionFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    if distribution.unknown_elements:
        yield PreflightResult(
            "PF-LIBRARY",
            Level.BLOCK,
            f"Not known: {', '.join(distribution.unknown_elements)}.",
            "Writing the distribution would lose these settings, so the portal does not write it.",
            Fix("Ask whoever operates the portal to update its boto3.", "pip install --upgrade boto3"),
        )
    else:
        yield PreflightResult("PF-LIBRARY", Level.PASS, "Nothing would be lost by writing it.")


def _paths(subject: PreflightSubject, distribution: DistributionFacts, snapshot: Snapshot) -> Iterator[PreflightResult]:
    """Each path by itself: taken, then the order, since the first behavior that matches wins."""
    for pattern in subject.path_patterns:
        existing = distribution.behavior(pattern)
        if existing is not None and existing.target_origin_id != subject.origin_id:
            yield PreflightResult(
                "PF-PATH-TAKEN",
                Level.BLOCK,
                f"{pattern} leads to {existing.target_origin_id} already.",
                "The portal takes no path away from somebody else.",
                Fix("Choose another path, or ask the owner of that behavior to give it up."),
            )
            continue
        yield PreflightResult("PF-PATH-TAKEN", Level.PASS, f"No other behavior has {pattern}.")
        yield _order(pattern, distribution)
    yield from _bare_paths(subject.path_patterns)


def _order(pattern: str, distribution: DistributionFacts) -> PreflightResult:
    """What stands, or will stand, in front of `pattern`.

    A new behavior goes before the first that covers it, so those in front can only share some of its paths; and
    all its paths were answered by what it now stands before, so it takes none from any behavior further down.
    """
    patterns = tuple(behavior.path_pattern for behavior in distribution.behaviors)
    exists = pattern in patterns
    place = patterns.index(pattern) if exists else position_for(pattern, patterns)
    swallowing = [other for other in patterns[:place] if covers(other, pattern)]
    if swallowing:
        return PreflightResult(
            "PF-PATH-ORDER",
            Level.BLOCK,
            f"{swallowing[0]} stands before {pattern} and answers all of it.",
            "Somebody changed the order: the endpoint's behavior gets no request any more.",
            Fix(f"CloudFront > Distributions > {distribution.id} > Behaviors: move {pattern} up."),
        )
    sharing = [other for other in patterns[:place] if overlap(other, pattern)]
    if sharing:
        return PreflightResult(
            "PF-PATH-ORDER",
            Level.WARN,
            f"Before {pattern}: {', '.join(sharing)}.",
            "Requests that match both go there, not to this endpoint. That is right if those paths are meant to.",
            Fix("Choose a path that does not meet theirs, if it is not meant so."),
        )
    if exists:
        return PreflightResult("PF-PATH-ORDER", Level.PASS, f"Nothing stands before {pattern}.")
    answering = patterns[place] if place < len(patterns) else distribution.default_behavior.path_pattern
    return PreflightResult(
        "PF-PATH-ORDER",
        Level.PASS,
        f"{pattern} is answered by the behavior {answering} today, and will be by this endpoint.",
    )


def _bare_paths(patterns: tuple[str, ...]) -> Iterator[PreflightResult]:
    """/ws/* does not match /ws (aws.md 5.3 row 2)."""
    for pattern in patterns:
        bare = pattern.removesuffix("/*")
        if bare in ("", pattern) or any(matches(other, bare) for other in patterns):
            continue
        yield PreflightResult(
            "PF-PATH-BARE",
            Level.WARN,
            f"{pattern} does not match {bare}.",
            f"A client that connects to {bare} itself gets the answer of another behavior instead of a handshake.",
            Fix(f"Add {bare} as a second path, if clients connect to it."),
        )


def _behavior_room(
    subject: PreflightSubject, distribution: DistributionFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """Row 24: behaviors and origins of the distribution."""
    if not subject.path_patterns:
        return
    behaviors = len(distribution.behaviors) + sum(distribution.behavior(p) is None for p in subject.path_patterns)
    origins = len(distribution.origins) + (not subject.origin_id or distribution.origin(subject.origin_id) is None)
    seen = f"It would have {behaviors} of {snapshot.behavior_quota} behaviors and {origins} of {ORIGIN_QUOTA} origins."
    if behaviors <= snapshot.behavior_quota and origins <= ORIGIN_QUOTA:
        yield PreflightResult("PF-BEHAVIORS", Level.PASS, seen)
    else:
        yield PreflightResult(
            "PF-BEHAVIORS",
            Level.BLOCK,
            seen,
            "AWS allows no more in one distribution.",
            Fix("Choose another distribution, or ask for a higher quota: Service Quotas > Amazon CloudFront."),
        )


def _vpc_origin(subject: PreflightSubject, snapshot: Snapshot) -> PreflightResult:
    """Rows 24 and 25: reuse ours, never touch another's of the same name, else there must be room for one more."""
    if gap := snapshot.gap("vpc_origins"):
        return _unknown("PF-VPC-ORIGIN", gap.reason)
    # `ours` was asked of those that carry the portal's name; of them, the key tells which one is meant.
    named = (origin for origin in snapshot.vpc_origins if origin.ours is not None and subject.vpc_origin_key)
    same = next((origin for origin in named if origin.name.endswith(f"-{subject.vpc_origin_key}")), None)
    if same is not None:
        return _reuse(same)
    have, quota = len(snapshot.vpc_origins), snapshot.vpc_origin_quota
    seen = f"The account has {have} of {quota} VPC origins."
    if have >= quota:
        return PreflightResult(
            "PF-VPC-ORIGIN",
            Level.BLOCK,
            seen,
            "This endpoint needs one of its own, and AWS allows no more.",
            Fix("CloudFront > VPC origins: delete what no distribution uses; or Service Quotas > Amazon CloudFront."),
        )
    others = [origin.id for origin in snapshot.vpc_origins if origin.target_arn == subject.target_arn]
    if others:
        seen += f" {', '.join(others)} leads to the same target with other settings, and stays as it is."
    return PreflightResult("PF-VPC-ORIGIN", Level.PASS, seen)


def _reuse(origin: VpcOriginFacts) -> PreflightResult:
    if not origin.ours:
        return PreflightResult(
            "PF-VPC-ORIGIN",
            Level.BLOCK,
            f"{origin.id} is named {origin.name}, but does not carry this portal's tag.",
            "Somebody else made it, so the portal will not touch it; and AWS allows no two of one name.",
            Fix("CloudFront > VPC origins: ask its owner to rename or delete it."),
        )
    if origin.status in ("Deployed", "Deploying"):
        return PreflightResult("PF-VPC-ORIGIN", Level.PASS, f"{origin.id} is {origin.status} and is reused.")
    return PreflightResult(
        "PF-VPC-ORIGIN",
        Level.WARN,
        f"{origin.id} would be reused, but it is {origin.status}.",
        "AWS documents no such status. It may not carry traffic.",
        Fix(f"CloudFront > VPC origins > {origin.id}: look at its status."),
    )


TargetCheck = Callable[[PreflightSubject, TargetFacts, Snapshot], Iterator[PreflightResult]]
DistributionCheck = Callable[[PreflightSubject, DistributionFacts, Snapshot], Iterator[PreflightResult]]

_TARGET_CHECKS: tuple[TargetCheck, ...] = (
    _state,
    _scheme,
    _group,
    _tls,
    _listener,
    _action,
    _ip_type,
    _gateway,
    _block_public_access,
    _subnets,
    _ingress,
    _public_ingress,
    _health,
    _idle,
)
_DISTRIBUTION_CHECKS: tuple[DistributionCheck, ...] = (_library, _paths, _behavior_room)


def _unknown(code: str, reason: str) -> PreflightResult:
    return PreflightResult(code, Level.UNKNOWN, "Could not be seen.", reason)


def _leg(subject: PreflightSubject, place: int) -> str:
    """HTTP or HTTPS, on the leg to the port at `place`; match-viewer's ports are HTTP, then HTTPS."""
    secure = subject.origin_protocol == "https-only" or (subject.origin_protocol == "match-viewer" and place == 1)
    return "HTTPS" if secure else "HTTP"


def _carries(subject: PreflightSubject, place: int, listener: Listener | None) -> bool:
    if listener is None or not subject.origin_protocol:
        return listener is not None
    return listener.protocol in (_SECURE if _leg(subject, place) == "HTTPS" else _PLAIN)


def _listened(target: TargetFacts) -> str:
    return ", ".join(f"{listener.port} ({listener.protocol})" for listener in target.listeners)


def _forward_fix(console: str) -> Fix:
    return Fix(
        console,
        "aws elbv2 modify-listener --listener-arn LISTENER --default-actions Type=forward,TargetGroupArn=TARGET-GROUP",
        'default_action { type = "forward" } in the aws_lb_listener',
    )


def _source(rule: IngressRule) -> str:
    return "everywhere" if rule.source_kind == "cidr" else rule.source


def _is_public(cidr: str) -> bool:
    """Whether a range holds addresses of the internet; what cannot be read is taken as public."""
    try:
        network = ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        return True
    return network.prefixlen == 0 or network.is_global


def _ports(ports: Iterable[int]) -> str:
    return " and ".join(map(str, ports))
