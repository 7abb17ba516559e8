"""From everything that is known to ranked verdicts, and the probe that would tell more (PURE).

`diagnose` reads one transcript. This weighs its verdicts against whatever else was seen: the same address without the
upgrade or without Origin, other ways to the app, the same again, the distribution's configuration, the preflight of
the target, CloudFront's log rows. Decides what confirms, what contradicts and what lies behind; it must never look
anything up, never be certain of a cause that was not shown, and find nothing wrong where all is well.

1. Every rule makes claims: a code, how certain, and the line it was read from.
2. A cause that AWS's own answers show, and that explains the status that came, is certain; what only the status
   suggests then steps back.
3. A cause that AWS shows but that the status does not betray lies behind the first one: it is named after it.
4. Among equals, what a request meets first comes first.
5. Where the same handshake opens now and then, no single answer shows a cause: each may come from another edge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from typing import Literal

from checks.diagnose import Certainty, Diagnosis, author_of, diagnose
from checks.idle import Clock, judge_idle, silence_of
from checks.log_rows import LogRow
from checks.preflight.results import Level, PreflightResult
from checks.serving import HANDSHAKE_HEADERS, Serving
from checks.transcript import Reason, Transcript
from checks.verdicts import VERDICTS

ProbeKind = Literal["again", "plain GET", "without Origin", "AWS", "log rows", "idle", "other ways"]

PROBES: dict[str, str] = {
    "AWS": "A look at the distribution's configuration and the target's network in AWS.",
    "without Origin": "The same handshake without an Origin line: tells whether it is the app's origin list.",
    "plain GET": "A plain GET of the same address: tells whether only the upgrade fails, or every request.",
    "again": "The same handshake again: tells whether every edge gives the same answer.",
    "idle": "A silent socket, held and timed: the second at which it ends names the clock.",
    "log rows": "CloudFront's own log row of this request: it names the detailed result.",
    "other ways": "The same handshake past CloudFront, straight to the load balancer: tells on which side to look.",
}
"""Every kind of further probe, in words."""


@dataclass(frozen=True, slots=True)
class Observations:
    """What is known of one endpoint; only `handshake` is always there. `vpc_origin_status` is "" when AWS knows none,
    None when nobody looked; `origin_tls` tells whether the edge speaks TLS to its origin.
    """

    handshake: Transcript
    again: tuple[Transcript, ...] = ()
    plain_get: Transcript | None = None
    without_origin: Transcript | None = None
    other_ways: tuple[tuple[str, Transcript], ...] = ()
    serving: Serving | None = None
    preflight: tuple[PreflightResult, ...] = ()
    vpc_origin_status: str | None = None
    log_rows: tuple[LogRow, ...] = ()
    clocks: tuple[Clock, ...] = ()
    """The idle clocks on the way, in seconds as they run here."""
    origin_tls: bool | None = None
    looked: bool = False
    """AWS was asked, whether or not it answered."""

    @property
    def status(self) -> int:
        """The status of the handshake's answer, 0 without one."""
        return self.handshake.response.status if self.handshake.response else 0

    @property
    def wavers(self) -> bool:
        """A repetition ended otherwise than the handshake. Opened or not: what comes after the 101 is not repeated."""
        return any(other.upgraded != self.handshake.upgraded for other in self.again)

    @property
    def steady(self) -> bool:
        """The handshake was repeated, and every repetition ended like it."""
        return bool(self.again) and not self.wavers

    def result(self, code: str) -> PreflightResult | None:
        """The preflight's answer to one question, if it was asked."""
        return next((found for found in self.preflight if found.code == code), None)


@dataclass(frozen=True, slots=True)
class NextProbe:
    """What would tell more; `why` is for people."""

    kind: ProbeKind

    @property
    def why(self) -> str:
        """What it is and what it tells."""
        return PROBES[self.kind]


@dataclass(frozen=True, slots=True)
class Conclusion:
    """`diagnoses` are ranked and never empty; `next_probe` is None when nothing is left to find out."""

    diagnoses: tuple[Diagnosis, ...]
    next_probe: NextProbe | None

    @property
    def first(self) -> Diagnosis:
        """The verdict to act on."""
        return self.diagnoses[0]


