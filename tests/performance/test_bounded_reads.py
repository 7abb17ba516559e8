"""No page, list or tick reads a long history: PostgreSQL counts the blocks that each reads."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from checks import tasks as checks
from checks.models import Check
from portal.endpoints import tasks as endpoints
from portal.pages.paging import PAGE_SIZE
from portal.people.models import Person
from portal.requests import tasks as requests
from portal.requests.models import EndpointRequest
from portal.retention import housekeeping
from portal.retention import tasks as retention
from portal.retention.models import RetentionTask
from provisioning import tasks as provisioning
from provisioning.drift import reports
from provisioning.models import AwsAccount, Endpoint
from tests.performance.blocks import Measured, measuring
from tests.performance.history import History, write_history
from tests.portal.people import NOW, bearer, signed_in

pytestmark = pytest.mark.django_db(transaction=True)

MOST_BLOCKS = 1500
"""12 MB, of 400 MB. Most read a tenth of that; 51 rows with what belongs to each, up to 1,200."""
MOST_OF_FIVE_TEAMS = 2500
"""The newest rows of each team are read, to find the newest of all."""


@pytest.fixture(autouse=True)
def truncated_afterwards(transactional_db: None) -> Iterator[None]:
    """600,000 rows are truncated: to delete them one by one takes PostgreSQL a minute."""
    yield
    call_command("flush", verbosity=0, interactive=False)


def pages_of(history: History) -> list[str]:
    """Every page whose length depends on the history, or that shows one thing out of it. Not the
    quotas and the exports, which list what every endpoint holds, for the platform team.
    """
    often = f"/endpoints/{history.often_checked.pk}"
    under_way, waiting = f"/requests/{history.under_way.pk}", f"/approvals/{history.waiting.pk}"
    return [
        "/", "/?team=chat", "/requests/", "/approvals/", "/drift/", "/tokens/",
        *(f"/requests/?state={one}" for one in ("live", "provisioning", "failed", "cancelled")),
        "/requests/?team=chat", f"{often}/", f"{often}/privacy/", f"{under_way}/",
        f"{under_way}/standing/", f"{waiting}/", "/requests/new/",
    ]  # fmt: skip


def lists_of(history: History) -> list[str]:
    """The lists of the API with their filters, and what is read one at a time."""
    often = f"endpoints/{history.often_checked.pk}"
    under_way = f"requests/{history.under_way.pk}"
    states = ("live", "awaiting_approval", "failed", "awaiting_approval,provisioning")
    return [
        "requests", *(f"requests?state={one}" for one in states), "requests?team=chat",
        "requests?external_system=jira&external_id__in=OPS-5,OPS-99",
        "requests?updated_since=2999-01-01T00:00:00Z", "endpoints", "endpoints?team=chat",
        "endpoints?health=live", "endpoints?health=failing", often, f"{often}/probes",
        "transfers", "drift-findings", under_way, f"{under_way}/events",
    ]  # fmt: skip


def people_of(history: History) -> dict[str, Person]:
    """One of each kind of reader."""
    cast = history.cast
    return {"all": cast.max, "one team": cast.ana, "five teams": history.mo, "quiet": history.quinn}


def too_much(what: str, measured: Measured) -> Iterator[str]:
    """What is to be said of it, if it read more than it may."""
    if measured.blocks > (MOST_OF_FIVE_TEAMS if what.startswith("five") else MOST_BLOCKS):
        yield f"{what}: {measured.costliest()}"


def test_nothing_reads_the_whole_history(monkeypatch: pytest.MonkeyPatch) -> None:
    history = write_history()
    found: list[str] = []
    answered: dict[str, list[int]] = {}
    for name, person in people_of(history).items():
        client, headers = signed_in(person), bearer(person)
        for path in pages_of(history):
            with measuring() as measured:
                status = client.get(path).status_code
            answered.setdefault(path, []).append(status)
            found += too_much(f"{name}, {path}", measured)
        for path in lists_of(history):
            with measuring() as measured:
                status = Client().get(f"/api/v1/{path}", headers=headers).status_code
            answered.setdefault(path, []).append(status)
            found += too_much(f"{name}, {path}", measured)
    for path, statuses in answered.items():
        assert set(statuses) <= {200, 403, 404}, (path, statuses)
        assert 200 in statuses, (path, statuses)
    found += deep_pages(history)
    found += ticks(monkeypatch)
    found += deleting(history, monkeypatch)
    assert not found, "\n".join(found)


def deep_pages(history: History) -> Iterator[str]:
    """Half way down, a page costs what the first one costs."""
    middle = EndpointRequest.objects.order_by("-created_at")[50_000]
    before = f"?before={middle.created_at.isoformat().replace('+00:00', 'Z')}_{middle.pk}"
    for name, person in people_of(history).items():
        for path in ("/", "/requests/"):
            with measuring() as measured:
                shown = signed_in(person).get(path + before).context["page"]
            assert len(shown) == PAGE_SIZE or name == "quiet"
            assert all(one.created_at <= middle.created_at for one in shown)
            yield from too_much(f"{name}, {path} from the middle", measured)


def ticks(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Each of them, with nothing and with something to do."""
    sent: list[str] = []

    def remember(name: str) -> Any:
        return lambda *_: sent.append(name)

    for task in (
        requests.plan_request, requests.follow_request, checks.make_check, checks.make_audit,
    ):  # fmt: skip
        monkeypatch.setattr(task, "delay", remember(task.name.rpartition(".")[2]))
    later = timezone.now() + timedelta(hours=2)
    with measuring() as measured:
        requests.tick(timezone.now())
        provisioning.tick(timezone.now())
        endpoints.tick(timezone.now())
        checks.tick(timezone.now())
    assert not sent
    yield from too_much("ticks without work", measured)
    for name, tick in (("audits", endpoints.tick), ("checks", checks.tick)):
        with measuring() as measured:
            tick(later)
        # Of 85,000 that are due at once, each tick takes a hundred.
        costliest = max(one.blocks for one in measured.statements)
        if costliest > MOST_BLOCKS:
            yield f"tick of {name} with all due: {measured.costliest()}"
    assert {"make_check", "make_audit"} <= set(sent)
    for account in AwsAccount.objects.all():
        account.drift_reports.create(requested_at=NOW, due_at=NOW, finished_at=later)
    with measuring() as measured:
        reports.request_due_reports(later)
        reports.due_reports(later)
    yield from too_much("tick of drift", measured)


