"""Runs that share things: one must never spoil, outlive or undo what another one needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from botocore.client import BaseClient

from provisioning import actions
from provisioning.engine.outcome import Outcome, Ready
from provisioning.models import Endpoint, Run, VpcOrigin
from provisioning.sagas.left_behind import left_behind
from provisioning.steps import behaviors, stored_rows, vpc_origin
from provisioning.steps.context import RunContext, open_run
from provisioning.steps.rows import Part, SharedVpcOrigin
from tests.lab.account import behavior
from tests.provisioning.machine import Boundaries, Killed, Machine, boundaries


@pytest.fixture(autouse=True)
def workers_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn within a turn stands for a second worker; PostgreSQL would give one connection its
    lock twice.
    """
    held: set[str] = set()

    @contextmanager
    def try_lock(name: str) -> Iterator[bool]:
        alone = name not in held
        held.add(name)
        try:
            yield alone
        finally:
            if alone:
                held.discard(name)

    monkeypatch.setattr(stored_rows, "try_lock", try_lock)


def cancel(machine: Machine, run: Run) -> None:
    assert actions.cancel_run(run, reason="No longer wanted.", now=machine.now)


def tried_again(machine: Machine, run: Run) -> None:
    assert actions.retry_stuck(run, reason="Put right.", now=machine.now)
    assert not actions.retry_stuck(run, reason="Put right.", now=machine.now)
    run.refresh_from_db()
    machine.finish(run, most=60)


def test_of_two_that_want_one_path_the_first_gets_it_and_the_other_is_undone(
    machine: Machine,
) -> None:
    site = machine.site(open_to_cloudfront=True)
    plans = [site.plan(path_patterns=["/ws/same"]) for _ in range(2)]
    first, second = (site.begin(*plan) for plan in plans)
    machine.finish(first, second, most=60)
    done, undone = sorted((first, second), key=lambda run: str(run.state))
    assert (done.state, undone.state) == (Run.State.DONE, Run.State.UNDONE)
    assert undone.failure["code"] == "plan_stale", "it is planned again, and then refused"
    assert site.behaviors() == {"/ws/same": f"edge-portal-{done.endpoint.key}"}


def test_a_default_behavior_led_to_our_origin_by_others_is_left_to_a_person(
    machine: Machine,
) -> None:
    site = machine.site(open_to_cloudfront=True)
    run = site.start()
    while not site.behaviors():
        if not machine.turn():
            machine.step(200)
    reply = site.account.cloudfront.get_distribution_config(Id=site.distribution_id)
    config = reply["DistributionConfig"]
    config["DefaultCacheBehavior"]["TargetOriginId"] = f"edge-portal-{run.endpoint.key}"
    site.account.cloudfront.update_distribution(
        Id=site.distribution_id, IfMatch=reply["ETag"], DistributionConfig=config
    )
    cancel(machine, run)
    machine.finish(run, most=60)
    assert (run.state, run.failure["code"], run.watch_id) == (
        Run.State.STUCK,
        "origin_shared",
        None,
    )
    tried_again(machine, run)
    assert (run.state, run.failure["code"]) == (Run.State.STUCK, "origin_shared"), (
        "nothing was put right"
    )
    [left, *_] = site.vpc_origins()
    assert left_behind(run) == [
        f"VPC origin edge-portal-{run.spec.vpc_origin_key} ({left['Id']})",
        f"origin edge-portal-{run.endpoint.key} and the behaviors for "
        f"{', '.join(run.spec.path_patterns)} "
        f"in distribution {site.distribution_id}",
    ]
    config["DefaultCacheBehavior"]["TargetOriginId"] = "web"
    etag = site.account.cloudfront.get_distribution_config(Id=site.distribution_id)["ETag"]
    site.account.cloudfront.update_distribution(
        Id=site.distribution_id, IfMatch=etag, DistributionConfig=config
    )
    tried_again(machine, run)
    assert (site.behaviors(), site.origins(), site.vpc_origins()) == ({}, ["web"], [])
    assert (run.state, run.failure["code"], left_behind(run)) == (Run.State.UNDONE, "cancelled", [])


