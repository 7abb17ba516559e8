"""What further probes, the preflight and CloudFront's log say about the cause (PURE).

Each function reads one kind of observation and makes claims; the distribution's settings are in
`config_rules`. Nothing is certain that the answer does not show.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from checks.diagnosis.access_log import LogRow
from checks.diagnosis.authors import author_of
from checks.diagnosis.config_rules import not_forwarded
from checks.diagnosis.evidence import Claim, Observations, path_of
from checks.diagnosis.idle_timeout import identify_timeout, silence_of
from checks.diagnosis.signatures import recognize
from checks.diagnosis.status_rules import speaks_of_origin
from checks.diagnosis.transcript_rules import diagnose
from checks.diagnosis.verdicts import HIGH, LOW, MEDIUM, VerdictCode
from checks.preflight.behavior_match import HANDSHAKE_HEADERS
from checks.preflight.results import Level
from checks.protocol.transcript import Transcript

# --- further probes


def repeated(seen: Observations) -> Iterator[Claim]:
    """The same handshake opens sometimes."""
    outcomes = [transcript.upgraded for transcript in (seen.handshake, *seen.again)]
    if len(outcomes) > 2 and seen.wavers:
        opened = f"{sum(outcomes)} of {len(outcomes)} handshakes opened"
        settled = (
            seen.behavior is not None
            and seen.behavior.status == "Deployed"
            and not seen.behavior.continuous_deployment
        )
        yield Claim("WSE-MIXED", MEDIUM if settled else HIGH, (opened,))


def without_origin(seen: Observations) -> Iterator[Claim]:
    """The same handshake without an Origin header. That it opened may be chance where edges differ:
    certain when it keeps failing with the header, nothing when it also opens with it.

    Where CloudFront does not forward Host, an app that compares the two can never see them equal:
    it opens for the Host that it sees as Origin.
    """
    if seen.handshake.live or not seen.refused_by_app:
        return
    equal = seen.origin_as_host is not None and _opened(seen.origin_as_host, seen)
    if equal and seen.behavior is not None and not seen.wavers:
        told = f"with Origin https://{seen.behavior.origin_domain}, the Host that the app sees, it "
        yield Claim("WSE-ORIGIN-HOST", HIGH if seen.steady else MEDIUM, (f"{told}opened",))
        return
    if seen.without_origin is None:
        return
    if _opened(seen.without_origin, seen):
        if not seen.wavers:
            kept = (f"with it, it failed {len(seen.again) + 1} times",) if seen.steady else ()
            opened = "the same handshake without an Origin header opened"
            yield Claim("WSE-403-ORIGIN", HIGH if seen.steady else MEDIUM, (opened, *kept))
    elif (
        _answer(seen.without_origin) == _answer(seen.handshake)
        and seen.status == 403
        and recognize(seen.handshake) is None
    ):
        evidence = ("the same handshake without an Origin header got the same response",)
        if seen.by_app:
            yield Claim("WSE-403-APP", MEDIUM, evidence)
        elif seen.by_edge:
            yield Claim("WSE-403-EDGE", LOW, evidence)


def opened_otherwise(seen: Observations) -> bool:
    """Whether the same handshake got further without an Origin header or with another, or with
    the header lines of a browser.
    """
    others = (seen.without_origin, seen.origin_as_host, seen.as_browser)
    return any(other is not None and _opened(other, seen) for other in others)


def _opened(other: Transcript, seen: Observations) -> bool:
    """Whether a handshake that was made in another way got further than this one: to the 101, or
    stayed open where this one was closed after it.
    """
    return other.live if seen.handshake.upgraded else other.upgraded


def other_hosts(seen: Observations) -> Iterator[Claim]:
    """The same handshake for other names of the distribution, where the app sees the viewer's
    Host.
    """
    if seen.handshake.live or not seen.refused_by_app or seen.wavers:
        return
    asked = urlsplit(seen.handshake.url).hostname
    for name, other in seen.other_hosts:
        if _opened(other, seen):
            told = f"the same handshake for {name} opened, and for {asked} it does not"
            yield Claim("WSE-400-HOST", HIGH if seen.steady else MEDIUM, (told,))


def as_browser(seen: Observations) -> Iterator[Claim]:
    """The same handshake with a User-Agent and what else browsers send: that it opened shows that a
    firewall or the app looks at the kind of client.
    """
    other = seen.as_browser
    if other is not None and _opened(other, seen) and not seen.wavers:
        told = "the same handshake with a browser's User-Agent opened, and without one it does not"
        yield Claim("WSE-CLIENT-BLOCKED", HIGH if seen.steady else MEDIUM, (told,))


def proxy_upgrade(seen: Observations) -> Iterator[Claim]:
    """A proxy that answers a plain GET of the same path, and refuses only the upgrade."""
    known, plain = recognize(seen.handshake), seen.plain_get
    if known is None or known.code != "WSE-PROXY-UPGRADE" or plain is None or not plain.response:
        return
    if seen.takes_plain and plain.response.status < 400:
        told = f"a plain GET of the same path is answered with {plain.response.status}"
        yield Claim("WSE-PROXY-UPGRADE", HIGH, (told,))


_UNSIGNED: dict[int, VerdictCode] = {403: "WSE-403-APP", 503: "WSE-503-APP"}


def unsigned(seen: Observations) -> Iterator[Claim]:
    """An answer that CloudFront signed, although nothing at the edge could have written it."""
    code = _UNSIGNED.get(seen.status)
    if code and seen.unsigned_by_app and recognize(seen.handshake) is None:
        told = (
            "AWS: no error page, web ACL or function of the distribution could have written this, "
            "so it is the app's"
        )
        yield Claim(code, MEDIUM, (told,))


def upgrade_only(seen: Observations) -> Iterator[Claim]:
    """Ordinary requests work and the upgrade does not: as VPC origins were before they supported
    WebSockets.
    """
    plain = seen.plain_get
    if (
        plain is None
        or plain.response is None
        or plain.response.status >= 500
        or seen.status != 502
        or not seen.by_edge
        or seen.wavers
        or author_of(plain.response, plain.body)[0] == "balancer"
    ):
        return
    evidence = (
        f"a plain GET of the same path is answered with {plain.response.status}, the upgrade with "
        "502",
    )
    ours = seen.handshake.edge_request_id
    named = any(
        row.detail.endswith("OriginDnsError") and row.request_id in ("", ours)
        for row in seen.log_rows
    )
    if (
        seen.idle_timeouts
        and not named
        and all(one.code != "WSE-IDLE-ALB" for one in seen.idle_timeouts)
    ):
        # Without a load balancer to report an app that hangs up while accepting, CloudFront itself
        # says 502.
        no_balancer = "there is no Application Load Balancer in front of the app"
        yield Claim("WSE-502-ORIGIN", MEDIUM, (*evidence, no_balancer))
        yield Claim("WSE-502-2025", LOW, evidence)
    else:
        private = seen.behavior is not None and bool(seen.behavior.vpc_origin_id)
        yield Claim("WSE-502-2025", HIGH if named and private else MEDIUM, evidence)


_OF_APP: dict[int, VerdictCode] = {
    401: "WSE-401-AUTH",
    403: "WSE-403-APP",
    404: "WSE-404-PATH",
    500: "WSE-500-APP",
}


def alternate_routes(seen: Observations) -> Iterator[Claim]:
    """A route past CloudFront that works, or fails the same way, shows on which side to look."""
    if seen.handshake.live or seen.wavers:
        return
    for name, other in seen.routes:
        same = other.response is not None and _answer(other) == _answer(seen.handshake)
        if same and seen.by_app:
            if of_app := _OF_APP.get(seen.status):
                told = f"the route {name} gets the same {seen.status}, so the app answers it"
                yield Claim(of_app, HIGH, (told,))
        elif other.upgraded and seen.may_be_of_app and seen.status in (400, 403, 404, 426):
            host = urlsplit(other.url).hostname
            told = f"the route {name}, past CloudFront and with Host {host}, opens"
            lost = seen.status in (400, 426) and not contradicted("WSE-400-NOKEY", seen)
            yield Claim("WSE-400-NOKEY" if lost else "WSE-400-HOST", MEDIUM, (told,))
        elif other.upgraded and seen.by_edge and seen.status in (502, 504):
            took, waited = other.timing.upgrade or 0.0, seen.handshake.timing.upgrade or 0.0
            code: VerdictCode = "WSE-502-ORIGIN"
            if seen.status == 504:
                code = "WSE-504-SLOW" if took >= waited else "WSE-504-SG"
            if not contradicted(code, seen):
                told = f"the route {name}, past CloudFront, opens after {took / 1000:.1f} s"
                yield Claim(code, MEDIUM, (told,))


AT_ONCE_SECONDS = 3.0
"""No app's idle timeout is shorter."""


