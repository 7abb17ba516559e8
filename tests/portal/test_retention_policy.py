"""Which checks are kept: a table of single checks, and what holds for any history."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.retention.policy import CheckRow, Fate, Place, Policy, fate, fates

TODAY = date(2026, 11, 21)
USUAL, FIRST_OF_HOUR = Place(False, False, False, False), Place(True, False, False, False)
FIRST_OF_DAY, CHANGED = Place(True, True, False, False), Place(False, False, True, False)
NEWEST = Place(True, True, True, True)
KEEP, DROP, DELETE = Fate.KEEP, Fate.DROP_TRANSCRIPT, Fate.DELETE
DEFAULT = Policy()


def check(age: int, *, ok: bool = True, minutes: int = 0, question: str = "usual") -> CheckRow:
    at = datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=UTC) - timedelta(days=age)
    at += timedelta(minutes=minutes)
    return CheckRow(
        UUID(int=minutes + 10_000 * age), at, question, ok, "WSE-LIVE" if ok else "WSE-504-SG"
    )


@pytest.mark.parametrize(
    ("place", "ok", "ages"),
    [
        (USUAL, True, {0: KEEP, 3: KEEP, 4: DROP, 7: DROP, 8: DELETE}),
        (FIRST_OF_HOUR, True, {3: KEEP, 8: DROP, 90: DROP, 91: DELETE}),
        (FIRST_OF_DAY, True, {91: DROP, 730: DROP, 731: DELETE}),
        (USUAL, False, {8: KEEP, 90: KEEP, 91: DELETE}),
        (FIRST_OF_DAY, False, {90: KEEP, 91: DROP, 731: DELETE}),
        (CHANGED, True, {4: KEEP, 730: KEEP, 731: DELETE}),
        (CHANGED, False, {91: KEEP, 731: DELETE}),
        (NEWEST, True, {4: KEEP, 731: KEEP, 4000: KEEP}),
    ],
)
def test_how_long_a_check_and_its_transcript_are_kept(
    place: Place, ok: bool, ages: dict[int, Fate]
) -> None:
    found = {age: fate(check(age, ok=ok), place, DEFAULT, TODAY) for age in ages}
    assert found == ages
    for age in ages:
        referenced = replace(check(age, ok=ok), referenced=True)
        assert fate(referenced, place, DEFAULT, TODAY) is KEEP
        bare = replace(check(age, ok=ok), has_transcript=False)
        assert fate(bare, place, DEFAULT, TODAY) is not DROP


@pytest.mark.parametrize(
    ("for_ever", "place", "ok", "fate_then"),
    [
        ("checks", USUAL, True, DROP),
        ("hourly", FIRST_OF_HOUR, True, DROP),
        ("daily", FIRST_OF_DAY, True, DROP),
        ("failures", USUAL, False, KEEP),
        ("changes", CHANGED, True, KEEP),
        ("transcripts", USUAL, True, DELETE),
    ],
)
def test_a_period_of_0_is_for_ever(for_ever: str, place: Place, ok: bool, fate_then: Fate) -> None:
    policy = replace(DEFAULT, **{for_ever: 0})
    assert fate(check(5000, ok=ok), place, policy, TODAY) is fate_then
    assert for_ever not in policy.periods
    assert fate(check(5000, ok=ok), place, DEFAULT, TODAY) is DELETE


def test_the_place_of_a_check_follows_from_the_others_of_its_question() -> None:
    rows = [check(8, minutes=minutes) for minutes in (0, 15, 60, 75)]
    rows += [check(8, ok=False, minutes=90), check(8, minutes=105)]
    rows += [check(8, minutes=20, question="custom"), check(8, minutes=25, question="custom")]

    def kept(**more: Iterable[str]) -> list[int]:
        before = {"usual": "WSE-LIVE", "custom": "WSE-LIVE"}
        newer = more.get("with_newer", ("usual", "custom"))
        found = fates(rows[::-1], DEFAULT, today=TODAY, before=before, with_newer=newer)
        return sorted(row.at.hour * 60 + row.at.minute for row in rows if found[row.id] != DELETE)

    assert kept() == [0, 20, 60, 90, 105], "first of each hour, the failure, the recovery"
    assert kept(with_newer=["usual"]) == [0, 20, 25, 60, 90, 105], "and the newest custom one"
    first = fates(rows[:2], DEFAULT, today=TODAY, before={}, with_newer=["usual"])
    assert list(first.values()) == [KEEP, DELETE], "the first of all changed something"


PERIODS = st.integers(0, 12)
POLICIES = st.builds(
    Policy,
    transcripts=PERIODS,
    checks=PERIODS,
    hourly=PERIODS,
    daily=PERIODS,
    failures=PERIODS,
    changes=PERIODS,
)
HISTORIES = st.lists(
    st.tuples(
        st.integers(0, 9),
        st.integers(0, 1439),
        st.sampled_from(["usual", "usual", "custom"]),
        st.sampled_from(["WSE-LIVE", "WSE-LIVE", "WSE-504-SG", "WSE-404-PATH"]),
        st.integers(0, 9),
    ),
    max_size=40,
    unique_by=lambda one: one[:2],
)


def history(drawn: list[tuple[int, int, str, str, int]]) -> list[CheckRow]:
    start = datetime(2026, 11, 1, tzinfo=UTC)
    return sorted(
        (
            CheckRow(
                UUID(int=day * 1440 + minute),
                start + timedelta(days=day, minutes=minute),
                question,
                verdict == "WSE-LIVE",
                verdict,
                referenced=rare == 0,
            )
            for day, minute, question, verdict, rare in drawn
        ),
        key=lambda row: row.at,
    )


def swept(rows: list[CheckRow], policy: Policy, today: date) -> list[CheckRow]:
    """What is left after each day was looked at, the oldest first, as the portal does."""
    left = list(rows)
    for day in sorted({row.at.date() for row in rows}):
        of_day = [row for row in left if row.at.date() == day]
        before = {row.question: row.verdict for row in left if row.at.date() < day}
        newer = {row.question for row in left if row.at.date() > day}
        found = fates(of_day, policy, today=today, before=before, with_newer=newer)
        left = [
            replace(row, has_transcript=False) if found.get(row.id) is DROP else row
            for row in left
            if found.get(row.id) is not DELETE
        ]
    return left


@given(HISTORIES, POLICIES)
def test_what_a_run_keeps_the_next_one_keeps_until_a_day_has_passed(
    drawn: list[tuple[int, int, str, str, int]], policy: Policy
) -> None:
    rows = history(drawn)
    for days in range(25):
        today = date(2026, 11, 1) + timedelta(days=days)
        rows = swept(rows, policy, today)
        assert swept(rows, policy, today) == rows


@given(HISTORIES, POLICIES)
def test_nothing_is_deleted_before_the_longest_of_its_periods_is_over(
    drawn: list[tuple[int, int, str, str, int]], policy: Policy
) -> None:
    rows = history(drawn)
    periods: dict[UUID, list[int]] = {row.id: [policy.checks] for row in rows}
    seen: dict[object, CheckRow] = {}
    for row in rows:
        at = row.at
        if (row.question, at.date(), at.hour) not in seen:
            periods[row.id].append(policy.hourly)
        if (row.question, at.date()) not in seen:
            periods[row.id].append(policy.daily)
        if row.question not in seen or seen[row.question].verdict != row.verdict:
            periods[row.id].append(policy.changes)
        if not row.ok:
            periods[row.id].append(policy.failures)
        for slot in ((row.question, at.date(), at.hour), (row.question, at.date()), row.question):
            seen[slot] = row
    newest = {row.question: row.id for row in rows}
    left = rows
    for days in range(25):
        today = date(2026, 11, 1) + timedelta(days=days)
        left = swept(left, policy, today)
        kept = {row.id for row in left}
        for row in rows:
            age = (today - row.at.date()).days
            lasts = any(period == 0 or age <= period for period in periods[row.id])
            if lasts or row.referenced or newest[row.question] == row.id:
                assert row.id in kept, (row, today)
    bounded = 0 not in (policy.checks, policy.hourly, policy.daily, policy.failures, policy.changes)
    if bounded:
        for row in left:
            assert row.referenced or newest[row.question] == row.id
