"""How an endpoint is, in one word and one tone, from what was last seen of it (PURE)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EndpointStatus:
    """`tone` is a class of the stylesheet (good, warn, bad, busy or empty); the word alone says
    everything.
    """

    word: str
    tone: str


def endpoint_status(state: str, ok: bool | None) -> EndpointStatus:
    """`state` is the endpoint's; `ok` is the last finished check's, None without one."""
    if state == "absent":
        return EndpointStatus("Removed", "")
    if state == "wanted":
        return EndpointStatus(
            "Not built yet", "busy"
        )  # being built, undone or stuck: its request says which
    if ok is None:
        return EndpointStatus("Deployed, not tested yet", "warn")
    return EndpointStatus("Live", "good") if ok else EndpointStatus("Does not answer", "bad")
