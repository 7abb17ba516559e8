"""The diagnostic probes as the page offers them: titles, descriptions and the value each takes."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from checks.diagnosis.probe_kinds import ProbeKind
from checks.probe.probe_request import BOUNDS, usual_number

DEFAULT_PATH = "Default: the endpoint's own path."


@dataclass(frozen=True)
class ProbeOffer:
    """`number` and `path` are the labels of the value that the kind takes, empty for none; `low`,
    `high` and `default` are that number's.
    """

    kind: ProbeKind
    title: str
    description: str
    number: str = ""
    path: str = ""
    path_help: str = ""
    low: int = 0
    high: int = 0
    default: int | None = None


def probe_offers() -> tuple[ProbeOffer, ...]:
    """In the order of the page."""

    def numbered(kind: ProbeKind, title: str, description: str, number: str) -> ProbeOffer:
        low, high = BOUNDS[kind]
        default = usual_number(kind, idle_pace=settings.PROBE_IDLE_PACE)
        return ProbeOffer(
            kind, title, description, number=number, low=low, high=high, default=default
        )

    return (
        ProbeOffer(
            ProbeKind.PLAIN_GET,
            "Plain GET beside the upgrade",
            "Shows whether only the upgrade fails, or every request to this address.",
            path="Path",
            path_help=DEFAULT_PATH,
        ),
        ProbeOffer(
            ProbeKind.ROUTES,
            "Routes side by side",
            "Compares a browser's handshake through CloudFront with one without Origin, one with "
            "compression, and every other route that the portal's operator configured. Names the "
            "first that fails.",
            path="Another path to compare with",
            path_help="Include its query string. Default: none.",
        ),
        ProbeOffer(
            ProbeKind.JOURNEY,
            "Header trace",
            "Follows each header from the viewer through the distribution's policies to the app, "
            "and shows what is forwarded, what is dropped, and why.",
            path="A path that returns the headers it received",
            path_help="Its first message must be JSON with “headers”, a list of name and value. "
            "Default: simulate from the policies.",
        ),
        ProbeOffer(
            ProbeKind.NEGOTIATION,
            "Subprotocol and compression",
            "Shows which of them the app accepts, offered one at a time and together.",
            path="Path",
            path_help=DEFAULT_PATH,
        ),
        numbered(
            ProbeKind.RECONNECT,
            "Reconnect drill",
            "Connects, closes and reconnects, as clients do after a deployment. Shows how often "
            "that succeeds, and how fast.",
            "Number of reconnects",
        ),
        numbered(
            ProbeKind.CROWD,
            "Several clients at once",
            "Connects several clients side by side, and keeps them connected for a few seconds. "
            "Sends no message of its own.",
            "Number of clients",
        ),
        numbered(
            ProbeKind.BROADCAST,
            "Broadcast between clients",
            "Connects several clients; each sends one line of text to the app and must receive the "
            "others'. For apps that broadcast messages: their users may see these lines.",
            "Number of clients",
        ),
        numbered(
            ProbeKind.IDLE,
            "Idle timeout",
            "Holds a silent connection beside two active ones, and names the timeout that closes "
            "it.",
            "Seconds of silence",
        ),
    )
