"""Apps of several kinds through their whole life: asked for in the words of their documentation,
approved, live, checked on schedule, stopped, and live again.

The servers run in this process and in Node; addresses of the account lead to them. Every kind
against its server, without CloudFront, is in `tests/app_kinds`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from stack.ports import LOOPBACK
from tests.app_kinds.servers import AppServers
from tests.app_kinds.written_servers import TOKEN
from tests.journeys.conftest import Product
from tests.journeys.portal_clients import POLL_AFTER, Api, words_of
from tests.journeys.until import until

CHECK_SECONDS = 120.0
DUE = """
from datetime import timedelta
from django.utils import timezone
from checks.actions import USUAL_CHECK, save_check
from checks.models import SavedCheck
from checks.protocol.handshake_options import HandshakeOptions
from provisioning.models import Endpoint
for endpoint in Endpoint.objects.filter(pk__in={ids!r}):
    save_check(
        endpoint, USUAL_CHECK, HandshakeOptions(), every_minutes=15, after_changes=False,
        by="the portal", stream="", now=timezone.now() - timedelta(minutes=15))
"""
"""The check of each quarter of an hour, the last one of which was a quarter of an hour ago."""


@dataclass(frozen=True, eq=False)
class App:
    """A server, its address in the account, and what its team answers in the request."""

    server: str
    address: str
    answers: dict[str, str]
    check_path: str
    sends: Sequence[str] = ()

    @property
    def name(self) -> str:
        """Of endpoint and load balancer."""
        return f"kind-{self.server.replace('.', '')}"


APPS = (
    # As its documentation has it: no kind is chosen, and the path has long polling too.
    App(
        "socket.io",
        "10.10.8.210",
        {"path_patterns": "/socket.io/*", "carries_http_api": "true"},
        "/socket.io/?EIO=4&transport=websocket",
    ),
    App(
        "signalr",
        "10.10.8.211",
        {"path_patterns": "/chat", "app_kind": "signalr"},
        "/chat",
        ['send {"protocol":"json","version":1}{0x1e}'],
    ),
    App(
        "graphql-ws",
        "10.10.8.212",
        {"path_patterns": "/graphql"},
        "/graphql",
        ['send {"type":"connection_init"}'],
    ),
    App("silent", "10.10.8.213", {"path_patterns": "/silent"}, "/silent"),
    App("closes-after-5-s", "10.10.8.214", {"path_patterns": "/five"}, "/five"),
    App(
        "token",
        "10.10.8.215",
        {
            "path_patterns": "/members",
            "check_headers": "Authorization: Bearer ${secret:KINDS_TOKEN}",
        },
        "/members",
    ),
)
Endpoints = dict[App, str]


@pytest.fixture(scope="module")
def servers() -> Iterator[AppServers]:
    """The apps, all of them running."""
    with AppServers() as running:
        for app in APPS:
            running.start(app.server)
        yield running


@pytest.fixture(scope="module")
def live(product: Product, servers: AppServers) -> Endpoints:
    """Ana's endpoints of all apps, approved by Olga and live: made at the same time."""
    ana, olga = product.api("ana"), product.api("olga")
    secret = {"team": "chat", "name": "KINDS_TOKEN", "value": TOKEN}
    assert ana.post("/secrets", secret).status_code == 201
    product.lead_to(
        {f"{app.address}:8080": f"{LOOPBACK}:{servers.start(app.server)}" for app in APPS}
    )
    asked = {}
    for app in APPS:
        target = product.account.make_target(app.name, app=app.address)
        answers = product.answers(app.name, target, "") | app.answers
        asked[app] = ana.ask(**answers)["id"]
    for app, request_id in asked.items():
        planned = ana.await_state(request_id, "awaiting_approval")
        assert planned["spec"]["check_path"] == app.check_path
        assert olga.approve(planned).status_code == 200
    return {app: ana.await_state(asked[app], "live")["endpoint"]["id"] for app in APPS}


def checked(ana: Api, endpoint_id: str) -> dict[str, Any]:
    """The usual check through the API, to its end."""
    path = f"/endpoints/{endpoint_id}/checks"

    def ask() -> str | None:
        answer = ana.post(path)
        assert answer.status_code in (202, 409, 429), answer.text
        return str(answer.json()["id"]) if answer.status_code == 202 else None

    check_id = until(ask, "a check that is taken", CHECK_SECONDS, pause=POLL_AFTER)

    def look() -> dict[str, Any] | None:
        shown: dict[str, Any] = ana.get(f"{path}/{check_id}").json()
        return shown if shown["state"] == "finished" else None

    return until(look, f"the end of check {check_id}", CHECK_SECONDS, pause=POLL_AFTER)


