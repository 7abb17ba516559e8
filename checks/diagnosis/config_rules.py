"""What the distribution's configuration says about the cause (PURE).

Each row names a verdict, when the settings of the behavior that matches the path suggest it, how
certain that is given the answer, and the evidence. Nothing is certain that the answer does not
show. Where something behind the edge answered, the edge let the request pass: what the edge might
refuse is then no cause.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from checks.diagnosis.evidence import Claim, Observations
from checks.diagnosis.signatures import recognize
from checks.diagnosis.status_rules import misses_handshake, speaks_of_origin
from checks.diagnosis.transcript_rules import diagnose
from checks.diagnosis.verdicts import HIGH, LOW, MEDIUM, Certainty, VerdictCode
from checks.preflight.behavior_match import HANDSHAKE_HEADERS, BehaviorMatch
from checks.protocol.transcript import Phase

_ANY_ANSWER = range(200, 600)
_FROM_APP = (200, 400, 404, 405, 426, 500)
_KEY_AND_VERSION = HANDSHAKE_HEADERS[:2]
_SIGNATURES = frozenset(
    {"CloudFront-Signature", "CloudFront-Key-Pair-Id", "Signature", "Key-Pair-Id"}
)


@dataclass(frozen=True, slots=True)
class ConfigRule:
    """One row; each function is given what was seen and the behavior that matches the path."""

    code: VerdictCode
    when: Callable[[Observations, BehaviorMatch], bool]
    certainty: Callable[[Observations, BehaviorMatch], Certainty]
    evidence: Callable[[BehaviorMatch], str]


def config_claims(seen: Observations) -> Iterator[Claim]:
    """The claim of each row that applies; none where AWS was not asked or did not answer."""
    at = seen.behavior
    if at is not None:
        for rule in CONFIG_RULES:
            if rule.when(seen, at):
                yield Claim(rule.code, rule.certainty(seen, at), (rule.evidence(at),))


def _edge_says(seen: Observations, phrase: str) -> bool:
    return seen.by_edge and phrase in seen.handshake.body.lower()


def _signature_refused(seen: Observations, at: BehaviorMatch) -> bool:
    """A signature that was sent may be valid; then only CloudFront's own words count."""
    sent = any(one.part != "header" and one.name in _SIGNATURES for one in at.parts)
    return seen.status == 403 and (
        not sent or any(found.code == "WSE-403-SIGNED" for found in diagnose(seen.handshake))
    )


def _page_replaced(seen: Observations) -> bool:
    """The answer is a custom error response in place of another status."""
    return bool(seen.hidden) and (seen.status == 200 or seen.author == "bucket")


def _function_may_answer(seen: Observations) -> bool:
    """A function at the edge may have changed the request, or failed itself."""
    if seen.status in (500, 502, 503):
        return seen.by_edge
    return 300 <= seen.status < 500 and (seen.may_be_of_app or seen.author == "balancer")


def _incomplete(seen: Observations) -> bool:
    """The app says that a part of the handshake is missing."""
    known = recognize(seen.handshake)
    return (
        seen.status == 426
        or misses_handshake(seen.handshake.body)
        or (known is not None and known.code == "WSE-400-NOKEY")
    )


def _dropped(at: BehaviorMatch, headers: Sequence[str]) -> str:
    """Which of these headers are not forwarded, and why; "" if none."""
    lost = [header for header in headers if at.forwards(header) is False]
    why = next((part.why for part in at.parts if part.name in lost), "")
    return f"{' and '.join(lost)} not forwarded: {why}" if lost else ""


