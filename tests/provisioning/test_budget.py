"""The budget of CloudFront calls: what passes, what is held back and until when, and that a run
only waits for it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis

from provisioning import budget, poller
from provisioning.aws import distributions, targets
from provisioning.aws.errors import OVER_BUDGET, AwsError
from provisioning.aws.session import AccountRef, Aws
from provisioning.aws.snapshot import take_snapshot
from provisioning.budget import BURST_CALLS, CALLS_OF_A_TURN, LONGEST_WAIT_SECONDS, Budget
from provisioning.engine import decide
from provisioning.engine.decide import GIVE_UP_AFTER_TRIES
from provisioning.models import AwsAccount, Event, Run, Watch
from tests.lab.account import REGION, Lab
from tests.provisioning.machine import Machine, usual_of

NOW = 1_795_000_000.0
HOUR = timedelta(hours=1)
_accounts = itertools.count(100_000_000_000)


@pytest.fixture
def account() -> str:
    """An account nobody has spent anything of."""
    return str(next(_accounts))


@pytest.fixture(scope="module")
def client(redis_url: str) -> Iterator[redis.Redis]:
    connected = budget.connect(redis_url)
    yield connected
    connected.close()


@pytest.fixture
def spent(client: redis.Redis, account: str) -> Budget:
    """A budget of two calls per second whose burst for `account` is spent."""
    shared = Budget(client)
    assert [shared.take(account, per_second=2, now=NOW) for _ in range(BURST_CALLS)] == [
        0
    ] * BURST_CALLS
    return shared


def test_a_spent_budget_holds_back_and_another_accounts_does_not(
    spent: Budget, account: str
) -> None:
    assert spent.take(account, per_second=2, now=NOW) > 0
    assert spent.take(str(next(_accounts)), per_second=2, now=NOW) == 0


def test_it_is_one_budget_for_all_processes(spent: Budget, account: str, redis_url: str) -> None:
    elsewhere = Budget(budget.connect(redis_url))
    assert elsewhere.take(account, per_second=2, now=NOW) > 0


def test_calls_pass_again_at_the_rate_of_the_budget(spent: Budget, account: str) -> None:
    def passed(now: float) -> int:
        return sum(spent.take(account, per_second=2, now=now) == 0 for _ in range(BURST_CALLS + 5))

    assert passed(NOW + 0.4) == 0
    assert passed(NOW + 0.6) == 1
    assert passed(NOW + 3.1) == 5
    assert passed(NOW + 3600) == BURST_CALLS


def test_whoever_is_held_back_gets_a_turn_of_their_own_and_none_waits_for_ever(
    spent: Budget, account: str
) -> None:
    turns = [spent.take(account, per_second=2, now=NOW) for _ in range(100)]
    assert turns[0] == pytest.approx(CALLS_OF_A_TURN / 2, abs=2)
    gaps = [later - earlier for earlier, later in itertools.pairwise(turns[:20])]
    assert gaps == pytest.approx([CALLS_OF_A_TURN / 2] * 19, abs=0.001)
    assert max(turns) == pytest.approx(LONGEST_WAIT_SECONDS, abs=0.001)


def test_without_redis_calls_are_sent_uncounted_and_redis_is_left_alone_for_a_while(
    account: str,
) -> None:
    nobody = Budget(budget.connect("redis://127.0.0.1:1/0"))
    assert [nobody.take(account, per_second=1, now=NOW) for _ in range(200)] == [0] * 200


def test_the_setting_is_per_second_of_aws_and_zero_is_no_limit(
    client: redis.Redis, account: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "_shared", lambda: Budget(client))
    monkeypatch.setattr("provisioning.budget.time.time", lambda: NOW)
    settings.PROVISIONING_PACE, settings.CLOUDFRONT_CALLS_PER_SECOND = 10, 0
    for _ in range(BURST_CALLS * 2):
        budget.before_call(account, "ListDistributions")
    settings.CLOUDFRONT_CALLS_PER_SECOND = 2
    for _ in range(BURST_CALLS):
        budget.before_call(account, "ListDistributions")
    with pytest.raises(AwsError) as held:
        budget.before_call(account, "ListDistributions")
    assert (held.value.code, held.value.transient, held.value.operation) == (
        OVER_BUDGET,
        True,
        "ListDistributions",
    )
    assert held.value.retry_after == pytest.approx(CALLS_OF_A_TURN / 2, abs=2)


def no_call(account_id: str, operation: str) -> None:
    raise AwsError(operation, OVER_BUDGET, "Spent", transient=True, retry_after=7.0)


def test_a_call_over_the_budget_is_not_sent_and_other_services_are_not_counted(
    stepped_lab: Lab, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", stepped_lab.url)
    role = f"arn:aws:iam::{account}:role/edge-portal"
    free, held = (
        Aws(AccountRef(account, REGION, role)),
        Aws(AccountRef(account, REGION, role, "", no_call)),
    )
    assert distributions.list_all(free) == ()
    before = stepped_lab.get("/_lab/calls")["total"]
    with pytest.raises(AwsError, match="Spent"):
        distributions.list_all(held)
    assert stepped_lab.get("/_lab/calls")["total"] == before
    assert targets.list_targets(held, REGION) == ()


def test_a_snapshot_tells_being_held_back_from_not_being_told(
    stepped_lab: Lab, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", stepped_lab.url)
    role = f"arn:aws:iam::{account}:role/edge-portal"
    free, held = (
        Aws(AccountRef(account, REGION, role)),
        Aws(AccountRef(account, REGION, role, "", no_call)),
    )
    assert (
        take_snapshot(free, target_arn="", distribution_id="", owner="edge-portal").held_back
        is None
    )
    gap = take_snapshot(held, target_arn="", distribution_id="", owner="edge-portal").held_back
    assert gap is not None
    assert (gap.what, gap.turn_in_seconds) == ("vpc_origins", 7.0)


def test_a_run_waits_for_its_turn_without_a_word_and_is_never_given_up_for_it(
    machine: Machine, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Minutes instead of half an hour: each minute is a turn of the worker.
    patience = 15 * LONGEST_WAIT_SECONDS
    monkeypatch.setattr(decide, "GIVE_UP_AFTER_SECONDS", patience)
    site = machine.site()
    run = site.start()

    class Shared:
        """No call passes for twice as long as a failing step is tried again."""

        free_at = machine.now.timestamp() + 2 * patience
        asked = 0

        def take(self, account_id: str, *, per_second: float, now: float) -> float:
            self.asked += 1
            return LONGEST_WAIT_SECONDS if machine.now.timestamp() < self.free_at else 0.0

    shared = Shared()
    settings.CLOUDFRONT_CALLS_PER_SECOND = 5
    monkeypatch.setattr(budget, "_shared", lambda: shared)
    machine.finish(run, most=3000)
    site.assert_built(run)
    assert shared.asked > 3 * GIVE_UP_AFTER_TRIES
    assert "step.retry" not in set(
        Event.objects.filter(stream_id=run.stream).values_list("kind", flat=True)
    )


def test_a_sweep_over_the_budget_is_left_out_and_is_no_error(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = machine.site()
    run = site.start()
    while not Run.objects.filter(pk=run.pk, state=Run.State.WAITING).exists():
        machine.turn()
    swept = AwsAccount.objects.get(pk=site.row.pk).last_sweep_at
    machine.step(60)
    claimed = poller.claim_sweep(site.row.pk, machine.now, seconds=15)
    assert claimed is not None
    monkeypatch.setattr(
        AwsAccount,
        "client",
        lambda row: Aws(AccountRef(row.account_id, REGION, row.role_arn, "", no_call)),
    )
    poller.sweep(claimed, clock=machine.clock, seconds=15, usual=usual_of(claimed))
    row = AwsAccount.objects.get(pk=site.row.pk)
    assert (row.last_sweep_at, row.last_sweep_error) == (swept, "")


def test_a_sweep_cut_short_keeps_what_it_saw_and_the_next_goes_on(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = machine.site()
    network = site.account.vpc()
    for name in ("a", "b", "c"):
        made = site.account.create_vpc_origin(name, Arn=site.account.balancer(network, name))[
            "VpcOrigin"
        ]["Id"]
        watch = Watch.objects.create(
            account=site.row, resource="vpc-origin", aws_id=made, status="Deploying",
            written_at=machine.now, seen_at=machine.now,
        )  # fmt: skip
        run = site.start(path_patterns=[f"/ws/{name}"])
        Run.objects.filter(pk=run.pk).update(
            state=Run.State.WAITING, watch=watch, due_at=machine.now + HOUR
        )
    machine.step(1200)
    left = [2]

    def two_calls(account_id: str, operation: str) -> None:
        left[0] -= 1
        if left[0] < 0:
            no_call(account_id, operation)

    monkeypatch.setattr(
        AwsAccount,
        "client",
        lambda row: Aws(AccountRef(row.account_id, REGION, row.role_arn, "", two_calls)),
    )
    deployed = []
    for _ in range(3):
        left[0] = 2
        poller.sweep(site.row, clock=machine.clock, seconds=15, usual=usual_of(site.row))
        deployed.append(Watch.objects.filter(account=site.row, status="Deployed").count())
    assert deployed == [1, 2, 3]
    assert Run.objects.due(machine.now).count() == 3
