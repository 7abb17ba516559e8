"""The ticker is woken by what becomes due, and none of its parts waits for another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from portal.operations.ticker import Part, Ticker
from portal.requests import actions
from portal.requests.models import EndpointRequest
from provisioning import events
from provisioning.due_work import CHANNEL, Work, announce
from provisioning.models import Run
from tests.portal.endpoint_requests import ANSWERS, planned
from tests.portal.people import NOW, make_cast

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]

NEVER_SECONDS = 3600.0
SOON_SECONDS = 60.0
"""Generous: the machine may be busy. What is not woken comes after an hour."""
LISTENING = f"SELECT pid FROM pg_stat_activity WHERE query = 'LISTEN {CHANNEL}' AND datname = current_database()"  # noqa: E501, S608


def listeners() -> list[int]:
    """The PostgreSQL sessions that listen for due work."""
    with connection.cursor() as cursor:
        cursor.execute(LISTENING)
        return [pid for (pid,) in cursor.fetchall()]


def until(true: Callable[[], Any], what: str) -> Any:
    """Wait for a condition that another thread or process brings about."""
    for _ in range(int(SOON_SECONDS / 0.02)):
        if found := true():
            return found
        threading.Event().wait(0.02)
    raise AssertionError(f"no {what}")


@contextmanager
def ticking(*parts: Part) -> Iterator[None]:
    """A ticker whose clock would tick in an hour, once it listens."""
    stopping = threading.Event()
    ticker = Ticker(parts, stopping, seconds=NEVER_SECONDS)
    running = threading.Thread(target=ticker.run, name="ticker")
    running.start()
    try:
        until(listeners, "listener")
        yield
    finally:
        stopping.set()
        running.join(SOON_SECONDS)
        assert not running.is_alive()
        until(lambda: not listeners(), "end of the listener")


def end_session(pid: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])


class Ticked:
    """A tick that only says that it ran."""

    def __init__(self) -> None:
        self.ran = threading.Event()

    def __call__(self, now: datetime) -> None:
        self.ran.set()


def test_a_request_a_run_an_event_and_a_check_wake_their_part_when_they_commit() -> None:
    people = make_cast()
    runs, requests, checks = Ticked(), Ticked(), Ticked()

    def woken(ticked: Ticked) -> None:
        assert ticked.ran.wait(SOON_SECONDS)
        ticked.ran.clear()

    with ticking(
        Part("runs", runs, Work.RUNS),
        Part("requests", requests, Work.REQUESTS),
        Part("checks", checks, Work.CHECKS),
    ):
        asked = actions.submit_request(people.ana, people.chat, ANSWERS, now=NOW)
        woken(requests)
        request = planned(asked)
        actions.approve_request(people.olga, request, plan_digest=request.plan_digest, now=NOW)
        woken(runs)
        request = EndpointRequest.objects.get(pk=request.pk)
        assert request.run is not None
        requests.ran.clear()
        with transaction.atomic():
            events.append(request.stream, "step.ready", "Deployed.", at=NOW)
        woken(requests)
        assert not runs.ran.is_set()
        Run.objects.filter(pk=request.run.pk).make_due(NOW + timedelta(minutes=1))
        woken(runs)
        assert not checks.ran.is_set()
        announce(Work.CHECKS)
        woken(checks)


def test_what_is_rolled_back_wakes_nothing() -> None:
    runs, checks = Ticked(), Ticked()
    with ticking(Part("runs", runs, Work.RUNS), Part("checks", checks, Work.CHECKS)):
        with transaction.atomic():
            announce(Work.RUNS)
            transaction.set_rollback(True)
        announce(Work.CHECKS)  # arrives after it, so the other would have arrived
        assert checks.ran.wait(SOON_SECONDS)
        assert not runs.ran.is_set()


def test_a_part_that_hangs_holds_up_no_other() -> None:
    hung, release, checks = threading.Event(), threading.Event(), Ticked()

    def hang(now: datetime) -> None:
        hung.set()
        release.wait(SOON_SECONDS)

    with ticking(Part("runs", hang, Work.RUNS), Part("checks", checks, Work.CHECKS)):
        announce(Work.RUNS)
        assert hung.wait(SOON_SECONDS)
        announce(Work.CHECKS)
        assert checks.ran.wait(SOON_SECONDS)
        assert not release.is_set()
        release.set()


def test_it_listens_again_after_its_session_ended(caplog: pytest.LogCaptureFixture) -> None:
    runs = Ticked()
    with ticking(Part("runs", runs, Work.RUNS)):
        [before] = listeners()
        end_session(before)
        until(lambda: [pid for pid in listeners() if pid != before], "new listener")
        announce(Work.RUNS)
        assert runs.ran.wait(SOON_SECONDS)
    assert "relying on ticks" in caplog.text


def test_without_a_notice_it_ticks_by_the_clock() -> None:
    ticked: list[datetime] = []
    twice, stopping = threading.Event(), threading.Event()

    def tick(now: datetime) -> None:
        ticked.append(now)
        if len(ticked) == 2:
            twice.set()

    ticker = Ticker([Part("endpoints", tick)], stopping, seconds=0.05)
    running = threading.Thread(target=ticker.run)
    running.start()
    assert twice.wait(SOON_SECONDS)
    stopping.set()
    running.join(SOON_SECONDS)
    assert ticked[0] <= ticked[1] <= timezone.now()
