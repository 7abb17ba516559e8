"""What orchestrators and Prometheus are told: alive, ready, and the metrics that the docs list."""

from __future__ import annotations

import io
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from portal.console import hub
from portal.operations.models import TickRecord
from portal.operations.readiness import Facts, Level, components, overall
from portal.requests.models import EndpointRequest
from provisioning.models import Endpoint, Run
from tests.lab.account import Lab
from tests.portal.people import make_cast

pytestmark = pytest.mark.django_db(transaction=True)
TICKING = Facts(tick_ages={"provisioning": 1.0})


@pytest.mark.parametrize(
    ("facts", "level", "wrong"),
    [
        (TICKING, Level.OK, []),
        (Facts(database_error="It is away."), Level.FAILED, ["postgresql"]),
        (Facts(redis_error="Away.", tick_ages={"checks": 1.0}), Level.FAILED, ["redis"]),
        (Facts(), Level.DEGRADED, ["ticker"]),
        (Facts(tick_ages={"checks": 1.0, "provisioning": 31.0}), Level.DEGRADED, ["ticker"]),
        (Facts(tick_ages={"checks": 30.0}), Level.OK, []),
        (
            Facts(tick_ages={"checks": 1.0}, failing_ticks={"checks": "KeyError"}),
            Level.DEGRADED,
            ["ticker"],
        ),
        (Facts(tick_ages={"checks": 1.0}, longest_due_seconds=60.0), Level.OK, []),
        (Facts(tick_ages={"checks": 1.0}, longest_due_seconds=61.0), Level.DEGRADED, ["workers"]),
        (
            Facts(tick_ages={"checks": 1.0}, sweep_late_seconds=61.0),
            Level.DEGRADED,
            ["aws-polling"],
        ),
    ],
)
def test_readiness(facts: Facts, level: Level, wrong: list[str]) -> None:
    found = components(facts)
    assert overall(found) is level
    assert [one.name for one in found if one.level is not Level.OK] == wrong


@pytest.fixture
def ticking(transactional_db: None, counted: str) -> None:
    TickRecord.objects.create(name="provisioning", at=timezone.now())


def test_a_kubelet_may_ask_by_the_pods_address(ticking: None) -> None:
    pod = Client(headers={"host": "10.42.0.17:8000"})
    assert pod.get("/sign-in/").status_code == 400, "every other page refuses the name"
    alive = pod.get("/livez")
    assert (alive.status_code, alive.content) == (200, b"ok\n")
    assert "sessionid" not in alive.cookies
    assert pod.get("/readyz").json()["status"] == "ok"
    assert pod.post("/livez").status_code == 405


def test_a_store_that_is_away_is_not_ready_and_a_late_ticker_only_degrades(
    ticking: None, settings: Any
) -> None:
    TickRecord.objects.update(at=timezone.now() - timedelta(minutes=2))
    late = Client().get("/readyz")
    assert (late.status_code, late.json()["status"]) == (200, "degraded")
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    away = Client().get("/readyz")
    assert (away.status_code, away.json()["status"]) == (503, "failed")
    told = {one["name"]: one["status"] for one in away.json()["components"]}
    assert (told["redis"], told["postgresql"]) == ("failed", "ok")
    assert Client().get("/livez").status_code == 200


def test_the_health_command_says_it_and_fails_where_something_is_wrong(ticking: None) -> None:
    said = io.StringIO()
    call_command("health", stdout=said)
    assert re.search(r"^ticker +ok +Last ran \d+ s ago\.$", said.getvalue(), re.MULTILINE)
    TickRecord.objects.update(at=timezone.now() - timedelta(minutes=2))
    call_command("health", "workers", stdout=said)
    with pytest.raises(CommandError, match="Not everything is ok"):
        call_command("health", "ticker", stdout=said)


def scraped() -> dict[str, list[Any]]:
    text = Client().get("/metrics").content.decode()
    return {one.name: one.samples for one in text_string_to_metric_families(text)}


def test_the_metrics_are_those_that_the_docs_list(ticking: None) -> None:
    docs = Path("docs/operations.md").read_text("utf-8")
    listed = set(re.findall(r"`(portal_\w+)`", docs))
    served = {name for name in scraped() if name.startswith("portal_")}
    counters = {"portal_aws_calls", "portal_aws_budget_refusals", "portal_http_requests"}
    assert hub.CONSOLES  # the web process has its consoles' gauge
    assert {f"{name}_total" if name in counters else name for name in served} == listed


def test_requests_runs_and_endpoints_are_counted(ticking: None, endpoint: Endpoint) -> None:
    request = EndpointRequest.objects.get()
    for state in (Run.State.STUCK, Run.State.QUARANTINED, Run.State.DONE):
        Run.objects.create(
            endpoint=endpoint,
            saga="create-endpoint",
            stream=request.stream,
            plan_data={},
            plan_digest="",
            state=state,
            due_at=timezone.now(),
            created_at=timezone.now(),
        )
    found = scraped()
    [counted] = found["portal_requests"]
    assert counted.labels == {"action": "create", "state": request.state}
    assert counted.value == 1
    runs = {one.labels["state"]: one.value for one in found["portal_runs"]}
    assert runs == {"running": 0, "waiting": 0, "undoing": 0, "stuck": 1, "quarantined": 1}
    [health] = found["portal_endpoint_health"]
    assert health.labels["endpoint"] == endpoint.name
    assert health.labels["health"] == "unknown"


def test_metrics_are_for_the_networks_that_are_named(ticking: None, settings: Any) -> None:
    assert Client(REMOTE_ADDR="198.51.100.7").get("/metrics").status_code == 403
    settings.METRICS_ALLOWED_NETWORKS = ["198.51.100.0/24"]
    assert Client(REMOTE_ADDR="198.51.100.7").get("/metrics").status_code == 200
    assert Client(REMOTE_ADDR="127.0.0.1").get("/metrics").status_code == 403


def test_calls_to_aws_are_counted_by_their_outcome(lab: Lab) -> None:
    account = make_cast().chat.accounts.get()

    def calls(outcome: str, operation: str) -> float:
        labels = {"account": account.pk, "service": "cloudfront", "operation": operation}
        name = "portal_aws_calls_total"
        return REGISTRY.get_sample_value(name, labels | {"outcome": outcome}) or 0.0

    listed = calls("ok", "ListVpcOrigins")
    missing = calls("EntityNotFound", "GetVpcOrigin")
    client = account.client().cloudfront_read
    client.list_vpc_origins()
    with pytest.raises(client.exceptions.ClientError):
        client.get_vpc_origin(Id="vo_none")
    assert calls("ok", "ListVpcOrigins") == listed + 1
    assert calls("EntityNotFound", "GetVpcOrigin") == missing + 1
