"""What each observation says about the cause: claims, each with its certainty and the line it was
read from (PURE).

Decides, rule by rule, what the other probes, the preflight and CloudFront's log rows confirm or
rule out; the rules about the distribution's settings are in `configured`. It must never look
anything up, never rank (`ranking` does), and never be certain of a cause that the answer which came
does not show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import unquote, urlsplit

from checks.diagnosis.access_log import LogRow
from checks.diagnosis.config_rules import config_claims, not_forwarded, vpc_origin
from checks.diagnosis.evidence import Claim, Observations
from checks.diagnosis.idle_timeout import identify_timeout, silence_of
from checks.diagnosis.status_rules import author_of, speaks_of_origin
from checks.diagnosis.transcript_rules import diagnose
from checks.diagnosis.verdicts import HIGH, LOW, MEDIUM, Certainty, VerdictCode
from checks.preflight.behavior_match import HANDSHAKE_HEADERS
from checks.preflight.results import Level
from checks.protocol.transcript import Transcript

# --- what the other probes say
# ----------------------------------------------------------------------------------------


def _repeated(seen: Observations) -> Iterator[Claim]:
    outcomes = [transcript.upgraded for transcript in (seen.handshake, *seen.again)]
    if len(outcomes) > 2 and seen.wavers:
        opened = f"{sum(outcomes)} of {len(outcomes)} handshakes opened"
        settled = (
            seen.behavior is not None
            and seen.behavior.status == "Deployed"
            and not seen.behavior.continuous_deployment
        )
        yield Claim("WSE-MIXED", MEDIUM if settled else HIGH, (opened,))


def _without_origin(seen: Observations) -> Iterator[Claim]:
    if seen.without_origin is None or seen.handshake.live or seen.status not in (400, 401, 403):
        return
    if seen.without_origin.upgraded:
        # By chance, where edges differ: certain when it goes on failing with the line, nothing when
        # it opens with it.
        if not seen.wavers:
            kept = (f"with it, it failed {len(seen.again) + 1} times",) if seen.steady else ()
            opened = "the same handshake without an Origin line opened"
            yield Claim("WSE-403-ORIGIN", HIGH if seen.steady else MEDIUM, (opened, *kept))
    elif _answer(seen.without_origin) == _answer(seen.handshake):
        said = "the same handshake without an Origin line got the same answer"
        if seen.status == 403 and seen.author in ("app", "edge"):
            yield Claim(
                "WSE-403-APP" if seen.by_app else "WSE-403-EDGE",
                MEDIUM if seen.by_app else LOW,
                (said,),
            )


def _upgrade_only(seen: Observations) -> Iterator[Claim]:
    """Ordinary requests pass and the upgrade does not: as VPC origins were before they carried
    WebSockets.
    """
    plain = seen.plain_get
    if (
        plain is None
        or plain.response is None
        or seen.status != 502
        or not seen.by_edge
        or seen.wavers
        or author_of(plain.response, plain.body)[0] == "balancer"
    ):
        return
    if plain.response.status < 500:
        evidence = (
            f"a plain GET of the same path is answered with {plain.response.status}, the "
            "upgrade with 502",
        )
        named = any(row.detail.endswith("OriginDnsError") for row in seen.log_rows)
        private = seen.behavior is not None and bool(seen.behavior.vpc_origin_id)
        if (
            seen.clocks
            and not named
            and not any(clock.code == "WSE-IDLE-ALB" for clock in seen.clocks)
        ):
            # Nobody signs for an app that hangs up while it accepts, so CloudFront says 502 itself.
            yield Claim(
                "WSE-502-ORIGIN",
                MEDIUM,
                (*evidence, "no Application Load Balancer stands before the app"),
            )
            yield Claim("WSE-502-2025", LOW, evidence)
            return
        yield Claim("WSE-502-2025", HIGH if named and private else MEDIUM, evidence)


_OF_APP: dict[int, VerdictCode] = {
    401: "WSE-401-AUTH",
    403: "WSE-403-APP",
    404: "WSE-404-PATH",
    500: "WSE-500-APP",
}


def _other_ways(seen: Observations) -> Iterator[Claim]:
    """A way past CloudFront that works, or fails alike, says on which side to look."""
    for name, other in seen.other_ways:
        if seen.handshake.live or seen.wavers:
            return
        if _answer(other) == _answer(seen.handshake) and other.response is not None and seen.by_app:
            if of_app := _OF_APP.get(seen.status):
                yield Claim(
                    of_app,
                    HIGH,
                    (f"the way {name} gets the same {seen.status}, so it is the app's own",),
                )
        elif other.upgraded and seen.by_app and seen.status in (400, 426):
            yield Claim("WSE-400-NOKEY", MEDIUM, (f"the way {name}, past CloudFront, opens",))
        elif other.upgraded and seen.by_edge and seen.status in (502, 504):
            took, waited = other.timing.upgrade or 0.0, seen.handshake.timing.upgrade or 0.0
            slow = seen.status == 504 and took >= waited
            code: VerdictCode = "WSE-504-SG" if seen.status == 504 else "WSE-502-ORIGIN"
            if slow:
                code = "WSE-504-SLOW"
            if not contradicted(code, seen):
                yield Claim(
                    code,
                    MEDIUM,
                    (f"the way {name}, past CloudFront, opens after {took / 1000:.1f} s",),
                )


def _silence(seen: Observations) -> Iterator[Claim]:
    """A socket that was cut while the script held it silent: the second at which it ended may name
    the clock.
    """
    held = [step for step in seen.handshake.steps if step.text.startswith("hold ") and not step.ok]
    if not held:
        return
    reading = silence_of(held[-1].took_ms / 1000, seen.handshake)
    found = identify_timeout((reading,), seen.clocks) if reading else None
    if found is not None and found.code not in (None, "WSE-1006"):
        yield Claim(found.code, HIGH, (found.text,))


# --- what the preflight of the target says
# ----------------------------------------------------------------------------

_NO_ANSWER = 0
"""In place of a status: nobody answered in time."""
_BY_PREFLIGHT: tuple[tuple[str, VerdictCode, tuple[int, ...]], ...] = (
    ("PF-TARGET", "WSE-502-VPCORIGIN", (502, 503, 504)),
    ("PF-STATE", "WSE-502-VPCORIGIN", (502, 503, 504)),
    ("PF-BPA", "WSE-504-BPA", (_NO_ANSWER, 504)),
    ("PF-INGRESS", "WSE-504-SG", (_NO_ANSWER, 504)),
    ("PF-NACL", "WSE-504-NACL", (_NO_ANSWER, 504)),
    ("PF-LISTENER", "WSE-502-PORT", (502, 504)),
    ("PF-CERTIFICATE", "WSE-502-TLS", (502,)),
    ("PF-ACTION", "WSE-301-LOOP", (301, 302, 307, 308)),
    ("PF-ACTION", "WSE-ALB-RULE", (200, 400, 401, 403, 404, 500, 502, 503)),
    ("PF-RULES", "WSE-ALB-RULE", (200, 400, 401, 403, 404, 500, 502, 503)),
    ("PF-HEALTH", "WSE-503-NOTARGET", (503,)),
)
_TO_THE_TARGET = frozenset(
    {"PF-TARGET", "PF-STATE", "PF-BPA", "PF-INGRESS", "PF-NACL", "PF-LISTENER", "PF-CERTIFICATE"}
)
_OF_THE_WAY = frozenset(code for question, code, _ in _BY_PREFLIGHT if question in _TO_THE_TARGET)
_PUT_RIGHT_IN_PLACE = frozenset(
    {
        "PF-STATE",
        "PF-BPA",
        "PF-INGRESS",
        "PF-NACL",
        "PF-LISTENER",
        "PF-ACTION",
        "PF-RULES",
        "PF-HEALTH",
    }
)
"""What a person changes in AWS. The others are put right in the request, and this endpoint's has
been built.
"""
_AGAINST = frozenset({Level.BLOCK, Level.FIXABLE, Level.WARN})


def _preflight(seen: Observations) -> Iterator[Claim]:
    """What AWS says against the way to the target explains nothing once the target was reached, nor
    that no target is well once the app itself answered. What another behavior's origin answers
    shows neither. A way that AWS only warns of may be open all the same, so that it is never
    certain.
    """
    if seen.handshake.upgraded or (seen.status == _NO_ANSWER and not seen.timed_out):
        return
    for question, code, statuses in _BY_PREFLIGHT:
        result = seen.result(question)
        if result is None or result.level not in _AGAINST:
            continue
        loops = result.level is Level.BLOCK or 300 <= seen.status < 400
        if question == "PF-ACTION" and loops != (code == "WSE-301-LOOP"):
            continue
        if question in _TO_THE_TARGET and seen.reached_target:
            continue
        if (
            question == "PF-HEALTH"
            and seen.by_app
            and (seen.behavior is None or seen.reached_target)
        ):
            continue
        around = question in _TO_THE_TARGET and seen.takes_plain
        explains = seen.status in statuses and _explains(code, seen) and not around
        warned = result.level is Level.WARN
        certainty: Certainty = HIGH if explains else LOW if warned or around else MEDIUM
        if explains and warned and question in _TO_THE_TARGET:
            # A target that is impaired works all the same.
            certainty = LOW if question == "PF-STATE" else MEDIUM
        here = result.fix if question in _PUT_RIGHT_IN_PLACE else None
        yield Claim(code, certainty, (f"AWS: {result.seen}",), here)


_ADMITTED = frozenset({"PF-INGRESS", "PF-BPA", "PF-NACL"})


def _too_slow(seen: Observations) -> Iterator[Claim]:
    """A timeout, though nothing on the way drops packets: whoever was reached did not answer in
    time.
    """
    if seen.status != 504 or not seen.by_edge:
        return
    passed = {result.code for result in seen.preflight if result.level is Level.PASS}
    if passed >= _ADMITTED:
        yield Claim(
            "WSE-504-SLOW",
            MEDIUM,
            ("AWS: security group, network ACL and Block Public Access let it in",),
        )
    if seen.takes_plain:
        yield Claim(
            "WSE-504-SLOW",
            MEDIUM,
            ("a plain GET of the same path is answered from behind CloudFront",),
        )


def contradicted(code: VerdictCode, seen: Observations) -> bool:
    """Whether a further probe or AWS's own answers rule a suggested cause out. What ACM says of a
    certificate never does: the listener may show another.
    """
    if (
        code == "WSE-403-ORIGIN"
        and seen.without_origin is not None
        and not speaks_of_origin(seen.handshake.body)
    ):
        return _answer(seen.without_origin) == _answer(seen.handshake)
    if code == "WSE-400-NOKEY" and seen.behavior is not None and seen.behavior.own:
        return all(seen.behavior.forwards(header) for header in HANDSHAKE_HEADERS[:2])
    if code == "WSE-400-HOST" and seen.takes_plain and seen.status == 400:
        return True
    if code == "WSE-504-SG" and seen.takes_plain:
        return True
    passed = {result.code for result in seen.preflight if result.level is Level.PASS}
    if code == "WSE-504-SG":
        # An open security group is not the cause; what else may drop packets is then named by
        # itself, once it is known.
        known = {result.code for result in seen.preflight if result.level is not Level.UNKNOWN}
        return "PF-INGRESS" in passed and known >= _ADMITTED
    return code == "WSE-502-PORT" and "PF-LISTENER" in passed


# --- what CloudFront's log says
# ---------------------------------------------------------------------------------------

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
    {"WSE-403-WAF", "WSE-502-PORT", "WSE-504-SG", "WSE-504-SLOW", "WSE-502-ORIGIN"}
)
"""What a detail suggests although other causes are logged alike: InvalidRequestBlocked is also said
of a name that no distribution has.
"""
_ONLY_WITH: dict[VerdictCode, int] = {"WSE-502-ORIGIN": 502, "WSE-400-EDGE": 400}
"""A detail that comes with several statuses means this only with one of them."""


def _log(seen: Observations) -> Iterator[Claim]:
    """Rows of this handshake, or of one like it. A method that is not allowed hits other requests
    of the path only.
    """
    for row in seen.log_rows:
        if row.of_no_handshake and row.detail == "InvalidRequestMethod":
            yield Claim("WSE-403-METHOD", HIGH if seen.handshake.live else MEDIUM, (str(row),))
    if seen.handshake.live:
        return
    ours = seen.handshake.edge_request_id
    for row in seen.log_rows:
        exact = bool(ours) and row.request_id == ours
        if (
            row.of_no_handshake
            or (ours and row.request_id and not exact)
            or (not exact and _elsewhere(row, seen))
        ):
            continue
        if code := _logged(row, seen):
            yield Claim(
                code, HIGH if exact and code not in _ONE_OF_SEVERAL else MEDIUM, (str(row),)
            )
        if row.path_pattern and seen.behavior is None and row.path_pattern == "*":
            yield Claim(
                "WSE-PATH",
                MEDIUM,
                (f"CloudFront's log: the behavior {row.path_pattern} got the path",),
            )


def _logged(row: LogRow, seen: Observations) -> VerdictCode | None:
    """The code that a row speaks for. OriginCommError is a time-out, while connecting or waiting
    for the answer.
    """
    code = _BY_DETAIL.get(row.detail) or _BY_DETAIL.get(row.result)
    status = row.status or seen.status
    if code == "WSE-504-SG" and status != 504:
        code = "WSE-502-ORIGIN"
    if code == "WSE-504-SG" and contradicted(code, seen):
        # Slow is left only where nothing else may drop packets either.
        passed = {result.code for result in seen.preflight if result.level is Level.PASS}
        code = "WSE-504-SLOW" if passed >= _ADMITTED or seen.takes_plain else None
    return code if code and _ONLY_WITH.get(code, status) == status else None


def _elsewhere(row: LogRow, seen: Observations) -> bool:
    """Whether a row that does not say which request it is of tells of another path, or ended
    otherwise.
    """
    path = unquote(urlsplit(seen.handshake.url).path) or "/"
    return (row.path not in ("", path)) or (row.status not in (0, seen.status) and seen.status != 0)


RULES: tuple[Callable[[Observations], Iterator[Claim]], ...] = (
    _repeated,
    _without_origin,
    _upgrade_only,
    _other_ways,
    _silence,
    config_claims,
    not_forwarded,
    vpc_origin,
    _preflight,
    _too_slow,
    _log,
)


def _answer(seen: Transcript) -> tuple[int, str]:
    if seen.response is None:
        return 0, seen.failure.reason.value if seen.failure else ""
    return seen.response.status, seen.response.get("server").lower()


def _explains(code: VerdictCode, seen: Observations) -> bool:
    """Whether the answer is the one that this cause brings on, beyond its status."""
    if code == "WSE-301-LOOP":
        return any(found.code == code for found in diagnose(seen.handshake))
    if code == "WSE-ALB-RULE":
        # A rule may answer because what it looks at was kept back on the way: then that is the
        # cause.
        return (
            seen.author == "balancer"
            and seen.status not in (502, 503)
            and not any(not_forwarded(seen))
        )
    if code == "WSE-503-NOTARGET":
        return diagnose(seen.handshake)[0].code == code
    if code in _OF_THE_WAY:
        # Whoever else signed it was reached by this way or another; of a page in its place the
        # author wrote no more.
        return seen.author in ("edge", None) or bool(seen.hidden)
    return True
