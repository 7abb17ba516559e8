"""Every kind of probe, and what each one tells (PURE, DATA).

Stored: add, never rename.
"""

from __future__ import annotations

from enum import StrEnum


class ProbeKind(StrEnum):
    """A probe that a person can request, or that the portal makes to explain a failure."""

    PLAIN_GET = "plain get"
    JOURNEY = "journey"
    ROUTES = "routes"
    NEGOTIATION = "negotiation"
    RECONNECT = "reconnect"
    CROWD = "crowd"
    BROADCAST = "broadcast"
    IDLE = "idle"
    LOG_ROWS = "log rows"
    AWS = "aws"
    WITHOUT_ORIGIN = "without origin"
    AGAIN = "again"
    ORIGIN_AS_HOST = "origin as host"
    OTHER_HOST = "other host"
    AS_BROWSER = "as browser"


DESCRIPTIONS: dict[str, str] = {
    ProbeKind.AWS: "The distribution's configuration and the target's network, read from AWS.",
    ProbeKind.WITHOUT_ORIGIN: "The same handshake without an Origin header: shows whether the "
    "app's list of allowed origins is the cause.",
    ProbeKind.ORIGIN_AS_HOST: "The same handshake with the Host that the app sees as Origin: shows "
    "whether the app compares the two.",
    ProbeKind.AS_BROWSER: "The same handshake with the header lines of a browser: shows whether a "
    "firewall or the app looks at the kind of client.",
    ProbeKind.OTHER_HOST: "The same handshake for another name of the distribution: shows whether "
    "the app's list of host names is the cause.",
    ProbeKind.PLAIN_GET: "A plain GET of the same address: shows whether only the upgrade fails, "
    "or every request.",
    ProbeKind.AGAIN: "The same handshake again: shows whether every edge gives the same response.",
    ProbeKind.IDLE: "A silent socket, held open: the second at which it is cut identifies the idle "
    "timeout.",
    ProbeKind.LOG_ROWS: "CloudFront's log line of this request: it names the detailed result.",
    ProbeKind.ROUTES: "The same handshake directly to the load balancer, past CloudFront: shows on "
    "which side to look.",
}
"""What a probe that helps to explain a failure is, and what it shows."""

INTERNAL = frozenset(
    {
        ProbeKind.AWS,
        ProbeKind.WITHOUT_ORIGIN,
        ProbeKind.AGAIN,
        ProbeKind.ORIGIN_AS_HOST,
        ProbeKind.OTHER_HOST,
        ProbeKind.AS_BROWSER,
    }
)
"""Made by the portal only, while it explains a failure."""
