"""The status of an endpoint in one word and tone, from its last check (PURE)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EndpointStatus:
    """`tone` is a CSS class (good, warn, bad, busy or empty); the word alone carries the
    meaning.
    """

    word: str
    tone: str


def endpoint_status(state: str, ok: bool | None) -> EndpointStatus:
    """`state` is the endpoint's; `ok` is that of the last finished check, None without one."""
    if state == "absent":
        return EndpointStatus("Removed", "")
    if state == "wanted":
        # Being built, rolled back or stuck: its request says which.
        return EndpointStatus("Not built yet", "busy")
    if ok is None:
        return EndpointStatus("Deployed, not checked yet", "warn")
    return EndpointStatus("Live", "good") if ok else EndpointStatus("Handshake failing", "bad")
