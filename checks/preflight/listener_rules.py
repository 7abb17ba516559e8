"""Preflight questions about a load balancer's listener: does its default action, or a rule, carry
the handshake?

PURE. An Application Load Balancer asks its rules in order; the first that fits answers, else the
default action.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator

from checks.preflight.results import (
    Amendment,
    Fix,
    Level,
    PreflightResult,
    PreflightSubject,
    unknown,
)
from provisioning.facts.distribution import DistributionFacts
from provisioning.facts.guards import ORIGIN_HEADERS, header_source
from provisioning.facts.load_balancer import Listener, ListenerRule
from provisioning.facts.path_patterns import covers, matches, overlap
from provisioning.facts.snapshot import Snapshot
from provisioning.facts.target import TargetFacts
from provisioning.spec.origin_headers import can_add, origin_headers

FORWARD = "forward"


def default_action(
    subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """What happens where no rule answers. It matters only if some of our paths get that far."""
    if snapshot.gap("listeners"):
        # PF-LISTENER has said so already.
        return
    for listener in _ours(subject, target):
        seen = f"The listener on {listener.port} does: {listener.default_action or 'nothing'}."
        asked = [
            answering(listener, host, pattern)
            for host in hosts_seen(subject, target, snapshot.distribution)
            for pattern in subject.path_patterns
        ]
        forwarded = bool(asked) and all(answer == (FORWARD, True) for answer in asked)
        if listener.default_action == FORWARD or target.kind == "network":
            yield PreflightResult("PF-ACTION", Level.PASS, seen)
        elif not snapshot.gap("rules") and listener.rules and forwarded:
            yield PreflightResult(
                "PF-ACTION", Level.PASS, f"Rules on {listener.port} forward these paths first."
            )
        elif headers := _required(subject, target, snapshot, listener):
            yield PreflightResult(
                "PF-ACTION",
                Level.PASS,
                f"{seen} That turns away requests without {', '.join(headers)}; leave it so.",
            )
        else:
            yield _not_forwarding(subject, target, listener, seen)


def listener_rules(
    subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """Whether a rule takes the handshake elsewhere, for the Host that the load balancer will
    see.
    """
    if target.kind != "application" or not subject.path_patterns or snapshot.gap("listeners"):
        return
    hosts = hosts_seen(subject, target, snapshot.distribution)
    for listener in _ours(subject, target):
        gap = snapshot.gap("rules")
        if gap or listener.rules is None:
            yield unknown("PF-RULES", gap.reason if gap else "Not checked.")
        elif not hosts:
            yield unknown(
                "PF-RULES", "Which Host it will see depends on the distribution. Choose one."
            )
        else:
            yield _by_rules(subject, target, listener, hosts)


def required_headers(
    subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """Header lines without which no rule forwards the handshake: usually a secret that proves that
    a request came through one distribution.
    """
    if target.kind != "application" or snapshot.gap("listeners") or snapshot.gap("rules"):
        # PF-LISTENER or PF-RULES has said so already.
        return
    for listener in _ours(subject, target):
        headers = _required(subject, target, snapshot, listener)
        if not headers:
            continue
        named = ", ".join(headers)
        distribution = snapshot.distribution
        source = header_source(distribution, target.dns_name) if distribution else None
        copied = {name.lower() for name in source.header_names} if source else set()
        own = {name.lower() for name, _ in origin_headers(subject.origin_headers)}
        required = {name.lower() for name in headers}
        carries = ORIGIN_HEADERS in subject.carry_over
        if required <= own | (copied if carries else set()):
            value = (
                f"the value that origin {source.id} sends"
                if source and required - own
                else "the value set here. Whether the rule accepts it cannot be checked"
            )
            yield PreflightResult(
                "PF-HEADER",
                Level.PASS,
                f"The plan lets this endpoint's origin send {named} with {value}.",
            )
            continue
        origins = snapshot.distribution.origins if snapshot.distribution else ()
        sending = [one.id for one in origins if required & {n.lower() for n in one.header_names}]
        known = f" The distribution's origin {', '.join(sending)} sends it." if sending else ""
        yield PreflightResult(
            "PF-HEADER",
            Level.WARN,
            f"The listener on {listener.port} forwards these paths only with the header {named}.",
            "The load balancer refuses everything else, so that requests cannot get past the "
            f"distribution that adds the header.{known} This endpoint's origin does not send it: "
            "unless clients do, every handshake is refused.",
            Fix(
                "Do not change the default action or the rule: they guard the app. Ask the "
                f"owner of {target.name} for the value, add it under Secrets of the team, and let "
                f"this endpoint send {named} (Headers to the target).",
                f"aws elbv2 describe-rules --listener-arn {listener.arn or 'LISTENER'}",
                "condition { http_header { … } } of the aws_lb_listener_rule: leave it as it is",
            ),
            amendment=Amendment(
                "Carry over: origin headers",
                (("carry_over", (*subject.carry_over, ORIGIN_HEADERS)),),
            )
            if required <= own | copied
            else _send(subject, [name for name in headers if name.lower() not in own]),
        )


def _send(subject: PreflightSubject, headers: list[str]) -> Amendment | None:
    """Let the endpoint's origin send these headers, each from a secret that is named after it."""
    if not all(map(can_add, headers)):
        return None
    lines = [f"{name}: ${{secret:{_secret_name(name)}}}" for name in headers]
    text = "\n".join(filter(None, (subject.origin_headers, *lines)))
    named = ", ".join(f"{name} from the secret {_secret_name(name)}" for name in headers)
    return Amendment(f"Send {named}", (("origin_headers", text),))