@dataclass(frozen=True, slots=True)
class _Claim:
    """One rule's word: a code, how certain it is, and what it was read from."""

    code: str
    certainty: Certainty
    evidence: tuple[str, ...]


_RANK: dict[Certainty, int] = {"high": 0, "medium": 1, "low": 2}
_WEAKER: dict[Certainty, Certainty] = {"high": "medium", "medium": "low", "low": "low"}


def weigh(seen: Observations) -> Conclusion:
    """The ranked verdicts of everything that was seen."""
    first_look = diagnose(seen.handshake, origin_tls=seen.origin_tls)
    claims = [claim for rule in _RULES for claim in rule(seen)]
    if seen.handshake.live and not any(claim.certainty == "high" for claim in claims):
        # All is well: what could go wrong elsewhere is no finding here.
        return Conclusion(first_look, _next_probe(seen, first_look, set()))
    claimed = {claim.code for claim in claims}
    confirmed = {claim.code for claim in claims if claim.certainty == "high"}
    merged: dict[str, Diagnosis] = {}
    for claim in sorted(claims, key=_claim_order):
        known = merged.get(claim.code)
        evidence = (*(known.evidence if known else ()), *claim.evidence)
        certainty = known.certainty if known else claim.certainty
        merged[claim.code] = Diagnosis(VERDICTS[claim.code], certainty, tuple(dict.fromkeys(evidence)))
    for found in first_look:
        if found.code in merged:
            known = merged[found.code]
            merged[found.code] = replace(known, evidence=tuple(dict.fromkeys((*known.evidence, *found.evidence))))
        elif not _contradicted(found.code, seen) or len(first_look) == 1:
            merged[found.code] = _as_far_as_shown(found, seen, bool(confirmed), _KEPT_BACK in claimed)
    ranked = sorted(merged.values(), key=lambda found: _order(found, found.code in claimed))
    if not ranked:
        ranked = [Diagnosis(VERDICTS["WSE-UNKNOWN"], "low", ())]
    return Conclusion(tuple(_live_first(ranked, seen)), _next_probe(seen, ranked, confirmed))


def _as_far_as_shown(found: Diagnosis, seen: Observations, shown: bool, incomplete: bool) -> Diagnosis:
    """What only one answer suggests steps back behind a cause that is shown, where the answers differ, and where the
    app answered a request that did not reach it whole.
    """
    if found.code == "WSE-LIVE":
        return found
    if shown or _contradicted(found.code, seen):
        return replace(found, certainty="low")
    return replace(found, certainty=_WEAKER[found.certainty]) if seen.wavers or incomplete else found


def _order(found: Diagnosis, claimed: bool) -> tuple[int, bool, int]:
    """Of what is hardly likely, what was read from AWS goes before what a status makes one think of."""
    return _RANK[found.certainty], found.certainty == "low" and not claimed, _place(found.code)


def _claim_order(claim: _Claim) -> tuple[int, int]:
    return _RANK[claim.certainty], _place(claim.code)


def _live_first(ranked: Sequence[Diagnosis], seen: Observations) -> Iterator[Diagnosis]:
    if seen.handshake.live and not any(found.code == "WSE-MIXED" for found in ranked):
        yield from (found for found in ranked if found.code == "WSE-LIVE")
        yield from (found for found in ranked if found.code != "WSE-LIVE")
    else:
        yield from ranked


_ON_THE_WAY = (
    "WSE-MIXED",
    "WSE-403-DISABLED",
    "WSE-403-ALIAS",
    "WSE-403-GEO",
    "WSE-403-WAF",
    "WSE-403-SIGNED",
    "WSE-403-VIEWER",
    "WSE-301-REDIRECT",
    "WSE-403-METHOD",
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
    "WSE-503-NOTARGET",
    "WSE-502-ALB",
    "WSE-504-ALB",
    "WSE-400-NOKEY",
    "WSE-NOT-FORWARDED",
    "WSE-200-SPA",
)
"""In the order in which a request meets them."""


