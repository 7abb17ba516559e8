"""What a fault is: a name, a sentence, what it takes, what a client sees and which verdict follows
(PURE).

It decides the words. It must never act; the other modules of this package do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Kind(StrEnum):
    """How a fault acts."""

    ACCOUNT = "account"
    """The account is really changed through the AWS API, and put back."""

    APP = "app"
    """An app that misbehaves takes the place of the targets' own."""

    DATA_PLANE = "data plane"
    """The edge or a load balancer misbehaves in a way that no API can express."""

    CALLS = "calls"
    """Calls to the AWS endpoint go wrong."""


class Ask(StrEnum):
    """What an independent client must do to see a fault."""

    HANDSHAKE = "handshake"
    PLAIN = "handshake over ws://"
    POST = "POST"
    ALIAS = "handshake with an alias as host"
    FOREIGN_ORIGIN = "handshake with the Origin https://elsewhere.example"
    SUBPROTOCOL = "handshake that offers the subprotocol chat.v1"
    MESSAGE = "handshake, then a message"
    SILENCE = "handshake, then silence"
    REPEATED = "several handshakes"


@dataclass(frozen=True, slots=True)
class Signature:
    """What a client that knows nothing of the lab sees.

    `statuses` are those of the answer to the handshake, one of which comes; `server` is the Server
    header of the answer if it tells who wrote it; `close` is the close code after a 101.
    """

    text: str
    statuses: tuple[int, ...] = ()
    server: str = ""
    close: tuple[int, ...] = ()
    ask: Ask = Ask.HANDSHAKE


@dataclass(frozen=True, slots=True)
class Fault:
    """A named misbehaviour.

    `takes` are the parameters it may be given, `needs` those it must be given. `verdict` is the
    code that a handshake check must come to, "" where no handshake can show the fault. `app` names
    one of the apps that misbehave; `error` is AWS's code for faults of calls.
    """

    name: str
    plain: str
    kind: Kind
    signature: Signature
    verdict: str = ""
    takes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    app: str = ""
    error: str = ""


ENDPOINT = ("distribution", "path")
CALL = ("account", "service", "operation", "nth", "times")

PARAMETERS: Mapping[str, str] = MappingProxyType(
    {
        "distribution": "id, domain name or alias of a distribution",
        "path": "a path of the endpoint, such as /ws/chat; / if it is left out",
        "detail": "the result that the edge logs, such as CapacityExceeded",
        "account": "twelve digits; every account if it is left out",
        "service": "an AWS service as requests name it: cloudfront, ec2, elasticloadbalancing, sts",
        "operation": "an operation such as CreateVpcOrigin; * stands for any letters",
        "nth": "the first matching call that is hit, from 1",
        "times": "how many matching calls are hit; all if it is left out",
    }
)
"""What faults can be given, and what it means."""
