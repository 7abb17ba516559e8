"""Is an endpoint still private? Judged from one snapshot of AWS: pass, fail, or unknown (PURE).

The preflight's answers that concern privacy, and two that only a deployed endpoint can be asked.
What could not be seen never counts as a pass. Sources: CloudFront Developer Guide, "Restrict access
with VPC origins"; Amazon VPC User Guide, security groups and route tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from checks.ordered import OrderedStrEnum
from checks.preflight import Level, PreflightSubject, evaluate
from provisioning.facts.network import SecurityGroupRule
from provisioning.facts.path_patterns import covers
from provisioning.facts.snapshot import Snapshot
from provisioning.facts.target import TargetFacts


class Outcome(OrderedStrEnum):
    """The result of an answer or a whole audit. Unknown: it was not seen, so nothing is
    promised.
    """

    PASS = "pass"  # noqa: S105
    UNKNOWN = "unknown"
    FAIL = "fail"


QUESTIONS = {
    "PF-TARGET": "The target exists and was inspected",
    "PF-SCHEME": "The target is internal",
    "PF-PUBLIC-ADDRESS": "The target has no public address",
    "PF-SUBNET": "The target's subnets have no route to an internet gateway",
    "PF-GROUP": "The target has a security group",
    "PF-PUBLIC": "The security group allows no public source",
    "PA-ONLY-CLOUDFRONT": "The security group allows only CloudFront on the endpoint's ports",
    "PF-OTHER-ROUTE": "Nothing else exposes the target to the internet",
    "PF-IPV6": "Nothing is reachable over IPv6",
    "PA-VPC-ORIGIN": "The endpoint's paths use the VPC origin of its target",
}
ASKED_WHERE_IT_APPLIES = frozenset({"PF-IPV6"})
"""The preflight says nothing about IPv6 if the target has none."""


_OUTCOMES = {Level.PASS: Outcome.PASS, Level.UNKNOWN: Outcome.UNKNOWN}


@dataclass(frozen=True)
class Answer:
    """The answer to one question: `seen` is what AWS said, `why` what follows, `fix` how to
    fix it.
    """

    code: str
    outcome: Outcome
    seen: str
    why: str = ""
    fix: str = ""

    @property
    def statement(self) -> str:
        """What is true if it passes."""
        return QUESTIONS[self.code]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"outcome": self.outcome.value, "statement": self.statement}


def audit(subject: PreflightSubject, snapshot: Snapshot) -> tuple[Answer, ...]:
    """1. The preflight's answers to the questions of privacy, in the order of QUESTIONS.
    2. The two questions for deployed endpoints only.
    3. A question without an answer is unknown.
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
        given.append(Answer(result.code, outcome, result.seen, result.why, fix))
    given += [*_only_cloudfront(subject, snapshot), _vpc_origin(subject, snapshot)]
    answers: list[Answer] = []
    for code in QUESTIONS:
        found = [one for one in given if one.code == code]
        if not found and code not in ASKED_WHERE_IT_APPLIES:
            found = [_unknown(code, "There is no answer.")]
        answers += found
    return tuple(answers)


def not_seen(reason: str) -> tuple[Answer, ...]:
    """The audit if the calls to AWS failed."""
    return tuple(_unknown(code, reason) for code in QUESTIONS)


def outcome_of(answers: Sequence[Answer]) -> Outcome:
    """One failure fails the audit; otherwise one unknown answer makes it unknown."""
    said = {one.outcome for one in answers}
    if Outcome.FAIL in said:
        return Outcome.FAIL
    return Outcome.PASS if said == {Outcome.PASS} else Outcome.UNKNOWN


def in_words(answers: Sequence[Answer]) -> str:
    """The outcome in a sentence or two, for an event."""
    match outcome_of(answers):
        case Outcome.PASS:
            return "Privacy audit passed: the target is not reachable from the internet."
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


def _only_cloudfront(subject: PreflightSubject, snapshot: Snapshot) -> Iterator[Answer]:
    """Stricter than the preflight: private sources bypass CloudFront and its protections too."""
    code, target = "PA-ONLY-CLOUDFRONT", snapshot.target
    if target is None or not target.security_groups:
        return
    if (
        gap := snapshot.gap("ingress")
        or snapshot.gap("prefix_list")
        or snapshot.gap("service_group")
    ):
        yield _unknown(code, gap.reason)
        return
    reaching = [
        rule for rule in target.ingress if any(rule.covers(port) for port in subject.origin_ports)
    ]

    def is_cloudfront(rule: SecurityGroupRule) -> bool:
        if rule.source_kind == "prefix-list":
            return rule.source in target.cloudfront_lists
        from_group = rule.source_kind == "group" and bool(rule.source)
        return from_group and rule.source == target.service_group_id

    others = [rule for rule in reaching if not is_cloudfront(rule)]
    if others:
        yield Answer(
            code,
            Outcome.FAIL,
            f"Also allowed: {', '.join(sorted({rule.source for rule in others}))}.",
            "Anyone with such an address or group can bypass CloudFront and its protections.",
            f"EC2 > Security Groups > {others[0].group_id} > Edit inbound rules: delete "
            f"{others[0].rule_id}, unless these clients should reach the target directly.",
        )
    elif reaching:
        yield Answer(
            code,
            Outcome.PASS,
            f"Allowed: {', '.join(sorted({rule.source for rule in reaching}))}.",
        )
    else:
        yield Answer(
            code, Outcome.PASS, "No source is allowed on these ports, not even CloudFront."
        )


def _vpc_origin(subject: PreflightSubject, snapshot: Snapshot) -> Answer:
    """Follows each path from behavior to origin, VPC origin and target."""
    code, distribution = "PA-VPC-ORIGIN", snapshot.distribution
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