def _place(code: str) -> int:
    return _ON_THE_WAY.index(code) if code in _ON_THE_WAY else len(_ON_THE_WAY)


# --- what the other probes say ----------------------------------------------------------------------------------------


def _repeated(seen: Observations) -> Iterator[_Claim]:
    outcomes = [transcript.upgraded for transcript in (seen.handshake, *seen.again)]
    if len(outcomes) > 2 and seen.wavers:
        opened = f"{sum(outcomes)} of {len(outcomes)} handshakes opened"
        settled = (
            seen.serving is not None and seen.serving.status == "Deployed" and not seen.serving.continuous_deployment
        )
        yield _Claim("WSE-MIXED", "medium" if settled else "high", (opened,))


def _without_origin(seen: Observations) -> Iterator[_Claim]:
    if seen.without_origin is None or seen.handshake.live or seen.status not in (400, 401, 403):
        return
    if seen.without_origin.upgraded:
        # By chance, where edges differ: certain when it goes on failing with the line, nothing when it opens with it.
        if not seen.wavers:
            kept = (f"with it, it failed {len(seen.again) + 1} times",) if seen.steady else ()
            opened = "the same handshake without an Origin line opened"
            yield _Claim("WSE-403-ORIGIN", "high" if seen.steady else "medium", (opened, *kept))
    elif _answer(seen.without_origin) == _answer(seen.handshake):
        said = "the same handshake without an Origin line got the same answer"
        yield _Claim("WSE-403-APP" if _by_app(seen) else "WSE-403-EDGE", "low", (said,))


def _upgrade_only(seen: Observations) -> Iterator[_Claim]:
    """Ordinary requests pass and the upgrade does not: as VPC origins were before they carried WebSockets."""
    plain = seen.plain_get
    if (
        plain is None
        or plain.response is None
        or seen.status != 502
        or seen.wavers
        or author_of(plain.response, plain.body)[0] == "balancer"
    ):
        return
    if plain.response.status < 500:
        evidence = (f"a plain GET of the same path is answered with {plain.response.status}, the upgrade with 502",)
        named = any(row.detail == "OriginDnsError" for row in seen.log_rows) or "OriginDnsError" in seen.handshake.body
        private = seen.serving is not None and bool(seen.serving.vpc_origin_id)
        yield _Claim("WSE-502-2025", "high" if named and private else "medium", evidence)


def _other_ways(seen: Observations) -> Iterator[_Claim]:
    """A way past CloudFront that works, or fails alike, says on which side to look."""
    for name, other in seen.other_ways:
        if seen.handshake.live or seen.wavers:
            return
        if _answer(other) == _answer(seen.handshake) and other.response is not None and _by_app(seen):
            code = {404: "WSE-404-PATH", 403: "WSE-403-APP", 500: "WSE-500-APP", 401: "WSE-401-AUTH"}.get(seen.status)
            if code:
                yield _Claim(code, "high", (f"the way {name} gets the same {seen.status}, so it is the app's own",))
        elif other.upgraded and seen.status in (400, 426) and _by_app(seen):
            yield _Claim("WSE-400-NOKEY", "medium", (f"the way {name}, past CloudFront, opens",))


def _silence(seen: Observations) -> Iterator[_Claim]:
    """A socket that was cut while the script held it silent: the second at which it ended may name the clock."""
    held = [step for step in seen.handshake.steps if step.text.startswith("hold ") and not step.ok]
    if not held:
        return
    reading = silence_of(held[-1].took_ms / 1000, seen.handshake)
    found = judge_idle((reading,), seen.clocks) if reading else None
    if found is not None and found.code in VERDICTS and found.code != "WSE-1006":
        yield _Claim(found.code, "high", (found.text,))


# --- what the distribution's configuration says -----------------------------------------------------------------------

_ANY_ANSWER = range(200, 600)
_FROM_APP = (200, 400, 404, 405, 426, 500)


