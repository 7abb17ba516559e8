"""From one transcript to ranked verdicts with evidence (PURE).

Decides which entries of `verdicts` explain what a probe saw, how certain that is, and which lines say so. It is total:
any transcript gives at least one verdict. It must never look anything up, and never claim high certainty for a cause
that one handshake cannot tell from another: CloudFront hides from its viewer why an origin failed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import urljoin, urlsplit

from checks.transcript import Failure, Phase, Reason, ResponseHead, Transcript, storable
from checks.verdicts import VERDICTS, Verdict

Certainty = Literal["low", "medium", "high"]
_RANK: dict[Certainty, int] = {"high": 0, "medium": 1, "low": 2}
_Found = tuple[tuple[str, Certainty], ...]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A verdict for this transcript: `evidence` are the observed lines, most telling first."""

    verdict: Verdict
    certainty: Certainty
    evidence: tuple[str, ...]

    @property
    def code(self) -> str:
        """The verdict's stable code."""
        return self.verdict.code

    def to_dict(self) -> dict[str, Any]:
        """For storage and the API: the code and what is particular to this transcript; texts come from `VERDICTS`."""
        return {"code": self.code, "certainty": self.certainty, "evidence": [storable(line) for line in self.evidence]}


def diagnose(transcript: Transcript, *, origin_tls: bool | None = None) -> tuple[Diagnosis, ...]:
    """The verdicts, most certain first and never empty; `origin_tls` tells if the edge speaks TLS to its origin.

    1. A live endpoint is said to be live; what is odd about it follows.
    2. Otherwise the failure that decides is explained: by its reason, by the broken rule of a 101, or by the status
       and whoever wrote it.
    3. Later failures are explained after it.
    4. Nothing recognised is said to be unknown.
    """
    found: list[Diagnosis] = []
    if transcript.live:
        found.append(_verdict("WSE-LIVE", "high", *_live_evidence(transcript)))
    for failure in transcript.failures:
        found += sorted(_explain(transcript, failure, origin_tls), key=lambda diagnosis: _RANK[diagnosis.certainty])
    if not transcript.live and not transcript.failures and transcript.response is not None:
        found += _by_status(transcript, transcript.response, origin_tls)
    if transcript.upgraded and _subprotocol_ignored(transcript):
        asked = ", ".join(transcript.request.subprotocols) if transcript.request else ""
        found.append(_verdict("WSE-101-NOSUBPROTOCOL", "medium", f"asked for {asked}, the answer names none"))
    if any(diagnosis.code == "WSE-NOPONG" for diagnosis in found):
        # Whoever answers no ping answers nothing: what else stayed out follows from that.
        found = [diagnosis for diagnosis in found if diagnosis.code == "WSE-NOPONG"] + [
            replace(diagnosis, certainty="low") for diagnosis in found if diagnosis.code != "WSE-NOPONG"
        ]
    unique = {diagnosis.code: diagnosis for diagnosis in reversed(found)}
    ranked = tuple(diagnosis for diagnosis in found if unique.get(diagnosis.code) is diagnosis)
    return ranked or (_verdict("WSE-UNKNOWN", "low", *_request_evidence(transcript)),)


def _explain(seen: Transcript, failure: Failure, origin_tls: bool | None) -> list[Diagnosis]:
    if failure.reason is Reason.UPGRADE_REFUSED and seen.response is not None:
        return _by_status(seen, seen.response, origin_tls)
    if failure.reason is Reason.BAD_HANDSHAKE:
        return _by_broken_rule(seen)
    said = f"{failure.phase.value}: {failure.detail or failure.reason.value}"
    evidence = (said, *_certificate_evidence(seen)) if failure.phase is Phase.TLS else (said,)
    evidence += _frame_evidence(seen) if seen.upgraded else ()
    return [_verdict(code, certainty, *evidence) for code, certainty in _codes(seen, failure)]


def _codes(seen: Transcript, failure: Failure) -> _Found:
    """What the reason says; a connection that is cut means something else in each phase."""
    if failure.reason in (Reason.RESET, Reason.CLOSED_EARLY):
        if seen.upgraded:
            return (("WSE-1006", "high"),)
        if failure.phase is Phase.TLS:
            return (("WSE-TLS-PROTOCOL", "medium"), ("WSE-RESET", "low"))
    return _BY_REASON.get(failure.reason, (("WSE-UNKNOWN", "low"),))