def _secret_name(header: str) -> str:
    """`X-Origin-Verify` as `ORIGIN_VERIFY`."""
    words = "_".join(re.findall(r"[A-Z0-9]+", header.upper().removeprefix("X-")))
    return words[:40] if words[:1].isalpha() else f"HEADER_{words}"[:40].rstrip("_")


def hosts_seen(
    subject: PreflightSubject, target: TargetFacts, distribution: DistributionFacts | None
) -> tuple[str, ...]:
    """The Host headers that the target will see: the viewers' where Host is forwarded, else the
    origin's domain.

    Empty where that is not known. It is also the name that CloudFront wants to read in the target's
    certificate.
    """
    if subject.forward_host is None:
        return ()
    if not subject.forward_host:
        return (subject.origin_domain or target.dns_name,)
    if distribution is None:
        return ()
    return distribution.aliases or (distribution.domain_name,)


def answering(listener: Listener, host: str, pattern: str) -> tuple[str, bool]:
    """The action that answers `pattern` under `host`, and whether that is sure: some rules fit only
    a part of it.
    """
    sure = True
    for rule in _asked(listener, host, pattern):
        if _answers_all(rule, pattern):
            return rule.action, sure
        if rule.action != FORWARD:
            sure = False
    return listener.default_action, sure


def groups_reached(
    subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot
) -> tuple[str, ...] | None:
    """The ARNs of the target groups that handshakes may be sent to, in the order of the rules. None
    where that is not known: then it may be any.
    """
    hosts = hosts_seen(subject, target, snapshot.distribution)
    listeners = _ours(subject, target)
    if snapshot.gap("listeners") or not listeners:
        return None
    if target.kind == "application" and (
        snapshot.gap("rules") or not hosts or not subject.path_patterns
    ):
        return None
    reached: dict[str, None] = {}
    for listener in listeners:
        if target.kind == "application" and listener.rules is None:
            return None
        for host in hosts if listener.rules else ("",):
            for pattern in subject.path_patterns or ("*",):
                reached |= dict.fromkeys(_forwarded_to(listener, host, pattern))
    return tuple(reached) or None


def _asked(listener: Listener, host: str, pattern: str) -> Iterator[ListenerRule]:
    """The rules that may answer some of `pattern`, in their order: the first that fits all of it
    ends the search.
    """
    for rule in listener.rules or ():
        if rule.hosts and not any(
            matches(f"/{one.lower()}", f"/{host.lower()}") for one in rule.hosts
        ):
            continue
        if rule.paths and not any(overlap(path, pattern) for path in rule.paths):
            continue
        yield rule
        if _answers_all(rule, pattern):
            return


def _answers_all(rule: ListenerRule, pattern: str) -> bool:
    return not rule.narrow and (not rule.paths or any(covers(path, pattern) for path in rule.paths))


def _forwarded_to(listener: Listener, host: str, pattern: str) -> Iterator[str]:
    """What the rules forward `pattern` to, and the default action if none of them answers all of
    it.
    """
    asked = list(_asked(listener, host, pattern))
    for rule in asked:
        yield from rule.target_groups
    if not any(_answers_all(rule, pattern) for rule in asked):
        yield from listener.target_groups


