"""How an endpoint is, in one word and one tone, from what was last seen of it (PURE)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Health:
    """`tone` is a class of the stylesheet (good, warn, bad, busy or empty); the word alone says
    everything.
    """

    word: str
    tone: str


def health(state: str, ok: bool | None) -> Health:
    """`state` is the endpoint's; `ok` is the last finished check's, None without one."""
    if state == "absent":
        return Health("Removed", "")
    if state == "wanted":
        return Health(
            "Not built yet", "busy"
        )  # being built, undone or stuck: its request says which
    if ok is None:
        return Health("Deployed, not tested yet", "warn")
    return Health("Live", "good") if ok else Health("Does not answer", "bad")
