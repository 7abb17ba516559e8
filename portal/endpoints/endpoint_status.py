"""The status of an endpoint in one word and tone, from its health (PURE)."""

from __future__ import annotations

from dataclasses import dataclass

from checks.health import Health


@dataclass(frozen=True)
class EndpointStatus:
    """`tone` is a CSS class (good, warn, bad, busy or empty); the word alone carries the
    meaning.
    """

    word: str
    tone: str


_BY_HEALTH = {
    Health.LIVE: EndpointStatus("Live", "good"),
    Health.FAILING: EndpointStatus("Handshake failing", "bad"),
    Health.DRIFTED: EndpointStatus("Drifted", "bad"),
    Health.UNKNOWN: EndpointStatus("Not known", "warn"),
}


def endpoint_status(state: str, health: str, *, checked: bool) -> EndpointStatus:
    """`state` is the endpoint's; `checked` says whether a usual check has ever finished."""
    if state == "absent":
        return EndpointStatus("Removed", "")
    if state == "wanted":
        # Being built, rolled back or stuck: its request says which.
        return EndpointStatus("Not built yet", "busy")
    if state == "retired":
        return EndpointStatus("Out of service", "warn")
    if not checked:
        return EndpointStatus("Deployed, not checked yet", "warn")
    return _BY_HEALTH[Health(health)]
