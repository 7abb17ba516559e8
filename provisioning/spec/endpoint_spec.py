"""What an endpoint shall be: the validated, frozen wish, its parsing and its digest.

PURE. It decides whether a wish is well formed and what follows from what a person answered (with
the reason for each derived setting). It never asks AWS and never looks at the clock.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import rfc8785

from provisioning.facts.names import (
    ALL_VIEWER,
    ALL_VIEWER_EXCEPT_HOST,
    AccountId,
    Arn,
    DistributionId,
    PolicyId,
    vpc_origin_key,
)
from provisioning.facts.path_patterns import same_paths

PROTOCOLS = ("http-only", "https-only", "match-viewer")
VIEWER_POLICIES = ("https-only", "redirect-to-https")
MOST_PATHS = 5
METHOD_SETS = ("GET,HEAD", "GET,HEAD,OPTIONS", "GET,HEAD,OPTIONS,PUT,POST,PATCH,DELETE")

_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?", re.ASCII)
_ACCOUNT = re.compile(r"[0-9]{12}", re.ASCII)
_DISTRIBUTION = re.compile(r"E[A-Z0-9]{7,19}", re.ASCII)
_TARGET = re.compile(
    r"arn:aws:(?:elasticloadbalancing:(?P<lb>[a-z]{2}(?:-[a-z]+)+-[0-9]):(?P<lb_account>[0-9]{12}):loadbalancer/"
    r"(?:app|net|gwy)/[A-Za-z0-9-]{1,32}/[a-z0-9]{1,32}"
    r"|ec2:(?P<ec2>[a-z]{2}(?:-[a-z]+)+-[0-9]):(?P<ec2_account>[0-9]{12}):instance/i-[0-9a-f]{8,17})",
    re.ASCII,
)
_PATTERN = re.compile(r"/[A-Za-z0-9_\-.*$/~\"'@:+&?]{0,254}", re.ASCII)
_DOMAIN = re.compile(
    r"(?=.{1,253}\Z)(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}", re.ASCII
)
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}", re.ASCII)


@dataclass(frozen=True)
class FieldError:
    """One thing wrong with one field, in words that say what to do."""

    field: str
    code: str
    message: str


class SpecError(ValueError):
    """A wish that cannot become a spec. Carries every fault found, not only the first."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        self.errors = tuple(errors)

    def __str__(self) -> str:
        return "; ".join(f"{error.field}: {error.message}" for error in self.errors)


