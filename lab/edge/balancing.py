"""What an Application Load Balancer does with a request (PURE).

It decides which action of a listener applies, which target is next and which headers the target gets to see. It must
never open a socket; the balancer's own sockets are in `balancer.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate

from lab.edge.forwarding import Header
from lab.edge.network_facts import Action, Condition, Listener, Target, TargetGroup
from lab.edge.routing import split_host

MAX_LINE_BYTES = 16 * 1024
MAX_HEADER_BYTES = 64 * 1024
REPLACED = frozenset({"x-forwarded-for", "x-forwarded-proto", "x-forwarded-port", "host", "connection", "upgrade"})
DEFAULT_PORTS = {"http": "80", "https": "443"}


@dataclass(frozen=True, slots=True)
class FrontRequest:
    """A request as the load balancer got it. `source` is the address of whoever connected to it."""

    method: str
    target: str
    headers: tuple[Header, ...]
    source: str

    def header(self, name: str) -> str:
        return ", ".join(value for key, value in self.headers if key.lower() == name)


def choose_action(listener: Listener, request: FrontRequest) -> Action | None:
    """The action of the first rule, by priority, all of whose conditions hold; else the listener's default one."""
    for rule in listener.rules:
        if rule.actions and all(_holds(condition, request) for condition in rule.conditions):
            return rule.actions[-1]
    return listener.default_actions[-1] if listener.default_actions else None


def candidates(action: Action, groups: Mapping[str, TargetGroup]) -> Sequence[Target]:
    """The targets that may get a forwarded request: the healthy ones, or all if none is (the balancer fails open)."""
    targets = [target for arn in action.target_group_arns if arn in groups for target in groups[arn].targets]
    usable = [target for target in targets if target.health != "draining"]
    return [target for target in usable if target.health == "healthy"] or usable


def target_headers(request: FrontRequest, listener: Listener, trace_id: str, websocket: bool) -> tuple[Header, ...]:
    """The headers the target gets: the X-Forwarded-* of this hop first, as the 2026 seed's log shows them."""
    earlier = request.header("x-forwarded-for")
    headers: list[Header] = [
        ("X-Forwarded-For", f"{earlier}, {request.source}" if earlier else request.source),
        ("X-Forwarded-Proto", "https" if listener.protocol == "HTTPS" else "http"),
        ("X-Forwarded-Port", str(listener.port)),
        ("Host", request.header("host")),
    ]
    if not request.header("x-amzn-trace-id"):
        headers.append(("X-Amzn-Trace-Id", trace_id))
    headers += [("Upgrade", "websocket"), ("Connection", "upgrade")] if websocket else [("Connection", "keep-alive")]
    headers += [(name, value) for name, value in request.headers if name.lower() not in REPLACED]
    return tuple(headers)


def redirect_location(action: Action, request: FrontRequest, listener: Listener) -> str:
    """The Location of a redirect action, its #{...} placeholders filled in (ALB guide, "Redirect actions")."""
    name, _ = split_host(request.header("host"))
    path, _, query = request.target.partition("?")
    values = {
        "protocol": "https" if listener.protocol == "HTTPS" else "http",
        "port": str(listener.port),
        "host": name,
        "path": path.lstrip("/"),
        "query": query,
    }

    def filled(template: str) -> str:
        return re.sub(r"#\{(\w+)\}", lambda found: values.get(found[1], ""), template)

    protocol = filled(action.redirect_protocol).lower()
    port = filled(action.redirect_port)
    shown_port = "" if port == DEFAULT_PORTS.get(protocol) else f":{port}"
    to_query = filled(action.redirect_query)
    location = f"{protocol}://{filled(action.redirect_host)}{shown_port}{filled(action.redirect_path)}"
    return f"{location}?{to_query}" if to_query else location


def _holds(condition: Condition, request: FrontRequest) -> bool:
    match condition.field:
        case "host-header":
            name, _ = split_host(request.header("host"))
            return any(_like(pattern.lower(), name) for pattern in condition.values)
        case "path-pattern":
            return any(_like(pattern, request.target.partition("?")[0]) for pattern in condition.values)
        case "http-request-method":
            return request.method in condition.values
        case _:
            # A condition that this lab cannot judge must not silently win.
            return False


def _like(pattern: str, value: str) -> bool:
    """`*` and `?` as ELB means them; brackets are ordinary characters there, so they are shielded from fnmatch."""
    return re.fullmatch(translate(pattern.replace("[", "[[]")), value) is not None
