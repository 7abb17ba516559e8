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
5. A handshake that something else answered shows nothing about the endpoint.
6. Where the same handshake opens sometimes, no single answer shows a cause: each may come from
   another edge.
7. Where the likeliest is of low certainty, the first verdict is that the cause is not known.
8. The first verdict's evidence begins with the other side's own words.
9. A health check that fails for the reason that the first verdict names is evidence of it, not
   another cause.
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
from checks.diagnosis.evidence import Claim, Observations, path_of
from checks.diagnosis.evidence_rules import (
    access_log,
    alternate_routes,
    as_browser,
    closed_unanswered,
    contradicted,
    excluded,
    host_seen,
    opened_otherwise,
    other_hosts,
    preflight,
    proxy_upgrade,
    repeated,
    silence,
    too_slow,
    unsigned,
    upgrade_only,
    without_origin,
)
from checks.diagnosis.probe_kinds import ProbeKind
from checks.diagnosis.signatures import recognize, words_of
from checks.diagnosis.transcript_rules import Diagnosis, diagnose, say_unknown
from checks.diagnosis.verdicts import HIGH, LOW, MEDIUM, VERDICTS, Certainty, VerdictCode
from checks.preflight.results import Fix
from checks.protocol.transcript import Phase, Reason

RULES: tuple[Callable[[Observations], Iterator[Claim]], ...] = (
    repeated,
    without_origin,
    other_hosts,
    as_browser,
    proxy_upgrade,
    unsigned,
    upgrade_only,
    alternate_routes,
    silence,
    config_claims,
    not_forwarded,
    vpc_origin,
    preflight,
    closed_unanswered,
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


UNVERIFIED = (
    "the distribution's configuration could not be read, so this does not show that the endpoint's "
    "own origin answered"
)


def rank_verdicts(seen: Observations) -> Conclusion:
    """The ranked verdicts of everything that was seen."""
    if seen.answered_elsewhere and seen.served is not None:
        elsewhere = Diagnosis(VERDICTS["WSE-OTHER-ORIGIN"], HIGH, (seen.served.reason,))
        return Conclusion((elsewhere,), None)
    first_look = diagnose(seen.handshake, origin_tls=seen.origin_tls)
    if seen.handshake.live and seen.unverified:
        told = (*first_look[0].evidence, UNVERIFIED)
        first_look = (replace(first_look[0], evidence=told), *first_look[1:])
    if seen.handshake.live and seen.served is not None and seen.served.lost:
        lost = Diagnosis(VERDICTS["WSE-PATHS-LOST"], HIGH, seen.served.lost)
        first_look = (first_look[0], lost, *first_look[1:])
    claims = [claim for rule in RULES for claim in rule(seen)]
    if seen.handshake.live and not any(claim.certainty == HIGH for claim in claims):
        # All is well: what could go wrong elsewhere is not reported here.
        return Conclusion(first_look, _next_probe(seen, first_look, set()))
    claimed = {claim.code for claim in claims}
    confirmed = {claim.code for claim in claims if claim.certainty == HIGH}
    merged = _merge(claims)
    for found in first_look:
        if found.code == "WSE-UNKNOWN" and len(first_look) > 1:
            continue
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
            merged[found.code] = replace(
                known, certainty=likelier, evidence=evidence, signature=found.signature
            )
        elif not ruled_out or len(first_look) == 1:
            merged[found.code] = shown

    def order(found: Diagnosis) -> tuple[bool, int, bool, int]:
        """A live endpoint is reported first. Of what is hardly likely, what was read from AWS comes
        before what only the status suggests.
        """
        live = found.code == "WSE-LIVE" and "WSE-MIXED" not in merged
        suggested = found.certainty == LOW and found.code not in claimed
        return not live, -found.certainty.rank, suggested, _place(found.code)

    ranked = tuple(sorted(merged.values(), key=order)) or (
        Diagnosis(VERDICTS["WSE-UNKNOWN"], LOW, ()),
    )
    ranked = say_unknown(ranked, seen.handshake, *excluded(seen))
    ranked = (_with_path_doubt(_with_words(ranked[0], seen), seen), *ranked[1:])
    ranked = _with_health(ranked)
    return Conclusion(ranked, _next_probe(seen, ranked, confirmed))


_APP_IS_DOWN: frozenset[VerdictCode] = frozenset({"WSE-502-ALB", "WSE-504-ALB"})
"""Verdicts about an app that does not answer the load balancer: its health check fails too."""


def _with_health(ranked: tuple[Diagnosis, ...]) -> tuple[Diagnosis, ...]:
    """Where the app is down, what AWS says of its health supports that."""
    first, *others = ranked
    unhealthy = next((one for one in others if one.code == "WSE-503-NOTARGET"), None)
    if first.code not in _APP_IS_DOWN or unhealthy is None:
        return ranked
    evidence = tuple(dict.fromkeys((*first.evidence, *unhealthy.evidence)))
    kept = (one for one in others if one is not unhealthy)
    return (replace(first, evidence=evidence), *kept)


_ABOUT_HOST: frozenset[VerdictCode] = frozenset(
    {
        "WSE-400-HOST",
        "WSE-403-ORIGIN",
        "WSE-ORIGIN-HOST",
        "WSE-403-UNACCEPTED",
        "WSE-403-APP",
        "WSE-404-PATH",
        "WSE-PROXY-ROUTE",
    }
)
"""Verdicts for which it matters which Host the app sees."""


def _with_words(first: Diagnosis, seen: Observations) -> Diagnosis:
    """The other side's words come first in the evidence; where Host may matter, what it is."""
    hosts = host_seen(seen) if first.code in _ABOUT_HOST else ()
    evidence = (*words_of(seen.handshake), *first.evidence, *hosts)
    known = recognize(seen.handshake)
    if known is not None and first.code in (known.code, *known.also):
        first = replace(first, signature=known)
    return replace(first, evidence=tuple(dict.fromkeys(evidence)))


_MAY_BE_THE_PATH: frozenset[VerdictCode] = frozenset(
    {
        "WSE-UNKNOWN",
        "WSE-RESET",
        "WSE-200-NOUPGRADE",
        "WSE-200-SPA",
        "WSE-400-NOKEY",
        "WSE-403-APP",
        "WSE-403-UNACCEPTED",
        "WSE-404-PATH",
        "WSE-405-METHOD",
        "WSE-426-VERSION",
        "WSE-4XX",
        "WSE-502-ALB",
        "WSE-502-CLOSED",
        "WSE-PROXY-ROUTE",
    }
)
"""Verdicts of apps that have nothing at the path that was asked for."""


def _with_path_doubt(first: Diagnosis, seen: Observations) -> Diagnosis:
    """Where servers of this kind of app serve another path unless told otherwise, that comes right
    after the other side's words.
    """
    if not seen.refused or not seen.path_doubt or first.code not in _MAY_BE_THE_PATH:
        return first
    words = words_of(seen.handshake)
    others = (line for line in first.evidence if line not in words)
    advice = Fix(
        f"Change the endpoint's path to {seen.usual_path} and let clients join the namespace, if "
        f"they use one. Or, if your server is to serve {path_of(seen.handshake)}, set its option "
        "`path` to that."
    )
    return replace(
        first,
        evidence=(*words, seen.path_doubt, *others),
        here=first.here or advice,
    )


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
    "WSE-CLIENT-BLOCKED",
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
    "WSE-502-CLOSED",
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
    if probe := _other_header(seen, ranked[0], confirmed):
        return probe
    if opened_otherwise(seen) and not seen.again:
        return ProbeKind.AGAIN
    if confirmed and ranked[0].code != "WSE-MIXED":
        return None
    # CloudFront writes the same page for many causes; what the app or the load balancer says is
    # their own. But another edge may lead to another app, so a refusal counts once it is repeated.
    if ranked[0].certainty == HIGH and ranked[0].code != "WSE-1006" and not seen.by_edge:
        return ProbeKind.AGAIN if seen.status not in (0, 101) and not seen.again else None
    if (seen.plain_get is None and not _refused_in_any_case(seen)) and (
        seen.status >= 500
        or seen.status == 400
        or (seen.status >= 200 and ranked[0].code in ("WSE-UNKNOWN", "WSE-PROXY-UPGRADE"))
    ):
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


def _refused_in_any_case(seen: Observations) -> bool:
    """A plain GET would get the same 400, and tell nothing."""
    asked = seen.handshake.request
    return seen.status == 400 and asked is not None and asked.websocket_only


_MAY_LOOK_AT_CLIENT: frozenset[VerdictCode] = frozenset(
    {"WSE-UNKNOWN", "WSE-CLIENT-BLOCKED", "WSE-403-WAF", "WSE-403-EDGE", "WSE-403-APP"}
)
"""Verdicts of a 403 that may be given for the kind of client."""


def _other_header(
    seen: Observations, first: Diagnosis, confirmed: Set[VerdictCode]
) -> ProbeKind | None:
    """Where the app may have refused: the same handshake without Origin, with the Origin that the
    app compares with Host, as a browser, for another name. Whatever the status: apps answer a
    foreign Origin or Host with 400, 403, 404 and others, or open and close. None once a cause is
    shown.
    """
    asked, at = seen.handshake.request, seen.behavior
    if not seen.refused_by_app or seen.status == 429 or asked is None:
        return None
    of_origin = first.code == "WSE-403-ORIGIN"
    if (
        of_origin
        and at is not None
        and at.own
        and at.forwards("Host") is False
        and at.origin_domain
        and seen.origin_as_host is None
    ):
        return ProbeKind.ORIGIN_AS_HOST
    known = first.signature
    in_words = known is not None and first.certainty == HIGH and not known.also
    of_client = seen.status == 403 and first.code in _MAY_LOOK_AT_CLIENT and seen.names_no_client
    client_untried = of_client and seen.as_browser is None
    if confirmed == {"WSE-403-WAF"} and client_untried:
        return ProbeKind.AS_BROWSER
    if confirmed or (in_words and not of_origin):
        return None
    if asked.origin and seen.without_origin is None:
        return ProbeKind.WITHOUT_ORIGIN
    if client_untried and not opened_otherwise(seen):
        return ProbeKind.AS_BROWSER
    if in_words or seen.other_hosts or opened_otherwise(seen):
        return None
    if at is not None and at.own and at.other_names and at.forwards("Host"):
        return ProbeKind.OTHER_HOST
    return None