def silence(seen: Observations) -> Iterator[Claim]:
    """A socket that was cut while the script held it silent: the second at which it ended may
    identify the idle timeout. What an app closes at once, or with words that say why, it does not
    close for silence.
    """
    held = [step for step in seen.handshake.steps if step.text.startswith("hold ") and not step.ok]
    reading = silence_of(held[-1].took_ms / 1000, seen.handshake) if held else None
    if reading is not None:
        found = identify_timeout((reading,), seen.idle_timeouts)
        refuses = reading.seconds < AT_ONCE_SECONDS or recognize(seen.handshake) is not None
        if found.code == "WSE-IDLE-APP" and refuses:
            return
        if found.code is not None and found.code != "WSE-1006":
            yield Claim(found.code, HIGH, (found.text,))


def excluded(seen: Observations) -> tuple[str, ...]:
    """What is known not to be the cause, and what the app sees, as lines of evidence."""
    lines = []
    if seen.handshake.live or not seen.refused_by_app:
        return ()
    for told, other in (
        ("without an Origin header", seen.without_origin),
        ("with a browser's User-Agent", seen.as_browser),
        *((f"for {name}", other) for name, other in seen.other_hosts),
    ):
        if other is not None and not _opened(other, seen):
            lines.append(f"tried {told}: {_shown(other)}")
    if seen.plain_get is not None:
        lines.append(f"a plain GET of the same path: {_shown(seen.plain_get)}")
    if seen.steady:
        lines.append(f"repeated {len(seen.again)} times, always refused")
    at = seen.behavior
    if at is not None and at.own and all(at.forwards(name) for name in HANDSHAKE_HEADERS):
        lines.append("AWS: CloudFront forwards every header of the handshake")
    return (*lines, *host_seen(seen))


