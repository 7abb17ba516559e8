"""Preflight questions about the target itself: what it is, whether it listens, whether its own
targets are well.

PURE. Whether CloudFront can reach it through the network is asked in network.py.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from checks.preflight.results import (
    Fix,
    Level,
    PreflightResult,
    PreflightSubject,
    join_ports,
    unknown,
)
from provisioning.facts.snapshot import Snapshot
from provisioning.facts.target import TargetFacts

# CloudFront closes a WebSocket after ten minutes without a byte from the origin (its quotas page).
CLOUDFRONT_IDLE_SECONDS = 600


# Protocols of a listener that can carry the leg; over TCP the target itself speaks HTTP or TLS.
_OVER_TCP = frozenset({"TCP", "TCP_UDP", "TCP_QUIC"})
_PLAIN, _SECURE = _OVER_TCP | {"HTTP"}, _OVER_TCP | {"HTTPS"}


_KINDS = {
    "application": "an Application Load Balancer",
    "network": "a Network Load Balancer",
    "instance": "an EC2 instance",
}


def target_exists(subject: PreflightSubject, snapshot: Snapshot) -> PreflightResult:
    """Whether the account has it."""
    gap = snapshot.gap("target")
    if gap:
        return unknown("PF-TARGET", gap.reason)
    if snapshot.target is None and snapshot.target_successor:
        return PreflightResult(
            "PF-TARGET",
            Level.BLOCK,
            f"The account has no {subject.target_arn}, but {snapshot.target_successor} of the "
            "same name.",
            "The load balancer was deleted and created again. A VPC origin leads to an ARN, not to "
            "a name, so an endpoint on the old one does not reach the new one.",
            Fix(
                "Choose the new load balancer from the list. An endpoint that exists keeps its "
                "target and its path; request the new one at another path.",
                "aws elbv2 describe-load-balancers --load-balancer-arns "
                f"{snapshot.target_successor}",
            ),
        )
    if snapshot.target is None:
        instance = ":instance/" in subject.target_arn
        return PreflightResult(
            "PF-TARGET",
            Level.BLOCK,
            f"The account has no {subject.target_arn}.",
            "It was terminated, or belongs to another account."
            if instance
            else "It was deleted, or belongs to another account.",
            Fix("Choose another target from the list."),
        )
    return PreflightResult("PF-TARGET", Level.PASS, f"{snapshot.target.name} exists.")


def kind(target: TargetFacts) -> PreflightResult:
    """Never a Gateway Load Balancer."""
    if target.kind in _KINDS:
        return PreflightResult("PF-KIND", Level.PASS, f"{target.name} is {_KINDS[target.kind]}.")
    return PreflightResult(
        "PF-KIND",
        Level.BLOCK,
        f"{target.name} is a {target.kind} load balancer.",
        "A VPC origin supports Application and Network Load Balancers and EC2 instances, not this.",
        Fix(
            "EC2 > Load Balancers > Create load balancer > Application Load Balancer, "
            "scheme Internal.",
            "aws elbv2 create-load-balancer --type application --scheme internal --name "
            "NAME --subnets SUBNETS "
            "--security-groups GROUP",
            'resource "aws_lb" "edge" {\n  load_balancer_type = "application"\n  internal   '
            "        = true\n"
            "  subnets            = [SUBNETS]\n  security_groups    = [GROUP]\n}",
        ),
    )


def state(
    subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """Whether it is ready to serve."""
    seen = f"{target.name} is {target.state}."
    if target.state == "active":
        yield PreflightResult("PF-STATE", Level.PASS, seen)
    elif target.state == "active_impaired":
        yield PreflightResult(
            "PF-STATE",
            Level.WARN,
            seen,
            "It works, but AWS could not provide all the capacity it needs.",
            Fix(f"EC2 > Load Balancers > {target.name} > Details: check the state's reason."),
        )
    else:
        yield PreflightResult(
            "PF-STATE",
            Level.BLOCK,
            seen,
            "AWS creates a VPC origin only for an active target.",
            _make_active(target),
        )


def _make_active(target: TargetFacts) -> Fix:
    """What can be done in this state: an instance that was terminated never starts again."""
    if target.kind != "instance":
        if target.state == "failed":
            return Fix(
                f"EC2 > Load Balancers > {target.name} > Details: read the reason. A load balancer "
                "that failed to start has to be created again.",
                f"aws elbv2 describe-load-balancers --load-balancer-arns {target.arn}",
            )
        return Fix(
            f"Wait until {target.name} is active.",
            f"aws elbv2 wait load-balancer-available --load-balancer-arns {target.arn}",
        )
    instance = target.arn.rsplit("/", 1)[1]
    if target.state in ("terminated", "shutting-down"):
        return Fix(
            "A terminated instance cannot be started again. Choose the instance that replaced it; "
            "or, so that replacing instances changes nothing, a load balancer in front of them.",
            f"aws ec2 describe-instances --instance-ids {instance} --query "
            "'Reservations[].Instances[].StateTransitionReason'",
        )
    if target.state == "pending":
        return Fix(
            f"Wait until {target.name} is running.",
            f"aws ec2 wait instance-running --instance-ids {instance}",
        )
    stopping = target.state == "stopping"
    return Fix(
        f"{'When it has stopped, EC2' if stopping else 'EC2'} > Instances > {target.name} > "
        "Instance state > Start instance.",
        f"aws ec2 start-instances --instance-ids {instance}",
    )


def scheme(
    subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """Whether it is closed to the internet."""
    if target.scheme == "internal":
        yield PreflightResult("PF-SCHEME", Level.PASS, f"{target.name} is internal.")
    elif target.kind == "instance":
        yield PreflightResult(
            "PF-SCHEME",
            Level.WARN,
            f"{target.name} has a public address.",
            "CloudFront reaches it privately, but the internet can bypass CloudFront.",
            Fix(
                f"EC2 > Instances > {target.name} > Networking: remove the public address, "
                "or use a private subnet.",
                "aws ec2 describe-addresses --filters "
                f"Name=instance-id,Values={target.arn.rsplit('/', 1)[1]}",
                "associate_public_ip_address = false in the aws_instance",
            ),
        )
    else:
        yield PreflightResult(
            "PF-SCHEME",
            Level.BLOCK,
            f"{target.name} is {target.scheme}.",
            "A private endpoint needs an internal target: anyone with this "
            "one's address can bypass CloudFront. A load balancer's scheme "
            "cannot be changed; create a second, internal one for the same "
            "targets.",
            Fix(
                "EC2 > Load Balancers > Create load balancer, scheme Internal, in private subnets.",
                f"aws elbv2 create-load-balancer --name NAME --type {target.kind} --scheme "
                "internal "
                "--subnets PRIVATE-SUBNETS --security-groups GROUP",
                f'resource "aws_lb" "edge" {{\n  load_balancer_type = "{target.kind}"\n  '
                "internal           = true\n"
                "  subnets            = [PRIVATE_SUBNETS]\n  security_groups    = [GROUP]\n}",
            ),
        )


def security_group(
    subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """All three kinds need one; a Network Load Balancer can only get one when it is made."""
    if target.security_groups:
        yield PreflightResult(
            "PF-GROUP", Level.PASS, f"Security group {', '.join(target.security_groups)}."
        )
        return
    why = "AWS creates a VPC origin only for a target with a security group."
    if target.kind == "network":
        why += (
            " A Network Load Balancer created without one cannot get one later; create a new one."
        )
    yield PreflightResult(
        "PF-GROUP",
        Level.BLOCK,
        f"{target.name} has no security group.",
        why,
        Fix(
            f"EC2 > Load Balancers > {target.name} > Security > Edit.",
            f"aws elbv2 set-security-groups --load-balancer-arn {target.arn} "
            "--security-groups GROUP",
            "security_groups = [aws_security_group.GROUP.id] in the aws_lb",
        ),
    )


def tls_listener(
    subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """Any TLS listener disqualifies a Network Load Balancer."""
    if target.kind != "network":
        return
    if gap := snapshot.gap("listeners"):
        yield unknown("PF-TLS", gap.reason)
        return
    ports = [listener.port for listener in target.listeners if listener.protocol == "TLS"]
    if not ports:
        yield PreflightResult("PF-TLS", Level.PASS, f"{target.name} has no TLS listener.")
        return
    yield PreflightResult(
        "PF-TLS",
        Level.BLOCK,
        f"{target.name} has a TLS listener on {join_ports(ports)}.",
        "AWS creates no VPC origin for a Network Load Balancer with a TLS listener, on any port.",
        Fix(
            f"EC2 > Load Balancers > {target.name} > Listeners and rules: "
            "change TLS to TCP and terminate TLS at the target.",
            "aws elbv2 modify-listener --listener-arn LISTENER --protocol TCP",
            'protocol = "TCP" in the aws_lb_listener',
            opens="The load balancer would no longer decrypt: if the target speaks plain HTTP on "
            "that port, clients would be served without TLS.",
            narrower="Create a second, internal load balancer without a TLS listener for this "
            "endpoint, and leave this one as it is.",
        ),
    )


def listener(
    subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """A listener on each port that CloudFront may use, with the leg's protocol."""
    if target.kind == "instance":
        yield unknown(
            "PF-LISTENER",
            "Whether an instance listens is not visible in AWS; the handshake check will show it.",
        )
        return
    if gap := snapshot.gap("listeners"):
        yield unknown("PF-LISTENER", gap.reason)
        return
    # The port and protocol of each leg that handshakes take.
    ports = subject.handshake_ports
    protocols = {"https-only": ("HTTPS",), "match-viewer": ("HTTP", "HTTPS")}.get(
        subject.origin_protocol, ("HTTP",)
    )
    legs = tuple(zip(ports, protocols[-len(ports) :], strict=True)) if ports else ()
    if not legs and target.listeners:
        yield PreflightResult(
            "PF-LISTENER", Level.PASS, f"{target.name} listens on {_listened(target)}."
        )
        return
    missing = []
    for port, leg in legs:
        found = target.listener_on(port)
        carrying = _SECURE if leg == "HTTPS" else _PLAIN
        if found is None or (subject.origin_protocol and found.protocol not in carrying):
            missing.append((port, leg))
    if legs and not missing:
        seen = f"{target.name} listens on {join_ports(port for port, _ in legs)}."
        if spare := [port for port in subject.origin_ports if port not in subject.handshake_ports]:
            seen += f" Handshakes do not use {join_ports(spare)}: viewers use wss:// only."
        yield PreflightResult("PF-LISTENER", Level.PASS, seen)
        return
    port, leg = missing[0] if missing else (80, "HTTP")
    protocol = "TCP" if target.kind == "network" else leg
    secure = protocol == "HTTPS"
    certificate = "  certificate_arn   = aws_acm_certificate.CERTIFICATE.arn\n" if secure else ""
    # Rules can forward these paths alone only on an Application Load Balancer.
    refusing = target.kind == "application"
    paths = ",".join(subject.path_patterns) or "PATHS"
    default = (
        "Type=fixed-response,FixedResponseConfig={StatusCode=404}"
        if refusing
        else "Type=forward,TargetGroupArn=TARGET-GROUP"
    )
    default_block = (
        '    type = "fixed-response"\n    fixed_response {\n      content_type = "text/plain"\n'
        '      status_code  = "404"\n    }\n'
        if refusing
        else '    type             = "forward"\n'
        "    target_group_arn = aws_lb_target_group.GROUP.arn\n"
    )
    rule = (
        "\naws elbv2 create-rule --listener-arn NEW-LISTENER --priority 1 --conditions "
        f"{shlex.quote('Field=path-pattern,Values=' + paths)} "
        "--actions Type=forward,TargetGroupArn=TARGET-GROUP"
        if refusing
        else ""
    )
    yield PreflightResult(
        "PF-LISTENER",
        Level.BLOCK,
        f"{target.name} listens on {_listened(target)}."
        if target.listeners
        else f"{target.name} has no listener.",
        (
            "CloudFront would look for "
            f"{' and '.join(f'{leg} on {port}' for port, leg in missing)} and "
            "answer every handshake with 502 or 504."
        )
        if missing
        else ("CloudFront would find nothing and answer every handshake with 502 or 504."),
        Fix(
            f"EC2 > Load Balancers > {target.name} > Listeners and rules > Add listener"
            + (" that returns 404, with a rule that forwards only these paths" if refusing else "")
            + "; or request another port or protocol.",
            f"aws elbv2 create-listener --load-balancer-arn {target.arn} --port {port} "
            "--protocol "
            f"{protocol}{' --certificates CertificateArn=CERTIFICATE' if secure else ''} "
            f"--default-actions {default}{rule}",
            f'resource "aws_lb_listener" "edge" {{\n  load_balancer_arn = "{target.arn}"\n'
            f'  port              = {port}\n  protocol          = "{protocol}"\n{certificate}'
            f"  default_action {{\n{default_block}  }}\n}}",
            opens="A new listener is one more way to the app, for everyone whom the security group "
            "admits on that port.",
            narrower="Request the port and protocol of an existing listener instead.",
        ),
    )