def _configuration(seen: Observations) -> Iterator[_Claim]:
    found = seen.serving
    if found is None:
        return

    def claim(code: str, statuses: Iterable[int], evidence: str) -> _Claim:
        return _Claim(code, "high" if seen.status in statuses and not seen.handshake.live else "medium", (evidence,))

    refused = not seen.handshake.live
    if refused and not found.enabled:
        yield claim("WSE-403-DISABLED", (0, 403, 404), "the distribution is disabled")
    if refused and not found.knows_host:
        yield claim("WSE-403-ALIAS", (0, 403, 421), "the distribution does not list the name")
    if refused and not found.meant:
        yield claim(
            "WSE-PATH", _ANY_ANSWER, f"the behavior {found.path_pattern} gets this path, none of the endpoint's"
        )
    if refused and found.geo_restricted:
        yield claim(
            "WSE-403-GEO", (403,) if _edge_said(seen, "country") else (), "the distribution restricts countries"
        )
    if refused and found.signed:
        yield claim("WSE-403-SIGNED", (403,), "the behavior demands signed URLs or cookies")
    hidden = {status for status, replaced, _ in found.error_pages if replaced == seen.status}
    if refused and found.web_acl and 403 in (seen.status, *hidden):
        said = _edge_said(seen, "request blocked")
        sure: Certainty = "high" if said else "medium" if seen.status == 403 else "low"
        yield _Claim("WSE-403-WAF", sure, (f"the web ACL {found.web_acl} guards the distribution",))
    if refused and found.meant and (dropped := _dropped(found, HANDSHAKE_HEADERS[:2])):
        yield claim("WSE-400-NOKEY", _FROM_APP, dropped)
    if _lacks_subprotocol(seen) and (dropped := _dropped(found, ("Sec-WebSocket-Protocol",))):
        yield _Claim("WSE-101-POLICY", "high", (dropped,))
    if refused and any(replaced == 200 for _, replaced, _ in found.error_pages):
        pages = ", ".join(f"{status} → {replaced} {page}" for status, replaced, page in found.error_pages)
        # Behind another failure it may only wait to hide the next one.
        yield _Claim("WSE-200-SPA", "high" if seen.status == 200 else "low", (f"custom error responses: {pages}",))


_KEPT_BACK = "WSE-NOT-FORWARDED"
_REFUSES_WHO_ASKS = (401, 403)
_MAY_LACK_SOMETHING = (301, 302, 303, 307, 308, 400, 404)


def _left_behind(seen: Observations) -> Iterator[_Claim]:
    """What the request carried and the policies keep from the app: header lines, cookies, parts of the query string.

    What the edge refuses by itself is not for lack of them. Origin goes with every test, so that it counts only where
    the app itself speaks of it. Where the handshake's own headers stay behind, that is the cause.
    """
    found = seen.serving
    if found is None or not found.meant or seen.handshake.live or not seen.status or _by_edge(seen):
        return
    if _dropped(found, HANDSHAKE_HEADERS[:2]):
        return
    lost = [one for one in found.passages if one.passes is False and (one.part != "header" or _own(one.name))]
    spoken_of = seen.status == 403 and "origin" in seen.handshake.body.lower()
    if found.passes("Origin") is False and spoken_of and seen.handshake.request and seen.handshake.request.origin:
        lost.append(next(one for one in found.passages if one.name == "Origin"))
    if lost:
        evidence = tuple(f"the {one.part} {one.name} is not forwarded: {one.why}" for one in lost)
        likely: Certainty = "medium" if seen.status in _MAY_LACK_SOMETHING else "low"
        yield _Claim(_KEPT_BACK, "high" if seen.status in _REFUSES_WHO_ASKS else likely, evidence)


def _own(header: str) -> bool:
    """Whether somebody added this line: no handshake has it by itself."""
    return header not in (*HANDSHAKE_HEADERS, "Host", "Origin")


def _vpc_origin(seen: Observations) -> Iterator[_Claim]:
    if seen.handshake.live or seen.vpc_origin_status in (None, "Deployed"):
        return
    state = f"is {seen.vpc_origin_status}" if seen.vpc_origin_status else "does not exist"
    certainty: Certainty = "high" if seen.status in (502, 503, 504) else "medium"
    yield _Claim("WSE-502-VPCORIGIN", certainty, (f"the VPC origin {state}",))


