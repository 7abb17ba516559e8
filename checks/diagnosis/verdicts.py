"""Every verdict a check can reach: its typed code here, its words in verdicts.toml (PURE, DATA).

`VerdictCode` lists the codes so that mypy rejects a misspelt one. When a verdict applies is decided
in the *_rules.py beside this. Codes are stored and linked: add, never rename.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

from checks.ordered import OrderedStrEnum


class Severity(OrderedStrEnum):
    """How bad it is for people who want to connect."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class Certainty(OrderedStrEnum):
    """How sure the diagnosis is of a verdict."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


LOW, MEDIUM, HIGH = Certainty.LOW, Certainty.MEDIUM, Certainty.HIGH

VerdictCode = Literal[
    "WSE-LIVE",
    "WSE-OTHER-ORIGIN",
    "WSE-PATHS-LOST",
    "WSE-URL",
    "WSE-GUARD",
    "WSE-PROBE",
    "WSE-SECRET",
    "WSE-DNS",
    "WSE-TCP-REFUSED",
    "WSE-TCP-TIMEOUT",
    "WSE-TLS-NAME",
    "WSE-TLS-EXPIRED",
    "WSE-TLS-SELFSIGNED",
    "WSE-TLS-CA",
    "WSE-TLS-PROTOCOL",
    "WSE-TIMEOUT",
    "WSE-RESET",
    "WSE-NOT-HTTP",
    "WSE-HEAD",
    "WSE-101-BADACCEPT",
    "WSE-101-NOUPGRADE",
    "WSE-101-SUBPROTOCOL",
    "WSE-101-NOSUBPROTOCOL",
    "WSE-101-POLICY",
    "WSE-101-EXTENSION",
    "WSE-EDGE-FUNCTION",
    "WSE-ALB-RULE",
    "WSE-PROXY-UPGRADE",
    "WSE-PROXY-ROUTE",
    "WSE-PROXY-REFUSED",
    "WSE-PROXY-UPSTREAM",
    "WSE-CLIENT-BLOCKED",
    "WSE-WS-OFF",
    "WSE-SOCKETIO",
    "WSE-SESSION",
    "WSE-SUBPROTOCOL",
    "WSE-FIRST-MESSAGE",
    "WSE-FORWARDED-FOR",
    "WSE-200-NOUPGRADE",
    "WSE-200-SPA",
    "WSE-301-REDIRECT",
    "WSE-301-LOOP",
    "WSE-3XX-APP",
    "WSE-400-NOKEY",
    "WSE-NOT-FORWARDED",
    "WSE-400-HOST",
    "WSE-400-EDGE",
    "WSE-401-AUTH",
    "WSE-403-METHOD",
    "WSE-403-VIEWER",
    "WSE-403-DISABLED",
    "WSE-403-ALIAS",
    "WSE-403-ORIGIN",
    "WSE-ORIGIN-HOST",
    "WSE-403-UNACCEPTED",
    "WSE-403-APP",
    "WSE-403-EDGE",
    "WSE-403-WAF",
    "WSE-403-GEO",
    "WSE-403-SIGNED",
    "WSE-403-APIGW",
    "WSE-PATH",
    "WSE-404-PATH",
    "WSE-405-METHOD",
    "WSE-413-BODY",
    "WSE-421-DOMAIN",
    "WSE-426-VERSION",
    "WSE-429-RATE",
    "WSE-431-HEADERS",
    "WSE-460-CLIENT",
    "WSE-463-FORWARDED",
    "WSE-464-PROTOCOL",
    "WSE-4XX",
    "WSE-500-APP",
    "WSE-502-ORIGIN",
    "WSE-502-PORT",
    "WSE-502-VPCORIGIN",
    "WSE-502-2025",
    "WSE-502-TLS",
    "WSE-502-DNS",
    "WSE-502-ALB",
    "WSE-502-CLOSED",
    "WSE-503-NOTARGET",
    "WSE-503-EDGE",
    "WSE-503-APP",
    "WSE-504-SG",
    "WSE-504-BPA",
    "WSE-504-NACL",
    "WSE-504-ALB",
    "WSE-504-SLOW",
    "WSE-561-LOGIN",
    "WSE-5XX",
    "WSE-NOECHO",
    "WSE-NOPONG",
    "WSE-SCRIPT",
    "WSE-FRAME",
    "WSE-LIMIT",
    "WSE-CLOSED",
    "WSE-IDLE-ALB",
    "WSE-IDLE-NLB",
    "WSE-IDLE-CLOUDFRONT",
    "WSE-IDLE-APP",
    "WSE-1006",
    "WSE-MIXED",
    "WSE-UNKNOWN",
]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One conclusion: `plain` is what a person reads first, `fix` what to change, `confirm` how to
    verify it. `new_endpoint` says how a request for a new endpoint fixes it, "" where none does.
    `opens` and `narrower` are those of `Fix`: what guard the fix opens, and how to open less.
    """

    code: VerdictCode
    title: str
    plain: str
    cause: str
    fix: str
    confirm: str
    severity: Severity = Severity.ERROR
    new_endpoint: str = ""
    opens: str = ""
    narrower: str = ""

    @property
    def advice(self) -> str:
        """The fix in one text, after what it opens."""
        if not self.opens:
            return self.fix
        return f"{self.narrower} {self.opens} {self.fix}"


def _load(text: str) -> Mapping[VerdictCode, Verdict]:
    """Raises ValueError where prose and codes do not match, TypeError for a field that is missing
    or unknown.
    """
    prose = tomllib.loads(text)
    codes: tuple[VerdictCode, ...] = get_args(VerdictCode)
    if differing := prose.keys() ^ set(codes):
        raise ValueError(f"verdicts.toml and VerdictCode differ in {sorted(differing)}")
    loaded = {}
    for code in codes:
        fields = {name: " ".join(value.split()) for name, value in prose[code].items()}
        severity = Severity(fields.pop("severity", Severity.ERROR))
        loaded[code] = Verdict(code=code, severity=severity, **fields)
    return MappingProxyType(loaded)


VERDICTS = _load(Path(__file__).with_name("verdicts.toml").read_text(encoding="utf-8"))
"""Every verdict by its code, in the order of `VerdictCode`."""
_ANY_CODE: Mapping[str, Verdict] = {code: verdict for code, verdict in VERDICTS.items()}  # noqa: C416

BY_REQUEST: Mapping[VerdictCode, str] = MappingProxyType(
    {code: verdict.new_endpoint for code, verdict in VERDICTS.items() if verdict.new_endpoint}
)
"""How a request for a new endpoint fixes a verdict: only where the cause is the behavior or origin
that answers a path without an endpoint. Faults in the app, network, name, certificate or client
would remain, and an existing endpoint is not changed by requesting another.
"""


def verdict_of(code: str) -> Verdict | None:
    """The verdict of a stored or requested code, None for an unknown one."""
    return _ANY_CODE.get(code)
