"""What is old is deleted in small batches, and nothing that people look at changes by it."""

from __future__ import annotations

import io
import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.sessions.models import Session
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from checks.models import Check, DeletedChecks, Probe, SavedCheck
from portal import settings as project_settings
from portal.endpoints.uptime import SPANS, Uptime, measure_uptime
from portal.endpoints.usual_samples import usual_samples
from portal.operations.observe import observe
from portal.operations.readiness import Level, components, overall
from portal.requests import follower
from portal.requests.idempotency import KEPT
from portal.requests.lifecycle import State
from portal.requests.models import EndpointRequest, IdempotencyKey
from portal.retention import housekeeping, kinds, old_checks, tasks
from portal.retention.kinds import Batch
from portal.retention.models import RetentionTask
from provisioning import events
from provisioning.models import Endpoint, Event, EventStream, JournalEntry, Run
from tests.checks import seen
from tests.portal.endpoint_requests import ask, deploy, happen, put
from tests.portal.page_text import text_of
from tests.portal.people import Cast, bearer, signed_in

pytestmark = pytest.mark.django_db
START = datetime(2026, 9, 1, tzinfo=UTC)
QUARTER_HOUR = timedelta(minutes=15)
DAY = timedelta(days=1)
RETAIN_SETTINGS = [name for name in dir(project_settings) if name.startswith("RETAIN_")]


@pytest.fixture
def old(people: Cast) -> Endpoint:
    """Ana's, deployed when the history begins."""
    return deploy(ask(people.ana, people.chat), created_at=START, deployed_at=START)


def checked(
    endpoint: Endpoint,
    begin: datetime,
    days: float,
    *,
    failing: tuple[datetime, datetime] | None = None,
    every: timedelta = QUARTER_HOUR,
    **more: Any,
) -> list[Check]:
    """Usual checks as the schedule makes them; those between the times of `failing` fail."""
    transcript = seen.live().to_dict()
    made = []
    for turn in range(int(timedelta(days=days) / every)):
        at = begin + turn * every
        bad = failing is not None and failing[0] <= at < failing[1]
        values = {
            "ok": not bad,
            "verdict": "WSE-504-SG" if bad else "WSE-LIVE",
            "connect_ms": None if bad else 50.0 + turn % 17 / 7,
            "transcript_data": transcript,
            "probes": [{"kind": "plain_get"}] if bad else [],
        }
        made.append(
            Check(
                endpoint=endpoint,
                requested_at=at,
                due_at=at,
                retry_until=at,
                finished_at=at + timedelta(seconds=1),
                **values | more,
            )
        )
    return Check.objects.bulk_create(made)


def sweep(now: datetime) -> dict[str, Batch]:
    """All that is due at that time, in as many runs as it takes."""
    RetentionTask.objects.update(next_at=now)
    total: dict[str, Batch] = {}
    while made := housekeeping.delete_due(now, seconds=0):
        for name, batch in made.items():
            total[name] = total.get(name, Batch()) + batch
    return total


def days_kept() -> dict[int, int]:
    """The number of checks by the day of the history."""
    found: dict[int, int] = {}
    for at in Check.objects.order_by("requested_at").values_list("requested_at", flat=True):
        found[(at - START).days] = found.get((at - START).days, 0) + 1
    return found


def uptimes(endpoint: Endpoint, now: datetime) -> list[Uptime]:
    return [
        measure_uptime(usual_samples(endpoint, now - span.length, most=10_000), span, now)
        for span in SPANS
    ]