def _dropped(found: Serving, headers: Sequence[str]) -> str:
    lost = [header for header in headers if found.passes(header) is False]
    why = next((passage.why for passage in found.passages if passage.name in lost), "")
    return f"{' and '.join(lost)} not forwarded: {why}" if lost else ""


def _lacks_subprotocol(seen: Observations) -> bool:
    asked, head = seen.handshake.request, seen.handshake.response
    wanted = asked is not None and bool(asked.subprotocols)
    return wanted and head is not None and head.status in (101, 400) and not head.get("sec-websocket-protocol")


# --- what the preflight of the target says ----------------------------------------------------------------------------

_TIMED_OUT = (0, 504)
_BY_PREFLIGHT: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    ("PF-TARGET", "WSE-502-VPCORIGIN", (502, 503, 504)),
    ("PF-STATE", "WSE-502-VPCORIGIN", (502, 503, 504)),
    ("PF-BPA", "WSE-504-BPA", _TIMED_OUT),
    ("PF-INGRESS", "WSE-504-SG", _TIMED_OUT),
    ("PF-NACL", "WSE-504-NACL", _TIMED_OUT),
    ("PF-LISTENER", "WSE-502-PORT", (502, 504)),
    ("PF-CERTIFICATE", "WSE-502-TLS", (502,)),
    ("PF-ACTION", "WSE-301-LOOP", (301, 302, 307, 308)),
    ("PF-HEALTH", "WSE-503-NOTARGET", (503,)),
)
_AGAINST = frozenset({Level.BLOCK, Level.FIXABLE, Level.WARN})


def _preflight(seen: Observations) -> Iterator[_Claim]:
    if seen.handshake.live:
        return
    for question, code, statuses in _BY_PREFLIGHT:
        result = seen.result(question)
        if result is None or result.level not in _AGAINST:
            continue
        explains = seen.status in statuses and _explains(code, seen)
        behind: Certainty = "low" if result.level is Level.WARN else "medium"
        yield _Claim(code, "high" if explains else behind, (f"AWS: {result.seen}",))


_ADMITTED = frozenset({"PF-INGRESS", "PF-BPA", "PF-NACL"})


def _too_slow(seen: Observations) -> Iterator[_Claim]:
    """A timeout, though nothing on the way drops packets: whoever was reached did not answer in time."""
    passed = {result.code for result in seen.preflight if result.level is Level.PASS}
    if seen.status == 504 and passed >= _ADMITTED and _by_edge(seen):
        yield _Claim("WSE-504-SLOW", "medium", ("AWS: security group, network ACL and Block Public Access let it in",))


def _contradicted(code: str, seen: Observations) -> bool:
    """Whether AWS's own answers rule a suggested cause out. What ACM says of a certificate never does: the listener may
    show another.
    """
    if code == "WSE-400-NOKEY" and seen.serving is not None and seen.serving.meant:
        return all(seen.serving.passes(header) for header in HANDSHAKE_HEADERS[:2])
    passed = {result.code for result in seen.preflight if result.level is Level.PASS}
    ruled_out = {"WSE-504-SG": _ADMITTED, "WSE-502-PORT": {"PF-LISTENER"}}.get(code)
    return ruled_out is not None and ruled_out <= passed


# --- what CloudFront's log says ---------------------------------------------------------------------------------------

_BY_DETAIL: dict[str, str] = {
    "OriginDnsError": "WSE-502-DNS",
    "NonS3OriginDnsError": "WSE-502-DNS",
    "OriginConnectError": "WSE-502-PORT",
    "OriginInvalidResponseError": "WSE-502-ORIGIN",
    "ClientGeoBlocked": "WSE-403-GEO",
    "InvalidRequestMethod": "WSE-403-METHOD",
    "InvalidRequestBlocked": "WSE-403-WAF",
    "InvalidRequestCertificate": "WSE-421-DOMAIN",
    "InvalidRequestHeader": "WSE-400-EDGE",
    "LambdaLimitExceeded": "WSE-503-EDGE",
    "LambdaExecutionError": "WSE-503-EDGE",
    "CapacityExceeded": "WSE-503-EDGE",
    "LimitExceeded": "WSE-503-EDGE",
    "OriginHeaderTooBigError": "WSE-502-ORIGIN",
}


