"""Why a handshake was answered with another status than 101 (PURE).

`STATUS_RULES` is read from the top: the first row whose statuses and condition fit names the
verdicts. A row decides by status, headers and the words of the body. An app's words never count as
CloudFront's own, and no row is certain of a cause that others share: where nothing tells, every
verdict is of low certainty. Answers that name their author are in `signatures`. Sources: CloudFront
Developer Guide (troubleshooting error responses), Elastic Load Balancing User Guide (HTTP errors),
AWS WAF Developer Guide (CAPTCHA and Challenge), field reports.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from checks.diagnosis.authors import Author, author_of
from checks.diagnosis.verdicts import HIGH, LOW, MEDIUM, Certainty, VerdictCode
from checks.protocol.transcript import ResponseHead, Transcript

Found = tuple[tuple[VerdictCode, Certainty], ...]
"""Verdicts with their certainty, most likely first."""

_AUTHORS: dict[Author, str] = {
    "edge": "CloudFront",
    "function": "an edge function",
    "balancer": "the load balancer",
    "apigateway": "API Gateway",
    "bucket": "an S3 bucket",
    "app": "the app (or a proxy in front of it)",
}

_OF_ORIGIN = re.compile(
    r"\bcors\b|cross[- ]origin|check_?origin"
    r"|\borigin\b(?! server)[^\n]{0,60}"
    r"\b(?:not|denied|forbidden|invalid|mismatch|refused|rejected|unknown|missing)\b"
    r"|\b(?:invalid|bad|unknown|missing|forbidden|disallowed|wrong|untrusted|unauthorized|no)"
    r" origin\b(?! server)"
)
_OF_HOST = re.compile(
    r"allowed_hosts|disallowedhost"
    r"|\b(?:invalid|blocked|unknown|unrecogni[sz]ed) (?:http_)?hosts?\b"
    r"|\bhost\b[^\n]{0,80}\bnot (?:allowed|permitted|valid)"
)
_OF_LOST_HEADERS = re.compile(
    r"sec-websocket-(?:key|version)|not a websocket|not using the websocket protocol"
    r"|can \W?upgrade\W? only"
    r"|\bno websocket upgrade|\bupgrade\b[^\n]{0,40}\b(?:missing|required|expected|not found)"
    r"|(?:missing|expected|invalid)[^\n]{0,20}\bupgrade\b"
)
"""What libraries and frameworks say, in lower case, of an Origin, a Host, or a handshake that did
not arrive complete.
"""
_OF_TLS_PORT = "plain http request was sent to https port"
"""What load balancers and nginx say of HTTP on a port for HTTPS."""


def speaks_of_origin(body: str) -> bool:
    """Whether a response rejects the Origin header in words."""
    return _OF_ORIGIN.search(body.lower()) is not None


def misses_handshake(body: str) -> bool:
    """Whether a response says that a part of the handshake did not arrive."""
    return _OF_LOST_HEADERS.search(body.lower()) is not None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A response other than 101, with its author; `origin_tls` says if the edge uses TLS to its
    origin.
    """

    seen: Transcript
    head: ResponseHead
    author: Author
    signed: Certainty
    origin_tls: bool | None = None

    @classmethod
    def of(cls, seen: Transcript, head: ResponseHead, origin_tls: bool | None = None) -> Refusal:
        """With its author."""
        return cls(seen, head, *author_of(head, seen.body), origin_tls)

    @property
    def written_by(self) -> str:
        """The author, in words."""
        if self.author == "edge" and self.signed is not HIGH:
            return "signed by CloudFront, which also signs for an app that sends no Server header"
        return f"written by {_AUTHORS[self.author]}, {self.signed} certainty"

    @property
    def plain_http(self) -> bool:
        """Requested over ws://."""
        return self.seen.url.lower().startswith("ws://")

    @property
    def by_edge(self) -> bool:
        """CloudFront wrote it beyond doubt."""
        return self.author == "edge" and self.signed is HIGH

    @property
    def by_proxy(self) -> bool:
        """A server behind CloudFront signed it that is no load balancer of AWS."""
        return self.author == "app" and self.signed is HIGH

    @property
    def words(self) -> str:
        """The body, in lower case."""
        return self.seen.body.lower()

    @property
    def of_a_rule(self) -> bool:
        """A listener's fixed response: a load balancer's own pages have one form and are never
        empty.
        """
        if self.author != "balancer":
            return False
        own_page = f"<h1>{self.head.status} " in self.words
        return not own_page and bool(self.words.strip() or self.head.get("content-length") == "0")

    @property
    def page_for_an_error(self) -> bool:
        """A page from S3 that CloudFront calls an error: it replaces another response. S3's own
        errors name a code.
        """
        own_error = "<code>" in self.words or "<li>code:" in self.words
        return self.head.get("x-cache").lower().startswith("error from") and not own_error

    @property
    def denied_by_gateway(self) -> bool:
        """API Gateway denies the caller, not the Host."""
        said = self.head.get("x-amzn-errortype").lower() + self.words
        return "accessdenied" in said or "not authorized" in said

    @property
    def location(self) -> str:
        """Where it redirects to, "" if nowhere."""
        return self.head.get("location")

    @property
    def to_same_address(self) -> bool:
        """It redirects to the address that was requested."""
        asked = _address(self.seen.url)
        return bool(self.location) and _destination(self.seen.url, self.location) == asked

    @property
    def to_https_by_balancer(self) -> bool:
        """A listener redirects the same path to HTTPS, under the Host that it received."""
        asked, destination = _address(self.seen.url), _destination(self.seen.url, self.location)
        return (
            self.author == "balancer"
            and self.location.startswith("https:")
            and destination.resource == asked.resource
        )


