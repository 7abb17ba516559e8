"""Who did what, and what came of it, as the logs say: a line for each call, one id through all of
them, and no secret.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery.worker.request import Request
from django.conf import settings as django_settings
from django.db import transaction
from django.test import Client
from django.utils import timezone
from structlog.contextvars import bound_contextvars

from portal.access_log import log_sockets
from portal.celery import app
from portal.console.routing import websocket_application
from portal.log_format import json_lines, text_lines
from portal.requests import tasks
from portal.requests.models import EndpointRequest
from provisioning import events
from provisioning.models import Endpoint, Run
from provisioning.tasks import advance_run
from tests.lab.account import Lab
from tests.portal.console_server import browser_headers, serving
from tests.portal.endpoint_requests import BODY, ask
from tests.portal.people import Cast, bearer, make_cast, signed_in

pytestmark = pytest.mark.django_db(transaction=True)
Lines = Callable[..., list[dict[str, Any]]]
ID = "1-67891233-abcdef012345678912345678"


@pytest.fixture
def people(transactional_db: None) -> Cast:
    return make_cast()


@pytest.fixture
def lines() -> Iterator[Lines]:
    """The log at INFO, as JSON; those lines that have these members."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(json_lines())
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.INFO)

    def read(**wanted: Any) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in written.getvalue().splitlines()]
        return [one for one in found if wanted.items() <= one.items()]

    yield read
    root.removeHandler(handler)
    root.setLevel(level)


def test_a_call_has_one_line_that_names_who_asked_for_what(people: Cast, lines: Lines) -> None:
    ana = signed_in(people.ana)
    request = ask(people.ana, people.chat)
    answer = ana.get(f"/requests/{request.pk}/?next=s3cr3t", headers={"X-Request-ID": ID})
    assert (answer.status_code, answer["X-Request-ID"]) == (200, ID)
    [line] = lines(event="http.request", request_id=ID)
    assert line.pop("ms") > 0
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": "portal.access_log",
        "event": "http.request",
        "method": "GET",
        "path": f"/requests/{request.pk}/",
        "route": "/requests/<uuid:pk>/",
        "status": 200,
        "user": "ana",
        "request_id": ID,
    }
    Client().get("/api/v1/requests", headers=bearer(people.ben))
    [by_token] = lines(event="http.request", path="/api/v1/requests")
    assert by_token["user"] == "ben"


@pytest.mark.parametrize(
    "given", ["", "two words", "x" * 129, "-starts-with-a-dash", "a\tb", "AKIAIOSFODNN7EXAMPLE"]
)
def test_an_id_that_is_no_id_is_replaced(lines: Lines, given: str) -> None:
    kept = Client().get("/sign-in/", headers={"X-Request-ID": ID})
    assert kept["X-Request-ID"] == ID
    made = Client().get("/sign-in/", headers={"X-Request-ID": given})["X-Request-ID"]
    assert len(made) == 32
    assert [line["request_id"] for line in lines(event="http.request")] == [ID, made]


def test_what_orchestrators_ask_has_a_line_only_where_it_fails(
    counted: str, lines: Lines, settings: Any
) -> None:
    Client().get("/livez")
    Client().get("/readyz")
    assert lines(event="http.request") == []
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert Client().get("/readyz").status_code == 503
    [line] = lines(event="http.request")
    assert (line["path"], line["status"], line["level"]) == ("/readyz", 503, "warning")