def _required(
    subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot, listener: Listener
) -> tuple[str, ...]:
    """The header names that a rule requires before it forwards one of the paths, where nothing else
    forwards it.
    """
    names: dict[str, None] = {}
    for host in hosts_seen(subject, target, snapshot.distribution):
        for pattern in subject.path_patterns:
            if answering(listener, host, pattern)[0] != FORWARD:
                for rule in _asked(listener, host, pattern):
                    if rule.action == FORWARD and rule.narrow:
                        names |= dict.fromkeys(rule.headers)
    return tuple(names)


def _part_forwarded(listener: Listener, host: str, pattern: str, *, narrow: bool) -> bool:
    """Whether a rule that answers a part of it sends that to the app; a narrow one has further
    conditions, such as a regular expression.
    """
    return any(
        rule.action == FORWARD and rule.narrow is narrow and not _answers_all(rule, pattern)
        for rule in _asked(listener, host, pattern)
    )


def _by_rules(
    subject: PreflightSubject, target: TargetFacts, listener: Listener, hosts: tuple[str, ...]
) -> PreflightResult:
    rules = listener.rules or ()
    place = (
        f"EC2 > Load Balancers > {target.name} > Listeners and rules > "
        f"{listener.protocol}:{listener.port} > Rules"
    )
    arn, terraform = listener.arn or "LISTENER", "condition and action of the aws_lb_listener_rule"
    asked = [
        (host, pattern, *answering(listener, host, pattern))
        for host in hosts
        for pattern in subject.path_patterns
    ]
    for host, pattern, action, _ in asked:
        if rules and action != FORWARD and _part_forwarded(listener, host, pattern, narrow=True):
            required = [
                name
                for rule in _asked(listener, host, pattern)
                if rule.action == FORWARD
                for name in rule.headers
            ]
            condition = (
                f"if the header {', '.join(required)} is right, which"
                if required
                else "under conditions that"
            )
            return unknown(
                "PF-RULES",
                f"A rule on {listener.port} forwards {pattern} {condition} "
                "cannot be evaluated here; without it, the listener does: "
                f"{action or 'nothing'}.",
            )
        if rules and action != FORWARD:
            refused = [path for other, path, does, _ in asked if other == host and does != FORWARD]
            seen = (
                f"For {pattern} with Host {host}, the listener on {listener.port} does: "
                f"{action or 'nothing'}."
            )
            why = (
                "The load balancer answers the handshake itself instead of the "
                "app. Compare the rules' host conditions with this Host: "
                "CloudFront sends it because of this request's Host setting."
            )
            if _part_forwarded(listener, host, pattern, narrow=False):
                seen = (
                    f"Rules on {listener.port} forward part of {pattern} with Host "
                    f"{host}; for the rest, the listener does: {action or 'nothing'}."
                )
                why = (
                    "For a path that no rule matches, the load balancer answers itself "
                    "instead of the app."
                )
            return PreflightResult(
                "PF-RULES",
                Level.WARN,
                seen,
                why,
                Fix(
                    f"{place} > Add rule: forward {', '.join(refused)} with Host {host} "
                    "to the app's target group, before the rule that answers now.",
                    f"aws elbv2 create-rule --listener-arn {arn} --priority NUMBER "
                    f"--conditions {shlex.quote('Field=host-header,Values=' + host)} "
                    f"{shlex.quote('Field=path-pattern,Values=' + ','.join(refused))} "
                    "--actions Type=forward,TargetGroupArn=TARGET-GROUP",
                    terraform,
                    opens=f"What answers these paths today ({action or 'nothing'}) may refuse "
                    "them on purpose; the rule takes them out of that, for everyone who reaches "
                    "the load balancer.",
                    narrower="Forward only these paths and this Host, and leave every other rule "
                    "and the default action as they are.",
                ),
            )
    if not all(sure for *_, sure in asked):
        return PreflightResult(
            "PF-RULES",
            Level.WARN,
            f"A rule of the listener on {listener.port} answers some of these requests itself.",
            "It has conditions that only some handshakes meet. Make sure that this is intended.",
            Fix(
                f"{place}: check the conditions of the rule that does not forward.",
                f"aws elbv2 describe-rules --listener-arn {arn}",
                terraform,
            ),
        )
    seen = f"{len(rules)} rules" if rules else "No rules"
    return PreflightResult(
        "PF-RULES", Level.PASS, f"{seen} on {listener.port}; Host {', '.join(hosts)} is forwarded."
    )


