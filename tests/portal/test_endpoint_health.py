"""The health of endpoints: what counts as out of date, and what list, page and API show of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from checks.models import EndpointHealth
from portal.endpoints.health import with_health
from provisioning.models import Endpoint
from tests.checks.seen import live
from tests.portal.endpoint_requests import ask, deploy
from tests.portal.page_text import text_of
from tests.portal.people import NOW, Cast, bearer, signed_in
from tests.portal.test_pages_endpoints import checked

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
DRIFT = "/ws/chat matches the behavior *, which leads to the origin web."


def healthy(endpoint: Endpoint, health: str = "live", **values: Any) -> EndpointHealth:
    """What the last checks left."""
    at = timezone.now()
    usual = {"since": at - HOUR, "checked_at": at, "verified_at": at, "verdict": "WSE-LIVE"}
    return EndpointHealth.objects.create(endpoint=endpoint, health=health, **usual | values)


@pytest.mark.parametrize(
    ("state", "values", "status", "since"),
    [
        ("deployed", {"health": "live"}, "live", 9 * HOUR),
        ("deployed", {"health": "failing", "verified_at": None}, "failing", 9 * HOUR),
        ("deployed", {"health": "drifted"}, "drifted", 9 * HOUR),
        ("deployed", {}, "unknown", 9 * HOUR),
        ("deployed", None, "unknown", None),
        ("absent", {"health": "live"}, "unknown", None),
        ("wanted", {"health": "live"}, "unknown", None),
        # the checks have stopped
        ("deployed", {"health": "live", "verified_at": NOW - 3 * HOUR}, "unknown", 3 * HOUR),
        ("deployed", {"health": "failing", "checked_at": NOW - 3 * HOUR}, "unknown", 3 * HOUR),
        # they go on, but AWS has not shown the distribution for hours
        ("deployed", {"health": "live", "verified_at": None}, "unknown", None),
        ("deployed", {"health": "drifted", "verified_at": NOW - 3 * HOUR}, "drifted", 9 * HOUR),
    ],
)
def test_what_is_out_of_date_is_not_known(
    endpoint: Endpoint,
    state: str,
    values: dict[str, Any] | None,
    status: str,
    since: timedelta | None,
) -> None:
    Endpoint.objects.filter(pk=endpoint.pk).update(state=state)
    if values is not None:
        last = {"since": NOW - 9 * HOUR, "checked_at": NOW - MINUTE, "verified_at": NOW - MINUTE}
        EndpointHealth.objects.create(endpoint=endpoint, **last | values)
    found = with_health(Endpoint.objects.all(), NOW).get()
    assert (found.health_status, found.health_since) == (status, since and NOW - since)


def test_the_api_shows_and_filters_health_in_one_query(people: Cast, endpoint: Endpoint) -> None:
    other = deploy(ask(people.ana, people.chat, name="other"))
    healthy(endpoint, connect_ms=41.5, privacy="pass", distribution_etag="E2")
    healthy(other, "drifted", verdict="WSE-OTHER-ORIGIN", reason=DRIFT)
    headers, client = bearer(people.ana), signed_in(people.ana)

    def listed(query: str = "") -> dict[str, Any]:
        answer = client.get(f"/api/v1/endpoints{query}", headers=headers)
        return {one["name"]: one["health"] for one in answer.json()["endpoints"]}

    shown = listed()
    assert (shown["team-chat"]["status"], shown["other"]["status"]) == ("live", "drifted")
    assert shown["team-chat"]["connect_ms"] == 41.5
    assert (shown["team-chat"]["privacy"], shown["other"]["privacy"]) == ("pass", None)
    assert shown["team-chat"]["distribution_etag"] == "E2"
    assert shown["other"]["reason"] == DRIFT
    for health, names in (("live", {"team-chat"}), ("drifted", {"other"}), ("unknown", set())):
        assert set(listed(f"?health={health}")) == names
    one = client.get(f"/api/v1/endpoints/{other.pk}", headers=headers).json()
    assert one["health"] == shown["other"]
    assert client.get("/api/v1/endpoints?health=well", headers=headers).status_code == 400


def test_the_list_shows_word_and_time_and_costs_the_same_for_any_number(people: Cast) -> None:
    client, costs = signed_in(people.ana), []
    for name, health in (("a", "live"), ("b", "drifted"), ("c", "failing")):
        healthy(deploy(ask(people.ana, people.chat, name=name)), health)
        with CaptureQueriesContext(connection) as queries:
            page = client.get("/")
        costs.append(len(queries))
    assert len(set(costs)) == 1
    assert "a Live for 1 h" in text_of(page)
    assert "b Drifted for 1 h" in text_of(page)


def test_the_page_of_a_drifted_endpoint_says_what_answers(people: Cast, endpoint: Endpoint) -> None:
    checked(endpoint, live())
    EndpointHealth.objects.all().delete()
    healthy(endpoint, "drifted", reason=DRIFT, privacy="fail", privacy_at=timezone.now())
    words = text_of(signed_in(people.ana).get(f"/endpoints/{endpoint.pk}/"))
    assert "Drifted for 1 h" in words
    assert DRIFT in words
    assert "Privacy audit: exposed" in words
    assert "The endpoint is live" not in words, "though a handshake on the checked path worked"
