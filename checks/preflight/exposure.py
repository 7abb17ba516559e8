"""Preflight questions about routes past CloudFront (public addresses, load balancers, IPv6), and
about the subnets' ACLs.

PURE. None of them keeps an endpoint from working, except an ACL that drops the answers.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterator, Sequence

from checks.preflight.results import Fix, Level, PreflightResult, PreflightSubject, unknown
from provisioning.facts.exposures import DENIES_IPV6
from provisioning.facts.network import AclEntry, everybody
from provisioning.facts.snapshot import Snapshot
from provisioning.facts.target import TargetFacts

FIRST_PORT, LAST_PORT = 1024, 65535
_TCP, _ALL = "6", "-1"


def acls(
    subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """CloudFront Developer Guide, VPC origins: inbound rules are not asked, outbound ones are, on
    the way back.
    """
    if gap := snapshot.gap("subnets") or snapshot.gap("acls"):
        yield unknown("PF-NACL", gap.reason)
        return
    if not target.subnets or any(subnet.acl_egress is None for subnet in target.subnets):
        yield unknown("PF-NACL", "Not checked.")
        return
    closed = [subnet for subnet in target.subnets if not lets_answers_out(subnet.acl_egress or ())]
    if not closed:
        yield PreflightResult(
            "PF-NACL", Level.PASS, f"TCP {FIRST_PORT} to {LAST_PORT} may leave every subnet."
        )
        return
    acl = closed[0].acl_id
    yield PreflightResult(
        "PF-NACL",
        Level.WARN,
        f"{acl} of {', '.join(subnet.id for subnet in closed)} does not "
        f"allow all of TCP {FIRST_PORT} to {LAST_PORT} out to everywhere.",
        "The target's responses to CloudFront use these ports. Dropped responses cause 504.",
        Fix(
            f"VPC > Network ACLs > {acl} > Outbound rules > Edit: allow TCP "
            f"{FIRST_PORT}-{LAST_PORT} to 0.0.0.0/0.",
            f"aws ec2 create-network-acl-entry --network-acl-id {acl} --egress "
            "--rule-number NUMBER --protocol tcp "
            f"--port-range From={FIRST_PORT},To={LAST_PORT} --cidr-block 0.0.0.0/0 "
            "--rule-action allow",
            f'resource "aws_network_acl_rule" "edge" {{\n  network_acl_id = "{acl}"\n  '
            "rule_number    = NUMBER\n"
            '  egress         = true\n  protocol       = "tcp"\n  rule_action    = "allow"\n'
            f'  cidr_block     = "0.0.0.0/0"\n  from_port      = {FIRST_PORT}\n  to_port    '
            f"    = {LAST_PORT}\n}}",
            opens="Everything in these subnets may then send to these ports of any address, as far "
            "as security groups and routes let it.",
            narrower="Instead of 0.0.0.0/0, list the ranges of the service "
            "CLOUDFRONT_ORIGIN_FACING in AWS's ip-ranges.json.",
        ),
    )


def lets_answers_out(entries: Sequence[AclEntry]) -> bool:
    """Whether all ephemeral TCP ports are allowed to 0.0.0.0/0 before anything denies them to
    public addresses.

    1. Entries are asked by number; each port is decided by the first that fits.
    2. A denial of public addresses counts for all: which addresses CloudFront uses is not known
       here.
    """
    allowed: list[tuple[int, int, str]] = []
    for entry in entries:
        if entry.protocol not in (_TCP, _ALL) or ":" in entry.cidr:
            continue
        low, high = (
            (FIRST_PORT, LAST_PORT) if entry.protocol == _ALL else (entry.from_port, entry.to_port)
        )
        if entry.allow:
            allowed.append((low, high, entry.cidr))
        elif _public(entry.cidr) and _uncovered(
            _open_to_all(allowed), max(low, FIRST_PORT), min(high, LAST_PORT)
        ):
            return False
    return not _uncovered(_open_to_all(allowed), FIRST_PORT, LAST_PORT)


def _open_to_all(allowed: Sequence[tuple[int, int, str]]) -> list[tuple[int, int]]:
    """The ports that may be sent to every address: each stretch between two bounds, by the ranges
    that allow it.
    """
    bounds = sorted({low for low, _, _ in allowed} | {high + 1 for _, high, _ in allowed})
    return [
        (start, end - 1)
        for start, end in itertools.pairwise(bounds)
        if everybody(cidr for low, high, cidr in allowed if low <= start and end - 1 <= high)
    ]


def public_addresses(
    subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """Addresses of the target's own network interfaces, and subnets that hand them out."""
    if gap := snapshot.gap("addresses"):
        yield unknown("PF-PUBLIC-ADDRESS", gap.reason)
        return
    if target.public_addresses is None:
        yield unknown("PF-PUBLIC-ADDRESS", "Its network interfaces were not checked.")
        return
    why = (
        "The internet may bypass CloudFront and reach the target, if its security group allows it."
    )
    if target.public_addresses:
        first = target.public_addresses[0]
        yield PreflightResult(
            "PF-PUBLIC-ADDRESS",
            Level.WARN,
            f"{target.name} has {', '.join(target.public_addresses)}.",
            why,
            Fix(
                f"EC2 > Elastic IPs > {first} > Disassociate; or use a target that never "
                "had a public address.",
                "aws ec2 disassociate-address --association-id $(aws ec2 describe-addresses "
                f"--public-ips {first} --query 'Addresses[0].AssociationId' --output text)",
                "no aws_eip for the target; associate_public_ip_address = false",
            ),
        )
        return
    if target.addresses_behind:
        first = target.addresses_behind[0]
        yield PreflightResult(
            "PF-PUBLIC-ADDRESS",
            Level.WARN,
            f"Behind {target.name}: {', '.join(target.addresses_behind)}.",
            "The internet may bypass CloudFront and reach the app, if its own "
            "security group allows it.",
            Fix(
                f"EC2 > Network interfaces, filter {first}: remove the public "
                "address; or use private subnets.",
                "aws ec2 describe-network-interfaces --filters "
                f"Name=association.public-ip,Values={first}",
                "associate_public_ip_address = false in the aws_instance; no aws_eip",
            ),
        )
        return
    if gap := snapshot.gap("addresses_behind") or snapshot.gap("target_health"):
        yield unknown("PF-PUBLIC-ADDRESS", gap.reason)
        return
    if target.kind != "instance" and target.groups is None:
        yield unknown("PF-PUBLIC-ADDRESS", "The targets behind it were not checked.")
        return
    giving = [subnet.id for subnet in target.subnets if subnet.maps_public]
    if giving and target.kind == "instance":
        yield PreflightResult(
            "PF-PUBLIC-ADDRESS",
            Level.WARN,
            f"{', '.join(giving)}: new instances there get a public address.",
            "The target has none today; its replacement will have one.",
            Fix(
                f"VPC > Subnets > {giving[0]} > Actions > Edit subnet settings: no "
                "auto-assigned public IPv4 address.",
                f"aws ec2 modify-subnet-attribute --subnet-id {giving[0]} "
                "--no-map-public-ip-on-launch",
                "map_public_ip_on_launch = false in the aws_subnet",
            ),
        )
        return
    yield PreflightResult(
        "PF-PUBLIC-ADDRESS",
        Level.PASS,
        "Neither the target nor what is behind it has one.",
    )


