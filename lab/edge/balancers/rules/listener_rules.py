"""What an Application Load Balancer does with a request (PURE).

It decides which action of a listener applies, what the balancer answers by itself and which headers
the target gets to see. It must never open a socket; the balancer's own sockets are in
`listeners.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import translate
from ipaddress import ip_address, ip_network
from urllib.parse import parse_qsl

from lab.edge.account.load_balancers import Listener, ListenerAction, ListenerRule, RuleCondition
from lab.edge.http.hosts import split_host
from lab.edge.http.messages import Header

MAX_LINE_BYTES = 16 * 1024
MAX_HEADER_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class BalancerRequest:
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


def oversized(request: BalancerRequest) -> bool:
    """Whether the balancer refuses the request with 400: a line over 16 KB, or all headers over 64
    KB (its quotas).
    """
    sizes = [len(name) + len(value) + 4 for name, value in request.headers]
    longest = max([len(request.target), *sizes])
    return longest > MAX_LINE_BYTES or sum(sizes) > MAX_HEADER_BYTES


def choose_action(listener: Listener, request: BalancerRequest) -> ListenerAction | None:
    """The action of the rule that decides; else the listener's default one.

    An authenticate action comes first and lets nobody pass, because no client has a session here,
    unless it says that those without one may.
    """
    rule = deciding_rule(listener, request)
    for action in rule.actions if rule else listener.default_actions:
        if not (action.type.startswith("authenticate-") and action.on_unauthenticated == "allow"):
            return action
    return None


def deciding_rule(listener: Listener, request: BalancerRequest) -> ListenerRule | None:
    """The first rule, by priority, all of whose conditions hold; None where the default action
    decides.
    """
    for rule in listener.rules:
        if rule.actions and all(_holds(condition, request) for condition in rule.conditions):
            return rule
    return None


def _holds(condition: RuleCondition, request: BalancerRequest) -> bool:
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