def test_a_traceback_has_the_id_that_the_client_was_told(
    people: Cast, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("the token=hunter2hunter2 is wrong")

    ana = signed_in(people.ana)
    ana.raise_request_exception = False
    monkeypatch.setattr("portal.pages.home.render", broken)
    answer = ana.get("/")
    assert answer.status_code == 500
    [traceback] = lines(logger="django.request")
    assert traceback["request_id"] == answer["X-Request-ID"]
    assert "RuntimeError" in traceback["exception"]
    assert "hunter2" not in json.dumps(traceback)


def test_a_request_for_an_endpoint_keeps_the_id_and_its_event_has_a_line(
    people: Cast, lines: Lines
) -> None:
    made = Client().post(
        "/api/v1/requests",
        json.dumps(BODY),
        content_type="application/json",
        headers=bearer(people.ana) | {"X-Request-ID": ID},
    )
    assert made.status_code == 201, made.content
    request = EndpointRequest.objects.get()
    assert (request.correlation_id, made["X-Correlation-ID"]) == (ID, ID)
    [event] = lines(event="event", request_id=ID)
    assert (event["kind"], event["stream"]) == ("request.submitted", request.stream)


def test_a_message_takes_the_id_to_the_worker(
    people: Cast, lines: Lines, counted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the ticker through a broker to what a worker does with a message."""
    request = ask(people.ana, people.chat)
    other = ask(people.ana, people.chat, name="other")
    EndpointRequest.objects.filter(pk=request.pk).update(correlation_id=ID)
    with app.connection_for_write(counted) as connection, app.amqp.Producer(connection) as to:

        def delay(*args: str) -> None:
            tasks.plan_request.apply_async(args, producer=to)

        monkeypatch.setattr(tasks.plan_request, "delay", delay)
        tasks._send(tasks.plan_request, [request.pk, other.pk])
        queue = connection.SimpleQueue("provisioning")
        with bound_contextvars(correlation_id="of the thread's last task"):
            for _ in range(2):
                Request(queue.get(timeout=30), app=app, hostname="worker").execute()
    mine, others = lines(event="task")
    assert (mine["task"], mine["state"]) == ("portal.requests.tasks.plan_request", "success")
    assert (mine["correlation_id"], mine["ms"] > 0) == (ID, True)
    [planned] = lines(event="event", correlation_id=ID)
    assert planned["stream"] == request.stream, "what the worker did has it, too"
    assert "correlation_id" not in others


def test_the_worker_looks_up_whose_run_it_advances(endpoint: Endpoint, lines: Lines) -> None:
    request = EndpointRequest.objects.get()
    run = Run.objects.create(
        endpoint=endpoint,
        saga="create-endpoint",
        stream=request.stream,
        plan_data={},
        plan_digest="",
        state=Run.State.DONE,
        due_at=timezone.now(),
        created_at=timezone.now(),
    )
    EndpointRequest.objects.update(run=run, correlation_id=ID)
    advance_run.apply((run.pk,))
    advance_run.apply((run.pk + 1,))
    mine, unknown = lines(event="task")
    assert mine["correlation_id"] == ID
    assert "correlation_id" not in unknown


def test_calls_to_aws_have_the_id_whatever_thread_makes_them(lab: Lab, lines: Lines) -> None:
    account = make_cast().chat.accounts.get()
    with bound_contextvars(request_id=ID):
        account.snapshot_for("", "", permissions=False)
    calls = lines(event="aws.call")
    assert calls
    assert {call["request_id"] for call in calls} == {ID}
    listed = next(call for call in calls if call["operation"] == "ListVpcOrigins")
    assert (listed["service"], listed["account"]) == ("cloudfront", account.pk)
    assert (listed["status"], listed["retries"], listed["error"]) == (200, 0, "")
    assert listed["ms"] > 0
    assert listed["aws_request_id"]


def test_a_socket_has_a_line_when_it_opens_and_one_when_it_ends(
    people: Cast, lines: Lines, settings: Any
) -> None:
    request = ask(people.ana, people.chat)
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    origin = django_settings.PORTAL_URL
    with serving(log_sockets(websocket_application())) as server:
        with server.console(request, bearer(people.ana) | {"X-Request-ID": ID}) as console:
            console.until_type("hello")
            assert console.connection.response is not None
            assert console.connection.response.headers["X-Request-ID"] == ID
        with server.console(request, browser_headers(people.tara, origin)) as other:
            other.until_closed()
    [opened], [closed] = (
        lines(event=event, request_id=ID) for event in ("websocket.opened", "websocket.closed")
    )
    assert opened["path"] == f"/ws/requests/{request.pk}/"
    assert (closed["user"], closed["code"]) == ("ana", 1000)
    assert closed["seconds"] > 0
    [refused] = [line for line in lines(event="websocket.closed") if line["request_id"] != ID]
    assert refused["code"] == 4404


@pytest.mark.parametrize("formatter", [json_lines, text_lines])
def test_no_secret_is_written_wherever_it_stands(formatter: Any) -> None:
    record = logging.LogRecord(
        "x", logging.INFO, "", 1, "sent %s", ("Authorization: Bearer abcdefgh12345678",), None
    )
    record.fields = {"detail": {"password": "hunter2hunter2"}, "seen": "?token=hunter2hunter2"}
    with bound_contextvars(sent_by="https://ana:hunter2hunter2@example.com/"):
        line = formatter().format(record)
    assert "sent Authorization" in line
    assert "hunter2" not in line
    assert "abcdefgh" not in line


def test_a_text_line_stays_one_line_whatever_a_value_holds() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 1, "http.request", (), None)
    record.fields = {"path": "/a\n2026-01-01 INFO forged", "user": "", "status": 200}
    line = text_lines().format(record)
    assert line.endswith(
        r"INFO x http.request path='/a\n2026-01-01 INFO forged' user='' status=200"
    )


def test_an_event_has_a_line_without_its_text(people: Cast, lines: Lines) -> None:
    with transaction.atomic():
        events.append("request:x", "note", "Ana's own words", at=timezone.now())
    assert len(lines(event="event", stream="request:x", seq=1)) == 1
    assert "own words" not in json.dumps(lines())


def test_a_worker_keeps_the_level_and_handlers_that_are_set(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Celery would set WARNING, the level of its own command line, and another format."""
    root = logging.getLogger()
    before = list(root.handlers)
    monkeypatch.setattr(type(app.log), "_setup", False)
    app.log.setup_logging_subsystem(loglevel="WARNING")
    assert (root.level, root.handlers) == (logging.INFO, before)
