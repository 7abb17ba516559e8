"""Preflight questions about what guards the paths at the edge today: what would a new behavior
leave behind, and what can it carry over?

PURE.
"""

from __future__ import annotations

from collections.abc import Iterator

from checks.preflight.results import Amendment, Fix, Level, PreflightResult, PreflightSubject
from provisioning.facts.distribution import DistributionFacts
from provisioning.facts.guards import Guard, answering_behavior, guards_of
from provisioning.facts.snapshot import Snapshot


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