def test_who_is_cancelled_while_a_companion_writes_is_not_written_back(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = machine.site()
    kept, given_up = (
        site.start(path_patterns=["/ws/kept"]),
        site.start(path_patterns=["/ws/given-up"]),
    )
    write = behaviors._write
    undoing: list[Run] = []

    def slowly(context: RunContext, parts: Sequence[Part]) -> Outcome:
        # Both are listed. Before the write is sent, the companion is cancelled, and its undo looks.
        if len(parts) > 1 and not undoing:
            undoing.append(parts[1][0])
            cancel(machine, undoing[0])
            machine.turn()
        return write(context, parts)

    monkeypatch.setattr(behaviors, "_write", slowly)
    machine.finish(kept, given_up, most=60)
    assert undoing
    assert {kept.state, given_up.state} == {Run.State.DONE, Run.State.UNDONE}
    done = kept if kept.state == Run.State.DONE else given_up
    site.assert_built(done)


def test_a_vpc_origin_that_somebody_begins_to_use_while_it_is_being_deleted_is_made_anew(
    machine: Machine,
) -> None:
    site = machine.site()
    given_up = site.start(path_patterns=["/ws/given-up"])
    while not given_up.entries.filter(step="vpc-origin", kind="ready").exists():
        if not machine.turn():
            machine.step(200)
    cancel(machine, given_up)
    late: list[Run] = []

    class Late(Boundaries):
        def __call__(self, label: str) -> None:
            if label == "before DeleteVpcOrigin" and not late:
                late.append(site.start(path_patterns=["/ws/late"]))
                assert not isinstance(
                    vpc_origin.observe(open_run(late[0], machine.clock, lambda: None)), Ready
                )
                machine.turn()

    with boundaries(Late()):
        machine.finish(given_up, most=60)
        assert late
        machine.finish(*late, most=60)
    assert given_up.state == Run.State.UNDONE
    site.assert_built(late[0])


def test_two_that_wait_to_delete_one_vpc_origin_do_not_wake_each_other(machine: Machine) -> None:
    site = machine.site(open_to_cloudfront=True)
    plans = [site.plan(path_patterns=[path]) for path in ("/ws/one", "/ws/two")]
    runs = []
    for plan in plans:
        run = site.begin(*plan)
        machine.until(run, "vpc-origin", "working")
        cancel(machine, run)
        machine.step(31)
        runs.append(run)
        assert not all(machine.turn() for _ in range(20)), "they wake each other"
    assert [run.journal()[-1].direction for run in runs] == ["backward"] * 2
    machine.finish(*runs, most=60)
    for run in runs:
        site.assert_clean(run)


def test_a_vpc_origin_in_a_status_nobody_knows_is_deleted_when_undone(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = machine.site(open_to_cloudfront=True)
    run = site.start()
    call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def failed(self: Any, operation: str, parameters: Any) -> Any:
        reply = call(self, operation, parameters)
        if operation == "CreateVpcOrigin":
            reply["VpcOrigin"]["Status"] = "Failed"
        if operation == "ListVpcOrigins":
            for item in reply["VpcOriginList"].get("Items", []):
                item["Status"] = "Failed" if item["Status"] == "Deployed" else item["Status"]
        return reply

    monkeypatch.setattr(BaseClient, "_make_api_call", failed)
    machine.finish(run, most=60)
    assert run.failure["code"] == "vpc_origin_failed"
    site.assert_clean(run)


def test_the_rule_of_one_that_is_undone_stays_for_the_other_that_relies_on_it(
    machine: Machine,
) -> None:
    site = machine.site()
    maker, relying = (
        site.start(path_patterns=["/ws/maker"]),
        site.start(path_patterns=["/ws/relying"]),
    )
    while not site.rules_of_ours():
        if not machine.turn():
            machine.step(200)
    while machine.turn():
        pass
    for run in (maker, relying):
        assert run.entries.filter(step="ingress", kind="ready").exists()
    cancel(machine, maker)
    machine.finish(maker, relying)
    assert maker.state == Run.State.UNDONE
    site.assert_built(relying)


def test_a_vpc_origin_that_vanishes_before_the_distribution_is_written_ends_the_run(
    machine: Machine,
) -> None:
    site = machine.site(open_to_cloudfront=True)
    run = site.start()
    while not run.entries.filter(step="vpc-origin", kind="acted").exists():
        machine.turn()
    machine.step(1000)

    vanished: list[int] = []

    class Vanishing(Boundaries):
        def __call__(self, label: str) -> None:
            if not vanished and run.entries.filter(step="vpc-origin", kind="ready").exists():
                vanished.append(VpcOrigin.objects.update(aws_id=""))

    with boundaries(Vanishing()):
        machine.finish(run, most=60)
    assert run.failure["code"] == "vpc_origin_gone"
    run.endpoint.refresh_from_db()
    assert run.endpoint.state == Endpoint.State.ABSENT


def test_whoever_claimed_and_died_without_a_word_takes_the_shared_vpc_origin_away_last(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = machine.site()
    first = site.start(path_patterns=["/ws/first"])
    machine.until(first, "vpc-origin")
    second = site.start(path_patterns=["/ws/second"])
    claim = vpc_origin._claim

    def and_die(context: RunContext) -> SharedVpcOrigin:
        row = claim(context)
        if context.run.pk == second.pk:
            raise Killed("after the claim")
        return row

    with monkeypatch.context() as dying:
        dying.setattr(vpc_origin, "_claim", and_die)
        with pytest.raises(Killed):
            machine.turn()
    cancel(machine, first)
    cancel(machine, second)
    # The dead worker's lease is long enough for the first to be undone before anybody attends to
    # the second.
    Run.objects.filter(pk=second.pk).update(lease_until=machine.now + timedelta(hours=1))
    machine.finish(first)
    assert len(site.vpc_origins()) == 1, "the second one's claim keeps it"
    machine.step(3601)
    machine.finish(second)
    site.assert_clean(second)


def test_a_later_approval_holds_though_another_endpoint_has_made_the_shared_rule_meanwhile(
    machine: Machine,
) -> None:
    site = machine.site()
    early, approved = site.start(path_patterns=["/ws/early"]), site.plan(path_patterns=["/ws/late"])
    machine.finish(early)
    late = site.begin(*approved)
    machine.finish(late)
    site.assert_built(early, late)


def test_a_removal_in_anothers_write_drops_no_behavior_of_somebody_else(
    machine: Machine,
) -> None:
    site = machine.site(open_to_cloudfront=True)
    kept = site.start(path_patterns=["/ws/kept"])
    machine.finish(kept)
    ours = f"edge-portal-{kept.endpoint.key}"
    removal, new = site.remove(kept), site.start(path_patterns=["/ws/new"])

    class Interference(Boundaries):
        def __call__(self, label: str) -> None:
            if label == "before UpdateDistribution" and not self.passed:
                self.passed.append(label)
                reply = site.account.cloudfront.get_distribution_config(Id=site.distribution_id)
                config = reply["DistributionConfig"]
                items = [*config["CacheBehaviors"]["Items"], behavior(ours, "/theirs")]
                config["CacheBehaviors"] = {"Quantity": len(items), "Items": items}
                site.account.cloudfront.update_distribution(
                    Id=site.distribution_id, IfMatch=reply["ETag"], DistributionConfig=config
                )

    with boundaries(Interference()):
        machine.finish(removal, new, most=60)
    assert (new.state, removal.state) == (Run.State.DONE, Run.State.UNDONE)
    assert removal.failure["code"] == "changed_by_others"
    assert site.behaviors() == {
        "/theirs": ours,
        "/ws/kept": ours,
        "/ws/new": f"edge-portal-{new.endpoint.key}",
    }
