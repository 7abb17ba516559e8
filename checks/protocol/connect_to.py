"""Where to connect instead of a URL's own host, as with curl's --connect-to (PURE).

SNI, certificate name and Host stay the URL's. The address it leads to is still judged by the
address guard.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit


class ConnectToError(ValueError):
    """A rule that cannot be read, and what is wrong with it."""

    def __init__(self, rule: str, problem: str) -> None:
        super().__init__(rule, problem)
        self.rule, self.problem = rule, problem

    def __str__(self) -> str:
        return (
            f"PROBE_CONNECT_TO: {self.rule!r}: {self.problem}; expected "
            "HOSTPATTERN:PORT:CONNECTHOST:CONNECTPORT"
        )


@dataclass(frozen=True, slots=True)
class ConnectRule:
    """`pattern` is a host, `*.suffix` (any depth of subdomains) or empty for every host; port None
    is every port.
    """

    pattern: str
    port: int | None
    connect_host: str
    connect_port: int | None

    def __str__(self) -> str:
        host = f"[{self.connect_host}]" if ":" in self.connect_host else self.connect_host
        return f"{self.pattern}:{self.port or ''}:{host}:{self.connect_port or ''}"

    def matches(self, host: str, port: int) -> bool:
        """The rule applies to that host and port of a URL."""
        if self.port is not None and self.port != port:
            return False
        host = host.lower()
        if self.pattern in ("", "*"):
            return True
        if self.pattern.startswith("*."):
            return host.endswith(self.pattern[1:])
        return host == self.pattern


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to connect; `rule` is the rule that applied, empty if none did."""

    host: str
    port: int
    rule: str = ""


def parse_connect_to(text: str) -> tuple[ConnectRule, ...]:
    """Read comma-separated rules; blank ones are skipped. Raises ConnectToError."""
    return tuple(_parse(rule) for rule in (piece.strip() for piece in text.split(",")) if rule)


def pick(rules: tuple[ConnectRule, ...], host: str, port: int) -> Destination:
    """The destination for a URL's host and port. The first rule that matches wins, as with curl."""
    for rule in rules:
        if rule.matches(host, port):
            return Destination(rule.connect_host or host, rule.connect_port or port, str(rule))
    return Destination(host, port)


# A bracketed IPv6 address is the only field that may contain colons.
_RULE = re.compile(r"(\[[^\]]*\]|[^:\[\]]*):([^:]*):(\[[^\]]*\]|[^:\[\]]*):([^:]*)")


def _parse(rule: str) -> ConnectRule:
    found = _RULE.fullmatch(rule)
    if not found:
        raise ConnectToError(
            rule, "needs four fields separated by colons, IPv6 addresses in brackets"
        )
    pattern, port, connect_host, connect_port = found.groups()
    if "*" in pattern.removeprefix("*"):
        raise ConnectToError(rule, "a star may only come first, alone or as '*.suffix'")
    if pattern.startswith("*") and pattern != "*" and not pattern.startswith("*."):
        raise ConnectToError(rule, "a star may only come first, alone or as '*.suffix'")
    return ConnectRule(
        pattern.strip("[]").lower(),
        _port(rule, port),
        connect_host.strip("[]").lower(),
        _port(rule, connect_port),
    )


def _port(rule: str, text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535):
        raise ConnectToError(rule, f"{text!r} is not a port")
    return int(text)


def at_same_address(rules: tuple[ConnectRule, ...], url: str, name: str) -> ConnectRule:
    """The rule that leads another name to where a URL leads: a name of the same distribution may
    have no DNS record yet, or one that leads elsewhere.
    """
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "wss" else 80)
    there = pick(rules, parts.hostname or "", port)
    return ConnectRule(name.lower(), port, there.host, there.port)
