"""The words of the verdicts, for people who never saw a WebSocket upgrade (PURE, DATA).

Decides what is said of each word, and which words a text uses. It must never be needed to know what
to do: fixes stand in `verdicts`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

WORDS: tuple[tuple[str, str, str], ...] = (
    (
        "handshake, upgrade, 101",
        r"handshake|upgrad|101|accept(?:s|ing)? slowly",
        "A WebSocket begins as an ordinary HTTP request that asks to go on as a WebSocket "
        "(Upgrade: websocket). The "
        "server agrees with the status 101; any other answer is a refusal. Together they "
        "are the handshake.",
    ),
    (
        "Sec-WebSocket-Key and -Accept",
        r"sec-websocket-(?:key|accept)|its accept",
        "The client sends a random key, the server answers with a value computed from it. "
        "So the client knows that a "
        "WebSocket server read this very request, and no cache answered.",
    ),
    (
        "subprotocol",
        r"subprotocol",
        "What the two sides speak over the WebSocket, such as graphql-ws. The client offers "
        "names, the server "
        "picks one.",
    ),
    (
        "edge",
        r"\bedges?\b",
        "The servers of CloudFront near the clients. They take requests in and pass them on "
        "to the origin.",
    ),
    (
        "origin, VPC origin",
        r"\borigins?\b(?! list| check)",
        "Where CloudFront gets answers from: here a load balancer or server of yours. A VPC "
        "origin is one that only "
        "CloudFront can reach, in a private network (VPC).",
    ),
    (
        "Origin (the header line)",
        r"\bOrigin\b(?= line|\.| \(|, )|origin list|check_origin|without Origin",
        "The web page, by its address, from which a browser opened the WebSocket. Apps may "
        "refuse pages they do not "
        "know.",
    ),
    (
        "behavior, path pattern",
        r"behavior|path pattern",
        "A rule of the distribution for some paths: to which origin, with which headers, "
        "cached or not. The first "
        "whose pattern matches the path is used, else the default one.",
    ),
    (
        "policy, AllViewer",
        r"polic(?:y|ies)|allviewer",
        "The origin request policy of a behavior says what of a request CloudFront passes "
        "on; what is not named stays "
        "behind. AllViewer passes on everything.",
    ),
    (
        "listener, target group",
        r"listener|target group",
        "A load balancer's listener takes connections in on a port, and its rules send them "
        "to a target group: the "
        "servers on which the app runs.",
    ),
    (
        "security group, network ACL",
        r"security group|network acl|block public access",
        "The firewalls of a VPC: a security group around a server or load balancer, a "
        "network ACL around a subnet. "
        "What they do not let in, they drop without an answer.",
    ),
    (
        "ping, heartbeat, idle clock",
        r"\bping|heartbeat|idle",
        "Everything on the way closes connections on which nothing is sent for some time: "
        "its idle clock. A heartbeat, "
        "such as a WebSocket ping every 20 to 30 seconds, keeps them open.",
    ),
    (
        "close code, 1006",
        r"close code|close frame|\b10\d\d\b",
        "A side that ends a WebSocket says why by a number. 1006 is what browsers show "
        "where nobody said anything: the "
        "connection just ended.",
    ),
)
"""Name, where it is used (a regular expression), and what it means. Case matters only where the
pattern says Origin.
"""


def words_of(texts: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """The words that these texts use, each with its meaning."""
    said = " ".join(texts)
    return tuple(
        (name, meaning)
        for name, pattern, meaning in WORDS
        if re.search(pattern, said if "Origin" in pattern else said.lower())
    )
