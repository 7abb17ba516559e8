"""Several routes to the same app, side by side: one column for each route, one row for each phase
(PURE).

A phase that was not reached is never called good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from checks.protocol.transcript import Phase, Transcript

CellState = Literal["good", "bad", "not reached", "info"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One phase on one route: `text` is a time in milliseconds, a status line or what went wrong.
    `info` is neither good nor bad.
    """

    state: CellState
    text: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """`rows` are (title, cells) with one cell for each of `routes`; `first_bad` is (route, row
    title, text), None if all is well.
    """

    routes: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    first_bad: tuple[str, str, str] | None


_ROWS: tuple[tuple[str, tuple[Phase, ...], str], ...] = (
    ("Name resolved", (Phase.URL, Phase.DNS, Phase.GUARD), "dns"),
    ("Connected", (Phase.TCP,), "tcp"),
    ("Encrypted", (Phase.TLS,), "tls"),
    ("Upgraded (101)", (Phase.UPGRADE,), "upgrade"),
    ("Message came back", (Phase.FIRST_FRAME, Phase.ECHO, Phase.SCRIPT), "echo"),
    ("Ping answered", (Phase.PING,), "ping"),
    ("Closed cleanly", (Phase.CLOSE,), "close"),
)


def compare(routes: Sequence[tuple[str, Transcript]]) -> Comparison:
    """The table. The first bad cell is the one in the highest row, from left to right."""
    rows = tuple(
        (title, tuple(_cell(seen, phases, timer) for _, seen in routes))
        for title, phases, timer in _ROWS
    )
    names = tuple(name for name, _ in routes)
    bad = (
        (names[n], title, cell.text)
        for title, cells in rows
        for n, cell in enumerate(cells)
        if cell.state == "bad"
    )
    return Comparison(names, rows, next(bad, None))


def _cell(seen: Transcript, phases: tuple[Phase, ...], timer: str) -> Cell:
    order = list(Phase)
    failure = seen.failure
    reached = order.index(failure.phase) if failure else len(order)
    for failed in seen.failures:
        if failed.phase in phases:
            return Cell("bad", failed.detail or failed.reason.value)
    plain = seen.request is not None and not seen.request.upgrade
    if plain and order.index(phases[0]) > order.index(Phase.UPGRADE):
        return Cell("not reached", "not asked for")
    if order.index(phases[0]) > reached:
        return Cell("not reached")
    milliseconds = getattr(seen.timing, timer)
    if Phase.TLS in phases and seen.tls is None:
        return Cell("good", "not asked for")
    if Phase.UPGRADE in phases and seen.response is not None:
        took = f", {milliseconds:.0f} ms" if milliseconds is not None else ""
        return Cell("info" if plain else "good", f"{seen.response.status}{took}")
    return Cell("good", f"{milliseconds:.0f} ms" if milliseconds is not None else "")
