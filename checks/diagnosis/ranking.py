"""From everything that is known to ranked verdicts, and the probe that would tell more (PURE).

`transcript_rules` reads one transcript. Here its verdicts are ranked together with what else was
seen: the same address without the upgrade or without Origin, alternate routes to the app,
repetitions, the distribution's configuration, the preflight of the target, CloudFront's log.

1. Every rule makes claims: a verdict, how certain, and its evidence.
2. A cause that AWS's own answers show, and that explains the status that came, is certain; what
   only the status suggests then steps back.
3. A cause that AWS shows but that the status does not reveal is hidden behind the first one: it
   comes after it.
4. Among equals, what a request meets first comes first.
5. Where the same handshake opens sometimes, no single answer shows a cause: each may come from
   another edge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, replace

from checks.diagnosis.config_rules import (
    NOT_FORWARDED,
    config_claims,
    not_forwarded,
    vpc_origin,
)
from checks.diagnosis.evidence import Claim, Observations
from checks.diagnosis.evidence_rules import (
    access_log,
    alternate_routes,
    contradicted,
    preflight,
    repeated,
    silence,
    too_slow,
    upgrade_only,
    without_origin,
)
from checks.diagnosis.probe_kinds import ProbeKind
from checks.diagnosis.transcript_rules import Diagnosis, diagnose
from checks.diagnosis.verdicts import HIGH, LOW, MEDIUM, VERDICTS, Certainty, VerdictCode
from checks.protocol.transcript import Phase, Reason

RULES: tuple[Callable[[Observations], Iterator[Claim]], ...] = (
    repeated,
    without_origin,
    upgrade_only,
    alternate_routes,
    silence,
    config_claims,
    not_forwarded,
    vpc_origin,
    preflight,
    too_slow,
    access_log,
)


@dataclass(frozen=True, slots=True)
class Conclusion:
    """`diagnoses` are ranked and never empty; `next_probe` is None when nothing is left to find
    out.
    """

    diagnoses: tuple[Diagnosis, ...]
    next_probe: ProbeKind | None

    @property
    def first(self) -> Diagnosis:
        """The verdict to act on."""
        return self.diagnoses[0]


_WEAKER: dict[Certainty, Certainty] = {HIGH: MEDIUM, MEDIUM: LOW, LOW: LOW}


def rank_verdicts(seen: Observations) -> Conclusion:
    """The ranked verdicts of everything that was seen."""
    first_look = diagnose(seen.handshake, origin_tls=seen.origin_tls)
    claims = [claim for rule in RULES for claim in rule(seen)]
    if seen.handshake.live and not any(claim.certainty == HIGH for claim in claims):
        # All is well: what could go wrong elsewhere is not reported here.
        return Conclusion(first_look, _next_probe(seen, first_look, set()))
    claimed = {claim.code for claim in claims}
    confirmed = {claim.code for claim in claims if claim.certainty == HIGH}
    merged = _merge(claims)
    for found in first_look:
        ruled_out = contradicted(found.code, seen)
        shown = found
        if found.code != "WSE-LIVE":
            # What only one answer suggests steps back behind a cause that is shown, where answers
            # differ, and where the request did not reach the app complete.
            if confirmed or ruled_out:
                shown = replace(found, certainty=LOW)
            elif seen.wavers or NOT_FORWARDED in claimed:
                shown = replace(found, certainty=_WEAKER[found.certainty])
        if found.code in merged:
            known = merged[found.code]
            evidence = tuple(dict.fromkeys((*known.evidence, *found.evidence)))
            likelier = max(known.certainty, shown.certainty)
            merged[found.code] = replace(known, certainty=likelier, evidence=evidence)
        elif not ruled_out or len(first_look) == 1:
            merged[found.code] = shown

    def order(found: Diagnosis) -> tuple[bool, int, bool, int]:
        """A live endpoint is reported first. Of what is hardly likely, what was read from AWS comes
        before what only the status suggests.
        """
        live = found.code == "WSE-LIVE" and "WSE-MIXED" not in merged
        suggested = found.certainty == LOW and found.code not in claimed
        return not live, -found.certainty.rank, suggested, _place(found.code)

    ranked = sorted(merged.values(), key=order) or [Diagnosis(VERDICTS["WSE-UNKNOWN"], LOW, ())]
    return Conclusion(tuple(ranked), _next_probe(seen, ranked, confirmed))


def _merge(claims: Sequence[Claim]) -> dict[VerdictCode, Diagnosis]:
    """One diagnosis for each verdict: the highest certainty, and the evidence of all its claims."""
    merged: dict[VerdictCode, Diagnosis] = {}
    for claim in sorted(claims, key=lambda claim: (-claim.certainty.rank, _place(claim.code))):
        known = merged.get(claim.code)
        evidence = (*(known.evidence if known else ()), *claim.evidence)
        certainty = known.certainty if known else claim.certainty
        here = known.here if known and known.here else claim.here
        merged[claim.code] = Diagnosis(
            VERDICTS[claim.code], certainty, tuple(dict.fromkeys(evidence)), here
        )
    return merged


_BY_PLACE: tuple[VerdictCode, ...] = (
    "WSE-MIXED",
    "WSE-403-DISABLED",
    "WSE-403-ALIAS",
    "WSE-403-GEO",
    "WSE-403-WAF",
    "WSE-403-SIGNED",
    "WSE-403-VIEWER",
    "WSE-301-REDIRECT",
    "WSE-403-METHOD",
    "WSE-EDGE-FUNCTION",
    "WSE-PATH",
    "WSE-502-2025",
    "WSE-502-VPCORIGIN",
    "WSE-504-BPA",
    "WSE-504-SG",
    "WSE-504-NACL",
    "WSE-502-PORT",
    "WSE-502-TLS",
    "WSE-502-DNS",
    "WSE-301-LOOP",
    "WSE-ALB-RULE",
    "WSE-503-NOTARGET",
    "WSE-502-ALB",
    "WSE-504-ALB",
    "WSE-400-NOKEY",
    "WSE-NOT-FORWARDED",
    "WSE-200-SPA",
)
"""Verdicts in the order in which a request meets their causes."""


def _place(code: VerdictCode) -> int:
    return _BY_PLACE.index(code) if code in _BY_PLACE else len(_BY_PLACE)


_AWS_MAY_TELL = (Phase.DNS, Phase.TLS, Phase.UPGRADE)
"""Without an answer: the distribution may be disabled or lack the name, or something may block
CloudFront.
"""


def _next_probe(
    seen: Observations, ranked: Sequence[Diagnosis], confirmed: Set[VerdictCode]
) -> ProbeKind | None:
    """The cheapest probe that could still change the order; none once a cause is shown."""
    if seen.handshake.live and not (seen.lacks_subprotocol and not seen.looked):
        return None
    if not seen.looked and (seen.status or any(map(seen.failed_in, _AWS_MAY_TELL))):
        return ProbeKind.AWS
    if confirmed and ranked[0].code != "WSE-MIXED":
        return None
    # CloudFront writes the same page for many causes; what the app or the load balancer says is
    # their own. But another edge may lead to another app, so a refusal counts once it is repeated.
    if ranked[0].certainty == HIGH and ranked[0].code != "WSE-1006" and not seen.by_edge:
        return ProbeKind.AGAIN if seen.status not in (0, 101) and not seen.again else None
    asked = seen.handshake.request
    if (
        seen.status in (400, 401, 403)
        and asked is not None
        and asked.origin
        and seen.without_origin is None
    ):
        return ProbeKind.WITHOUT_ORIGIN
    if (seen.status >= 500 or seen.status == 400) and seen.plain_get is None:
        return ProbeKind.PLAIN_GET
    if not seen.again:
        return ProbeKind.AGAIN
    if any(
        failure.reason in (Reason.ABNORMAL_CLOSE, Reason.RESET)
        for failure in seen.handshake.failures
    ):
        return ProbeKind.IDLE
    if not seen.log_rows and seen.handshake.edge_request_id:
        return ProbeKind.LOG_ROWS
    if not seen.routes:
        return ProbeKind.ROUTES
    return None
