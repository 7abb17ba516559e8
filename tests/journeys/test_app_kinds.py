"""Apps of several kinds through their whole life: asked for in the words of their documentation,
approved, live, checked on schedule, stopped, and live again.

The servers run in this process and in Node; addresses of the account lead to them. A few kinds
take the way always, every one in `-m slow`, behind two load balancers whose rules tell them apart
by path. Every kind against its server, without CloudFront, is in `tests/app_kinds`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import starmap
from typing import Any

import pytest

from checks.usual_check import sent_and_awaited
from provisioning.spec.app_kinds import APP_KINDS
from stack.ports import LOOPBACK
from tests.app_kinds.servers import KERNEL, TOKEN, AppServers
from tests.journeys.conftest import Product
from tests.journeys.portal_clients import POLL_AFTER, Api, words_of
from tests.journeys.team_account import Target
from tests.journeys.until import until

CHECK_SECONDS = 120.0
TARGETS = 8
"""Load balancers for all of them."""
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
    """A server, its address in the account, and what its team answers in the request. `check_path`
    and `sends` are what the portal makes of it.
    """

    server: str
    address: str
    answers: dict[str, str]
    check_path: str
    sends: Sequence[str] = ()
    down: str = "WSE-502-ALB"

    @property
    def name(self) -> str:
        """Of endpoint and load balancer."""
        return f"kind-{self.server.replace('.', '')}"


IN_A_ROOM = 'send {"room":"check"}\nexpect json $.joined == "check"'
TEAM_SECRET = "${secret:KINDS_TOKEN}"
BESIDE = (
    App("silent", "10.10.8.213", {"path_patterns": "/silent"}, "/silent"),
    App("closes-after-5-s", "10.10.8.214", {"path_patterns": "/five"}, "/five"),
    App(
        "token",
        "10.10.8.215",
        {"path_patterns": "/members", "check_headers": f"Authorization: Bearer {TEAM_SECRET}"},
        "/members",
    ),
    App(
        "first-message-first",
        "10.10.8.216",
        {"path_patterns": "/rooms", "check_script": IN_A_ROOM},
        "/rooms",
        ['send {"room":"check"}'],
    ),
)
"""Apps of nobody's protocol."""
SOME = (
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
    *BESIDE,
)


def app_of(number: int, server: str, kind: str, pattern: str, **answers: str) -> App:
    """An app of a kind, which is what its team answers; the rest follows from the kind."""
    kinds_own = APP_KINDS[kind].check_path([pattern])
    path = answers.get("check_path") or kinds_own or pattern.rstrip("*")
    sends, _ = sent_and_awaited(APP_KINDS[kind].script)
    said = {"path_patterns": pattern, "app_kind": kind, **answers}
    return App(server, f"10.10.8.{100 + number}", said, path, sends)


SESSION = "Cookie: {}=" + TEAM_SECRET.replace("{", "{{").replace("}", "}}")
EVERY = (
    *starmap(
        app_of,
        (
            (number, *row)
            for number, row in enumerate(
                (
                    ("websockets", "echo", "/echo"),
                    ("greeting", "greeting", "/greeting"),
                    ("socket.io", "socketio", "/socket.io/*"),
                    ("socket.io-2-at-old", "socketio2", "/old/socket.io/*"),
                    ("engine.io", "engineio", "/engine.io/*"),
                    ("sockjs", "sockjs", "/sockjs/*"),
                    ("signalr", "signalr", "/chat"),
                    ("socketcluster-server", "socketcluster", "/socketcluster/*"),
                    ("graphql-ws", "graphql-transport-ws", "/graphql"),
                    ("subscriptions-transport-ws", "graphql-ws", "/subscriptions"),
                    ("stomp-broker-js", "stomp", "/stomp"),
                    ("aedes", "mqtt", "/mqtt"),
                    ("autobahn", "wamp", "/wamp"),
                    ("phoenix", "phoenix", "/socket/*"),
                    ("liveview", "liveview", "/live/*"),
                    ("action-cable", "action-cable", "/cable"),
                    ("daphne", "django-channels", "/channels/chat/"),
                    ("fastapi", "asgi", "/fastapi/ws"),
                    ("tornado", "tornado", "/tornado/ws"),
                    ("ws-at-node", "node-ws", "/node/ws"),
                    ("gorilla", "go", "/go/ws"),
                    ("spring", "jvm", "/jvm/ws"),
                    ("kestrel", "dotnet", "/dotnet/ws"),
                    ("streamlit", "streamlit", "/_stcore/*"),
                    ("novnc", "novnc", "/websockify"),
                    ("home-assistant", "home-assistant", "/api/websocket"),
                    ("hasura", "hasura", "/v1/graphql"),
                    ("centrifugo", "centrifugo", "/connection/*"),
                    ("gradio", "gradio", "/queue/join"),
                )
            )
        ),
    ),
    app_of(
        50,
        "jupyter",
        "jupyter",
        "/api/kernels/*/channels",
        check_path=f"/api/kernels/{KERNEL}/channels",
        check_headers=f"Authorization: token {TEAM_SECRET}",
    ),
    app_of(
        51,
        "code-server",
        "code-server",
        "/code/*",
        check_path="/code/",
        check_headers=SESSION.format("code-server-session"),
    ),
    app_of(52, "n8n", "n8n", "/rest/*", check_headers=SESSION.format("n8n-auth")),
    *BESIDE,
)
Endpoints = dict[App, str]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(SOME, id="some"),
        pytest.param(EVERY, id="every", marks=pytest.mark.slow),
    ],
)
def apps(request: pytest.FixtureRequest) -> tuple[App, ...]:
    """Those that take the way."""
    found: tuple[App, ...] = request.param
    return found


