"""`make rehearse`: the main job without a browser, through the public API and the console socket, on a fresh stack."""

from __future__ import annotations


def run_rehearsal(port: int | None, *, hold: bool, time_scale: float) -> int:
    """Returns the exit code."""
    raise SystemExit(f"not written yet {port} {hold} {time_scale}")