def host_seen(seen: Observations) -> tuple[str, ...]:
    """Which Host and path the app is asked for, where AWS tells."""
    at, asked = seen.behavior, urlsplit(seen.handshake.url)
    if at is None or not at.own:
        return ()
    forwards = at.forwards("Host")
    if forwards:
        return (f"the app sees Host {asked.hostname} and path {asked.path or '/'}",)
    if forwards is False and at.origin_domain:
        return (
            f"the app sees Host {at.origin_domain} and path {asked.path or '/'}: this endpoint "
            "does not forward the viewer's Host",
        )
    return ()


def _shown(other: Transcript) -> str:
    if other.response is not None:
        return other.response.status_line
    return other.failure.reason.value if other.failure else "no response"


# --- the preflight of the target


@dataclass(frozen=True, slots=True)
class PreflightRule:
    """A preflight question whose bad answer is the cause `code` of one of these `statuses`.

    `on_path`: about the path to the target, so it explains nothing once the target was reached.
    `here`: what a person fixes in AWS; otherwise the fix is in the request, and this endpoint's has
    been built.
    """

    question: str
    code: VerdictCode
    statuses: tuple[int, ...]
    on_path: bool = False
    here: bool = True


_NO_ANSWER = 0
"""In place of a status: no answer in time."""
_ANY_REFUSAL = (200, 400, 401, 403, 404, 500, 502, 503)
_BAD_GATEWAY = (502, 503, 504)
PREFLIGHT_RULES = (
    PreflightRule("PF-TARGET", "WSE-502-VPCORIGIN", _BAD_GATEWAY, on_path=True, here=False),
    PreflightRule("PF-STATE", "WSE-502-VPCORIGIN", _BAD_GATEWAY, on_path=True),
    PreflightRule("PF-BPA", "WSE-504-BPA", (_NO_ANSWER, 504), on_path=True),
    PreflightRule("PF-INGRESS", "WSE-504-SG", (_NO_ANSWER, 504), on_path=True),
    PreflightRule("PF-NACL", "WSE-504-NACL", (_NO_ANSWER, 504), on_path=True),
    PreflightRule("PF-LISTENER", "WSE-502-PORT", (502, 504), on_path=True),
    PreflightRule("PF-CERTIFICATE", "WSE-502-TLS", (502,), on_path=True, here=False),
    PreflightRule("PF-ACTION", "WSE-301-LOOP", (301, 302, 307, 308)),
    PreflightRule("PF-ACTION", "WSE-ALB-RULE", _ANY_REFUSAL),
    PreflightRule("PF-RULES", "WSE-ALB-RULE", _ANY_REFUSAL),
    PreflightRule("PF-HEALTH", "WSE-503-NOTARGET", (503,)),
    PreflightRule("PF-TARGET-GROUP", "WSE-464-PROTOCOL", (464,)),
)
_AGAINST = frozenset({Level.BLOCK, Level.FIXABLE, Level.WARN})
_DROPS_PACKETS = frozenset({"PF-INGRESS", "PF-BPA", "PF-NACL"})


