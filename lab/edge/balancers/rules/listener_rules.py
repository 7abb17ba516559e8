"""What an Application Load Balancer does with a request (PURE).

It decides which action of a listener applies, what the balancer answers by itself and which headers
the target gets to see. It must never open a socket; the balancer's own sockets are in
`listeners.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import translate
from ipaddress import ip_address, ip_network
from urllib.parse import parse_qsl

from lab.edge.account.load_balancers import Action, Condition, Listener, LoadBalancer, Rule
from lab.edge.cdn.error_pages import Answer, balancer_answer
from lab.edge.cdn.forwarding import Header
from lab.edge.cdn.routing import split_host

MAX_LINE_BYTES = 16 * 1024
MAX_HEADER_BYTES = 64 * 1024
REPLACED = frozenset(
    {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-port", "host", "connection", "upgrade"}
)
DEFAULT_PORTS = {"http": "80", "https": "443"}
# ALB guide, "HTTP 464": an HTTP/1.1 request for a target group that speaks HTTP/2 or gRPC.
INCOMPATIBLE_PROTOCOL = 464
VALID_HEADER_NAME = re.compile(r"[-A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class FrontRequest:
    """A request as the load balancer got it.

    `source` and `source_port` are of whoever connected to it. `tls` is protocol version and cipher
    suite in the balancer's words, for a connection that it decrypted.
    """

    method: str
    target: str
    headers: tuple[Header, ...]
    source: str
    source_port: int = 0
    tls: tuple[str, str] | None = None

    def header(self, name: str) -> str:
        return ", ".join(value for key, value in self.headers if key.lower() == name)


def oversized(request: FrontRequest) -> bool:
    """Whether the balancer refuses the request with 400: a line over 16 KB, or all headers over 64
    KB (its quotas).
    """
    sizes = [len(name) + len(value) + 4 for name, value in request.headers]
    longest = max([len(request.target), *sizes])
    return longest > MAX_LINE_BYTES or sum(sizes) > MAX_HEADER_BYTES


def choose_action(listener: Listener, request: FrontRequest) -> Action | None:
    """The action of the rule that decides; else the listener's default one.

    An authenticate action comes first and lets nobody pass, because no client has a session here,
    unless it says that those without one may.
    """
    rule = deciding_rule(listener, request)
    for action in rule.actions if rule else listener.default_actions:
        if not (action.type.startswith("authenticate-") and action.on_unauthenticated == "allow"):
            return action
    return None


def deciding_rule(listener: Listener, request: FrontRequest) -> Rule | None:
    """The first rule, by priority, all of whose conditions hold; None where the default action
    decides.
    """
    for rule in listener.rules:
        if rule.actions and all(_holds(condition, request) for condition in rule.conditions):
            return rule
    return None


def own_answer(action: Action | None, request: FrontRequest, listener: Listener) -> Answer:
    """What the balancer answers itself when the action is not to forward."""
    if action is not None and action.type == "redirect":
        return balancer_answer(
            action.status_code, location=redirect_location(action, request, listener)
        )
    if action is not None and action.type == "fixed-response":
        return balancer_answer(action.status_code, action.content_type, action.message_body)
    if action is not None and action.type.startswith("authenticate-"):
        if action.on_unauthenticated == "deny" or not action.login_url:
            return balancer_answer(401)
        return balancer_answer(302, location=action.login_url)
    # No action, or one that this lab does not know.
    return balancer_answer(500)


def target_headers(
    request: FrontRequest,
    balancer: LoadBalancer,
    listener: Listener,
    trace_id: str,
    websocket: bool,
) -> tuple[Header, ...]:
    """The headers the target gets: the X-Forwarded-* of this hop first, as the 2026 article's log
    shows them.
    """
    attributes = balancer.attributes
    headers = _forwarded_for(
        request, attributes.get("routing.http.xff_header_processing.mode", "append"), attributes
    )
    headers += [
        ("X-Forwarded-Proto", "https" if listener.protocol == "HTTPS" else "http"),
        ("X-Forwarded-Port", str(listener.port)),
        (
            "Host",
            _host(
                request,
                listener,
                attributes.get("routing.http.preserve_host_header.enabled") == "true",
            ),
        ),
    ]
    if not request.header("x-amzn-trace-id"):
        headers.append(("X-Amzn-Trace-Id", trace_id))
    if (
        request.tls
        and attributes.get("routing.http.x_amzn_tls_version_and_cipher_suite.enabled") == "true"
    ):
        headers += [
            ("X-Amzn-Tls-Version", request.tls[0]),
            ("X-Amzn-Tls-Cipher-Suite", request.tls[1]),
        ]
    headers += (
        [("Upgrade", "websocket"), ("Connection", "upgrade")]
        if websocket
        else [("Connection", "keep-alive")]
    )
    strict = attributes.get("routing.http.drop_invalid_header_fields.enabled") == "true"
    headers += [
        (name, value)
        for name, value in request.headers
        if name.lower() not in REPLACED and not (strict and not VALID_HEADER_NAME.fullmatch(name))
    ]
    return tuple(headers)


def _forwarded_for(request: FrontRequest, mode: str, attributes: Mapping[str, str]) -> list[Header]:
    """append, preserve or remove (ALB guide, "X-Forwarded headers"); with the client's port if the
    balancer is told.
    """
    earlier = request.header("x-forwarded-for")
    if mode == "remove":
        return []
    if mode == "preserve":
        return [("X-Forwarded-For", earlier)] if earlier else []
    source = request.source
    if attributes.get("routing.http.xff_client_port.enabled") == "true":
        source = f"{source}:{request.source_port}"
    return [("X-Forwarded-For", f"{earlier}, {source}" if earlier else source)]


def _host(request: FrontRequest, listener: Listener, preserve: bool) -> str:
    """Unless told to preserve it, the balancer adds its port to the Host header where that is not
    the usual one.
    """
    host = request.header("host")
    usual = DEFAULT_PORTS["https" if listener.protocol == "HTTPS" else "http"]
    if preserve or not host or split_host(host)[1] or str(listener.port) == usual:
        return host
    return f"{host}:{listener.port}"


def redirect_location(action: Action, request: FrontRequest, listener: Listener) -> str:
    """The Location of a redirect action, its #{...} placeholders filled in (ALB guide, "Redirect
    actions").
    """
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
    location = (
        f"{protocol}://{filled(action.redirect_host)}{shown_port}{filled(action.redirect_path)}"
    )
    return f"{location}?{to_query}" if to_query else location


def _holds(condition: Condition, request: FrontRequest) -> bool:
    match condition.field:
        case "host-header":
            name, _ = split_host(request.header("host"))
            return any(_like(pattern.lower(), name) for pattern in condition.values)
        case "path-pattern":
            return any(
                _like(pattern, request.target.partition("?")[0]) for pattern in condition.values
            )
        case "http-request-method":
            return request.method in condition.values
        case "http-header":
            given = [value for name, value in request.headers if name.lower() == condition.name]
            return any(
                _like(pattern.lower(), value.lower())
                for pattern in condition.values
                for value in given
            )
        case "query-string":
            asked = parse_qsl(request.target.partition("?")[2], keep_blank_values=True)
            return any(
                (not key or _like(key.lower(), name.lower()))
                and _like(wanted.lower(), value.lower())
                for key, wanted in condition.pairs
                for name, value in asked
            )
        case "source-ip":
            return any(
                ip_address(request.source) in ip_network(cidr, strict=False)
                for cidr in condition.values
            )
        case _:
            # A condition that this lab cannot judge must not silently win.
            return False


def _like(pattern: str, value: str) -> bool:
    """`*` and `?` as ELB means them; brackets are ordinary characters there, so they are shielded
    from fnmatch.
    """
    return re.fullmatch(translate(pattern.replace("[", "[[]")), value) is not None
