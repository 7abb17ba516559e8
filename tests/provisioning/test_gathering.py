"""How long a run waits before it writes a distribution that others are about to write."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from provisioning.engine.gathering import ARRIVING_SECONDS, GATHER_SECONDS, seconds_to_wait

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ready_for", "others_in", "wait"),
    [
        (0, [], None),
        (0, [ARRIVING_SECONDS + 1], None),
        (0, [ARRIVING_SECONDS + 1, ARRIVING_SECONDS], GATHER_SECONDS),
        (0, [-3600], GATHER_SECONDS),
        (GATHER_SECONDS - 1, [0], 1),
        (GATHER_SECONDS, [0], None),
        (3600, [0], None),
    ],
)
@pytest.mark.parametrize("pace", [1, 90])
def test_it_waits_while_others_arrive_but_not_for_ever(
    ready_for: float, others_in: list[float], wait: float | None, pace: float
) -> None:
    ready_at = NOW - timedelta(seconds=ready_for / pace)
    due = [NOW + timedelta(seconds=each / pace) for each in others_in]
    found = seconds_to_wait(ready_at, due, NOW, pace)
    assert found == (wait if wait is None else pytest.approx(wait, abs=0.001))