CONFIG_RULES: tuple[ConfigRule, ...] = (
    ConfigRule(
        "WSE-403-DISABLED",
        when=lambda seen, at: seen.edge_may_refuse and not at.enabled,
        certainty=lambda seen, _: (
            HIGH if seen.status in (403, 404) or seen.failed_in(Phase.DNS) else MEDIUM
        ),
        evidence=lambda _: "the distribution is disabled",
    ),
    ConfigRule(
        "WSE-403-ALIAS",
        when=lambda seen, at: seen.edge_may_refuse and not at.knows_host,
        certainty=lambda seen, _: (
            HIGH if seen.status in (403, 421) or seen.failed_in(Phase.TLS) else MEDIUM
        ),
        evidence=lambda _: "the distribution does not list the name",
    ),
    ConfigRule(
        "WSE-403-VIEWER",
        when=lambda seen, at: (
            seen.edge_may_refuse
            and at.viewer_protocol_policy == "https-only"
            and seen.handshake.url.lower().startswith("ws://")
        ),
        certainty=lambda seen, _: HIGH if seen.status == 403 else MEDIUM,
        evidence=lambda _: "the behavior accepts https only, and the address starts with ws",
    ),
    ConfigRule(
        "WSE-PATH",
        when=lambda seen, at: not seen.handshake.live and not at.own,
        certainty=lambda seen, _: HIGH if seen.status in _ANY_ANSWER else MEDIUM,
        evidence=lambda at: (
            f"the behavior {at.path_pattern} matches this path, not one of the endpoint's"
        ),
    ),
    ConfigRule(
        "WSE-403-GEO",
        when=lambda seen, at: seen.edge_may_refuse and at.geo_restricted,
        certainty=lambda seen, _: (
            HIGH
            if seen.status == 403 and _edge_says(seen, "block access from your country")
            else LOW
            if seen.hidden
            else MEDIUM
        ),
        evidence=lambda _: "the distribution restricts countries",
    ),
    ConfigRule(
        "WSE-403-SIGNED",
        when=lambda seen, at: seen.edge_may_refuse and at.signed,
        certainty=lambda seen, at: HIGH if _signature_refused(seen, at) else MEDIUM,
        evidence=lambda _: "the behavior requires signed URLs or cookies",
    ),
    ConfigRule(
        "WSE-403-WAF",
        when=lambda seen, at: (
            seen.refused and bool(at.web_acl) and 403 in (seen.status, *seen.hidden)
        ),
        certainty=lambda seen, _: (
            HIGH
            if _edge_says(seen, "request blocked")
            else MEDIUM
            if seen.status == 403 and seen.edge_may_refuse and not seen.hidden
            else LOW
        ),
        evidence=lambda at: f"the web ACL {at.web_acl} protects the distribution",
    ),
    ConfigRule(
        "WSE-400-NOKEY",
        when=lambda seen, at: seen.refused and at.own and bool(_dropped(at, _KEY_AND_VERSION)),
        certainty=lambda seen, _: (
            HIGH if seen.status in _FROM_APP and seen.may_be_of_app else MEDIUM
        ),
        evidence=lambda at: _dropped(at, _KEY_AND_VERSION),
    ),
    ConfigRule(
        "WSE-101-POLICY",
        when=lambda seen, at: (
            seen.lacks_subprotocol and at.forwards("Sec-WebSocket-Protocol") is False
        ),
        certainty=lambda *_: HIGH,
        evidence=lambda at: _dropped(at, ("Sec-WebSocket-Protocol",)),
    ),
    ConfigRule(
        "WSE-200-SPA",
        when=lambda seen, at: (
            seen.refused
            and (_page_replaced(seen) or any(replaced == 200 for _, replaced, _ in at.error_pages))
        ),
        # Behind another failure it may only be about to hide the next one.
        certainty=lambda seen, _: HIGH if _page_replaced(seen) else LOW,
        evidence=lambda at: (
            "custom error responses: "
            + ", ".join(
                f"{status} → {replaced} {page}" for status, replaced, page in at.error_pages
            )
        ),
    ),
    ConfigRule(
        "WSE-EDGE-FUNCTION",
        when=lambda seen, at: seen.refused and at.functions and _function_may_answer(seen),
        certainty=lambda *_: LOW,
        evidence=lambda at: f"a function runs for every request of the behavior {at.path_pattern}",
    ),
    ConfigRule(
        "WSE-426-VERSION",
        # The handshake left CloudFront complete, and the app misses a part of it.
        when=lambda seen, at: (
            at.own
            and seen.status in (400, 426)
            and seen.may_be_of_app
            and all(at.forwards(header) for header in _KEY_AND_VERSION)
            and (_incomplete(seen) or seen.takes_plain)
        ),
        certainty=lambda seen, _: MEDIUM if _incomplete(seen) else LOW,
        evidence=lambda _: (
            "Sec-WebSocket-Key and Sec-WebSocket-Version are forwarded, so what is missing was "
            "lost behind CloudFront"
        ),
    ),
)


NOT_FORWARDED: VerdictCode = "WSE-NOT-FORWARDED"
_REFUSES_CALLER = (401, 403)
_MAY_LACK_SOMETHING = (301, 302, 303, 307, 308, 400, 404)
_IN_EVERY_HANDSHAKE = (*HANDSHAKE_HEADERS, "Host", "Origin")


def not_forwarded(seen: Observations) -> Iterator[Claim]:
    """What the request carried and the policies keep from the app: headers, cookies, query
    parameters.

    1. What the edge refuses by itself is not for lack of them, and what a load balancer or a bucket
       refuses not surely. Where the handshake's own headers are dropped, that is the cause.
    2. Only headers that were added count: every handshake has the others.
    3. Every check sends Origin, so it counts only where the app's answer mentions it.
    """
    at = seen.behavior
    if at is None or not at.own or seen.handshake.live or not seen.status or seen.by_edge:
        return
    if _dropped(at, _KEY_AND_VERSION):
        return
    lost = [
        one
        for one in at.parts
        if one.forwarded is False and (one.part != "header" or one.name not in _IN_EVERY_HANDSHAKE)
    ]
    asked = seen.handshake.request
    if (
        at.forwards("Origin") is False
        and seen.status == 403
        and speaks_of_origin(seen.handshake.body)
        and asked
        and asked.origin
    ):
        lost.append(next(one for one in at.parts if one.name == "Origin"))
    if lost:
        evidence = tuple(f"the {one.part} {one.name} is not forwarded: {one.why}" for one in lost)
        certainty = LOW
        if seen.status in _REFUSES_CALLER:
            certainty = HIGH if seen.author in ("app", "apigateway") else MEDIUM
        elif seen.status in _MAY_LACK_SOMETHING:
            certainty = MEDIUM
        yield Claim(NOT_FORWARDED, certainty, evidence)


def vpc_origin(seen: Observations) -> Iterator[Claim]:
    """A VPC origin that is not ready. It explains no answer that came through it, nor one from
    another behavior's origin.
    """
    if seen.handshake.live or seen.reached_target or seen.vpc_origin_status in (None, "Deployed"):
        return
    state = f"is {seen.vpc_origin_status}" if seen.vpc_origin_status else "does not exist"
    own = seen.behavior is None or seen.behavior.own
    certainty = HIGH if seen.status in (502, 503, 504) and own else MEDIUM
    yield Claim("WSE-502-VPCORIGIN", certainty, (f"the VPC origin {state}",))