def preflight(seen: Observations) -> Iterator[Claim]:
    """What AWS's answers say against the target and the path to it.

    1. The path explains nothing once the target was reached, nor an unhealthy target once the app
       itself answered. What another behavior's origin answers shows neither.
    2. An answer of this status, from where the cause would answer, makes it certain.
    3. A path that AWS only warns about may work all the same, so it is never certain.
    """
    if not seen.refused or (seen.status == _NO_ANSWER and not seen.timed_out):
        return
    for rule in PREFLIGHT_RULES:
        result = seen.result(rule.question)
        if result is None or result.level not in _AGAINST:
            continue
        loops = result.level is Level.BLOCK or 300 <= seen.status < 400
        if rule.question == "PF-ACTION" and loops != (rule.code == "WSE-301-LOOP"):
            continue
        if rule.on_path and seen.reached_target:
            continue
        if rule.code == "WSE-464-PROTOCOL" and seen.status != 464:
            continue  # It names a target that is a Lambda function as well.
        app_answered = seen.by_app and (seen.behavior is None or seen.reached_target)
        if rule.question == "PF-HEALTH" and app_answered:
            continue
        around = rule.on_path and seen.takes_plain
        warned = result.level is Level.WARN
        if seen.status not in rule.statuses or around or not _explains(rule, seen):
            certainty = LOW if warned or around else MEDIUM
        elif warned and rule.on_path:
            # An impaired target works all the same.
            certainty = LOW if rule.question == "PF-STATE" else MEDIUM
        else:
            certainty = HIGH
        here = result.fix if rule.here else None
        yield Claim(rule.code, certainty, (f"AWS: {result.seen}",), here)


def _explains(rule: PreflightRule, seen: Observations) -> bool:
    """Whether the answer is the one that this cause produces, beyond its status."""
    if rule.on_path:
        # Anyone else who signed it was reached. Of a page that replaces another response, the
        # author wrote only the page.
        return seen.author in ("edge", None) or bool(seen.hidden)
    match rule.code:
        case "WSE-301-LOOP":
            return any(found.code == rule.code for found in diagnose(seen.handshake))
        case "WSE-503-NOTARGET":
            return diagnose(seen.handshake)[0].code == rule.code
        case _:
            # A listener's rule may answer because what it matches was not forwarded: then that is
            # the cause.
            by_rule = seen.author == "balancer" and seen.status not in (502, 503)
            return by_rule and not any(not_forwarded(seen))


CLOSES_AFTER_MS = 900.0
"""Engine.IO closes what it does not serve after a second."""