@pytest.fixture(scope="module")
def servers(apps: tuple[App, ...]) -> Iterator[AppServers]:
    """The apps, all of them running."""
    with AppServers() as running:
        for app in apps:
            running.start(app.server)
        yield running


@pytest.fixture(scope="module")
def live(product: Product, servers: AppServers, apps: tuple[App, ...]) -> Endpoints:
    """Ana's endpoints of all apps, approved by Olga and live: made at the same time."""
    ana, olga = product.api("ana"), product.api("olga")
    secret = {"team": "chat", "name": "KINDS_TOKEN", "value": TOKEN}
    assert ana.post("/secrets", secret).status_code == 201
    product.lead_to(
        {f"{app.address}:8080": f"{LOOPBACK}:{servers.start(app.server)}" for app in apps}
    )
    targets: list[Target] = []
    asked = {}
    for number, app in enumerate(apps):
        # An account has few VPC origins, so apps share load balancers.
        rule, first = divmod(number, TARGETS)
        if rule == 0:
            targets.append(product.account.make_target(app.name, app=app.address))
        else:
            pattern = app.answers["path_patterns"]
            where = targets[first], rule, pattern, app.name, app.address
            product.account.lead_path(*where)
        answers = product.answers(app.name, targets[first], "") | app.answers
        asked[app] = ana.ask(**answers)["id"]
    for app, request_id in asked.items():
        planned = ana.await_state(request_id, "awaiting_approval")
        assert planned["spec"]["check_path"] == app.check_path
        assert olga.approve(planned).status_code == 200
    made = {app: ana.await_state(asked[app], "live", "unanswered") for app in apps}
    reasons = {app.server: one["reason"] for app, one in made.items() if one["state"] != "live"}
    assert not reasons
    return {app: one["endpoint"]["id"] for app, one in made.items()}


def finished(ana: Api, endpoint_id: str, check_id: str) -> dict[str, Any]:
    """A check that was taken, at its end."""

    def look() -> dict[str, Any] | None:
        shown: dict[str, Any] = ana.get(f"/endpoints/{endpoint_id}/checks/{check_id}").json()
        return shown if shown.get("state") == "finished" else None

    return until(look, f"the end of check {check_id}", CHECK_SECONDS, pause=POLL_AFTER)


def begun(ana: Api, endpoint_id: str) -> str:
    """The usual check, asked for through the API."""

    def ask() -> str | None:
        answer = ana.post(f"/endpoints/{endpoint_id}/checks")
        assert answer.status_code in (202, 409, 429), answer.text
        return str(answer.json()["id"]) if answer.status_code == 202 else None

    return until(ask, "a check that is taken", CHECK_SECONDS, pause=POLL_AFTER)


def checked(ana: Api, endpoint_id: str) -> dict[str, Any]:
    """The usual check through the API, to its end."""
    return finished(ana, endpoint_id, begun(ana, endpoint_id))


def all_checked(product: Product, live: Endpoints) -> dict[App, dict[str, Any]]:
    """All of them, at the same time."""
    ana = product.api("ana")
    taken = {app: begun(ana, endpoint_id) for app, endpoint_id in live.items()}
    return {app: finished(ana, live[app], check_id) for app, check_id in taken.items()}


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
    for app in live:
        servers.stop(app.server)
    for app, check in all_checked(product, live).items():
        assert not check["ok"], app.server
        assert check["verdict"]["code"] == app.down, (app.server, check["findings"])
    for app in live:
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

    check = finished(ana, endpoint_id, changed.json()["id"])
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
