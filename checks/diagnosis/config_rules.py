"""What the distribution's configuration says about the cause: claims read from the behavior that
gets the path (PURE).

Decides, rule by rule, what CloudFront's settings confirm or rule out, given the answer that came.
It must never look anything up, never rank (`ranking` does), and never be certain of a cause that the
answer which came does not show.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from checks.diagnosis.evidence import Claim, Observations
from checks.diagnosis.status_rules import misses_handshake, speaks_of_origin
from checks.diagnosis.transcript_rules import diagnose
from checks.diagnosis.verdicts import HIGH, LOW, MEDIUM, Certainty, VerdictCode
from checks.preflight.behavior_match import HANDSHAKE_HEADERS, BehaviorMatch
from checks.protocol.transcript import Phase

_ANY_ANSWER = range(200, 600)
_FROM_APP = (200, 400, 404, 405, 426, 500)


def configuration(seen: Observations) -> Iterator[Claim]:
    """Where somebody behind the edge answered, the edge let the request pass: what it might refuse
    is then no cause.
    """
    found = seen.behavior
    if found is None:
        return

    def claim(code: VerdictCode, shown: bool, evidence: str) -> Claim:
        return Claim(code, HIGH if shown else MEDIUM, (evidence,))

    refused = not seen.handshake.upgraded
    hidden = seen.hidden
    at_edge = refused and (seen.author in ("edge", None) or 403 in hidden)
    if at_edge and not found.enabled:
        shown = seen.status in (403, 404) or seen.failed_in(Phase.DNS)
        yield claim("WSE-403-DISABLED", shown, "the distribution is disabled")
    if at_edge and not found.knows_host:
        shown = seen.status in (403, 421) or seen.failed_in(Phase.TLS)
        yield claim("WSE-403-ALIAS", shown, "the distribution does not list the name")
    if (
        at_edge
        and found.viewer_protocol_policy == "https-only"
        and seen.handshake.url.lower().startswith("ws://")
    ):
        yield claim(
            "WSE-403-VIEWER",
            seen.status == 403,
            "the behavior takes https only, and the address begins with ws",
        )
    if not seen.handshake.live and not found.own:
        told = f"the behavior {found.path_pattern} gets this path, none of the endpoint's"
        yield claim("WSE-PATH", seen.status in _ANY_ANSWER, told)
    if at_edge and found.geo_restricted:
        shown = seen.status == 403 and _edge_said(seen, "block access from your country")
        guessed: Certainty = LOW if hidden else MEDIUM
        yield Claim(
            "WSE-403-GEO", HIGH if shown else guessed, ("the distribution restricts countries",)
        )
    if at_edge and found.signed:
        # A signature that was sent may be a good one.
        shown = seen.status == 403 and (
            not _carries_signature(found) or _edge_refused_signature(seen)
        )
        yield claim("WSE-403-SIGNED", shown, "the behavior demands signed URLs or cookies")
    if refused and found.web_acl and 403 in (seen.status, *hidden):
        said = _edge_said(seen, "request blocked")
        likely: Certainty = MEDIUM if seen.status == 403 and at_edge and not hidden else LOW
        guarded = f"the web ACL {found.web_acl} guards the distribution"
        yield Claim("WSE-403-WAF", HIGH if said else likely, (guarded,))
    if refused and found.own and (dropped := _dropped(found, HANDSHAKE_HEADERS[:2])):
        yield claim("WSE-400-NOKEY", seen.status in _FROM_APP and seen.may_be_of_app, dropped)
    if lacks_subprotocol(seen) and (dropped := _dropped(found, ("Sec-WebSocket-Protocol",))):
        yield Claim("WSE-101-POLICY", HIGH, (dropped,))
    replaced_here = bool(hidden) and (seen.status == 200 or seen.author == "bucket")
    if refused and (replaced_here or any(replaced == 200 for _, replaced, _ in found.error_pages)):
        pages = ", ".join(
            f"{status} → {replaced} {page}" for status, replaced, page in found.error_pages
        )
        # Behind another failure it may only wait to hide the next one.
        yield Claim(
            "WSE-200-SPA", HIGH if replaced_here else LOW, (f"custom error responses: {pages}",)
        )
    if refused and found.functions and _function_may_have(seen):
        yield Claim(
            "WSE-EDGE-FUNCTION",
            LOW,
            (f"a function runs for every request of the behavior {found.path_pattern}",),
        )


KEPT_BACK: VerdictCode = "WSE-NOT-FORWARDED"
_REFUSES_WHO_ASKS = (401, 403)
_MAY_LACK_SOMETHING = (301, 302, 303, 307, 308, 400, 404)


def _function_may_have(seen: Observations) -> bool:
    """Whether a function at the edge may be behind the answer: it changed the request, or failed
    itself.
    """
    if seen.status in (500, 502, 503):
        return seen.by_edge
    return 300 <= seen.status < 500 and (seen.may_be_of_app or seen.author == "balancer")


_SIGNATURES = frozenset(
    {"CloudFront-Signature", "CloudFront-Key-Pair-Id", "Signature", "Key-Pair-Id"}
)


def _carries_signature(found: BehaviorMatch) -> bool:
    return any(one.part != "header" and one.name in _SIGNATURES for one in found.parts)


def _edge_refused_signature(seen: Observations) -> bool:
    return any(found.code == "WSE-403-SIGNED" for found in diagnose(seen.handshake))


def left_behind(seen: Observations) -> Iterator[Claim]:
    """What the request carried and the policies keep from the app: header lines, cookies, parts of
    the query string.

    What the edge refuses by itself is not for lack of them, and what a load balancer or a bucket
    refuses not surely. Origin goes with every test, so that it counts only where the app itself
    speaks of it. Where the handshake's own headers stay behind, that is the cause.
    """
    found = seen.behavior
    if found is None or not found.own or seen.handshake.live or not seen.status or seen.by_edge:
        return
    if _dropped(found, HANDSHAKE_HEADERS[:2]):
        return
    lost = [
        one
        for one in found.parts
        if one.passes is False and (one.part != "header" or _own(one.name))
    ]
    spoken_of = seen.status == 403 and speaks_of_origin(seen.handshake.body)
    if (
        found.passes("Origin") is False
        and spoken_of
        and seen.handshake.request
        and seen.handshake.request.origin
    ):
        lost.append(next(one for one in found.parts if one.name == "Origin"))
    if lost:
        evidence = tuple(f"the {one.part} {one.name} is not forwarded: {one.why}" for one in lost)
        refuses_asker = seen.status in _REFUSES_WHO_ASKS
        likely: Certainty = MEDIUM if refuses_asker or seen.status in _MAY_LACK_SOMETHING else LOW
        certain = refuses_asker and seen.author in ("app", "apigateway")
        yield Claim(KEPT_BACK, HIGH if certain else likely, evidence)


def _own(header: str) -> bool:
    """Whether somebody added this line: no handshake has it by itself."""
    return header not in (*HANDSHAKE_HEADERS, "Host", "Origin")


def lost_behind(seen: Observations) -> Iterator[Claim]:
    """The handshake left CloudFront whole, and the app misses a part of it: something between them
    took it.
    """
    found = seen.behavior
    if found is None or not found.own or seen.status not in (400, 426) or not seen.may_be_of_app:
        return
    missed = seen.status == 426 or misses_handshake(seen.handshake.body)
    if all(found.passes(header) for header in HANDSHAKE_HEADERS[:2]) and (
        missed or seen.takes_plain
    ):
        told = (
            "Sec-WebSocket-Key and Sec-WebSocket-Version are forwarded, so what is missing was "
            "lost behind CloudFront"
        )
        yield Claim("WSE-426-VERSION", MEDIUM if missed else LOW, (told,))


def vpc_origin(seen: Observations) -> Iterator[Claim]:
    """What AWS says of the origin itself, where it is not ready. It explains no answer that came
    through it, nor one of another behavior's origin.
    """
    if seen.handshake.live or seen.reached_target or seen.vpc_origin_status in (None, "Deployed"):
        return
    state = f"is {seen.vpc_origin_status}" if seen.vpc_origin_status else "does not exist"
    meant = seen.behavior is None or seen.behavior.own
    certainty: Certainty = HIGH if seen.status in (502, 503, 504) and meant else MEDIUM
    yield Claim("WSE-502-VPCORIGIN", certainty, (f"the VPC origin {state}",))


def _dropped(found: BehaviorMatch, headers: Sequence[str]) -> str:
    lost = [header for header in headers if found.passes(header) is False]
    why = next((passage.why for passage in found.parts if passage.name in lost), "")
    return f"{' and '.join(lost)} not forwarded: {why}" if lost else ""


def lacks_subprotocol(seen: Observations) -> bool:
    """A subprotocol was asked for, and the answer names none."""
    asked, head = seen.handshake.request, seen.handshake.response
    wanted = asked is not None and bool(asked.subprotocols)
    return (
        wanted
        and head is not None
        and head.status in (101, 400)
        and not head.get("sec-websocket-protocol")
    )


def _edge_said(seen: Observations, phrase: str) -> bool:
    return seen.by_edge and phrase in seen.handshake.body.lower()
