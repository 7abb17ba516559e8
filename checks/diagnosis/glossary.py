"""Terms that the verdicts use, explained for people new to WebSockets (PURE, DATA)."""

from __future__ import annotations

import re
from collections.abc import Iterable

TERMS: tuple[tuple[str, str, str], ...] = (
    (
        "handshake, upgrade, 101",
        r"handshake|upgrad|101|accept(?:s|ing)? (?:too )?slowly",
        "A WebSocket starts as an ordinary HTTP request that asks to switch protocols "
        "(Upgrade: websocket). The server agrees with status 101; any other status is a refusal. "
        "This exchange is the handshake.",
    ),
    (
        "Sec-WebSocket-Key and -Accept",
        r"sec-websocket-(?:key|accept)|its accept",
        "The client sends a random key, and the server answers with a value computed from it. This "
        "proves that a WebSocket server read this very request, and that no cache answered.",
    ),
    (
        "subprotocol",
        r"subprotocol",
        "What the two sides speak over the WebSocket, such as graphql-ws. The client offers names, "
        "and the server picks one.",
    ),
    (
        "edge",
        r"\bedges?\b",
        "CloudFront's servers near the clients. They receive requests and forward them to the "
        "origin.",
    ),
    (
        "origin, VPC origin",
        r"\borigins?\b(?! list| check)",
        "Where CloudFront gets responses from: here your load balancer or server. A VPC origin is "
        "in a private network (VPC) and can be reached only through CloudFront.",
    ),
    (
        "Origin (the header)",
        r"\bOrigin\b(?= header|\.| \(|, |:)|origin list|check_origin|without Origin",
        "The address of the web page from which a browser opened the WebSocket. Apps may refuse "
        "pages that they do not know.",
    ),
    (
        "behavior, path pattern",
        r"behavior|path pattern",
        "A distribution's rule for some paths: which origin, which headers, cached or not. The "
        "first behavior whose pattern matches the path is used, otherwise the default one.",
    ),
    (
        "policy, AllViewer",
        r"polic(?:y|ies)|allviewer",
        "A behavior's origin request policy says which parts of a request CloudFront forwards; the "
        "rest is dropped. AllViewer forwards everything.",
    ),
    (
        "listener, target group",
        r"listener|target group",
        "A load balancer's listener accepts connections on a port, and its rules forward requests "
        "to a target group: the servers that run the app.",
    ),
    (
        "security group, network ACL",
        r"security group|network acl|block public access",
        "The firewalls of a VPC: a security group for a server or load balancer, a network ACL for "
        "a subnet. They drop what they do not allow, without a response.",
    ),
    (
        "ping, heartbeat, idle timeout",
        r"\bping|heartbeat|idle",
        "Load balancers and CloudFront close connections on which nothing is sent for some time: "
        "the idle timeout. A heartbeat, such as a WebSocket ping every 20 to 30 seconds, keeps a "
        "connection open.",
    ),
    (
        "close code, 1006",
        r"close code|close frame|\b10\d\d\b",
        "The side that closes a WebSocket gives the reason as a number. Browsers show 1006 when "
        "neither side sent one: the connection just ended.",
    ),
)
"""Term, where it is used (a regular expression), and what it means. Case matters only where the
pattern says Origin.
"""


def terms_in(texts: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """The terms that these texts use, each with its meaning."""
    joined = " ".join(texts)
    return tuple(
        (name, meaning)
        for name, pattern, meaning in TERMS
        if re.search(pattern, joined if "Origin" in pattern else joined.lower())
    )