def all_checked(product: Product, live: Endpoints) -> dict[App, dict[str, Any]]:
    """All of them, at the same time."""
    with ThreadPoolExecutor(len(live)) as threads:
        found = threads.map(partial(checked, product.api("ana")), live.values())
        return dict(zip(live, found, strict=True))


def test_every_app_is_live_by_what_its_team_answered(product: Product, live: Endpoints) -> None:
    ana = product.api("ana")
    for app, endpoint_id in live.items():
        shown = ana.get(f"/endpoints/{endpoint_id}/usual-check").json()
        assert (shown["check_path"], shown["sends"]) == (app.check_path, list(app.sends))
        page = words_of(product.visitor("ana").get(f"/endpoints/{endpoint_id}/"))
        assert app.check_path in html.unescape(page)
        assert ("No message, only a WebSocket ping" in page) is not bool(app.sends)


def test_the_check_of_each_quarter_of_an_hour_is_green(product: Product, live: Endpoints) -> None:
    ana, ids = product.api("ana"), list(live.values())
    product.stack.manage("shell", "--no-imports", "-c", DUE.format(ids=ids))

    def last(endpoint_id: str) -> dict[str, Any] | None:
        usual = ana.get(f"/endpoints/{endpoint_id}/saved-checks").json()["saved_checks"]
        found: dict[str, Any] | None = usual[0]["last_check"]
        return found

    for app, endpoint_id in live.items():
        check = until(partial(last, endpoint_id), "the schedule's check", CHECK_SECONDS)
        assert (check["ok"], check["verdict"]) == (True, "WSE-LIVE"), (app.server, check)


def test_stopped_it_is_not_live_and_started_it_is(
    product: Product, servers: AppServers, live: Endpoints
) -> None:
    for app in APPS:
        servers.stop(app.server)
    for app, check in all_checked(product, live).items():
        assert not check["ok"], app.server
        assert check["verdict"]["code"] == "WSE-502-ALB", (app.server, check["findings"])
    for app in APPS:
        servers.start(app.server)
    for app, check in all_checked(product, live).items():
        assert (check["ok"], check["verdict"]["code"]) == (True, "WSE-LIVE"), app.server


def test_one_that_closes_after_five_seconds_is_live_until_more_is_asked(
    product: Product, servers: AppServers, live: Endpoints
) -> None:
    ana = product.api("ana")
    endpoint_id = next(found for app, found in live.items() if app.server == "closes-after-5-s")
    changed = ana.put(f"/endpoints/{endpoint_id}/usual-check", {"stay_open_seconds": 10})
    assert changed.status_code == 202, changed.text

    def look() -> dict[str, Any] | None:
        path = f"/endpoints/{endpoint_id}/checks/{changed.json()['id']}"
        shown: dict[str, Any] = ana.get(path).json()
        return shown if shown["state"] == "finished" else None

    check = until(look, "the check with ten seconds", CHECK_SECONDS, pause=POLL_AFTER)
    assert (check["ok"], check["verdict"]["code"]) == (False, "WSE-IDLE-APP"), check["findings"]
    told = " ".join(check["findings"][0]["evidence"])
    assert "4008: “say something”" in told
    assert re.search(r"After [5-9] s of silence", told), told
    again = ana.put(f"/endpoints/{endpoint_id}/usual-check", {"stay_open_seconds": 3})
    assert again.status_code == 202, again.text


def test_a_token_that_was_revoked_is_named_and_another_value_helps(
    product: Product, servers: AppServers, live: Endpoints
) -> None:
    ana = product.api("ana")
    endpoint_id = next(found for app, found in live.items() if app.server == "token")
    secret = next(
        one for one in ana.get("/secrets").json()["secrets"] if one["name"] == "KINDS_TOKEN"
    )
    replaced = ana.post(f"/secrets/{secret['id']}/replace", {"value": f"0ld-{TOKEN}"})
    assert replaced.status_code == 200, replaced.text
    check = checked(ana, endpoint_id)
    assert (check["ok"], check["verdict"]["code"]) == (False, "WSE-401-AUTH"), check["findings"]
    ana.post(f"/secrets/{secret['id']}/replace", {"value": TOKEN})
    check = checked(ana, endpoint_id)
    assert check["ok"]
    assert TOKEN not in str(check)
