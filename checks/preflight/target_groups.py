"""Preflight questions about what is behind a load balancer: its target groups and its attributes.

PURE.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from checks.preflight.listener_rules import groups_reached
from checks.preflight.results import Fix, Level, PreflightResult, PreflightSubject, unknown
from provisioning.facts.load_balancer import TargetGroup
from provisioning.facts.snapshot import Snapshot
from provisioning.facts.target import TargetFacts

_UPGRADING = ("", "HTTP1")
_FUNCTION = "lambda"
_TOLD = (
    ("routing.http.drop_invalid_header_fields.enabled", "drops invalid headers"),
    ("routing.http.desync_mitigation_mode", "desync mitigation"),
    ("routing.http.xff_header_processing.mode", "X-Forwarded-For"),
    ("routing.http.preserve_host_header.enabled", "preserves Host"),
)


def health(
    subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """A warning: the app may come later, but until then there is no handshake."""
    if target.kind == "instance":
        return
    gap = snapshot.gap("target_health")
    healthy, registered = target.healthy_targets, target.registered_targets
    groups = _groups(subject, target, snapshot)
    if groups and _narrowed(subject, target, snapshot):
        # What is being taken out gets no new connection.
        staying = [one for group in groups for one in group.targets if one.state != "draining"]
        healthy, registered = sum(one.well for one in staying), len(staying)
    if gap or healthy is None or registered is None:
        yield unknown("PF-HEALTH", gap.reason if gap else "Not checked.")
        return
    seen = f"{healthy} of {registered} targets are healthy{_reasons(groups or ())}."
    ailing = next((one for one in groups or () if not any(t.well for t in one.targets)), None)
    group = ailing or next(
        (one for one in groups or () if not all(t.well for t in one.targets)), None
    )
    place = f"EC2 > Target Groups > {group.name if group else 'the group'} > Targets"
    arn = group.arn if group else "TARGET-GROUP"
    fix = Fix(
        f"{place}: check the health status details.",
        f"aws elbv2 describe-target-health --target-group-arn {arn}",
    )
    if registered == 0:
        why = "Nothing is registered; the load balancer answers every handshake with 503."
        fix = Fix(
            f"{place} > Register targets: the app's instances or addresses.",
            f"aws elbv2 register-targets --target-group-arn {arn} --targets Id=INSTANCE-OR-ADDRESS",
        )
        yield PreflightResult("PF-HEALTH", Level.WARN, "No targets are registered.", why, fix)
    elif healthy == 0:
        why = (
            "With no healthy target, the load balancer tries all of them, and "
            "handshakes will probably fail."
        )
        yield PreflightResult("PF-HEALTH", Level.WARN, seen, why, fix)
    elif ailing is not None and _narrowed(subject, target, snapshot):
        why = (
            f"{ailing.name} has no healthy target: handshakes that the listener "
            "sends there will probably fail."
        )
        yield PreflightResult("PF-HEALTH", Level.WARN, seen, why, fix)
    elif healthy < registered:
        why = "The endpoint works, with fewer targets than intended."
        yield PreflightResult("PF-HEALTH", Level.WARN, seen, why, fix)
    elif ailing is not None:
        told = (
            f"{ailing.name} has no healthy target; whether handshakes are sent there is not known."
        )
        yield unknown("PF-HEALTH", told)
    else:
        yield PreflightResult("PF-HEALTH", Level.PASS, seen)


def group_fit(
    subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """Only HTTP/1.1 carries an upgrade on from an Application Load Balancer, and nothing does to a
    Lambda function: ELB guide, Lambda functions as targets.
    """
    if target.kind != "application":
        return
    groups = _groups(subject, target, snapshot)
    if groups is None:
        gap = snapshot.gap("target_health")
        yield unknown("PF-TARGET-GROUP", gap.reason if gap else "Not checked.")
        return
    functions = [group for group in groups if group.target_type == _FUNCTION]
    if functions:
        yield PreflightResult(
            "PF-TARGET-GROUP",
            Level.BLOCK if len(functions) == len(groups) else Level.WARN,
            f"{', '.join(f'{one.name} forwards to a Lambda function' for one in functions)}.",
            "A load balancer cannot upgrade a request to a function: it "
            "answers each such handshake with 400.",
            Fix(
                "EC2 > Target Groups > Create target group with instances or IP "
                "addresses, then forward to it.",
                "aws elbv2 create-target-group --name NAME --protocol HTTP "
                "--protocol-version HTTP1 --port PORT "
                f"--vpc-id {target.vpc_id} --target-type ip",
                'target_type = "ip" in the aws_lb_target_group',
            ),
        )
        return
    wrong = [group for group in groups if group.protocol_version not in _UPGRADING]
    if wrong:
        yield PreflightResult(
            "PF-TARGET-GROUP",
            Level.WARN,
            f"{', '.join(f'{one.name} uses {one.protocol_version}' for one in wrong)} to the app.",
            "A WebSocket handshake is HTTP/1.1; a group of another version "
            "does not carry it. A group's version cannot be changed.",
            Fix(
                "EC2 > Target Groups > Create target group, protocol version "
                "HTTP1, then forward to it.",
                "aws elbv2 create-target-group --name NAME --protocol HTTP "
                "--protocol-version HTTP1 --port PORT "
                f"--vpc-id {target.vpc_id} --target-type {wrong[0].target_type or 'ip'}",
                'protocol_version = "HTTP1" in the aws_lb_target_group',
            ),
        )
        return
    cut = ", ".join(
        f"{one.name} {one.deregistration_seconds} s" for one in groups if one.deregistration_seconds
    )
    seen = "All use HTTP/1.1." + (
        f" A deregistered target keeps its connections for: {cut}." if cut else ""
    )
    yield PreflightResult("PF-TARGET-GROUP", Level.PASS, seen)


def stickiness(
    subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """Good to know: an open WebSocket stays with its target anyway. A session that begins with
    polling or a negotiation needs the same target for its next request.
    """
    if target.kind != "application":
        return
    groups = _groups(subject, target, snapshot)
    if groups is None or any(group.sticky is None for group in groups):
        gap = snapshot.gap("target_health")
        yield unknown("PF-STICKY", gap.reason if gap else "Not checked.")
        return
    loose = [group for group in groups if len(group.targets) > 1 and not group.sticky]
    if not loose or not subject.carries_api:
        seen = "An open WebSocket stays with its target."
        if loose:
            seen += f" After a reconnect, {loose[0].name} may choose another."
        yield PreflightResult("PF-STICKY", Level.PASS, seen)
        return
    yield PreflightResult(
        "PF-STICKY",
        Level.WARN,
        f"{loose[0].name} has {len(loose[0].targets)} targets and no stickiness.",
        "The paths also carry HTTP requests. Clients that poll or negotiate before they open a "
        "WebSocket, as Socket.IO, SockJS and SignalR clients do by default, fail when the next "
        "request reaches another target. Clients that use only the WebSocket transport need no "
        "stickiness.",
        Fix(
            f"EC2 > Target Groups > {loose[0].name} > Attributes > Stickiness.",
            f"aws elbv2 modify-target-group-attributes --target-group-arn {loose[0].arn} "
            "--attributes Key=stickiness.enabled,Value=true Key=stickiness.type,Value=lb_cookie",
            'stickiness { type = "lb_cookie" } in the aws_lb_target_group',
        ),
    )


def attributes(
    subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """Good to know: what the load balancer does to headers."""
    if target.kind != "application":
        return
    if gap := snapshot.gap("attributes"):
        yield unknown("PF-ATTRIBUTES", gap.reason)
        return
    told = [
        f"{words}: {value}" for key, words in _TOLD if (value := target.attribute(key)) is not None
    ]
    if told:
        yield PreflightResult("PF-ATTRIBUTES", Level.PASS, f"{'; '.join(told)}.")
    else:
        yield unknown("PF-ATTRIBUTES", "AWS did not return them.")


def _groups(
    subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot
) -> tuple[TargetGroup, ...] | None:
    """Those that handshakes may be sent to: what others of the same load balancer need, this
    endpoint does not. All, where it is not known which.
    """
    if snapshot.gap("target_health") or target.groups is None:
        return None
    reached = groups_reached(subject, target, snapshot)
    return (
        tuple(one for one in target.groups if one.arn in reached)
        if reached is not None
        else target.groups
    )


def _narrowed(subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot) -> bool:
    return groups_reached(subject, target, snapshot) is not None


_AILMENTS = {
    "Target.ResponseCodeMismatch": "the app answers the health check ({check}) with a status that "
    "the target group does not accept (it accepts {codes}; {reason})",
    "Target.Timeout": "the app does not answer the health check ({check}) in time ({reason})",
    "Target.FailedHealthChecks": "the health check ({check}) gets no valid answer from the app "
    "({reason})",
    "Elb.InitialHealthChecking": "the first health checks ({check}) are not finished ({reason})",
    "Target.NotInUse": "no listener forwards to the target group ({reason})",
}
"""AWS's reason codes in words."""


def _reasons(groups: Iterable[TargetGroup]) -> str:
    """Why those are not healthy that are not, in the order of AWS's codes."""
    found = {
        (one.reason, group.health_check_path, group.health_check_codes)
        for group in groups
        for one in group.targets
        if not one.well and one.reason
    }
    told = (
        _AILMENTS.get(reason, "AWS says {reason}").format(
            reason=reason,
            check=f"GET {path}" if path else "a connection",
            codes=codes or "another",
        )
        for reason, path, codes in sorted(found)
    )
    said = "; ".join(dict.fromkeys(told))
    return f": {said}" if said else ""