_BY_REASON: dict[Reason, _Found] = {
    Reason.BAD_URL: (("WSE-URL", "high"),),
    Reason.BAD_REQUEST: (("WSE-URL", "high"),),
    Reason.PROBE_ERROR: (("WSE-PROBE", "high"),),
    Reason.ADDRESS_REFUSED: (("WSE-GUARD", "high"),),
    Reason.DNS_FAILURE: (("WSE-DNS", "high"),),
    Reason.DNS_TIMEOUT: (("WSE-DNS", "medium"),),
    Reason.CONNECT_REFUSED: (("WSE-TCP-REFUSED", "high"),),
    Reason.CONNECT_TIMEOUT: (("WSE-TCP-TIMEOUT", "high"),),
    Reason.CONNECT_UNREACHABLE: (("WSE-TCP-TIMEOUT", "medium"),),
    Reason.TLS_NAME_MISMATCH: (("WSE-TLS-NAME", "high"),),
    Reason.TLS_EXPIRED: (("WSE-TLS-EXPIRED", "high"),),
    Reason.TLS_NOT_YET_VALID: (("WSE-TLS-EXPIRED", "high"),),
    Reason.TLS_SELF_SIGNED: (("WSE-TLS-SELFSIGNED", "high"),),
    Reason.TLS_UNKNOWN_CA: (("WSE-TLS-CA", "high"),),
    Reason.TLS_UNTRUSTED: (("WSE-TLS-CA", "medium"),),
    Reason.TLS_PROTOCOL: (("WSE-TLS-PROTOCOL", "medium"),),
    Reason.TLS_TIMEOUT: (("WSE-TLS-PROTOCOL", "low"), ("WSE-TCP-TIMEOUT", "low")),
    Reason.UPGRADE_TIMEOUT: (("WSE-TIMEOUT", "high"), ("WSE-504-SG", "low")),
    Reason.RESET: (("WSE-RESET", "medium"),),
    Reason.CLOSED_EARLY: (("WSE-RESET", "medium"),),
    Reason.NOT_HTTP: (("WSE-NOT-HTTP", "high"),),
    Reason.HEAD_MALFORMED: (("WSE-HEAD", "high"),),
    Reason.HEAD_TOO_LARGE: (("WSE-HEAD", "high"),),
    Reason.NO_ECHO: (("WSE-NOECHO", "high"),),
    Reason.NO_PONG: (("WSE-NOPONG", "high"),),
    Reason.UNEXPECTED: (("WSE-SCRIPT", "high"),),
    Reason.FRAME_VIOLATION: (("WSE-FRAME", "high"),),
    Reason.TOO_MUCH_DATA: (("WSE-LIMIT", "high"),),
    Reason.TOO_MANY_FRAMES: (("WSE-LIMIT", "high"),),
    Reason.CLOSED_BY_PEER: (("WSE-CLOSED", "high"),),
    Reason.ABNORMAL_CLOSE: (("WSE-1006", "high"),),
    Reason.TOTAL_TIMEOUT: (("WSE-TIMEOUT", "medium"),),
}
"""What a reason says by itself, whatever the phase."""

_BY_RULE = {
    "version": "WSE-101-NOUPGRADE",
    "upgrade": "WSE-101-NOUPGRADE",
    "connection": "WSE-101-NOUPGRADE",
    "accept": "WSE-101-BADACCEPT",
    "extensions": "WSE-101-EXTENSION",
    "subprotocol": "WSE-101-SUBPROTOCOL",
}


def _by_broken_rule(seen: Transcript) -> list[Diagnosis]:
    head = _head_evidence(seen.response) if seen.response else ()
    return [
        _verdict(_BY_RULE[finding.rule], "high", finding.text, *head)
        for finding in seen.findings
        if not finding.ok and finding.rule in _BY_RULE
    ]


Author = Literal["edge", "balancer", "apigateway", "app"]


def author_of(head: ResponseHead, body: str = "") -> tuple[Author, Certainty]:
    """Who wrote this answer, and how certain that is.

    API Gateway and load balancers sign theirs. CloudFront signs as `server: CloudFront`, but does so too for an origin
    that sends no Server line, so only its own page or an `x-cache` that only the edge writes makes that certain.
    """
    server = head.get("server").lower()
    if head.get("x-amz-apigw-id") or "forbiddenexception" in head.get("x-amzn-errortype").lower():
        return "apigateway", "high"
    if server.startswith("awselb"):
        return "balancer", "high"
    if server == "cloudfront":
        own_page = "cloudfront" in body.lower() or head.get("x-cache").lower().startswith("redirect from cloudfront")
        return "edge", "high" if own_page else "medium"
    return "app", "high" if server else "medium"


_EDGE_PHRASES: tuple[tuple[int, str, str], ...] = (
    (403, "not configured to allow the http request method", "WSE-403-METHOD"),
    (403, "block access from your country", "WSE-403-GEO"),
    (403, "missingkey", "WSE-403-SIGNED"),
    (403, "missing key-pair-id", "WSE-403-SIGNED"),
    (403, "request blocked", "WSE-403-WAF"),
    (502, "domain name", "WSE-502-DNS"),
)
"""What CloudFront's own error pages say, in lower case. A custom page may replace one, so absence tells nothing."""


