"""Which texts are moments, and that none of them is too much for the database."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from portal.pages.paging import page_of
from portal.requests.models import EndpointRequest
from portal.timestamps import parse_timestamp


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-21T09:00:00Z", datetime(2026, 11, 21, 9, tzinfo=UTC)),
        ("2026-11-21T09:00:00.5+02:00", datetime(2026, 11, 21, 7, 0, 0, 500_000, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59+00:00", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_a_time_with_zone_is_a_moment(text: str, moment: datetime) -> None:
    assert parse_timestamp(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-21",
        "2026-11-21T09:00:00",
        "2026-02-30T00:00:00Z",
        "2026-11-21T09:00:00+24:00",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "\x00",
    ],
)
def test_everything_else_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_timestamp(text)


def test_a_cursor_at_the_end_of_time_gives_the_first_page(db: None) -> None:
    for moment, is_later in (
        ("2026-11-21T09:00:00Z", True),
        ("0001-01-01T00:00:00+23:59", False),
        ("soon", False),
    ):
        page = page_of(EndpointRequest.objects.all(), f"{moment}_{uuid4()}")
        assert (page.is_later, list(page)) == (is_later, [])
