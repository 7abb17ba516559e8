"""A line of the event log as HTML."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from portal.requests.event_line import event_line
from provisioning.models import Event

AT = datetime(2026, 11, 21, 9, 5, 7, 250_000, UTC)


def test_a_line_says_when_where_and_what() -> None:
    event = Event(seq=7, at=AT, kind="step.acted", level="info", step="vpc-origin", text="Made it.")
    assert event_line(event) == (
        '<li class="event info" id="L7" data-seq="7" data-level="info"\n'
        'data-step="vpc-origin" data-kind="step.acted"><a class="seq" href="#L7">7</a>\n'
        '<time datetime="2026-11-21T09:05:07.250000+00:00" title="2026-11-21 09:05:07 UTC">'
        "09:05:07</time>\n"
        '<span class="step">vpc-origin</span>\n<span class="text">Made it.</span></li>\n'
    )


@pytest.mark.parametrize(
    ("level", "shown"), [("good", "ok"), ("warning", "warning"), ("error", "error")]
)
def test_a_level_that_matters_is_shown_and_no_step_leaves_no_gap(level: str, shown: str) -> None:
    line = event_line(Event(seq=1, at=AT, kind="run.done", level=level, text="Over."))
    assert f'<b class="level">{shown}</b>\n<span class="text">' in line
    assert 'class="step"' not in line


def test_no_value_becomes_markup() -> None:
    hostile = "<img src=x onerror='alert(1)'>\"&"
    line = event_line(Event(seq=1, at=AT, kind=hostile, level=hostile, step=hostile, text=hostile))
    assert "<img" not in line
    assert line.count("&lt;img src=x onerror=&#x27;alert(1)&#x27;&gt;&quot;&amp;") == 7