def test_checks_are_thinned_by_age_and_changes_and_failures_stay(
    old: Endpoint, settings: Any
) -> None:
    settings.RETAIN_HOURLY_CHECKS_DAYS, settings.RETAIN_FAILURES_DAYS = 10, 12
    settings.RETAIN_DAILY_CHECKS_DAYS, settings.RETAIN_CHANGES_DAYS = 15, 17
    noon = START + timedelta(hours=12)
    checked(old, START, 20, failing=(noon + 5 * DAY, noon + 5 * DAY + timedelta(hours=2)))
    kept_by_age: list[dict[int, int]] = []
    for age in (8, 11, 13, 16, 18):
        sweep(START + (5 + age) * DAY + timedelta(minutes=5))
        kept_by_age.append(days_kept())
    failed_and_changed = 8 + 1
    assert [one.get(5) for one in kept_by_age] == [
        24 + failed_and_changed - 3,  # two failures and the recovery are the first of their hours
        1 + failed_and_changed,  # the first of the day, the failures and the recovery
        1 + 2,  # the first of the day, the first failure and the recovery
        2,  # the two changes
        None,
    ]
    assert kept_by_age[0][4] == 24
    assert kept_by_age[0][6] == 96, "not yet a week old"
    assert 0 not in kept_by_age[-1], "older than every period"


def test_a_transcript_goes_first_and_the_page_says_so(old: Endpoint, people: Cast) -> None:
    failing = (START + timedelta(hours=5), START + timedelta(hours=6))
    checked(old, START, 6, failing=failing)
    done = sweep(START + 5 * DAY)
    assert done["checks"].deleted == 0
    first_day = Check.objects.filter(requested_at__lt=START + DAY)
    with_transcript = first_day.filter(transcript_data__isnull=False).order_by("requested_at")
    assert [one.requested_at.hour for one in with_transcript] == [0, 5, 5, 5, 5, 6]
    assert done["checks"].emptied == 96 - 6 + 96
    assert all(one.probes for one in with_transcript.filter(ok=False))
    bare = first_day.filter(transcript_data__isnull=True).first()
    assert bare is not None
    client = signed_in(people.ana)
    words = text_of(client.get(f"/endpoints/{old.pk}/?check={bare.pk}"))
    assert "The transcript of this check was deleted because it is old." in words
    answer = Client().get(
        f"/api/v1/endpoints/{old.pk}/checks/{bare.pk}", headers=bearer(people.ana)
    )
    assert (answer.status_code, answer.json()["transcript"]) == (200, None)


def test_uptime_stays_exact_while_its_checks_are_deleted(old: Endpoint) -> None:
    noon = START + timedelta(hours=12)
    checked(old, START, 45, failing=(noon + 9 * DAY, noon + 9 * DAY + timedelta(hours=3)))
    checked(old, START + timedelta(minutes=4), 45, every=timedelta(hours=5), options={"path": "/x"})
    moments = [START + days * DAY + timedelta(hours=3.3) for days in (8, 15, 25, 38.5, 40, 44)]
    before = [uptimes(old, now) for now in moments]
    rows = Check.objects.count()
    for number, now in enumerate(moments):
        sweep(now)
        assert uptimes(old, now) == before[number], now
    assert before[3][2].checks == 30 * 96
    assert before[3][2].answered == 30 * 96 - 12
    assert Check.objects.count() < rows / 2
    first = DeletedChecks.objects.order_by("day").first()
    assert first is not None
    assert first.day >= (moments[-1] - 31 * DAY).date(), "no figure looks further back"


