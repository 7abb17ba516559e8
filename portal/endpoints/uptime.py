"""What an endpoint's usual checks show over a span of time: how often it answered, how fast, and
the chart (PURE).

Decides statistics and geometry only. A part of the span without a check has no mark: it never
counts as answered. Times are milliseconds from the name to the open WebSocket; the chart's units
are its viewBox's.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

WIDTH, HEIGHT = 600, 160
PLOT, MARKS = 124, 132
"""From the top: connect times are drawn down to PLOT, answers and failures from MARKS to HEIGHT."""


@dataclass(frozen=True)
class Span:
    """How far back is looked, and in how many parts."""

    key: str
    words: str
    length: timedelta
    parts: int


SPANS = (
    Span("24h", "24 hours", timedelta(hours=24), 48),
    Span("7d", "7 days", timedelta(days=7), 56),
    Span("30d", "30 days", timedelta(days=30), 60),
)


@dataclass(frozen=True)
class Sample:
    """One finished check; `connect_ms` is None where no WebSocket opened."""

    at: datetime
    ok: bool
    connect_ms: float | None
    verdict: str


@dataclass(frozen=True)
class Part:
    """A part of the span: what was checked in it. Without an open WebSocket there are no times."""

    start: datetime
    end: datetime
    checks: int
    failed: int
    usual_ms: float | None
    worst_ms: float | None


@dataclass(frozen=True)
class Uptime:
    """The whole span. `parts` are all of them, oldest first, also those without a check."""

    span: Span
    checks: int
    answered: int
    usual_ms: float | None
    worst_ms: float | None
    last_failure: Sample | None
    parts: tuple[Part, ...]

    @property
    def checked_parts(self) -> tuple[Part, ...]:
        """Those with a check."""
        return tuple(part for part in self.parts if part.checks)


@dataclass(frozen=True)
class Column:
    """A part as it is drawn: `level` is the usual time's height, `top` the worst one's, None
    without times.

    `mark` is good, bad or "" (not checked); `mark_top` and `mark_height` differ too, for eyes that
    see no colors.
    """

    part: Part
    x: float
    middle: float
    right: float
    level: float | None
    top: float | None
    mark: str
    mark_top: int
    mark_height: int


@dataclass(frozen=True)
class Drawing:
    """What the template draws; `ceiling_ms` is the time at the upper edge."""

    ceiling_ms: float
    columns: tuple[Column, ...]


def span_of(key: str) -> Span:
    """The span of this name, else the shortest."""
    return next((span for span in SPANS if span.key == key), SPANS[0])


def measure_uptime(samples: Iterable[Sample], span: Span, now: datetime) -> Uptime:
    """What the samples of the span say; those outside of it do not count."""
    start = now - span.length
    counted = sorted((one for one in samples if start < one.at <= now), key=lambda one: one.at)
    step = span.length / span.parts
    piles: list[list[Sample]] = [[] for _ in range(span.parts)]
    for one in counted:
        piles[min(int((one.at - start) / step), span.parts - 1)].append(one)
    usual, worst = _times(counted)
    return Uptime(
        span=span,
        checks=len(counted),
        answered=sum(one.ok for one in counted),
        usual_ms=usual,
        worst_ms=worst,
        last_failure=next((one for one in reversed(counted) if not one.ok), None),
        parts=tuple(_part(start + step * place, step, pile) for place, pile in enumerate(piles)),
    )


def draw(uptime: Uptime) -> Drawing:
    """The chart: for each part a level at the usual time, a line up to the worst, and a mark for
    the answers.
    """
    ceiling = ceiling_of(uptime.worst_ms or 0.0)
    width = WIDTH / len(uptime.parts)
    columns = []
    for place, part in enumerate(uptime.parts):
        mark = "" if not part.checks else "bad" if part.failed else "good"
        height = {"bad": HEIGHT - MARKS, "good": (HEIGHT - MARKS) // 3, "": 0}[mark]
        x = place * width
        columns.append(
            Column(
                part=part,
                x=round(x, 2),
                middle=round(x + width / 2, 2),
                right=round(x + width, 2),
                level=_height(part.usual_ms, ceiling),
                top=_height(part.worst_ms, ceiling),
                mark=mark,
                mark_top=HEIGHT - height,
                mark_height=height,
            )
        )
    return Drawing(ceiling, tuple(columns))


def ceiling_of(worst_ms: float) -> float:
    """The next round figure: 1, 2 or 5 with zeros, at least 10 ms."""
    size = 10.0
    while True:
        for factor in (1, 2, 5):
            if worst_ms <= size * factor:
                return size * factor
        size *= 10


def _part(start: datetime, step: timedelta, pile: Sequence[Sample]) -> Part:
    usual, worst = _times(pile)
    return Part(start, start + step, len(pile), sum(not one.ok for one in pile), usual, worst)


def _times(samples: Sequence[Sample]) -> tuple[float | None, float | None]:
    """Median and maximum of the times that there are."""
    times = [one.connect_ms for one in samples if one.connect_ms is not None]
    return (statistics.median(times), max(times)) if times else (None, None)


def _height(value: float | None, ceiling: float) -> float | None:
    return None if value is None else round(PLOT * (1 - value / ceiling), 2)
