"""Which checks are kept, and which of them with their transcripts (PURE).

Ages are whole UTC days: all checks of a day grow old together, so that the first of an hour or a
day stays the first for as long as that matters. A check is kept as long as the longest of the
periods that apply to it. Nothing is decided twice differently: what a run keeps, the next one on
the same day keeps too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from uuid import UUID

FOR_EVER = 0


@dataclass(frozen=True)
class Policy:
    """Periods in days; 0 is for ever.

    `checks`: every check; then `hourly`: the first of each hour; then `daily`: the first of each
    day. `failures`: failed ones; `changes`: those whose verdict differs from the one before.
    `transcripts`: what a check saw, if it neither failed nor changed anything.
    """

    transcripts: int = 3
    checks: int = 7
    hourly: int = 90
    daily: int = 730
    failures: int = 90
    changes: int = 730

    @property
    def periods(self) -> Mapping[str, int]:
        """Those that end, by name."""
        return {name: days for name, days in vars(self).items() if days != FOR_EVER}


class Fate(Enum):
    """What becomes of a check now."""

    KEEP = "keep"
    DROP_TRANSCRIPT = "drop transcript"
    DELETE = "delete"


@dataclass(frozen=True)
class CheckRow:
    """A finished check. `question` is what was asked: checks of different questions are not
    compared. `referenced`: something refers to it, such as the request that it proved live.
    """

    id: UUID
    at: datetime
    question: str
    ok: bool
    verdict: str
    has_transcript: bool = True
    referenced: bool = False


@dataclass(frozen=True)
class Place:
    """How a check stands among the others of its question."""

    first_of_hour: bool
    first_of_day: bool
    changed: bool
    newest: bool


def fates(
    rows: Iterable[CheckRow],
    policy: Policy,
    *,
    today: date,
    before: Mapping[str, str],
    with_newer: Iterable[str] = (),
) -> dict[UUID, Fate]:
    """The fate of each check of one endpoint and day.

    `before` has the verdict that each question had before that day, `with_newer` the questions
    that were asked again after it.
    """
    ordered = sorted(rows, key=lambda row: (row.at, row.id))
    return {
        row.id: fate(row, place, policy, today)
        for row, place in zip(ordered, _places(ordered, before, set(with_newer)), strict=True)
    }


def fate(row: CheckRow, place: Place, policy: Policy, today: date) -> Fate:
    """1. What something refers to, and the newest of each question, stays as it is.
    2. A check is kept for the longest period that applies to it.
    3. Its transcript is kept as long as it failed or changed something recently, or is young.
    """
    if row.referenced or place.newest:
        return Fate.KEEP
    age = (today - row.at.date()).days
    telling = [
        policy.transcripts,
        *([policy.failures] if not row.ok else []),
        *([policy.changes] if place.changed else []),
    ]
    thinned = [
        policy.checks,
        *([policy.hourly] if place.first_of_hour else []),
        *([policy.daily] if place.first_of_day else []),
    ]
    if not any(_lasts(days, age) for days in (*telling[1:], *thinned)):
        return Fate.DELETE
    if row.has_transcript and not any(_lasts(days, age) for days in telling):
        return Fate.DROP_TRANSCRIPT
    return Fate.KEEP


def _lasts(days: int, age: int) -> bool:
    return days == FOR_EVER or age <= days


def _places(
    ordered: Sequence[CheckRow], before: Mapping[str, str], with_newer: set[str]
) -> list[Place]:
    verdicts = dict(before)
    seen: set[tuple[str, object]] = set()
    last = {row.question: row.id for row in ordered}
    places = []
    for row in ordered:
        hour = row.at.replace(minute=0, second=0, microsecond=0)
        slots = [(row.question, hour), (row.question, row.at.date())]
        first_of_hour, first_of_day = (slot not in seen for slot in slots)
        seen.update(slots)
        places.append(
            Place(
                first_of_hour,
                first_of_day,
                changed=verdicts.get(row.question) != row.verdict,
                newest=last[row.question] == row.id and row.question not in with_newer,
            )
        )
        verdicts[row.question] = row.verdict
    return places