def _log(seen: Observations) -> Iterator[_Claim]:
    """Rows of this handshake, or of one like it. A method that is not allowed hits other requests of the path only."""
    for row in seen.log_rows:
        if row.of_no_handshake and row.detail == "InvalidRequestMethod":
            yield _Claim("WSE-403-METHOD", "high" if seen.handshake.live else "medium", (str(row),))
    if seen.handshake.live:
        return
    ours = seen.handshake.edge_request_id
    for row in seen.log_rows:
        if row.of_no_handshake or (ours and row.request_id and row.request_id != ours):
            continue
        exact: Certainty = "high" if ours and row.request_id == ours else "medium"
        if code := _BY_DETAIL.get(row.detail):
            certainty = _WEAKER[exact] if code == "WSE-502-PORT" else exact
            yield _Claim(code, certainty, (str(row),))
        if row.path_pattern and seen.serving is None and row.path_pattern == "*":
            yield _Claim("WSE-PATH", "medium", (f"CloudFront's log: the behavior {row.path_pattern} got the path",))


_RULES: tuple[Callable[[Observations], Iterator[_Claim]], ...] = (
    _repeated,
    _without_origin,
    _upgrade_only,
    _other_ways,
    _silence,
    _configuration,
    _left_behind,
    _vpc_origin,
    _preflight,
    _too_slow,
    _log,
)


def _next_probe(seen: Observations, ranked: Sequence[Diagnosis], confirmed: Set[str]) -> NextProbe | None:
    """The cheapest probe that could still change the order; none once a cause has been shown."""
    if seen.handshake.live and not (_lacks_subprotocol(seen) and not seen.looked):
        return None
    if seen.status and not seen.looked:
        return NextProbe("AWS")
    if confirmed and ranked[0].code != "WSE-MIXED":
        return None
    # CloudFront writes the same page for many causes; what the app or the load balancer says is their own word. But
    # another edge may lead to another app, so a refusal is believed when it comes again.
    if ranked[0].certainty == "high" and ranked[0].code != "WSE-1006" and not _by_edge(seen):
        return NextProbe("again") if seen.status not in (0, 101) and not seen.again else None
    asked = seen.handshake.request
    if seen.status in (400, 401, 403) and asked is not None and asked.origin and seen.without_origin is None:
        return NextProbe("without Origin")
    if seen.status >= 500 and seen.plain_get is None:
        return NextProbe("plain GET")
    if not seen.again:
        return NextProbe("again")
    if any(failure.reason in (Reason.ABNORMAL_CLOSE, Reason.RESET) for failure in seen.handshake.failures):
        return NextProbe("idle")
    if not seen.log_rows and seen.handshake.edge_request_id:
        return NextProbe("log rows")
    if not seen.other_ways:
        return NextProbe("other ways")
    return None


def _answer(seen: Transcript) -> tuple[int, str]:
    if seen.response is None:
        return 0, seen.failure.reason.value if seen.failure else ""
    return seen.response.status, seen.response.get("server").lower()


def _by_app(seen: Observations) -> bool:
    head = seen.handshake.response
    return head is not None and author_of(head, seen.handshake.body)[0] == "app"


def _by_edge(seen: Observations) -> bool:
    head = seen.handshake.response
    return head is not None and author_of(head, seen.handshake.body)[0] == "edge"


def _edge_said(seen: Observations, phrase: str) -> bool:
    return phrase in seen.handshake.body.lower()


def _explains(code: str, seen: Observations) -> bool:
    """Whether the answer is the one that this cause brings on, beyond its status."""
    head = seen.handshake.response
    by_balancer = head is not None and author_of(head, seen.handshake.body)[0] == "balancer"
    if code == "WSE-301-LOOP":
        # Where Host is not forwarded, a listener redirects to the name that it heard instead.
        return by_balancer or any(found.code == code for found in diagnose(seen.handshake))
    return by_balancer if code == "WSE-503-NOTARGET" else True