_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_USUAL_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


@dataclass(frozen=True, slots=True)
class _Address:
    """What must not change for a redirect to lead to the same address; `port` is None for the
    scheme's usual one, `resource` is path and query.
    """

    host: str
    port: int | None = None
    resource: tuple[str, str] = ("", "")


def _address(url: str) -> _Address:
    try:
        parts = urlsplit(url)
        port = None if parts.port == _USUAL_PORTS.get(parts.scheme) else parts.port
        return _Address(parts.hostname or "", port, (parts.path or "/", parts.query))
    except ValueError:
        return _Address(url)


def _destination(asked: str, location: str) -> _Address:
    """Where a Location leads that was given for this address; it may be relative (RFC 9110
    10.2.2).
    """
    scheme, _, rest = asked.partition("://")
    base = f"{'https' if scheme.lower() == 'wss' else 'http'}://{rest}"
    try:
        return _address(urljoin(base, location))
    except ValueError:
        return _Address(location)


@dataclass(frozen=True, slots=True)
class StatusRule:
    """One row of the table: `verdicts` explain a response with one of `statuses` that fits."""

    statuses: Container[int]
    fits: Callable[[Refusal], bool]
    verdicts: Found


def explain_status(case: Refusal) -> Found:
    """The verdicts of the first row that fits; empty for a 101."""
    return next(
        (
            rule.verdicts
            for rule in STATUS_RULES
            if case.head.status in rule.statuses and rule.fits(case)
        ),
        (),
    )


def _always(_: Refusal) -> bool:
    return True


def _by(author: Author) -> Callable[[Refusal], bool]:
    return lambda case: case.author == author


def _edge_says(*phrases: str) -> Callable[[Refusal], bool]:
    """CloudFront's own error page has one of these phrases, in lower case. A custom page may
    replace it, so absence tells nothing.
    """
    return lambda case: case.author == "edge" and any(phrase in case.words for phrase in phrases)


_function_failed = _edge_says("lambda function", "cloudfront function")

