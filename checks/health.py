"""What the usual checks say about an endpoint's health (PURE)."""

from __future__ import annotations

from enum import StrEnum


class Health(StrEnum):
    """`live`: clients reach this endpoint. `drifted`: the distribution leads its paths, or some of
    them, elsewhere, whatever answers there.
    """

    LIVE = "live"
    FAILING = "failing"
    DRIFTED = "drifted"
    UNKNOWN = "unknown"


def next_health(before: Health, *, ok: bool | None, drifted: bool | None) -> Health:
    """The health after a check. `ok` is whether the handshake worked, None where the check itself
    could not be made; `drifted` whether the distribution leads elsewhere, None where its
    configuration could not be read.

    A handshake that works shows only that something answered. So it brings no endpoint to life
    whose configuration was not read, and none back from drift.
    """
    if drifted:
        return Health.DRIFTED
    if drifted is None and before is Health.DRIFTED:
        return before
    if ok is None:
        return Health.UNKNOWN
    if not ok:
        return Health.FAILING
    if drifted is None and before is not Health.LIVE:
        return Health.UNKNOWN
    return Health.LIVE
