"""What a fault is: name, description, parameters, what a client sees, and the verdict (PURE)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class FaultKind(StrEnum):
    """How a fault acts."""

    ACCOUNT = "account"
    """The account is changed through the AWS API and back: a plan in `lab.faults.plans`."""

    APP = "app"
    """A misbehaving app replaces the targets' own: a row of `lab.apps.addresses` and its handler in
    `lab.apps.misbehaving`.
    """

    DATA_PLANE = "data plane"
    """The edge or a load balancer misbehaves in a way that no API call can cause: a setting in
    `lab.edge.account.lab_settings`, read where it acts.
    """

    CALLS = "calls"
    """Calls to AWS go wrong: an ending in `lab.faults.call_faults`."""


class ClientAction(StrEnum):
    """What a client must do to see a fault."""

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

    `statuses` are the possible statuses of the answer to the handshake; `server` is its Server
    header, if that tells who answered; `close` are the possible close codes after a 101.
    """

    text: str
    statuses: tuple[int, ...] = ()
    server: str = ""
    close: tuple[int, ...] = ()
    action: ClientAction = ClientAction.HANDSHAKE


@dataclass(frozen=True, slots=True)
class Fault:
    """A named misbehavior.

    `takes` are its parameters, `needs` the required ones. `verdict` is the code that a handshake
    check must find, "" if no handshake can show the fault. `app` names a misbehaving app; `error`
    is AWS's error code for a call fault.
    """

    name: str
    description: str
    kind: FaultKind
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
"""Every parameter of a fault, with its meaning."""