@dataclass(frozen=True)
class EndpointSpec:
    """The desired state of one endpoint. Ports are TCP ports; timeouts are seconds."""

    name: str
    account_id: AccountId
    distribution_id: DistributionId
    target_arn: Arn
    path_patterns: tuple[str, ...]
    origin_protocol: str
    http_port: int
    https_port: int
    forward_host: bool
    origin_domain: str
    viewer_protocol_policy: str
    allowed_methods: str
    read_timeout: int
    keepalive_timeout: int
    open_security_group: bool
    max_silence_seconds: int
    subprotocols: tuple[str, ...]

    @property
    def region(self) -> str:
        """The Region of the target, from its ARN."""
        return self.target_arn.split(":")[3]

    @property
    def origin_port(self) -> int:
        """The port that wss:// viewers' traffic reaches on the target."""
        return self.http_port if self.origin_protocol == "http-only" else self.https_port

    @property
    def origin_ports(self) -> tuple[int, ...]:
        """Every port CloudFront may use on the target."""
        if self.origin_protocol == "match-viewer":
            return (self.http_port, self.https_port)
        return (self.origin_port,)

    @property
    def origin_request_policy_id(self) -> PolicyId:
        """AllViewer forwards Host; AllViewerExceptHostHeader lets the origin's domain be the
        Host.
        """
        return ALL_VIEWER if self.forward_host else ALL_VIEWER_EXCEPT_HOST

    @property
    def vpc_origin_key(self) -> str:
        """Endpoints with the same key share one VPC origin."""
        return vpc_origin_key(
            self.target_arn, self.origin_protocol, self.http_port, self.https_port
        )

    @property
    def handshake_path(self) -> str:
        """A concrete path that one of the patterns matches: where a handshake check knocks. One
        without wildcards if there is one; else what the first leaves, with its last slash: `/ws/*`
        does not match `/ws`.
        """
        plain = (pattern for pattern in self.path_patterns if not set(pattern) & {"*", "?"})
        return next(plain, self.path_patterns[0].replace("*", "").replace("?", "x"))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; the inverse of `parse_spec`."""
        plain = asdict(self)
        plain["path_patterns"] = list(self.path_patterns)
        plain["subprotocols"] = list(self.subprotocols)
        return plain

    def digest(self) -> str:
        """SHA-256 over the RFC 8785 form, hex."""
        return digest_of(self.to_dict())


def digest_of(value: Any) -> str:
    """SHA-256, hex, over the canonical JSON (RFC 8785) of a JSON-ready value."""
    return hashlib.sha256(rfc8785.dumps(value)).hexdigest()


@dataclass(frozen=True)
class Derived:
    """A setting the portal chose, and why, in one sentence a person can check."""

    field: str
    value: Any
    reason: str


def derive_settings(
    answers: Mapping[str, Any],
    listener_protocols: Mapping[int, str] | None = None,
    certificate_names: Mapping[int, Sequence[str]] | None = None,
) -> tuple[Derived, ...]:
    """The settings that follow from a person's answers and, where known, from the target's
    listeners (port → protocol) and the full names in the certificates that it shows (port → names).

    1. Origin protocol: HTTPS where the target listens with HTTPS on 443, else HTTP; never
       match-viewer, which needs both listeners and fails as 502 when one is missing. Behind TCP on
       443 the target itself does TLS, as a rule: HTTPS there, where it listens on nothing else.
    2. Ports: 80 and 443, or the only port the target listens on.
    3. Host: forwarded when the origin leg is plain HTTP; over HTTPS only when the person says that
       the certificate names the viewer's host (CloudFront Developer Guide, origin settings).
    4. Methods: a handshake is a GET; all seven only where the same path carries an HTTP API
       (Socket.IO).
    5. The origin's domain: over HTTPS and without the viewers' Host, the only name that the
       certificate has, since CloudFront compares it. Where there are several, a person knows which
       one is meant.
    6. Timeouts: the read timeout governs waiting for the 101 only; 30 s is CloudFront's default.
    """
    listeners = dict(listener_protocols or {})
    passed_on = listeners.get(443) == "TCP"
    secure = {port for port, protocol in listeners.items() if protocol in ("HTTPS", "TLS")}
    plain = {port for port, protocol in listeners.items() if protocol in ("HTTP", "TCP")}
    http_ports = sorted(plain - {443} if passed_on else plain)
    https_ports = sorted(secure | {443} if passed_on and not http_ports else secure)
    use_https = 443 in https_ports or (bool(https_ports) and not http_ports)
    protocol = "https-only" if use_https else "http-only"
    http_port = 80 if 80 in http_ports or not http_ports else http_ports[0]
    https_port = 443 if 443 in https_ports or not https_ports else https_ports[0]
    carries_api = answers.get("carries_http_api") is True
    compares = _answer(answers, "origin_protocol", protocol) != "http-only" and not _answer(
        answers, "forward_host", not use_https
    )
    shown = (
        (certificate_names or {}).get(_port(_answer(answers, "https_port", https_port)), ())
        if compares
        else ()
    )
    return (
        Derived(
            "origin_protocol",
            protocol,
            "The target listens with TCP on 443, behind which it is TLS as a rule."
            if use_https and passed_on
            else f"The target listens with HTTPS on {https_port}."
            if use_https
            else f"The target listens with plain HTTP on {http_port}; the leg stays inside AWS's "
            "network.",
        ),
        Derived("http_port", http_port, "The port of the target's HTTP listener."),
        Derived("https_port", https_port, "The port of the target's HTTPS listener."),
        Derived(
            "forward_host",
            not use_https,
            "Over HTTPS the certificate must match the origin's own name, so Host is not forwarded."
            if use_https
            else "The app sees the name the viewer used; no certificate is checked on a plain "
            "HTTP leg.",
        ),
        _origin_domain([name for name in shown if _DOMAIN.fullmatch(name)]),
        Derived(
            "viewer_protocol_policy",
            "https-only",
            "A WebSocket client does not follow a redirect; wss:// only.",
        ),
        Derived(
            "allowed_methods",
            METHOD_SETS[2] if carries_api else METHOD_SETS[0],
            "The path also carries an HTTP API, which needs POST."
            if carries_api
            else "A WebSocket handshake is a GET; nothing else needs to pass.",
        ),
        Derived(
            "read_timeout",
            30,
            "How long CloudFront waits for the 101 answer. 30 seconds is its default.",
        ),
        Derived(
            "keepalive_timeout", 5, "Concerns plain HTTP only; an open WebSocket is not affected."
        ),
        Derived(
            "open_security_group",
            True,
            "Lets the plan admit CloudFront to the target where nothing does yet.",
        ),
    )


def _answer(answers: Mapping[str, Any], field: str, otherwise: Any) -> Any:
    """What the person said, in the words of a ticket system too, or else what is derived."""
    said = answers.get(field)
    if said is None or said == "":
        return otherwise
    return {"true": True, "false": False}.get(said.lower(), said) if isinstance(said, str) else said


def _port(value: Any) -> int:
    """The number, or 0 for what is none; what a port may be is decided in `parse_spec`."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,6}", value, re.ASCII):
        return int(value)
    return value if isinstance(value, int) else 0