def _by_status(seen: Transcript, head: ResponseHead, origin_tls: bool | None) -> list[Diagnosis]:
    """Refused with a status: the rule for the status, else the rule for its class."""
    rule = _STATUS_RULES.get(head.status)
    if rule is None and 300 <= head.status < 400:
        rule = _redirected
    case = _Refusal(seen, head, *author_of(head, seen.body), origin_tls)
    if rule is not None:
        return [_verdict(code, certainty, *case.evidence) for code, certainty in rule(case)]
    if head.status == 101:
        return []
    fallback = "WSE-200-NOUPGRADE" if head.status < 300 else "WSE-4XX" if head.status < 500 else "WSE-5XX"
    return [_verdict(fallback, "medium", *case.evidence)]


@dataclass(frozen=True, slots=True)
class _Refusal:
    seen: Transcript
    head: ResponseHead
    author: Author
    signed: Certainty
    origin_tls: bool | None

    @property
    def evidence(self) -> tuple[str, ...]:
        who = {
            "edge": "CloudFront",
            "balancer": "the load balancer",
            "apigateway": "API Gateway",
            "app": "the app (or a proxy before it)",
        }[self.author]
        return (*_head_evidence(self.head), f"written by {who}, {self.signed} certainty")

    @property
    def plain_http(self) -> bool:
        return self.seen.url.lower().startswith("ws://")

    @property
    def html(self) -> bool:
        return "text/html" in self.head.get("content-type").lower()


def _page(case: _Refusal) -> _Found:
    if case.html:
        return (("WSE-200-SPA", "high"), ("WSE-200-NOUPGRADE", "low"))
    return (("WSE-200-NOUPGRADE", "high"), ("WSE-200-SPA", "low"))


def _redirected(case: _Refusal) -> _Found:
    location = case.head.get("location")
    same_place = bool(location) and _destination(case.seen.url, location) == _place(case.seen.url)
    if same_place and case.plain_http and case.author != "balancer":
        return (("WSE-301-REDIRECT", "high" if case.author == "edge" else "medium"),)
    if same_place:
        return (("WSE-301-LOOP", "high"),)
    return (("WSE-3XX-APP", "high" if location else "medium"),)


def _bad_request(case: _Refusal) -> _Found:
    if case.author in ("edge", "balancer"):
        return (("WSE-400-EDGE", "medium"), ("WSE-400-NOKEY", "low"))
    if any(word in case.seen.body.lower() for word in ("allowed_hosts", "disallowedhost", "invalid host")):
        return (("WSE-400-HOST", "high"),)
    if any(word in case.seen.body.lower() for word in ("websocket", "upgrade")):
        return (("WSE-400-NOKEY", "high"),)
    return (("WSE-400-NOKEY", "medium"), ("WSE-400-HOST", "low"))


def _forbidden(case: _Refusal) -> _Found:
    """403: API Gateway and WAF sign theirs, CloudFront's pages say why, and apps that mind the Origin name it."""
    if case.author == "apigateway":
        return (("WSE-403-APIGW", "high"),)
    if case.head.get("x-amzn-waf-action"):
        return (("WSE-403-WAF", "high"),)
    if case.author == "edge":
        if code := _phrase(case):
            return ((code, "medium"), ("WSE-403-EDGE", "low"))
        if case.plain_http:
            return (("WSE-403-VIEWER", "medium"), ("WSE-403-EDGE", "medium"))
        return (("WSE-403-EDGE", case.signed), ("WSE-403-WAF", "low"), ("WSE-403-APP", "low"))
    if "origin" in case.seen.body.lower():
        return (("WSE-403-ORIGIN", "high"), ("WSE-403-APP", "low"))
    origin = case.seen.request is not None and case.seen.request.origin is not None
    if origin:
        return (("WSE-403-ORIGIN", "medium"), ("WSE-403-APP", "low"))
    return (("WSE-403-APP", "medium"), ("WSE-403-ORIGIN", "low"), ("WSE-403-WAF", "low"))


def _upgrade_required(_: _Refusal) -> _Found:
    return (("WSE-426-VERSION", "high"), ("WSE-400-NOKEY", "medium"))


def _bad_gateway(case: _Refusal) -> _Found:
    if case.author == "balancer":
        return (("WSE-502-ALB", "high"),)
    if case.author == "edge" and (code := _phrase(case)):
        return ((code, "medium"), ("WSE-502-ORIGIN", "low"))
    if case.origin_tls is True:
        return (("WSE-502-TLS", "medium"), ("WSE-502-ORIGIN", "low"), ("WSE-502-DNS", "low"))
    if case.origin_tls is False:
        return (("WSE-502-ORIGIN", "medium"), ("WSE-502-DNS", "low"))
    return (("WSE-502-ORIGIN", "medium"), ("WSE-502-TLS", "medium"), ("WSE-502-DNS", "low"))


