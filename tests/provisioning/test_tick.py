"""The tick tells workers what is due: all of it, once, again if the word seems lost, never more
than they can take.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest

from provisioning import runner, tasks
from provisioning.models import AwsAccount, Endpoint, Run, Watch

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
pytestmark = pytest.mark.django_db


class Workers:
    """What the workers were told."""

    def __init__(self) -> None:
        self.runs: list[int] = []
        self.sweeps: list[str] = []

    def told_at(self, now: datetime) -> list[int]:
        """Tick, and give what was said of runs."""
        self.runs.clear()
        tasks.tick(now)
        return list(self.runs)


@pytest.fixture
def workers() -> Iterator[Workers]:
    told = Workers()
    with (
        mock.patch.object(
            tasks.advance_run, "delay", lambda run_id, fence: told.runs.append(run_id)
        ),
        mock.patch.object(tasks.sweep_account, "delay", told.sweeps.append),
    ):
        yield told


@pytest.fixture
def account() -> AwsAccount:
    return AwsAccount.objects.create(account_id="111122223333", name="Chat")


def run_due(account: AwsAccount, at: datetime, **given: object) -> Run:
    number = Run.objects.count()
    endpoint = Endpoint.objects.create(
        account=account, owner="chat", name=f"e{number}", spec_data={}, created_at=NOW
    )
    fields = {
        "saga": "create-endpoint",
        "stream": f"test:{number}",
        "plan_data": {},
        "due_at": at,
        "created_at": NOW,
    }
    return Run.objects.create(endpoint=endpoint, **(fields | given))


def test_what_is_due_is_told_once_the_longest_due_first(
    workers: Workers, account: AwsAccount
) -> None:
    late = run_due(account, NOW - timedelta(seconds=1))
    later = run_due(account, NOW - timedelta(seconds=9))
    run_due(account, NOW + timedelta(seconds=1))
    assert workers.told_at(NOW) == [later.pk, late.pk]
    assert workers.told_at(NOW + timedelta(milliseconds=500)) == []


def test_a_lost_word_is_said_again(workers: Workers, account: AwsAccount) -> None:
    run = run_due(account, NOW)
    assert workers.told_at(NOW) == [run.pk]
    again = timedelta(seconds=tasks.DISPATCH_AGAIN_SECONDS)
    assert workers.told_at(NOW + again - timedelta(seconds=1)) == []
    assert workers.told_at(NOW + again + timedelta(seconds=1)) == [run.pk]


def test_a_word_heard_twice_does_nothing_the_second_time(account: AwsAccount) -> None:
    """Else a run that tries again in a moment would be tried by the stale word, ahead of those
    still unheard.
    """
    run = run_due(account, NOW)
    first = runner.claim(run.pk, holder="one", now=NOW, seconds=60, fence=run.fence)
    assert first is not None
    first.release(NOW, NOW, state=Run.State.RUNNING)
    assert runner.claim(run.pk, holder="two", now=NOW, seconds=60, fence=run.fence) is None
    assert runner.claim(run.pk, holder="two", now=NOW, seconds=60, fence=run.fence + 1) is not None


def test_workers_that_are_behind_are_not_told_more_than_they_can_take(
    workers: Workers, account: AwsAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "MAX_DISPATCHED", 3)
    runs = [run_due(account, NOW - timedelta(seconds=10 - number)).pk for number in range(5)]
    assert workers.told_at(NOW) == runs[:3]
    assert workers.told_at(NOW + timedelta(seconds=1)) == []
    # One is taken: there is room for one more word.
    assert (
        runner.claim(runs[0], holder="worker", now=NOW + timedelta(seconds=1), seconds=60)
        is not None
    )
    assert workers.told_at(NOW + timedelta(seconds=2)) == [runs[3]]


def test_a_thousand_that_wait_are_not_mentioned_and_their_account_is_swept_once_it_is_due(
    workers: Workers, account: AwsAccount
) -> None:
    watch = Watch.objects.create(
        account=account,
        resource="vpc-origin",
        aws_id="vo_1",
        status="Deploying",
        written_at=NOW,
        seen_at=NOW,
    )
    endpoints = Endpoint.objects.bulk_create(
        Endpoint(account=account, owner="chat", name=f"w{number}", spec_data={}, created_at=NOW)
        for number in range(1000)
    )
    Run.objects.bulk_create(
        Run(
            endpoint=endpoint,
            saga="create-endpoint",
            stream=f"test:{endpoint.pk}",
            plan_data={},
            state=Run.State.WAITING,
            watch=watch,
            due_at=NOW + timedelta(seconds=60),
            created_at=NOW,
        )
        for endpoint in endpoints
    )
    assert workers.told_at(NOW) == []
    assert workers.sweeps == [account.pk]
    AwsAccount.objects.update(next_sweep_at=NOW + timedelta(seconds=15))
    assert workers.told_at(NOW + timedelta(seconds=1)) == []
    assert workers.sweeps == [account.pk]


@pytest.mark.parametrize(
    ("state", "watches", "swept"),
    [
        ("waiting", True, True),
        ("undoing", True, True),
        ("undoing", False, False),
        ("undone", True, False),
    ],
)
def test_an_account_is_swept_for_whoever_waits_in_it_also_while_undoing(
    workers: Workers, account: AwsAccount, state: str, watches: bool, swept: bool
) -> None:
    watch = Watch.objects.create(
        account=account,
        resource="vpc-origin",
        aws_id="vo_1",
        status="Deploying",
        written_at=NOW,
        seen_at=NOW,
    )
    run_due(account, NOW + timedelta(seconds=120), state=state, watch=watch if watches else None)
    assert workers.told_at(NOW) == []
    assert workers.sweeps == ([account.pk] if swept else [])