def test_a_check_that_is_deleted_while_uptime_is_read_counts_once(
    old: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked(old, START, 12)
    now = START + 11 * DAY
    before = uptimes(old, now)
    swept: list[datetime] = []
    filter_days = DeletedChecks.objects.filter

    def delete_between(*args: Any, **kwargs: Any) -> Any:
        """Between the two queries."""
        if not swept:
            swept.append(now)
            monkeypatch.undo()
            sweep(now)
        return filter_days(*args, **kwargs)

    monkeypatch.setattr(DeletedChecks.objects, "filter", delete_between)
    assert uptimes(old, now) == before
    assert swept


def test_what_something_refers_to_and_the_newest_are_never_deleted(old: Endpoint) -> None:
    every_day = checked(old, START, 20)
    kept, weighed = every_day[5], every_day[6]
    Check.objects.filter(pk=kept.pk).update(kept=True)
    at = {"requested_at": START, "due_at": START}
    Probe.objects.create(endpoint=old, kind="log rows", of_check=weighed, **at)
    saved = SavedCheck.objects.create(endpoint=old, name="mine", options={"path": "/x"})
    own = checked(old, START + timedelta(minutes=1), 1, saved=saved, options={"path": "/x"})
    under_way = Check.objects.create(endpoint=old, retry_until=START, **at)
    sweep(START + 800 * DAY)
    left = {kept.pk, weighed.pk, every_day[-1].pk, own[-1].pk, under_way.pk}
    assert set(Check.objects.values_list("pk", flat=True)) == left
    assert Check.objects.exclude(pk=under_way.pk).filter(transcript_data__isnull=False).count() == 4


def test_the_check_that_made_a_request_live_is_kept(people: Cast, old: Endpoint) -> None:
    request = EndpointRequest.objects.get()
    put(request, State.VERIFYING)
    first, later = checked(old, START, 0.5)[:2]
    for check in (first, later):
        with transaction.atomic():
            follower_event(request, check)
        follower.follow(str(request.pk), now=START)
    request.refresh_from_db()
    assert request.state == State.LIVE
    assert [*Check.objects.filter(kept=True)] == [first]


def follower_event(request: EndpointRequest, check: Check) -> None:
    data = {"ok": check.ok, "check": str(check.pk)}
    events.append(request.stream, "check.finished", "Done.", at=START, data=data)


def test_a_batch_is_small_and_the_next_one_goes_on_where_it_ended(
    old: Endpoint, people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (kinds, old_checks):
        monkeypatch.setattr(module, "ROWS_AT_ONCE", 100)
    others = [
        deploy(ask(people.ana, people.chat, name=f"other-{n}"), created_at=START) for n in range(4)
    ]
    for endpoint in (old, *others):
        checked(endpoint, START, 3)
    now = START + 10 * DAY + timedelta(hours=1)
    (kind,) = (one for one in housekeeping.kinds() if one.name == "checks")
    sizes, places = [], []
    while (made := housekeeping.delete_batch(kind, now)) is not None:
        sizes.append(made.deleted)
        if not made.more:
            break
        task = RetentionTask.objects.get(pk=kind.name)
        places.append((task.day, task.after))
        rows = Check.objects.count()
        with transaction.atomic():  # a worker that ends in the middle of a batch changes nothing
            housekeeping.delete_batch(kind, now)
            transaction.set_rollback(True)
        assert RetentionTask.objects.get(pk=kind.name).after == task.after
        assert Check.objects.count() == rows
    assert max(sizes) < 2 * 100 + 72, "of more than a thousand"
    assert len(set(places)) == len(places) > 4
    assert RetentionTask.objects.get(pk=kind.name).deleted == sum(sizes) == 5 * (3 * 72 - 1)
    assert housekeeping.delete_batch(kind, now) is None, "it is looked at again in an hour"


@pytest.mark.django_db(transaction=True)
def test_a_page_does_not_wait_for_it_nor_does_a_second_worker(old: Endpoint, people: Cast) -> None:
    """While a batch holds its locks, everything else goes on at another connection."""
    checked(old, START, 9)
    now = START + 9 * DAY
    holding, done = threading.Event(), threading.Event()

    sweep(START)  # makes the record of each kind

    def hold() -> None:
        try:
            with transaction.atomic():
                for kind in housekeeping.kinds():
                    housekeeping.delete_batch(kind, now)
                holding.set()
                done.wait(20)
        finally:
            connection.close()

    worker = threading.Thread(target=hold)
    worker.start()
    try:
        assert holding.wait(20)
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '3s'")
            assert signed_in(people.ana).get(f"/endpoints/{old.pk}/").status_code == 200
            assert housekeeping.delete_due(now, seconds=0) == {}
            checked(old, now, 1 / 96)
            cursor.execute("RESET lock_timeout")
    finally:
        done.set()
        worker.join()


@pytest.fixture
def removed(people: Cast) -> Endpoint:
    """An endpoint that was removed at START, with its log and journal."""
    request = ask(people.ana, people.chat, name="gone")
    endpoint = deploy(request, state=Endpoint.State.ABSENT, created_at=START - DAY)
    run = Run.objects.create(
        endpoint=endpoint, saga="create-endpoint", stream=request.stream,
        plan_data={"action": "create", "spec": request.spec_data, "applied": None},
        plan_digest="", state=Run.State.DONE, due_at=START, created_at=START, finished_at=START,
    )  # fmt: skip
    entry = {"kind": "ready", "direction": "forward", "at": START, "since": START}
    JournalEntry.objects.bulk_create(
        JournalEntry(run=run, seq=seq, step="vpc-origin", **entry) for seq in range(1, 4)
    )
    happen(request, times=4)
    happen(request, "Nothing of it is left.")
    put(request, State.SUPERSEDED, run=run, updated_at=START)
    return endpoint


def test_the_log_of_a_removed_endpoint_is_deleted_but_for_its_end(
    removed: Endpoint, old: Endpoint, people: Cast, settings: Any
) -> None:
    settings.RETAIN_REMOVED_DAYS = 30
    live = EndpointRequest.objects.get(endpoint=old)
    happen(live, times=3)
    of_live = Event.objects.filter(stream=live.stream).count()
    assert sweep(START + 30 * DAY)["removed_endpoints"].deleted == 0
    request = EndpointRequest.objects.get(endpoint=removed)
    logged = Event.objects.filter(stream=request.stream).count()
    assert sweep(START + 31 * DAY)["removed_endpoints"].deleted == logged - 1 + 3
    assert Event.objects.filter(stream=live.stream).count() == of_live
    (last,) = Event.objects.filter(stream=request.stream)
    assert last.text == "Nothing of it is left."
    page = signed_in(people.ana).get(f"/requests/{request.pk}/")
    assert page.status_code == 200
    assert "Nothing of it is left." in text_of(page)
    assert page.context["earlier"] is False
    assert page.context["progress"] is None
    happen(request, "It goes on.")
    assert Event.objects.get(text="It goes on.").seq == last.seq + 1
    assert sweep(START + 31 * DAY + timedelta(hours=2))["removed_endpoints"].deleted == 0
    assert sweep(START + 32 * DAY)["removed_endpoints"].deleted == 1


def test_a_log_that_is_followed_or_belongs_to_a_run_that_is_not_over_stays(
    removed: Endpoint, settings: Any
) -> None:
    settings.RETAIN_REMOVED_DAYS = 1
    EventStream.objects.update(followed=True)
    Run.objects.update(state=Run.State.STUCK)
    assert sweep(START + 31 * DAY)["removed_endpoints"].deleted == 0
    EventStream.objects.update(followed=False)
    Run.objects.update(state=Run.State.UNDONE)
    assert sweep(START + 32 * DAY)["removed_endpoints"].deleted > 3


def test_probes_keys_and_sessions_are_deleted_when_they_are_old(
    old: Endpoint, people: Cast
) -> None:
    now = timezone.now()
    for days in (89, 91):
        at = now - days * DAY
        times = {"requested_at": at, "due_at": at, "finished_at": at}
        Probe.objects.create(endpoint=old, kind="crowd", **times)
    Probe.objects.create(endpoint=old, kind="idle", requested_at=now - 200 * DAY, due_at=now)
    for kept in (KEPT - DAY, KEPT + DAY):
        IdempotencyKey.objects.create(
            person=people.ana, route="r", key=str(kept), body_digest="", body={},
            request=EndpointRequest.objects.get(), created_at=now - kept,
        )  # fmt: skip
    for hours in (-1, 1):
        key = uuid4().hex
        Session.objects.create(session_key=key, expire_date=now + timedelta(hours=hours))
    found = sweep(now)
    numbers = {name: found[name].deleted for name in ("probes", "idempotency_keys", "sessions")}
    assert numbers == {"probes": 1, "idempotency_keys": 1, "sessions": 1}
    assert Probe.objects.filter(finished_at=None).exists(), "one that is under way stays"
    assert Session.objects.filter(expire_date__gt=now).exists()


def test_with_0_everything_is_kept(old: Endpoint, removed: Endpoint, settings: Any) -> None:
    for name in RETAIN_SETTINGS:
        setattr(settings, name, 0)
    checked(old, START, 3)
    Probe.objects.create(
        endpoint=old, kind="crowd", requested_at=START, due_at=START, finished_at=START
    )
    numbers = [model.objects.count() for model in (Check, Probe, Event, JournalEntry)]
    sweep(START + 800 * DAY)
    assert [model.objects.count() for model in (Check, Probe, Event, JournalEntry)] == numbers


def test_a_shorter_period_also_reaches_the_days_before(old: Endpoint, settings: Any) -> None:
    checked(old, START, 30)
    now = START + 30 * DAY
    settings.RETAIN_HOURLY_CHECKS_DAYS = 0
    sweep(now)
    assert days_kept()[0] == 24
    settings.RETAIN_HOURLY_CHECKS_DAYS = 20
    sweep(now)
    assert (days_kept()[0], days_kept()[9], days_kept()[10]) == (1, 1, 24)
    settings.RETAIN_HOURLY_CHECKS_DAYS = 10
    sweep(now)
    assert (days_kept()[19], days_kept()[20]) == (1, 24)


@pytest.mark.parametrize("days", [-1, 3651])
def test_impossible_periods_are_refused_at_start(days: int, settings: Any) -> None:
    settings.RETAIN_CHECKS_DAYS = days
    (found,) = [one for one in run_checks() if one.id == "portal.E008"]
    assert found.msg == "RETAIN_CHECKS_DAYS is out of range."
    assert found.hint == "Set it to a number of days from 0 to 3650."


def test_the_command_counts_first_and_then_deletes_as_many(
    old: Endpoint, removed: Endpoint
) -> None:
    began = timezone.now() - 20 * DAY
    Endpoint.objects.filter(pk=old.pk).update(created_at=began)
    EndpointRequest.objects.filter(endpoint=removed).update(updated_at=began - 500 * DAY)
    checked(old, began, 15)
    said = io.StringIO()
    rows = Check.objects.count()
    call_command("delete_old_rows", "--dry-run", stdout=said)
    assert Check.objects.count() == rows
    assert not RetentionTask.objects.exists()
    counted = said.getvalue()
    assert "checks               would delete" in counted
    said = io.StringIO()
    call_command("delete_old_rows", stdout=said)
    done = said.getvalue().replace("deleted ", "would delete ")
    assert sorted(done.splitlines()) == sorted(counted.splitlines())
    assert Check.objects.count() < rows / 2


@pytest.mark.django_db(transaction=True)
def test_it_is_seen_how_far_it_is_behind(old: Endpoint, counted: str) -> None:
    assert housekeeping.days_behind(START + 6 * DAY)["checks"] == 3
    sweep(START + 6 * DAY)
    assert set(housekeeping.days_behind(START + 6 * DAY).values()) == {0}
    checked(old, START, 8)
    assert housekeeping.days_behind(START + 11 * DAY)["checks"] == 5
    late = [one for one in components(observe(START + 11 * DAY)) if one.name == "retention"]
    assert overall(late) is Level.DEGRADED
    assert "checks by 5 days" in late[0].text
    sweep(START + 11 * DAY)
    (fine,) = [one for one in components(observe(START + 11 * DAY)) if one.name == "retention"]
    assert fine.level is Level.OK
    page = Client().get("/metrics").content.decode()
    assert 'portal_retention_deleted_rows{kind="checks"}' in page
    assert 'portal_retention_days_behind{kind="sessions"} 0.0' in page


def test_the_ticker_sends_it_while_there_is_something_to_do(
    old: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    monkeypatch.setattr(tasks.delete_old_rows, "delay", lambda: sent.append(1))
    now = timezone.now()
    tasks.tick(now)
    tasks.tick(now + timedelta(seconds=1))
    assert len(sent) == 1, "not every second"
    tasks.delete_old_rows()
    tasks.tick(now + timedelta(seconds=10))
    assert len(sent) == 1, "all of it is done"
    tasks.tick(now + timedelta(hours=2))
    assert len(sent) == 2