STATUS_RULES: tuple[StatusRule, ...] = (
    StatusRule((101,), _always, ()),
    # An answer from what can never carry a WebSocket decides, whatever the status.
    StatusRule(
        range(1000),
        lambda case: bool(case.head.get("x-amzn-waf-action")),
        (("WSE-403-WAF", HIGH),),
    ),
    StatusRule(range(1000), _by("function"), (("WSE-EDGE-FUNCTION", HIGH),)),
    StatusRule(
        range(1000),
        lambda case: case.author == "bucket" and case.page_for_an_error,
        (("WSE-200-SPA", MEDIUM), ("WSE-PATH", MEDIUM)),
    ),
    StatusRule(range(1000), _by("bucket"), (("WSE-PATH", HIGH), ("WSE-404-PATH", LOW))),
    # 200
    StatusRule((200,), lambda case: case.of_a_rule, (("WSE-ALB-RULE", HIGH),)),
    StatusRule(
        (200,),
        lambda case: "text/html" in case.head.get("content-type").lower(),
        (("WSE-200-SPA", HIGH), ("WSE-200-NOUPGRADE", LOW)),
    ),
    StatusRule((200,), _always, (("WSE-200-NOUPGRADE", HIGH), ("WSE-200-SPA", LOW))),
    # 3xx: to the same address it is a loop, unless ws:// is sent to https.
    StatusRule(
        range(300, 400),
        lambda case: case.to_same_address and case.plain_http and case.author == "edge",
        (("WSE-301-REDIRECT", HIGH),),
    ),
    StatusRule(
        range(300, 400),
        lambda case: case.to_same_address and case.plain_http and case.author != "balancer",
        (("WSE-301-REDIRECT", MEDIUM),),
    ),
    StatusRule(range(300, 400), lambda case: case.to_same_address, (("WSE-301-LOOP", HIGH),)),
    StatusRule(
        range(300, 400),
        lambda case: case.to_https_by_balancer,
        (("WSE-301-LOOP", MEDIUM), ("WSE-3XX-APP", LOW)),
    ),
    StatusRule(range(300, 400), lambda case: bool(case.location), (("WSE-3XX-APP", HIGH),)),
    StatusRule(_REDIRECTS, _always, (("WSE-3XX-APP", MEDIUM),)),
    # 400: CloudFront and load balancers have pages of their own. Any other 400 that does not say
    # what is wrong tells nothing.
    StatusRule(
        (400,),
        lambda case: _OF_TLS_PORT in case.words and bool(case.head.get("x-amz-cf-id")),
        (("WSE-502-PORT", MEDIUM),),
    ),
    StatusRule((400,), lambda case: _OF_TLS_PORT in case.words, (("WSE-TLS-PROTOCOL", MEDIUM),)),
    StatusRule(
        (400,),
        lambda case: case.author == "balancer" or case.by_edge,
        (("WSE-400-EDGE", MEDIUM), ("WSE-400-NOKEY", LOW)),
    ),
    StatusRule((400,), lambda case: bool(_OF_HOST.search(case.words)), (("WSE-400-HOST", HIGH),)),
    StatusRule(
        (400,),
        lambda case: not case.by_edge and speaks_of_origin(case.words),
        (("WSE-403-ORIGIN", MEDIUM), ("WSE-403-APP", LOW)),
    ),
    StatusRule((400,), lambda case: misses_handshake(case.words), (("WSE-400-NOKEY", HIGH),)),
    StatusRule(
        (400,),
        _by("edge"),
        (("WSE-400-NOKEY", LOW), ("WSE-400-HOST", LOW), ("WSE-400-EDGE", LOW)),
    ),
    StatusRule((400,), _always, (("WSE-400-NOKEY", LOW), ("WSE-400-HOST", LOW))),
    # 401: a load balancer answers it itself where its rule requires a login, and passes the app's
    # own on unsigned.
    StatusRule((401,), _by("balancer"), (("WSE-ALB-RULE", MEDIUM), ("WSE-401-AUTH", MEDIUM))),
    StatusRule((401,), _always, (("WSE-401-AUTH", HIGH),)),
    # 403: API Gateway signs its own, CloudFront's pages say why, and apps that reject Origin or
    # Host name it. A load balancer's web ACL answers with the load balancer's own page.
    StatusRule(
        (403,),
        lambda case: case.author == "apigateway" and case.denied_by_gateway,
        (("WSE-401-AUTH", HIGH),),
    ),
    StatusRule((403,), _by("apigateway"), (("WSE-403-APIGW", HIGH),)),
    StatusRule(
        (403,), lambda case: case.of_a_rule, (("WSE-ALB-RULE", MEDIUM), ("WSE-403-WAF", LOW))
    ),
    StatusRule((403,), _by("balancer"), (("WSE-403-WAF", MEDIUM), ("WSE-ALB-RULE", LOW))),
    StatusRule(
        (403,),
        _edge_says("not configured to allow the http request method"),
        (("WSE-403-METHOD", MEDIUM), ("WSE-403-EDGE", LOW)),
    ),
    StatusRule(
        (403,),
        _edge_says("block access from your country"),
        (("WSE-403-GEO", MEDIUM), ("WSE-403-EDGE", LOW)),
    ),
    StatusRule(
        (403,),
        _edge_says(
            "missingkey",
            "missing key-pair-id",
            "<code>invalidkey</code>",
            "<code>accessdenied</code>",
        ),
        (("WSE-403-SIGNED", MEDIUM), ("WSE-403-EDGE", LOW)),
    ),
    StatusRule(
        (403,), _edge_says("request blocked"), (("WSE-403-WAF", MEDIUM), ("WSE-403-EDGE", LOW))
    ),
    StatusRule(
        (403,),
        lambda case: case.by_edge and case.plain_http,
        (("WSE-403-VIEWER", MEDIUM), ("WSE-403-EDGE", MEDIUM)),
    ),
    StatusRule(
        (403,),
        lambda case: case.by_edge,
        (("WSE-403-EDGE", HIGH), ("WSE-403-WAF", LOW), ("WSE-403-APP", LOW)),
    ),
    StatusRule(
        (403,),
        lambda case: case.author == "edge" and speaks_of_origin(case.words),
        (("WSE-403-ORIGIN", MEDIUM), ("WSE-403-EDGE", LOW)),
    ),
    StatusRule(
        (403,),
        lambda case: case.author == "edge" and bool(_OF_HOST.search(case.words)),
        (("WSE-400-HOST", MEDIUM), ("WSE-403-EDGE", LOW)),
    ),
    StatusRule(
        (403,),
        _by("edge"),
        (
            ("WSE-403-APP", LOW),
            ("WSE-403-EDGE", LOW),
            ("WSE-403-WAF", LOW),
            ("WSE-403-ORIGIN", LOW),
            ("WSE-404-PATH", LOW),
        ),
    ),
    StatusRule(
        (403,),
        lambda case: speaks_of_origin(case.words),
        (("WSE-403-ORIGIN", HIGH), ("WSE-403-APP", LOW)),
    ),
    StatusRule(
        (403,),
        lambda case: bool(_OF_HOST.search(case.words)),
        (("WSE-400-HOST", HIGH), ("WSE-403-APP", LOW)),
    ),
    StatusRule(
        (403,),
        _always,
        (("WSE-403-APP", MEDIUM), ("WSE-403-ORIGIN", LOW), ("WSE-404-PATH", LOW)),
    ),
    # other 4xx
    # 404: routers say it of a foreign Host as well, and some apps of a foreign Origin.
    StatusRule((404,), _by("balancer"), (("WSE-ALB-RULE", MEDIUM), ("WSE-404-PATH", LOW))),
    StatusRule((404,), _always, (("WSE-404-PATH", MEDIUM), ("WSE-400-HOST", LOW))),
    StatusRule((405,), _always, (("WSE-405-METHOD", HIGH),)),
    StatusRule((414,), _always, (("WSE-431-HEADERS", MEDIUM),)),
    StatusRule((421,), _always, (("WSE-421-DOMAIN", MEDIUM),)),
    StatusRule((426,), _always, (("WSE-426-VERSION", HIGH), ("WSE-400-NOKEY", MEDIUM))),
    StatusRule((429,), _always, (("WSE-429-RATE", HIGH),)),
    StatusRule((431, 494), _always, (("WSE-431-HEADERS", HIGH),)),
    # 500
    StatusRule((500,), _function_failed, (("WSE-EDGE-FUNCTION", MEDIUM), ("WSE-500-APP", LOW))),
    StatusRule((500,), lambda case: case.by_edge, (("WSE-5XX", MEDIUM), ("WSE-500-APP", LOW))),
    StatusRule((500,), _always, (("WSE-500-APP", MEDIUM),)),
    # 502: where a proxy behind the load balancer signed it, CloudFront got an answer.
    StatusRule(
        (502,), lambda case: case.of_a_rule, (("WSE-ALB-RULE", MEDIUM), ("WSE-502-ALB", MEDIUM))
    ),
    StatusRule((502,), _by("balancer"), (("WSE-502-ALB", HIGH),)),
    StatusRule((502,), lambda case: case.by_proxy, (("WSE-502-ALB", MEDIUM),)),
    StatusRule(
        (502,), _edge_says("domain name"), (("WSE-502-DNS", MEDIUM), ("WSE-502-ORIGIN", LOW))
    ),
    StatusRule((502,), _function_failed, (("WSE-EDGE-FUNCTION", MEDIUM), ("WSE-502-ORIGIN", LOW))),
    StatusRule(
        (502,),
        lambda case: case.origin_tls is True,
        (("WSE-502-TLS", MEDIUM), ("WSE-502-ORIGIN", LOW), ("WSE-502-DNS", LOW)),
    ),
    StatusRule(
        (502,),
        lambda case: case.origin_tls is False,
        (("WSE-502-ORIGIN", MEDIUM), ("WSE-502-DNS", LOW)),
    ),
    StatusRule(
        (502,),
        _always,
        (("WSE-502-ORIGIN", MEDIUM), ("WSE-502-TLS", MEDIUM), ("WSE-502-DNS", LOW)),
    ),
    # 503
    StatusRule(
        (503,),
        lambda case: case.of_a_rule,
        (("WSE-ALB-RULE", MEDIUM), ("WSE-503-NOTARGET", MEDIUM)),
    ),
    StatusRule((503,), _by("balancer"), (("WSE-503-NOTARGET", HIGH),)),
    StatusRule((503,), _function_failed, (("WSE-EDGE-FUNCTION", MEDIUM), ("WSE-503-EDGE", LOW))),
    StatusRule(
        (503,), lambda case: case.by_edge, (("WSE-503-EDGE", MEDIUM), ("WSE-503-NOTARGET", LOW))
    ),
    StatusRule(
        (503,),
        _by("edge"),
        (("WSE-503-APP", LOW), ("WSE-503-EDGE", LOW), ("WSE-503-NOTARGET", LOW)),
    ),
    StatusRule((503,), _always, (("WSE-503-APP", MEDIUM), ("WSE-503-NOTARGET", LOW))),
    # 504
    StatusRule((504,), _by("balancer"), (("WSE-504-ALB", HIGH),)),
    StatusRule(
        (504,), lambda case: case.by_proxy, (("WSE-504-ALB", MEDIUM), ("WSE-504-SLOW", LOW))
    ),
    StatusRule((504,), _always, (("WSE-504-SG", MEDIUM), ("WSE-504-SLOW", LOW))),
    # any other status, by its class
    StatusRule(range(400), _always, (("WSE-200-NOUPGRADE", MEDIUM),)),
    StatusRule(range(400, 500), _always, (("WSE-4XX", MEDIUM),)),
    StatusRule(range(500, 1000), _always, (("WSE-5XX", MEDIUM),)),
)