def closed_unanswered(seen: Observations) -> Iterator[Claim]:
    """A load balancer's own 502 although AWS finds every target healthy: the app took the
    connection, and ended it.
    """
    if not is_502_of_healthy_targets(seen):
        return
    healthy, after = seen.result("PF-HEALTH"), seen.handshake.timing.first_byte
    evidence = [f"AWS: {healthy.seen}"] if healthy else []
    if after is not None:
        evidence.append(f"the 502 came {after / 1000:.1f} s after the request")
    yield Claim("WSE-502-CLOSED", MEDIUM, tuple(evidence))


def is_502_of_healthy_targets(seen: Observations) -> bool:
    """Whether a load balancer answered 502 itself, with nothing known against its targets, and not
    at once: an app that does not run gets there too, until its health check has noticed.
    """
    return (
        seen.status == 502
        and (seen.handshake.timing.first_byte or 0.0) >= CLOSES_AFTER_MS
        and not seen.hidden
        and diagnose(seen.handshake)[0].code == "WSE-502-ALB"
        and seen.author == "balancer"
        and "PF-HEALTH" in passed(seen)
        and not any(
            one.code == "PF-TARGET-GROUP" and one.level in _AGAINST for one in seen.preflight
        )
    )


def too_slow(seen: Observations) -> Iterator[Claim]:
    """A timeout, though nothing on the path drops packets: the origin did not answer in time."""
    if seen.status == 504 and seen.by_edge:
        if passed(seen) >= _DROPS_PACKETS:
            told = "AWS: security group, network ACL and Block Public Access allow CloudFront"
            yield Claim("WSE-504-SLOW", MEDIUM, (told,))
        if seen.takes_plain:
            told = "a plain GET of the same path is answered from behind CloudFront"
            yield Claim("WSE-504-SLOW", MEDIUM, (told,))


def passed(seen: Observations) -> frozenset[str]:
    """The preflight questions that passed."""
    return frozenset(result.code for result in seen.preflight if result.level is Level.PASS)


def contradicted(code: VerdictCode, seen: Observations) -> bool:
    """Whether a further probe or AWS's answers rule out a suggested cause. What ACM says of a
    certificate never does: the listener may present another.
    """
    match code:
        case "WSE-403-ORIGIN":
            named = recognize(seen.handshake)
            return (
                seen.without_origin is not None
                and not speaks_of_origin(seen.handshake.body)
                # Validators of ASGI apps refuse a handshake without Origin as well.
                and (named is None or named.code not in ("WSE-403-UNACCEPTED", code))
                and _answer(seen.without_origin) == _answer(seen.handshake)
            )
        case "WSE-400-NOKEY":
            at = seen.behavior
            return (
                at is not None
                and at.own
                and all(at.forwards(header) for header in HANDSHAKE_HEADERS[:2])
            )
        case "WSE-400-HOST":
            return seen.takes_plain and seen.status == 400
        case "WSE-504-SG":
            # An open security group is not the cause. Whatever else may drop packets has a verdict
            # of its own, once it is known.
            known = {one.code for one in seen.preflight if one.level is not Level.UNKNOWN}
            return seen.takes_plain or ("PF-INGRESS" in passed(seen) and known >= _DROPS_PACKETS)
        case "WSE-502-ALB":
            return is_502_of_healthy_targets(seen)
        case "WSE-502-PORT":
            return "PF-LISTENER" in passed(seen)
        case _:
            return False


# --- CloudFront's log

