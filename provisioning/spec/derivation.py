"""How the portal chooses a setting that was not given: one function per rule, each with a reason.

A rule sees what a person answered and what is known of the target. Its reason is a sentence that
the person can verify. The rows of `fields.py` name the rule that each setting follows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from provisioning.facts.path_patterns import example_path
from provisioning.spec.app_kinds import APP_KINDS, AppKind, kind_of_paths

METHOD_SETS = ("GET,HEAD", "GET,HEAD,OPTIONS", "GET,HEAD,OPTIONS,PUT,POST,PATCH,DELETE")
DOMAIN = re.compile(
    r"(?=.{1,253}\Z)(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}", re.ASCII
)


@dataclass(frozen=True)
class Derivation:
    """A value and, in one sentence, why it was chosen."""

    value: Any
    reason: str


@dataclass(frozen=True)
class Known:
    """What rules decide from: the answers, and of the target its listeners (port → protocol) and
    the full host names in the certificates that it presents (port → names).
    """

    answers: Mapping[str, Any] = field(default_factory=dict)
    listeners: Mapping[int, str] = field(default_factory=dict)
    certificate_names: Mapping[int, Sequence[str]] = field(default_factory=dict)

    def answer(self, name: str, default: Any) -> Any:
        """The answer under `name`, also as ticket systems write it, or else `default`."""
        given = self.answers.get(name)
        if given is None or given == "":
            return default
        if isinstance(given, str):
            return {"true": True, "false": False}.get(given.lower(), given)
        return given

    @property
    def tcp_on_443(self) -> bool:
        """Behind a TCP listener on 443, the target itself usually terminates TLS."""
        return self.listeners.get(443) == "TCP"

    @property
    def http_ports(self) -> list[int]:
        """Ports that carry plain HTTP, ascending."""
        plain = {port for port, protocol in self.listeners.items() if protocol in ("HTTP", "TCP")}
        return sorted(plain - {443} if self.tcp_on_443 else plain)

    @property
    def https_ports(self) -> list[int]:
        """Ports that carry TLS, ascending. TCP on 443 counts where no port carries plain HTTP."""
        secure = {port for port, protocol in self.listeners.items() if protocol in ("HTTPS", "TLS")}
        return sorted(secure | {443} if self.tcp_on_443 and not self.http_ports else secure)

    @property
    def uses_https(self) -> bool:
        """HTTPS where the target has it on 443, or has nothing else."""
        return 443 in self.https_ports or (bool(self.https_ports) and not self.http_ports)


Rule = Callable[[Known], Derivation]


def always(value: Any, reason: str) -> Rule:
    """The rule that chooses the same for every endpoint."""
    return lambda _: Derivation(value, reason)


def origin_protocol(known: Known) -> Derivation:
    """Never match-viewer: it needs both listeners, and fails as 502 when one is missing."""
    if known.uses_https and known.tcp_on_443:
        reason = "The target has a TCP listener on port 443, which usually carries TLS."
    elif known.uses_https:
        reason = f"The target has an HTTPS listener on port {https_port(known).value}."
    else:
        reason = (
            f"Plain HTTP on port {http_port(known).value}; this traffic stays on AWS's private "
            "network."
        )
    return Derivation("https-only" if known.uses_https else "http-only", reason)


def http_port(known: Known) -> Derivation:
    """80, or the lowest port that carries plain HTTP."""
    ports = known.http_ports
    port = 80 if 80 in ports or not ports else ports[0]
    return Derivation(port, "The port of the target's HTTP listener.")


def https_port(known: Known) -> Derivation:
    """443, or the lowest port that carries TLS."""
    ports = known.https_ports
    port = 443 if 443 in ports or not ports else ports[0]
    return Derivation(port, "The port of the target's HTTPS listener.")


def forward_host(known: Known) -> Derivation:
    """Over HTTPS only if a person says that the certificate names the viewer's host: CloudFront
    compares the two (CloudFront Developer Guide, origin settings).
    """
    if known.uses_https:
        return Derivation(
            False,
            "Over HTTPS the certificate must match the origin's own name, so the Host header is "
            "not forwarded.",
        )
    return Derivation(
        True,
        "Your app sees the host name that the viewer used. Over plain HTTP there is no "
        "certificate to match.",
    )


def origin_domain(known: Known) -> Derivation:
    """Over HTTPS and without the viewer's Host header, the only name in the certificate, since
    CloudFront compares it. Where there are several, only a person knows which one is meant.
    """
    protocol = known.answer("origin_protocol", origin_protocol(known).value)
    forwards_host = known.answer("forward_host", not known.uses_https)
    names: list[str] = []
    if protocol != "http-only" and not forwards_host:
        port = known.answer("https_port", https_port(known).value)
        if isinstance(port, str) and re.fullmatch(r"[0-9]{1,6}", port, re.ASCII):
            port = int(port)
        if isinstance(port, int):
            names = [one for one in known.certificate_names.get(port, ()) if DOMAIN.fullmatch(one)]
    if len(names) == 1:
        return Derivation(
            names[0],
            "The only name in the target's certificate. CloudFront sends it as Host and compares "
            "the two.",
        )
    if names:
        listed = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        return Derivation("", f"The target's certificate names {listed}. Choose one of them.")
    return Derivation("", "The target's own DNS name is used.")


def allowed_methods(known: Known) -> Derivation:
    """All seven methods only where the same path carries HTTP requests too."""
    if known.answers.get("carries_http_api") is True:
        return Derivation(METHOD_SETS[2], "The path also carries an HTTP API, which needs POST.")
    kind = chosen_kind(known)
    if kind.http_api:
        return Derivation(METHOD_SETS[2], f"{kind.title} serves HTTP requests on the same path.")
    return Derivation(METHOD_SETS[0], "A WebSocket handshake is a GET; nothing else needs to pass.")


def app_kind(known: Known) -> Derivation:
    """The kind whose usual path is asked for, else any WebSocket server."""
    kind = kind_of_paths(tuple(_paths(known)))
    if kind.in_paths:
        return Derivation(kind.key, f"The path is a usual one of {kind.title}.")
    return Derivation(kind.key, "Nothing is known of the app; the check sends it no message.")


def chosen_kind(known: Known) -> AppKind:
    """The kind of app that the other rules decide from."""
    return APP_KINDS.get(str(known.answer("app_kind", ""))) or kind_of_paths(tuple(_paths(known)))


def subprotocols(known: Known) -> Derivation:
    """Those of the kind of app."""
    kind = chosen_kind(known)
    if kind.subprotocols:
        return Derivation(kind.subprotocols, f"{kind.title} speaks them.")
    return Derivation((), "None is offered.")


def check_path(known: Known) -> Derivation:
    """The kind's own path and query; else a path that the patterns match."""
    kind, paths = chosen_kind(known), _paths(known)
    if kind.path:
        reason = f"What clients of {kind.title} request. {kind.path_doubt(paths)}".rstrip()
        return Derivation(kind.check_path(paths), reason)
    plain = next((one for one in paths if not set(one) & {"*", "?"}), None)
    path = plain or (example_path(paths[0]) if paths else None) or ""
    return Derivation(path, "A path that your path pattern matches.")


def check_script(known: Known) -> Derivation:
    """What the kind of app says and hears at first."""
    kind = chosen_kind(known)
    if kind.script:
        return Derivation(kind.script, f"The first messages of {kind.title}.")
    return Derivation("", "The check sends no message.")


def _paths(known: Known) -> list[str]:
    given = known.answers.get("path_patterns") or ()
    words = re.split(r"[,\s]+", given) if isinstance(given, str) else given
    if not isinstance(words, list | tuple):
        return []
    return [word for word in words if isinstance(word, str) and word.startswith("/")]