def ip_type(
    subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """AWS's own pages disagree about dual-stack Network Load Balancers."""
    if target.kind == "network" and target.ip_address_type != "ipv4":
        yield PreflightResult(
            "PF-IP-TYPE",
            Level.WARN,
            f"{target.name} is {target.ip_address_type}.",
            "AWS once excluded dual-stack Network Load Balancers and no longer "
            "mentions it. It may refuse.",
            Fix(
                f"EC2 > Load Balancers > {target.name} > Actions > Edit IP address type > IPv4.",
                f"aws elbv2 set-ip-address-type --load-balancer-arn {target.arn} "
                "--ip-address-type ipv4",
                'ip_address_type = "ipv4" in the aws_lb',
            ),
        )


def idle(
    subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """The shortest idle clock on the way, against the longest silence of the app."""
    silence = subject.max_silence_seconds
    if silence is None:
        return
    if gap := snapshot.gap("attributes") or (
        snapshot.gap("listeners") if target.kind == "network" else None
    ):
        yield unknown("PF-IDLE", gap.reason)
        return
    # Where nothing listens, PF-LISTENER says so.
    listeners = [
        found for port in subject.handshake_ports if (found := target.listener_on(port)) is not None
    ]
    missing = (target.kind == "application" and target.idle_timeout_seconds is None) or (
        target.kind == "network"
        and any(
            found.protocol in ("TCP", "TLS") and found.idle_timeout_seconds is None
            for found in listeners
        )
    )
    if missing:
        yield unknown("PF-IDLE", f"AWS did not return the idle timeout of {target.name}.")
        return
    clocks = [("CloudFront, which counts only bytes from the app,", CLOUDFRONT_IDLE_SECONDS)]
    if target.idle_timeout_seconds is not None:
        clocks.append((target.name, target.idle_timeout_seconds))
    clocks += [
        (f"{target.name} on {listener.port}", listener.idle_timeout_seconds)
        for listener in target.listeners
        if listener.idle_timeout_seconds is not None and listener.port in subject.handshake_ports
    ]
    who, limit = min(clocks, key=lambda clock: clock[1])
    seen = (
        f"{who} closes a connection after {limit} s of silence; the app may "
        f"be silent for up to {silence} s."
    )
    if silence < limit:
        yield PreflightResult("PF-IDLE", Level.PASS, seen)
        return
    fix = _heartbeat(target, silence)
    yield PreflightResult(
        "PF-IDLE", Level.WARN, seen, "The client will see the connection close with 1006.", fix
    )


def _heartbeat(target: TargetFacts, silence: int) -> Fix:
    """An Application Load Balancer's idle timeout may be raised, but not above CloudFront's."""
    ping = "In the app: send a ping from the server every 20 to 30 s."
    if silence >= CLOUDFRONT_IDLE_SECONDS:
        return Fix(
            f"{ping} No AWS setting helps: CloudFront closes after {CLOUDFRONT_IDLE_SECONDS} s."
        )
    if target.kind != "application":
        return Fix(f"{ping} Nothing needs to change in AWS.")
    wanted = silence * 2
    return Fix(
        f"{ping} Or EC2 > Load Balancers > {target.name} > Attributes > Idle timeout.",
        f"aws elbv2 modify-load-balancer-attributes --load-balancer-arn {target.arn} "
        f"--attributes Key=idle_timeout.timeout_seconds,Value={wanted}",
        f"idle_timeout = {wanted} in the aws_lb",
    )


def _listened(target: TargetFacts) -> str:
    return ", ".join(f"{listener.port} ({listener.protocol})" for listener in target.listeners)