def _ours(subject: PreflightSubject, target: TargetFacts) -> list[Listener]:
    return [
        found for port in subject.handshake_ports if (found := target.listener_on(port)) is not None
    ]


def _not_forwarding(
    subject: PreflightSubject, target: TargetFacts, listener: Listener, seen: str
) -> PreflightResult:
    """A warning where a rule that was not looked at may forward our paths; for a redirect to HTTPS
    without any rule, the loop is certain.
    """
    why = "Unless a rule forwards these paths, this answers every handshake instead of the app."
    level = Level.WARN
    amendment = None
    if listener.default_action == "redirect":
        why = (
            "WebSocket clients do not follow redirects. Unless a rule forwards "
            "these paths, no handshake succeeds."
        )
        if listener.redirect_protocol == "HTTPS" and listener.protocol == "HTTP":
            seen = f"The listener on {listener.port} redirects to HTTPS."
            why += " Choose https-only as origin protocol, or let this listener forward."
            level = Level.BLOCK if listener.rules == () else Level.WARN
            amendment = _over_https(subject, target)
    elif listener.default_action == "jwt-validation":
        why = (
            "Only handshakes with a valid token in Authorization succeed. "
            "Browsers cannot send that header."
        )
    elif listener.default_action.startswith("authenticate-"):
        why = (
            "A WebSocket client cannot sign in: without a session cookie the "
            "handshake is redirected and fails."
        )
    return PreflightResult(
        "PF-ACTION",
        level,
        seen,
        why,
        _rule_for_paths(subject, target, listener),
        amendment=amendment,
    )


_OPENED = {
    "redirect": "On this port, the load balancer would answer these paths without TLS.",
    "fixed-response": "The listener refuses what no rule forwards. The rule takes these paths out "
    "of that, for everyone who reaches the load balancer.",
    "jwt-validation": "These paths would be forwarded without a token.",
}
_SIGN_IN = "These paths would be forwarded without the load balancer's sign-in."


def _rule_for_paths(subject: PreflightSubject, target: TargetFacts, listener: Listener) -> Fix:
    """A rule for just these paths. Never another default action: that would open all others."""
    paths = ",".join(subject.path_patterns) or "PATHS"
    return Fix(
        f"EC2 > Load Balancers > {target.name} > Listeners and rules > "
        f"{listener.protocol}:{listener.port} > Rules > Add rule: forward only {paths} to the "
        "app's target group. Leave the default action as it is.",
        f"aws elbv2 create-rule --listener-arn {listener.arn or 'LISTENER'} --priority NUMBER "
        f"--conditions {shlex.quote('Field=path-pattern,Values=' + paths)} "
        "--actions Type=forward,TargetGroupArn=TARGET-GROUP",
        'resource "aws_lb_listener_rule" "websocket" {\n'
        f'  listener_arn = "{listener.arn or "LISTENER"}"\n'
        "  condition {\n    path_pattern {\n"
        f"      values = [{', '.join(map(json.dumps, subject.path_patterns)) or 'PATHS'}]\n"
        "    }\n  }\n"
        '  action {\n    type             = "forward"\n'
        "    target_group_arn = aws_lb_target_group.GROUP.arn\n  }\n}",
        opens=_SIGN_IN
        if listener.default_action.startswith("authenticate-")
        else _OPENED.get(listener.default_action, _OPENED["fixed-response"]),
        narrower="Use the listener on HTTPS, if there is one."
        if listener.default_action == "redirect"
        else "If the default action refuses requests on purpose, meet what it requires, or use a "
        "load balancer of your own.",
    )


def _over_https(subject: PreflightSubject, target: TargetFacts) -> Amendment | None:
    """Where the redirect sends everybody, if that is a listener CloudFront can use and that
    forwards.
    """
    ports = [
        one.port
        for one in target.listeners
        if one.protocol == "HTTPS" and one.default_action == FORWARD
    ]
    port = 443 if 443 in ports else next((port for port in sorted(ports) if port >= 1024), None)
    if port is None or subject.origin_protocol == "https-only":
        return None
    changes = (
        ("origin_protocol", "https-only"),
        ("https_port", port),
        ("forward_host", ""),
        ("origin_domain", ""),
    )
    return Amendment(f"Use HTTPS to the target on {port}", changes)