_BY_DETAIL: dict[str, VerdictCode] = {
    "OriginDnsError": "WSE-502-DNS",
    "NonS3OriginDnsError": "WSE-502-DNS",
    "OriginConnectError": "WSE-502-PORT",
    "OriginCommError": "WSE-504-SG",
    "AbortedOrigin": "WSE-502-ORIGIN",
    "OriginError": "WSE-502-ORIGIN",
    "OriginHeaderTooBigError": "WSE-502-ORIGIN",
    "OriginInvalidResponseError": "WSE-502-ORIGIN",
    "OriginReadError": "WSE-502-ORIGIN",
    "OriginWriteError": "WSE-502-ORIGIN",
    "OriginZeroSizeObjectError": "WSE-502-ORIGIN",
    "ClientGeoBlocked": "WSE-403-GEO",
    "InvalidRequest": "WSE-400-EDGE",
    "InvalidRequestMethod": "WSE-403-METHOD",
    "InvalidRequestBlocked": "WSE-403-WAF",
    "InvalidRequestCertificate": "WSE-421-DOMAIN",
    "InvalidRequestHeader": "WSE-400-EDGE",
    "MissGeneratedResponse": "WSE-EDGE-FUNCTION",
    "LambdaLimitExceeded": "WSE-EDGE-FUNCTION",
    "LambdaExecutionError": "WSE-EDGE-FUNCTION",
    "CapacityExceeded": "WSE-503-EDGE",
    "InternalError": "WSE-503-EDGE",
    "LimitExceeded": "WSE-503-EDGE",
}
_ONE_OF_SEVERAL: frozenset[VerdictCode] = frozenset(
    {
        "WSE-403-EDGE",
        "WSE-403-WAF",
        "WSE-502-PORT",
        "WSE-504-SG",
        "WSE-504-SLOW",
        "WSE-502-ORIGIN",
    }
)
"""What a detail suggests although other causes are logged the same way: InvalidRequestBlocked is
also logged for a name that no distribution has.
"""
_ONLY_WITH: dict[VerdictCode, int] = {"WSE-502-ORIGIN": 502, "WSE-400-EDGE": 400}
"""A detail that is logged with several statuses means this only with one of them."""


def access_log(seen: Observations) -> Iterator[Claim]:
    """Rows of this handshake, or of one like it: what another client's handshake of the same path
    and status met, this one probably met too. A method that is not allowed affects only other
    requests of the path.
    """
    for row in seen.log_rows:
        if row.of_no_handshake and row.detail == "InvalidRequestMethod":
            yield Claim("WSE-403-METHOD", HIGH if seen.handshake.live else MEDIUM, (str(row),))
    if seen.handshake.live:
        return
    ours = seen.handshake.edge_request_id
    path = path_of(seen.handshake)
    for row in seen.log_rows:
        exact = bool(ours) and row.request_id == ours
        # A row without a request id may be of another path, or of a request that ended otherwise.
        elsewhere = row.path not in ("", path) or (
            row.status not in (0, seen.status) and seen.status != 0
        )
        another = bool(ours and row.request_id) and not exact
        if row.of_no_handshake or (elsewhere and not exact):
            continue
        if another and not row.like(path, seen.status):
            continue
        if code := _logged(row, seen):
            certainty = HIGH if exact and code not in _ONE_OF_SEVERAL else MEDIUM
            told = f"{row} (another client's handshake)" if another else str(row)
            yield Claim(code, certainty, (told,))
        if row.path_pattern == "*" and seen.behavior is None:
            told = f"CloudFront's log: the behavior {row.path_pattern} matched the path"
            yield Claim("WSE-PATH", MEDIUM, (told,))


def _logged(row: LogRow, seen: Observations) -> VerdictCode | None:
    """The verdict that a row suggests. OriginCommError is a timeout, while connecting or while
    waiting for the answer.
    """
    code = _BY_DETAIL.get(row.detail) or _BY_DETAIL.get(row.result)
    status = row.status or seen.status
    if code == "WSE-504-SG" and status != 504:
        code = "WSE-502-ORIGIN"
    if code == "WSE-504-SG" and contradicted(code, seen):
        # Slow remains only where nothing else may drop packets either.
        code = "WSE-504-SLOW" if passed(seen) >= _DROPS_PACKETS or seen.takes_plain else None
    if code == "WSE-400-EDGE" and status == 403:
        return "WSE-403-EDGE"
    return code if code and _ONLY_WITH.get(code, status) == status else None


def _answer(seen: Transcript) -> tuple[int, str]:
    """What makes two answers the same: status and server, or the reason of the failure."""
    if seen.response is None:
        return 0, seen.failure.reason.value if seen.failure else ""
    return seen.response.status, seen.response.get("server").lower()
