"""Which action of a listener applies to a request (PURE)."""

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
    """A request as the load balancer received it.

    `source` and `source_port` are its client's. `tls` is (protocol version, cipher suite) if the
    listener terminates TLS.
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
    """Whether the request exceeds the balancer's quotas, which gives a 400: a line over 16 KB, or
    headers over 64 KB in total.
    """
    sizes = [len(name) + len(value) + 4 for name, value in request.headers]
    longest = max([len(request.target), *sizes])
    return longest > MAX_LINE_BYTES or sum(sizes) > MAX_HEADER_BYTES


def choose_action(listener: Listener, request: BalancerRequest) -> ListenerAction | None:
    """The action of the deciding rule, else the listener's default action.

    An authenticate action comes first. No client has a session in the lab, so it always applies,
    unless it allows unauthenticated requests.
    """
    rule = deciding_rule(listener, request)
    for action in rule.actions if rule else listener.default_actions:
        if not (action.type.startswith("authenticate-") and action.on_unauthenticated == "allow"):
            return action
    return None


def deciding_rule(listener: Listener, request: BalancerRequest) -> ListenerRule | None:
    """The first rule, by priority, whose conditions all hold; None if the default action
    applies.
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
            # An unsupported condition never holds.
            return False


def _like(pattern: str, value: str) -> bool:
    # To ELB only `*` and `?` are special; fnmatch's brackets are escaped.
    return re.fullmatch(translate(pattern.replace("[", "[[]")), value) is not None