def other_routes(
    subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """Internet-facing application and network load balancers to the same targets, and API Gateway.
    What else could lead there is not looked at.

    A name in DNS is no route: it opens nothing that is closed.
    """
    if balancers := target.internet_facing_load_balancers:
        yield PreflightResult(
            "PF-OTHER-ROUTE",
            Level.WARN,
            f"{', '.join(balancers)}: open to the internet and forwards to the same targets.",
            "Anyone at that address can bypass CloudFront and its protections.",
            Fix(
                f"When it is no longer used: EC2 > Load Balancers > {balancers[0]} > "
                "Listeners and rules: remove the ones that forward there.",
                f"aws elbv2 describe-target-groups --query "
                f"\"TargetGroups[?contains(to_string(LoadBalancerArns), '/{balancers[0]}/')]\"",
                f"no listener of the aws_lb {balancers[0]} that forwards to these targets",
            ),
        )
    if target.api_gateway_links:
        yield PreflightResult(
            "PF-OTHER-ROUTE",
            Level.WARN,
            f"{', '.join(target.api_gateway_links)} of API Gateway forwards to {target.name}.",
            "An API has its own public address: anyone with it can bypass CloudFront.",
            Fix(
                "When it is no longer used: API Gateway > APIs > Integrations, and "
                "VPC links: remove the ones that forward there.",
                "aws apigatewayv2 get-integrations --api-id API",
                "no aws_apigatewayv2_integration of connection_type VPC_LINK to this listener, "
                "no aws_api_gateway_vpc_link",
            ),
        )
    if target.internet_facing_load_balancers or target.api_gateway_links:
        return
    if gap := snapshot.gap("internet_facing_load_balancers") or snapshot.gap("api_gateway"):
        yield unknown("PF-OTHER-ROUTE", gap.reason)
    elif target.internet_facing_load_balancers is None:
        yield unknown("PF-OTHER-ROUTE", "Not checked.")
    else:
        yield PreflightResult(
            "PF-OTHER-ROUTE",
            Level.PASS,
            "No internet-facing Application or Network Load Balancer of the "
            "VPC and no HTTP API forwards to the same targets. Classic Load "
            "Balancers and Global Accelerator were not checked.",
        )


def ipv6(
    subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """VPC origins speak IPv4; over IPv6 an internal load balancer should stay shut off from the
    internet.
    """
    only = [subnet.id for subnet in target.subnets if subnet.ipv6_only]
    if only:
        yield PreflightResult(
            "PF-IPV6",
            Level.BLOCK,
            f"{', '.join(only)} has no IPv4.",
            "CloudFront creates a network interface with an IPv4 address next "
            "to the target, and there is no room for it.",
            Fix(
                f"EC2 > Load Balancers > {target.name} > Network mapping: use subnets with IPv4.",
                f"aws elbv2 set-subnets --load-balancer-arn {target.arn} --subnets "
                "SUBNETS-WITH-IPV4",
                "subnets = […] with a cidr_block in the aws_lb",
            ),
        )
    if target.kind == "instance" or target.ip_address_type == "ipv4":
        return
    if gap := snapshot.gap("attributes"):
        yield unknown("PF-IPV6", gap.reason)
        return
    denies = target.attribute(DENIES_IPV6)
    if denies is None:
        yield unknown("PF-IPV6", f"AWS did not return the attribute {DENIES_IPV6}.")
    elif denies == "true":
        yield PreflightResult(
            "PF-IPV6", Level.PASS, "No IPv6 traffic from the internet is accepted."
        )
    else:
        yield PreflightResult(
            "PF-IPV6",
            Level.WARN,
            f"{target.name} is {target.ip_address_type} and accepts IPv6 "
            "traffic from internet gateways.",
            "Its IPv6 address is public: the internet may bypass CloudFront.",
            Fix(
                f"EC2 > Load Balancers > {target.name} > Attributes.",
                f"aws elbv2 modify-load-balancer-attributes --load-balancer-arn {target.arn} "
                f"--attributes Key={DENIES_IPV6},Value=true",
                'ip_address_type = "ipv4" in the aws_lb',
            ),
        )


def _public(cidr: str) -> bool:
    """What cannot be read is taken as public."""
    try:
        network = ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        return True
    return network.prefixlen == 0 or not network.is_private


def _uncovered(ranges: Sequence[tuple[int, int]], low: int, high: int) -> bool:
    """Whether some port from low to high is in none of the ranges."""
    for start, end in sorted(ranges):
        if start > low:
            break
        low = max(low, end + 1)
    return low <= high
