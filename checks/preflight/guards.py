"""Preflight questions about what guards the paths at the edge today: what would a new behavior
leave behind, and what can it carry over?

PURE.
"""

from __future__ import annotations

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
from provisioning.facts.guards import Guard, answering_behavior, guards_of
from provisioning.facts.snapshot import Snapshot
from provisioning.facts.web_acl import Applies, WebAcl, WebAclRule


def guards(
    subject: PreflightSubject, distribution: DistributionFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """Each guard once for each behavior that answers some of the paths today. An endpoint's own
    behavior is not asked about: it has what was approved.
    """
    found: dict[tuple[str, Guard], list[str]] = {}
    for pattern in subject.path_patterns:
        answering = answering_behavior(distribution, pattern)
        if subject.origin_id and answering.target_origin_id == subject.origin_id:
            continue
        domain = snapshot.target.dns_name if snapshot.target else ""
        for guard in guards_of(answering, distribution, domain):
            found.setdefault((answering.path_pattern, guard), []).append(pattern)
    if subject.path_patterns and not found:
        yield PreflightResult(
            "PF-GUARD", Level.PASS, "No function, key group or policy applies to them today."
        )
    for (behavior, guard), patterns in found.items():
        if guard.carried_by in subject.carry_over:
            yield _kept(behavior, guard, patterns)
        else:
            yield _lost(subject, behavior, guard, patterns)


_EFFECTS = {
    "Block": "Handshakes that it matches get 403.",
    "Captcha": "WebSocket clients cannot solve a captcha: handshakes that it matches fail.",
    "Challenge": "WebSocket clients cannot solve a challenge: handshakes that it matches fail.",
    "Allow": "Handshakes that it matches are let in, and no later rule sees them.",
}


def web_acl(
    subject: PreflightSubject, distribution: DistributionFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """Each rule that looks at the path, once, with the paths that it applies to and leaves out. A
    rule that only counts changes nothing.
    """
    code = "PF-WEB-ACL"
    if not subject.path_patterns:
        return
    if gap := snapshot.gap("web_acl"):
        yield unknown(code, gap.reason)
        return
    acl = snapshot.web_acl
    if acl is None:
        seen = "It is gone." if distribution.web_acl_id else "The distribution has no web ACL."
        yield PreflightResult(code, Level.PASS, seen)
        return
    found: dict[tuple[WebAclRule, Applies], list[str]] = {}
    for pattern in subject.path_patterns:
        for rule, applies in acl.rules_by_path(pattern):
            if rule.action != "Count":
                found.setdefault((rule, applies), []).append(pattern)
    if not found:
        seen = f"No rule of {acl.name} looks at the path, but for those that count."
        yield PreflightResult(code, Level.PASS, seen)
    for (rule, applies), patterns in found.items():
        yield _rule_by_path(acl, rule, applies, patterns)


def _rule_by_path(
    acl: WebAcl, rule: WebAclRule, applies: Applies, patterns: list[str]
) -> PreflightResult:
    name, listed = f"Rule {rule.name} ({rule.action}) of web ACL {acl.name}", ", ".join(patterns)
    if applies is not Applies.NONE:
        verb = "applies" if applies is Applies.ALL else "may apply"
        seen = f"{name} looks at the path and {verb} to {listed}."
        why = _EFFECTS.get(rule.action, "It decides about handshakes that it matches.")
    else:
        seen = f"{name} looks at the path and does not apply to {listed}."
        why = "If the app relies on it on other paths, it does not have it on these."
        if rule.action == "Allow" and acl.default_action == "Block":
            why = "The web ACL blocks what no rule allows: handshakes get 403 unless another does."
    acl_id = acl.arn.rpartition("/")[2]
    return PreflightResult(
        "PF-WEB-ACL",
        Level.WARN,
        seen,
        why,
        Fix(
            f"Read the statement of rule {rule.name} in web ACL {acl.name}, with the command "
            "below. Ask its owner whether it is meant for these paths.",
            f"aws wafv2 get-web-acl --scope CLOUDFRONT --region us-east-1 --name {acl.name} "
            f"--id {acl_id}",
        ),
    )


def _kept(behavior: str, guard: Guard, patterns: list[str]) -> PreflightResult:
    seen = f"The plan carries the {guard.name} over from {_called(behavior)}"
    caution = f" {guard.caution}" if guard.caution else ""
    return PreflightResult("PF-GUARD", Level.PASS, f"{seen} to {', '.join(patterns)}.{caution}")


def _lost(
    subject: PreflightSubject,
    behavior: str,
    guard: Guard,
    patterns: list[str],
) -> PreflightResult:
    seen = (
        f"The {guard.name} applies to {', '.join(patterns)} today, through {_called(behavior)}: "
        f"{guard.effect}."
    )
    if guard.obstacle:
        fix = Fix(
            "Make sure that the app does without it, or makes the same check itself.",
            guard.look_up,
        )
        why = f"The new behavior will not have it. {guard.without} {guard.obstacle}"
        return PreflightResult("PF-GUARD", Level.WARN, seen, why, fix)
    chosen = (*subject.carry_over, guard.carried_by)
    why = f"The new behavior will not have it unless it is carried over. {guard.without}"
    fix = Fix(
        f"Carry it over ({guard.carried_by}), or make sure that the app makes the same check "
        f"itself.{' ' + guard.caution if guard.caution else ''}",
        guard.look_up,
    )
    label = f"Carry over: {guard.carried_by.replace('-', ' ')}"
    amendment = Amendment(label, (("carry_over", chosen),))
    return PreflightResult("PF-GUARD", Level.WARN, seen, why, fix, amendment=amendment)


def _called(behavior: str) -> str:
    return "the default behavior" if behavior == "*" else f"the behavior {behavior}"