def _unavailable(case: _Refusal) -> _Found:
    if case.author == "balancer":
        return (("WSE-503-NOTARGET", "high"),)
    if case.author == "edge":
        return (("WSE-503-EDGE", "medium"), ("WSE-503-NOTARGET", "low"))
    return (("WSE-503-APP", "medium"), ("WSE-503-NOTARGET", "low"))


def _gateway_timeout(case: _Refusal) -> _Found:
    if case.author == "balancer":
        return (("WSE-504-ALB", "high"),)
    return (("WSE-504-SG", "medium"), ("WSE-504-SLOW", "low"))


def _always(code: str, certainty: Certainty) -> Callable[[_Refusal], _Found]:
    return lambda _: ((code, certainty),)


_STATUS_RULES: dict[int, Callable[[_Refusal], _Found]] = {
    200: _page,
    400: _bad_request,
    401: _always("WSE-401-AUTH", "high"),
    403: _forbidden,
    404: _always("WSE-404-PATH", "high"),
    405: _always("WSE-405-METHOD", "high"),
    414: _always("WSE-431-HEADERS", "medium"),
    421: _always("WSE-421-DOMAIN", "medium"),
    426: _upgrade_required,
    429: _always("WSE-429-RATE", "high"),
    431: _always("WSE-431-HEADERS", "high"),
    494: _always("WSE-431-HEADERS", "high"),
    500: _always("WSE-500-APP", "medium"),
    502: _bad_gateway,
    503: _unavailable,
    504: _gateway_timeout,
}


def _phrase(case: _Refusal) -> str:
    body = case.seen.body.lower()
    return next((code for status, phrase, code in _EDGE_PHRASES if status == case.head.status and phrase in body), "")


def _destination(asked: str, location: str) -> tuple[str, str, str]:
    """Where a Location leads that was given for this address; it may be relative (RFC 9110 10.2.2)."""
    scheme, _, rest = asked.partition("://")
    base = f"{'https' if scheme.lower() == 'wss' else 'http'}://{rest}"
    try:
        return _place(urljoin(base, location))
    except ValueError:
        return (location, "", "")


def _place(url: str) -> tuple[str, str, str]:
    """Host, path and query: what must not change for a redirect to lead to the same place."""
    try:
        parts = urlsplit(url)
        return (parts.hostname or "", parts.path or "/", parts.query)
    except ValueError:
        return (url, "", "")


def _verdict(code: str, certainty: Certainty, *evidence: str) -> Diagnosis:
    return Diagnosis(VERDICTS[code], certainty, tuple(line for line in evidence if line))


_TELLING = ("server", "x-cache", "location", "content-type", "x-amzn-errortype", "x-amz-apigw-id", "x-amz-cf-id", "via")


def _head_evidence(head: ResponseHead) -> tuple[str, ...]:
    values = ((name, head.get(name)) for name in _TELLING)
    return (head.status_line, *(f"{name}: {value}" for name, value in values if value))


def _live_evidence(seen: Transcript) -> tuple[str, ...]:
    times = seen.timing
    return (
        seen.response.status_line if seen.response else "",
        next((finding.text for finding in seen.findings if finding.rule == "accept"), ""),
        f"101 after {times.upgrade:.0f} ms" if times.upgrade is not None else "",
        f"the test message came back after {times.echo:.0f} ms" if times.echo is not None else "",
        f"x-amz-cf-id: {seen.edge_request_id}" if seen.edge_request_id else "",
    )


def _frame_evidence(seen: Transcript) -> tuple[str, ...]:
    frames = len([frame for frame in seen.frames if frame.direction == "received"])
    close = f"close code {seen.close.code} {seen.close.reason}".rstrip() if seen.close else ""
    return (f"the handshake worked; {frames} frames came afterwards", close)


def _certificate_evidence(seen: Transcript) -> tuple[str, ...]:
    shown = seen.tls.certificate if seen.tls else None
    if shown is None:
        return ()
    return (
        f"certificate for {', '.join(shown.names) or shown.subject}",
        f"issued by {shown.issuer}",
        f"valid from {shown.not_before} to {shown.not_after}",
    )


def _request_evidence(seen: Transcript) -> tuple[str, ...]:
    return (f"address: {seen.url}", _head_evidence(seen.response)[0] if seen.response else "no answer was recorded")


def _subprotocol_ignored(seen: Transcript) -> bool:
    asked = seen.request is not None and bool(seen.request.subprotocols)
    return asked and seen.response is not None and not seen.response.get("sec-websocket-protocol")
