"""Is an endpoint still private? Judged from one snapshot of AWS: pass, accepted, fail, or unknown
(PURE).

The preflight's answers that concern privacy, and one that only a deployed endpoint can be asked; so
the two never contradict each other. What could not be seen never counts as a pass. Sources:
CloudFront Developer Guide, "Restrict access with VPC origins"; Amazon VPC User Guide, security
groups and route tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from checks.ordered import OrderedStrEnum
from checks.preflight import PRIVACY, TITLES, Level, PreflightSubject, evaluate
from provisioning.facts.exposures import without_rules
from provisioning.facts.path_patterns import covers
from provisioning.facts.snapshot import Snapshot
from provisioning.facts.target import TargetFacts


class Outcome(OrderedStrEnum):
    """The result of an answer or a whole audit. Accepted: something gets past CloudFront, and an
    approver has accepted just that. Unknown: it was not seen, so nothing is promised.
    """

    PASS = "pass"  # noqa: S105
    ACCEPTED = "accepted"
    UNKNOWN = "unknown"
    FAIL = "fail"


BUILT_AS_APPROVED = "PA-VPC-ORIGIN"
QUESTIONS = {code: TITLES[code] for code in PRIVACY} | {
    BUILT_AS_APPROVED: "The endpoint's paths use the VPC origin of its target"
}
"""What the preflight asks before approval, and one question that only a built endpoint can be
asked.
"""
ASKED_WHERE_IT_APPLIES = frozenset({"PF-IPV6"})
"""The preflight says nothing about IPv6 if the target has none."""


_OUTCOMES = {Level.PASS: Outcome.PASS, Level.UNKNOWN: Outcome.UNKNOWN}


@dataclass(frozen=True)
class Acceptance:
    """That somebody has accepted one exposure: who, why, when, and until when (UTC, ISO 8601)."""

    exposure: str
    by: str
    reason: str
    at: str
    until: str


@dataclass(frozen=True)
class Answer:
    """The answer to one question: `seen` is what AWS said, `why` what follows, `fix` how to
    fix it. `exposes` are the ways past CloudFront, `accepted` says which of them are accepted.
    """

    code: str
    outcome: Outcome
    seen: str
    why: str = ""
    fix: str = ""
    exposes: tuple[str, ...] = ()
    accepted: tuple[Acceptance, ...] = ()

    @property
    def statement(self) -> str:
        """What is true if it passes."""
        return QUESTIONS[self.code]

    @property
    def not_accepted(self) -> tuple[str, ...]:
        """The ways past CloudFront that nobody has accepted."""
        known = {one.exposure for one in self.accepted}
        return tuple(one for one in self.exposes if one not in known)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {
            "outcome": self.outcome.value,
            "statement": self.statement,
            "exposes": list(self.exposes),
            "accepted": [asdict(one) for one in self.accepted],
        }


def audit(
    subject: PreflightSubject, snapshot: Snapshot, accepted: Iterable[Acceptance] = ()
) -> tuple[Answer, ...]:
    """1. The preflight's answers to the questions of privacy, in the order of QUESTIONS.
    2. The question for built endpoints only.
    3. A question without an answer is unknown.
    4. A failure of which every exposure is accepted counts as accepted. If only some are, the fix
       is about the others.
    """
    given = []
    for result in evaluate(subject, snapshot):
        if result.code not in QUESTIONS:
            continue
        # A preflight warning is a failure here: the endpoint works, but others can get in.
        outcome = _OUTCOMES.get(result.level, Outcome.FAIL)
        if result.code == "PF-TARGET" and outcome is Outcome.FAIL:
            outcome = Outcome.UNKNOWN  # without a target there is nothing to inspect
        fix = result.fix.advice if result.fix else ""
        given.append(Answer(result.code, outcome, result.seen, result.why, fix, result.exposes))
    given.append(_vpc_origin(subject, snapshot))
    answers: list[Answer] = []
    for code in QUESTIONS:
        found = [one for one in given if one.code == code]
        if not found and code not in ASKED_WHERE_IT_APPLIES:
            found = [_unknown(code, "There is no answer.")]
        answers += found
    acceptances = tuple(accepted)
    judged = [_with_acceptances(one, acceptances) for one in answers]
    return tuple(_with_fix_of_the_rest(one, subject, snapshot) for one in judged)


def _with_acceptances(answer: Answer, accepted: Sequence[Acceptance]) -> Answer:
    if answer.outcome is not Outcome.FAIL:
        return answer
    fitting = tuple(one for one in accepted if one.exposure in answer.exposes)
    judged = replace(answer, accepted=fitting)
    if fitting and not judged.not_accepted:
        return replace(judged, outcome=Outcome.ACCEPTED)
    return judged


def _with_fix_of_the_rest(answer: Answer, subject: PreflightSubject, snapshot: Snapshot) -> Answer:
    if answer.outcome is not Outcome.FAIL or not answer.accepted or snapshot.target is None:
        return answer
    accepted = {one.exposure for one in answer.accepted}
    rest = replace(snapshot, target=without_rules(snapshot.target, accepted))
    results = (one for one in evaluate(subject, rest) if one.code == answer.code)
    fix = next((one.fix.advice for one in results if one.fix), answer.fix)
    return replace(answer, fix=fix)


def not_seen(reason: str) -> tuple[Answer, ...]:
    """The audit if the calls to AWS failed."""
    return tuple(_unknown(code, reason) for code in QUESTIONS)


def outcome_of(answers: Sequence[Answer]) -> Outcome:
    """The worst of the answers; unknown without any."""
    return max((one.outcome for one in answers), default=Outcome.UNKNOWN)


def in_words(answers: Sequence[Answer]) -> str:
    """The outcome in a sentence or two, for an event."""
    accepted = sorted({one for answer in answers for one in _accepted_by(answer)})
    match outcome_of(answers):
        case Outcome.PASS:
            return "Privacy audit passed: the target is not reachable from the internet."
        case Outcome.ACCEPTED:
            return f"Privacy audit passed with accepted exceptions: {'; '.join(accepted)}."
        case Outcome.FAIL:
            wrong = [one for one in answers if one.outcome is Outcome.FAIL]
            return " ".join(
                [
                    "Privacy audit failed.",
                    *(f"Failed: {one.statement}. {one.seen}" for one in wrong),
                ]
            )
        case Outcome.UNKNOWN:
            count = sum(one.outcome is Outcome.UNKNOWN for one in answers)
            return (
                f"Privacy audit inconclusive: {count} of {len(answers)} questions could not be "
                "answered."
            )


def _accepted_by(answer: Answer) -> list[str]:
    return [f"{one.exposure} (accepted by {one.by})" for one in answer.accepted]


def facts_seen(snapshot: Snapshot) -> dict[str, Any]:
    """What AWS answered, as far as the audit uses it, JSON-ready; null if it was not observed."""
    distribution = snapshot.distribution
    return {
        "target": _target_seen(snapshot.target) if snapshot.target else None,
        "distribution": {
            "id": distribution.id,
            "domain_name": distribution.domain_name,
            "behaviors": [
                {"path_pattern": one.path_pattern, "origin": one.target_origin_id}
                for one in distribution.behaviors
            ],
            "origins": [
                {"id": one.id, "domain_name": one.domain_name, "vpc_origin": one.vpc_origin_id}
                for one in distribution.origins
            ],
        }
        if distribution
        else None,
        "vpc_origins": [
            {"id": one.id, "target": one.target_arn, "status": one.status}
            for one in snapshot.vpc_origins
        ],
        "not_seen": [{"what": gap.what, "reason": gap.reason} for gap in snapshot.gaps],
    }


def _vpc_origin(subject: PreflightSubject, snapshot: Snapshot) -> Answer:
    """Follows each path from behavior to origin, VPC origin and target."""
    code, distribution = BUILT_AS_APPROVED, snapshot.distribution
    if gap := snapshot.gap("distribution") or snapshot.gap("vpc_origins"):
        return _unknown(code, gap.reason)
    if distribution is None:
        return _unknown(code, f"The account has no distribution {subject.distribution_id}.")
    targets: dict[str, str] = {origin.id: origin.target_arn for origin in snapshot.vpc_origins}
    why = "Clients of this path bypass the private origin that was approved."
    fix = (
        f"CloudFront > Distributions > {distribution.id} > Behaviors: point the path to "
        "the endpoint's own origin."
    )
    followed = []
    for pattern in subject.path_patterns:
        behavior = distribution.behavior(pattern)
        origin = distribution.origin(behavior.target_origin_id) if behavior else None
        if behavior is None:
            return Answer(code, Outcome.FAIL, f"{pattern} has no behavior of its own.", why, fix)
        if origin is None:
            # A behavior points to an origin, or to a group of two: the second is the failover.
            seen = f"{pattern} points to the origin group {behavior.target_origin_id}."
            return Answer(
                code,
                Outcome.FAIL,
                seen,
                "Its failover origin was not approved.",
                fix,
            )
        patterns = [one.path_pattern for one in distribution.behaviors]
        before = next(
            (other for other in patterns[: patterns.index(pattern)] if covers(other, pattern)), None
        )
        if before is not None:
            return Answer(
                code,
                Outcome.FAIL,
                f"{before} comes before {pattern} and matches all of it.",
                why,
                fix,
            )
        if not origin.vpc_origin_id:
            return Answer(
                code,
                Outcome.FAIL,
                f"{pattern} points to {origin.domain_name}, a public origin.",
                why,
                fix,
            )
        if origin.vpc_origin_id not in targets:
            return _unknown(
                code,
                f"{pattern} points to {origin.vpc_origin_id}, which belongs to another account.",
            )
        if targets[origin.vpc_origin_id] != subject.target_arn:
            seen = (
                f"{pattern} points to {origin.vpc_origin_id}, which is for "
                f"{targets[origin.vpc_origin_id]}."
            )
            return Answer(code, Outcome.FAIL, seen, why, fix)
        followed.append(f"{pattern} by {origin.vpc_origin_id}")
    if not followed:
        return _unknown(code, "The endpoint has no paths.")
    return Answer(code, Outcome.PASS, f"{'; '.join(followed)}.")


def _target_seen(target: TargetFacts) -> dict[str, Any]:
    listed = [
        (one.group_id, one.rule_id, one.protocol, one.from_port, one.to_port, one.source)
        for one in target.ingress
    ]
    return {
        "arn": target.arn,
        "kind": target.kind,
        "scheme": target.scheme,
        "state": target.state,
        "vpc": target.vpc_id,
        "ip_address_type": target.ip_address_type,
        "security_groups": list(target.security_groups),
        "ingress": [
            dict(
                zip(
                    ("group", "rule", "protocol", "from_port", "to_port", "source"),
                    row,
                    strict=True,
                )
            )
            for row in listed
        ],
        "cloudfront_prefix_list": target.origin_facing_prefix_list,
        "cloudfront_ipv6_prefix_list": target.origin_facing_ipv6_list,
        "cloudfront_service_group": target.service_group_id,
        "subnets": [
            {"id": one.id, "route_to_internet_gateway": one.public} for one in target.subnets
        ],
        "listeners": [{"port": one.port, "protocol": one.protocol} for one in target.listeners],
        "public_addresses": None
        if target.public_addresses is None
        else list(target.public_addresses),
        "internet_facing_load_balancers": None
        if target.internet_facing_load_balancers is None
        else list(target.internet_facing_load_balancers),
    }


def _unknown(code: str, reason: str) -> Answer:
    return Answer(code, Outcome.UNKNOWN, "Not seen.", reason)