def deleting(history: History, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Each statement of a batch, for each kind of row, with nothing and with a year to delete."""
    monkeypatch.setattr(retention.delete_old_rows, "delay", lambda: None)
    now = timezone.now()
    with measuring() as measured:
        retention.tick(now)
        housekeeping.days_behind(now)
    yield from too_much("tick of retention", measured)
    for turn in range(3):
        for kind in housekeeping.kinds():
            with measuring() as measured:
                housekeeping.delete_batch(kind, now)
            yield from too_much_at_once(f"batch {turn} of {kind.name}", measured)
    checks_of_often = Check.objects.filter(endpoint=history.often_checked)
    before_it = Endpoint.objects.filter(pk__lt=history.often_checked.pk).order_by("pk").last()
    for days_ago in (360, 100, 20):
        made = checks_of_often.count()
        RetentionTask.objects.filter(pk="checks").update(
            day=(now - timedelta(days=days_ago)).date(),
            after=before_it.pk if before_it else None,
            next_at=now,
        )
        with measuring() as measured:
            housekeeping.delete_batch(housekeeping.kinds()[0], now)
        assert made - checks_of_often.count() >= 72
        yield from too_much_at_once(f"checks of {days_ago} days ago", measured)


def too_much_at_once(what: str, measured: Measured) -> Iterator[str]:
    """What is to be said of its costliest statement."""
    if max((one.blocks for one in measured.statements), default=0) > MOST_BLOCKS:
        yield f"{what}: {measured.costliest()}"