def _origin_domain(names: Sequence[str]) -> Derived:
    if len(names) == 1:
        reason = (
            "The only name in the target's certificate. CloudFront sends it as Host and "
            "compares the two."
        )
        return Derived("origin_domain", names[0], reason)
    if names:
        listed = f"{', '.join(names[:5])}{', …' if len(names) > 5 else ''}"
        return Derived(
            "origin_domain", "", f"The target's certificate names {listed}. Choose one of them."
        )
    return Derived("origin_domain", "", "The target's own DNS name is used.")


DEFAULTS: dict[str, Any] = {"max_silence_seconds": 30, "subprotocols": ()}


def complete_answers(
    answers: Mapping[str, Any],
    listener_protocols: Mapping[int, str] | None = None,
    certificate_names: Mapping[int, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """The wish with every unset (absent, None or "") setting filled by derivation. Answers always
    win.
    """
    complete: dict[str, Any] = {**DEFAULTS}
    derived = derive_settings(answers, listener_protocols, certificate_names)
    complete |= {one.field: one.value for one in derived}
    complete |= {key: value for key, value in answers.items() if value is not None and value != ""}
    complete.pop("carries_http_api", None)
    return complete


def parse_spec(data: Mapping[str, Any]) -> EndpointSpec:
    """Validate a complete wish. Raises SpecError with every fault. Accepts lists or comma-separated
    strings for the list fields and decimal strings for numbers, because ticket systems send
    strings.
    """
    errors: list[FieldError] = []
    values: dict[str, Any] = {}

    known = {field.name for field in fields(EndpointSpec)}
    for key in sorted(set(data) - known):
        errors.append(FieldError(key, "unknown", "This field does not exist. Remove it."))

    def text(field: str, pattern: re.Pattern[str], advice: str) -> None:
        value = data.get(field)
        if not isinstance(value, str) or not value:
            errors.append(FieldError(field, "required", f"Needed. {advice}"))
        elif not pattern.fullmatch(value):
            errors.append(FieldError(field, "invalid", advice))
        else:
            values[field] = value

    def choice(field: str, allowed: Sequence[str]) -> None:
        value = data.get(field)
        if value not in allowed:
            errors.append(FieldError(field, "invalid", f"Choose one of: {'; '.join(allowed)}."))
        else:
            values[field] = value

    def number(field: str, low: int, high: int, also: frozenset[int] = frozenset()) -> None:
        value = data.get(field)
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,6}", value, re.ASCII):
            value = int(value)
        if (
            isinstance(value, bool)
            or not isinstance(value, int)
            or not (low <= value <= high or value in also)
        ):
            extra = f", or {' or '.join(map(str, sorted(also)))}" if also else ""
            errors.append(
                FieldError(field, "invalid", f"A whole number from {low} to {high}{extra}.")
            )
        else:
            values[field] = value

    def flag(field: str) -> None:
        value = data.get(field)
        if isinstance(value, str) and value.lower() in ("true", "false"):
            value = value.lower() == "true"
        if not isinstance(value, bool):
            errors.append(FieldError(field, "invalid", "Say true or false."))
        else:
            values[field] = value

    def words(
        field: str, pattern: re.Pattern[str], most: int, advice: str, *, required: bool
    ) -> None:
        value = data.get(field, ())
        if isinstance(value, str):
            value = [word for word in re.split(r"[,\s]+", value) if word]
        if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
            errors.append(FieldError(field, "invalid", advice))
        elif required and not value:
            errors.append(FieldError(field, "required", f"Needed. {advice}"))
        elif len(value) > most:
            errors.append(FieldError(field, "too_many", f"At most {most} fit. Remove some."))
        elif len(set(value)) != len(value):
            errors.append(
                FieldError(field, "duplicate", "The same entry stands there twice. Remove one.")
            )
        elif bad := [word for word in value if not pattern.fullmatch(word)]:
            errors.append(FieldError(field, "invalid", f"{bad[0]!r} does not fit. {advice}"))
        else:
            values[field] = tuple(value)

    text(
        "name",
        _NAME,
        "Use 1 to 40 lower-case letters, digits and hyphens, beginning with a letter, as in "
        "team-chat.",
    )
    text("account_id", _ACCOUNT, "The AWS account's twelve digits.")
    text("distribution_id", _DISTRIBUTION, "The distribution's id, as in E1A2B3C4D5E6F7.")
    text(
        "target_arn",
        _TARGET,
        "The ARN of a load balancer or an EC2 instance, from the list of targets.",
    )
    words(
        "path_patterns",
        _PATTERN,
        MOST_PATHS,
        "Begin each with a slash, as in /ws/chat or /ws/*; letters, digits and "
        "_-.*$/~\"'@:+&? are allowed.",
        required=True,
    )
    choice("origin_protocol", PROTOCOLS)
    number("http_port", 1024, 65535, frozenset({80, 443}))
    number("https_port", 1024, 65535, frozenset({80, 443}))
    flag("forward_host")
    if data.get("origin_domain") in ("", None):
        values["origin_domain"] = ""
    else:
        text(
            "origin_domain",
            _DOMAIN,
            "A full host name, as in chat.internal.example.com; or leave it empty.",
        )
    choice("viewer_protocol_policy", VIEWER_POLICIES)
    choice("allowed_methods", METHOD_SETS)
    number("read_timeout", 1, 120)
    number("keepalive_timeout", 1, 120)
    flag("open_security_group")
    number("max_silence_seconds", 1, 86400)
    words(
        "subprotocols",
        _TOKEN,
        10,
        "Names like graphql-transport-ws, without spaces.",
        required=False,
    )

    errors += _cross_check(values)
    if errors:
        raise SpecError(errors)
    return EndpointSpec(**values)


def _cross_check(values: Mapping[str, Any]) -> list[FieldError]:
    """Rules that need more than one field."""
    errors = []
    match = _TARGET.fullmatch(str(values.get("target_arn", "")))
    if match and "account_id" in values:
        account = match["lb_account"] or match["ec2_account"]
        if account != values["account_id"]:
            errors.append(
                FieldError(
                    "target_arn",
                    "other_account",
                    "The target belongs to another account. Pick one of this account.",
                )
            )
    for index, pattern in enumerate(values.get("path_patterns", ())):
        same = next(
            (other for other in values["path_patterns"][:index] if same_paths(other, pattern)), None
        )
        if same is not None:
            told = f"{pattern} means the same paths as {same}. Remove one."
            errors.append(FieldError("path_patterns", "duplicate", told))
    # Also "/**", "/?*" and the like: nothing in them is anybody's own.
    if not all(pattern.strip("/*?") for pattern in values.get("path_patterns", ())):
        errors.append(
            FieldError(
                "path_patterns",
                "catch_all",
                "This would take over every request of the distribution. Choose a path of "
                "its own, as in /ws/chat.",
            )
        )
    return errors
