"""From everything that is known to ranked verdicts, and the probe that would tell more (PURE).

`diagnose` reads one transcript. This weighs its verdicts against whatever else was seen: the same
address without the upgrade or without Origin, other ways to the app, the same again, the
distribution's configuration, the preflight of the target, CloudFront's log rows. Decides what
confirms, what contradicts and what lies behind; it must never look anything up, never be certain of
a cause that was not shown, and find nothing wrong where all is well.

1. Every rule makes claims: a code, how certain, and the line it was read from.
2. A cause that AWS's own answers show, and that explains the status that came, is certain; what
   only the status suggests then steps back.
3. A cause that AWS shows but that the status does not betray lies behind the first one: it is named
   after it.
4. Among equals, what a request meets first comes first.
5. Where the same handshake opens now and then, no single answer shows a cause: each may come from
   another edge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace

from checks.diagnosis.config_rules import NOT_FORWARDED
from checks.diagnosis.evidence import Claim, Observations
from checks.diagnosis.evidence_rules import RULES, contradicted
from checks.diagnosis.probe_kinds import ProbeKind
from checks.diagnosis.transcript_rules import Diagnosis, diagnose
from checks.diagnosis.verdicts import HIGH, LOW, MEDIUM, VERDICTS, Certainty, VerdictCode
from checks.protocol.transcript import Phase, Reason


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
        # All is well: what could go wrong elsewhere is no finding here.
        return Conclusion(first_look, _next_probe(seen, first_look, set()))
    claimed = {claim.code for claim in claims}
    confirmed = {claim.code for claim in claims if claim.certainty == HIGH}
    merged: dict[VerdictCode, Diagnosis] = {}
    for claim in sorted(claims, key=_claim_order):
        known = merged.get(claim.code)
        evidence = (*(known.evidence if known else ()), *claim.evidence)
        certainty = known.certainty if known else claim.certainty
        here = known.here if known and known.here else claim.here
        merged[claim.code] = Diagnosis(
            VERDICTS[claim.code], certainty, tuple(dict.fromkeys(evidence)), here
        )
    for found in first_look:
        shown = _as_far_as_shown(found, seen, bool(confirmed), NOT_FORWARDED in claimed)
        if found.code in merged:
            known = merged[found.code]
            evidence = tuple(dict.fromkeys((*known.evidence, *found.evidence)))
            likelier = max(known.certainty, shown.certainty)
            merged[found.code] = replace(known, certainty=likelier, evidence=evidence)
        elif not contradicted(found.code, seen) or len(first_look) == 1:
            merged[found.code] = shown
    ranked = sorted(merged.values(), key=lambda found: _order(found, found.code in claimed))
    if not ranked:
        ranked = [Diagnosis(VERDICTS["WSE-UNKNOWN"], LOW, ())]
    return Conclusion(tuple(_live_first(ranked, seen)), _next_probe(seen, ranked, confirmed))


def _as_far_as_shown(
    found: Diagnosis, seen: Observations, shown: bool, incomplete: bool
) -> Diagnosis:
    """What only one answer suggests steps back behind a cause that is shown, where the answers
    differ, and where the app answered a request that did not reach it whole.
    """
    if found.code == "WSE-LIVE":
        return found
    if shown or contradicted(found.code, seen):
        return replace(found, certainty=LOW)
    return (
        replace(found, certainty=_WEAKER[found.certainty]) if seen.wavers or incomplete else found
    )


def _order(found: Diagnosis, claimed: bool) -> tuple[int, bool, int]:
    """Of what is hardly likely, what was read from AWS goes before what a status makes one think
    of.
    """
    return -found.certainty.rank, found.certainty == LOW and not claimed, _place(found.code)


def _claim_order(claim: Claim) -> tuple[int, int]:
    return -claim.certainty.rank, _place(claim.code)


def _live_first(ranked: Sequence[Diagnosis], seen: Observations) -> Iterator[Diagnosis]:
    if seen.handshake.live and not any(found.code == "WSE-MIXED" for found in ranked):
        yield from (found for found in ranked if found.code == "WSE-LIVE")
        yield from (found for found in ranked if found.code != "WSE-LIVE")
    else:
        yield from ranked


_ON_THE_WAY: tuple[VerdictCode, ...] = (
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
"""In the order in which a request meets them."""


def _place(code: VerdictCode) -> int:
    return _ON_THE_WAY.index(code) if code in _ON_THE_WAY else len(_ON_THE_WAY)


_AWS_MAY_TELL = (Phase.DNS, Phase.TLS, Phase.UPGRADE)
"""Without an answer: the distribution may be switched off or lack the name, or nobody let
CloudFront in.
"""


def _next_probe(
    seen: Observations, ranked: Sequence[Diagnosis], confirmed: Set[VerdictCode]
) -> ProbeKind | None:
    """The cheapest probe that could still change the order; none once a cause has been shown."""
    if seen.handshake.live and not (seen.lacks_subprotocol and not seen.looked):
        return None
    if not seen.looked and (seen.status or any(map(seen.failed_in, _AWS_MAY_TELL))):
        return ProbeKind.AWS
    if confirmed and ranked[0].code != "WSE-MIXED":
        return None
    # CloudFront writes the same page for many causes; what the app or the load balancer says is
    # their own word. But another edge may lead to another app, so a refusal is believed when it
    # comes again.
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
    if not seen.other_ways:
        return ProbeKind.WAYS
    return None
