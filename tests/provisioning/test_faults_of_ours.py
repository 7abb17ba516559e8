"""What the portal itself gets wrong, or learns too late: told to people, bounded, and nobody else's
trouble.
"""

from __future__ import annotations

from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import pytest

from provisioning import actions, tasks
from provisioning.aws import distributions, quotas, targets, vpc_origins
from provisioning.aws.errors import OVER_BUDGET, AwsError
from provisioning.engine import turn
from provisioning.engine.decide import EntryKind, Finish, decide
from provisioning.engine.turn import FAULT, LeaseLost, StepTurn
from provisioning.models import Event, JournalEntry, Run
from provisioning.steps import behaviors, stored_rows, vpc_origin
from tests.provisioning.machine import LEASE_SECONDS, Boundaries, Killed, Machine, boundaries


def test_a_fault_of_our_own_is_told_and_tried_again(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = machine.site(open_to_cloudfront=True)
    run, other = site.start(path_patterns=["/ws/one"]), site.start(path_patterns=["/ws/two"])
    left = [2]

    def faulty(context: Any) -> str:
        if context.run.pk == run.pk and left[0]:
            left[0] -= 1
            raise KeyError("a bug")
        return origin_id(context)

    origin_id = behaviors._origin_id
    monkeypatch.setattr(behaviors, "_origin_id", faulty)
    machine.finish(run, other)
    assert (run.state, other.state) == (Run.State.DONE, Run.State.DONE)
    told = Event.objects.get(stream_id=run.stream, kind="step.retry")
    assert "Internal error in the portal (KeyError)" in told.text


def test_a_fault_that_stays_ends_in_an_undo_that_says_so(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = machine.site(open_to_cloudfront=True)
    run = site.start()

    def faulty(context: Any, *given: Any) -> Any:
        raise KeyError("a bug")

    monkeypatch.setattr(behaviors, "_write", faulty)
    machine.finish(run)
    assert run.failure["code"] == FAULT
    site.assert_clean(run)


def test_a_write_whose_effect_is_not_seen_is_not_repeated_at_once(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = machine.site(open_to_cloudfront=True)
    run = site.start()
    written: list[str] = []
    monkeypatch.setattr(behaviors, "_is_in", lambda *_: False)
    write = distributions.read

    def counting(aws: Any, distribution_id: str) -> Any:
        written.append(distribution_id)
        return write(aws, distribution_id)

    monkeypatch.setattr(distributions, "read", counting)
    while not run.entries.filter(step="behaviors").exists():
        if not machine.turn():
            machine.step(200)
    began = len(written)
    for _ in range(10):
        machine.turn()
    assert len(written) - began < 5
    machine.finish(run)
    assert run.failure["code"] == "not_seen_yet"
    site.assert_clean(run)


def test_a_cancellation_at_the_last_moment_is_not_lost(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = machine.site(open_to_cloudfront=True)
    run = site.start()
    cancelled: list[bool] = []

    def and_then_it_is_cancelled(*given: Any, **named: Any) -> Any:
        decision = decide(*given, **named)
        if isinstance(decision, Finish) and not cancelled:
            cancelled.append(actions.cancel_run(run, reason="Ana cancelled it.", now=machine.now))
        return decision

    monkeypatch.setattr(turn, "decide", and_then_it_is_cancelled)
    machine.finish(run)
    assert cancelled == [True]
    assert run.failure["code"] == "cancelled"
    site.assert_clean(run)


@pytest.mark.parametrize(
    ("step", "module", "read"),
    [
        ("vpc-origin", vpc_origins, "find"),
        ("ingress", targets, "admission_facts"),
        ("behaviors", distributions, "read"),
    ],
)
def test_a_worker_that_was_stopped_and_wakes_after_the_undo_makes_nothing(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, step: str, module: Any, read: str
) -> None:
    site = machine.site()
    run = site.start()
    asked = getattr(module, read)
    stalled: list[JournalEntry] = []

    def and_is_stopped_before_it_writes(*given: Any) -> Any:
        answer = asked(*given)
        last = run.entries.order_by("-seq").first()
        if not stalled and last is not None and (last.step, last.kind) == (step, EntryKind.INTENT):
            stalled.append(last)
            machine.step(LEASE_SECONDS + 1)
            assert actions.cancel_run(run, reason="Ana cancelled it.", now=machine.now)
            machine.finish(run)
        return answer

    monkeypatch.setattr(module, read, and_is_stopped_before_it_writes)
    with pytest.raises(LeaseLost):
        machine.finish(run)
    assert stalled
    site.assert_clean(run)


@pytest.mark.parametrize(
    "operation", ["CreateVpcOrigin", "AuthorizeSecurityGroupIngress", "UpdateDistribution"]
)
def test_what_was_just_written_and_cannot_be_seen_yet_does_not_pass_for_gone(
    machine: Machine, operation: str
) -> None:
    """Reads of AWS lag behind its writes. Somebody cancels in that moment, and the worker that had
    the answer dies.
    """
    site = machine.site()
    run = site.start()

    class Dying(Boundaries):
        def __call__(self, label: str) -> None:
            if label == f"after {operation}":
                raise Killed(label)

    machine.lab.post("/_lab/settings", {"reads": {"lag_seconds": 20}})
    try:
        with boundaries(Dying()), pytest.raises(Killed):
            machine.finish(run)
        assert actions.cancel_run(run, reason="Ana cancelled it.", now=machine.now)
        Run.objects.update(lease_until=machine.now)
        machine.finish(run)
    finally:
        machine.lab.post("/_lab/settings", {"reads": {"lag_seconds": None}})
    site.assert_clean(run)


def test_what_a_worker_is_just_making_does_not_pass_for_gone(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stopped with its call on the way, and another worker undoes the run."""
    site = machine.site(open_to_cloudfront=True)
    run = site.start()
    create, at_work = vpc_origins.create, []

    def slowly(*given: Any) -> Any:
        machine.step(LEASE_SECONDS + 1)
        assert actions.cancel_run(run, reason="Ana cancelled it.", now=machine.now)
        monkeypatch.setattr(stored_rows, "try_lock", lambda _: nullcontext(False))
        for _ in range(3):
            machine.turn()
            machine.step(60)
        at_work.append(run.entries.filter(direction="backward").values_list("kind", flat=True))
        monkeypatch.undo()
        return create(*given)

    monkeypatch.setattr(vpc_origins, "create", slowly)
    with pytest.raises(LeaseLost):
        machine.finish(run)
    assert [list(kinds) for kinds in at_work] == [["retry"]]
    machine.finish(run)
    site.assert_clean(run)


def test_a_long_wait_is_reported_once_though_the_worker_dies_and_so_is_the_next(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = machine.site().start()
    machine.until(run, "vpc-origin", "working")
    reported = Event.objects.filter(stream_id=run.stream, kind="step.slow")
    claim = vpc_origin._claim

    def attend_later(**later: float) -> None:
        """AWS's clock stands still meanwhile."""
        machine.now += timedelta(**later)
        machine.attend(run.pk)

    with boundaries(Boundaries(die_at=2)), pytest.raises(Killed, match="after write"):
        attend_later(hours=1)
    assert reported.count() == 1
    attend_later(seconds=LEASE_SECONDS + 1)
    attend_later(minutes=5)
    assert reported.count() == 1

    def faulty(context: Any) -> Any:
        monkeypatch.setattr(vpc_origin, "_claim", claim)
        raise KeyError("a bug")

    monkeypatch.setattr(vpc_origin, "_claim", faulty)
    attend_later(minutes=5)
    attend_later(minutes=5)
    assert reported.count() == 1
    attend_later(hours=1)
    assert reported.count() == 2


def test_a_run_that_cannot_be_read_is_told_once_and_goes_on_when_it_can(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = machine.site(open_to_cloudfront=True)
    run = site.start()
    plan = run.plan_data
    unreadable = {name: value for name, value in plan.items() if name != "spec"}
    Run.objects.filter(pk=run.pk).update(plan_data=unreadable)
    monkeypatch.setattr("provisioning.tasks.timezone.now", machine.clock)
    for _ in range(3):
        tasks.advance_run(run.pk)
        run.refresh_from_db()
        assert run.lease_until is None
        assert run.due_at >= machine.now + timedelta(seconds=59)
        machine.step(61)
    assert "(KeyError)" in Event.objects.get(stream_id=run.stream).text
    Run.objects.filter(pk=run.pk).update(plan_data=plan)
    machine.finish(run)
    assert (run.state, run.failure) == (Run.State.DONE, {})


def test_a_claim_that_was_never_noted_goes_with_the_run(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = machine.site(open_to_cloudfront=True)
    run = site.start()
    claim = vpc_origin._claim

    def and_die(context: Any) -> Any:
        claim(context)
        raise Killed("after the claim")

    with monkeypatch.context() as dying:
        dying.setattr(vpc_origin, "_claim", and_die)
        with pytest.raises(Killed):
            machine.turn()
    assert actions.cancel_run(run, reason="Ana cancelled it.", now=machine.now)
    machine.step(LEASE_SECONDS + 1)
    machine.finish(run)
    site.assert_clean(run)


def test_waiting_for_ones_turn_in_between_gives_a_failure_no_new_patience(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy account: every other look is put off by the budget of calls. What fails in between
    still ends.
    """
    site = machine.site(open_to_cloudfront=True)
    run = site.start()
    looks: list[bool] = []

    def failing_and_put_off_in_turn(*_: Any) -> Any:
        looks.append(len(looks) % 2 == 1)
        if looks[-1]:
            raise AwsError("ListVpcOrigins", OVER_BUDGET, "spent", transient=True, retry_after=1.0)
        raise AwsError("ListVpcOrigins", "InternalError", "AWS is unwell", transient=True)

    with monkeypatch.context() as unwell:
        unwell.setattr(vpc_origins, "find", failing_and_put_off_in_turn)
        for _ in range(200):
            machine.turn()
            machine.step(30)
            run.refresh_from_db()
            if run.state == Run.State.UNDOING:
                break
    assert run.state == Run.State.UNDOING
    told = Event.objects.filter(stream_id=run.stream, kind="step.retry", step="vpc-origin")
    assert [event.data["code"] for event in told if "unwell" in event.text][:1] == ["InternalError"]
    machine.finish(run)
    assert run.failure["code"] == "InternalError"
    site.assert_clean(run)


def test_who_cancels_what_has_just_failed_is_told_that_it_is_being_undone_already(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = machine.site()
    failing, going_on = (
        site.start(path_patterns=["/ws/failing"]),
        site.start(path_patterns=["/ws/going-on"]),
    )
    asked: list[bool] = []
    note = StepTurn._record

    def and_ana_cancels(turn: Any, kind: EntryKind, *given: Any, **named: Any) -> None:
        note(turn, kind, *given, **named)
        if kind is EntryKind.REFUSED and turn.held.run.pk == failing.pk:
            asked.append(actions.cancel_run(failing, reason="Ana cancelled it.", now=machine.now))

    monkeypatch.setattr(StepTurn, "_record", and_ana_cancels)
    Run.objects.filter(pk=failing.pk).update(plan_digest="another")
    assert actions.cancel_run(going_on, reason="Ana cancelled it.", now=machine.now)
    machine.finish(failing, going_on)
    assert asked == [False]
    assert (failing.failure["code"], going_on.failure["code"]) == ("plan_stale", "cancelled")


def test_quotas_that_cannot_be_asked_for_a_moment_void_no_approval(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = machine.site(open_to_cloudfront=True)
    machine.lab.post("/_lab/settings", {"quotas": {"vpc_origins": 30}})
    try:
        for number in range(25):
            site.account.create_vpc_origin(f"theirs-{number}", Arn=site.target)
        run = site.start()
        asked: list[int] = []
        read_quotas = quotas.of_cloudfront

        def throttled_once(aws: Any) -> Any:
            asked.append(1)
            if len(asked) == 1:
                raise AwsError("ListServiceQuotas", "Throttling", "Rate exceeded", transient=True)
            return read_quotas(aws)

        monkeypatch.setattr(quotas, "of_cloudfront", throttled_once)
        machine.finish(run)
    finally:
        machine.lab.post("/_lab/settings", {"quotas": {"vpc_origins": None}})
    assert len(asked) > 1
    assert run.state == Run.State.DONE


def test_a_distribution_that_is_deleted_between_look_and_write_leaves_no_undo_stuck(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = machine.site(open_to_cloudfront=True)
    run = site.start()
    machine.until(run, "behaviors", "acted")
    assert actions.cancel_run(run, reason="Ana cancelled it.", now=machine.now)
    gone: list[str] = []

    def refuse(operation: str) -> Exception | None:
        if operation != "UpdateDistribution" or gone:
            return None
        gone.append(site.distribution_id)
        config = site.account.cloudfront.get_distribution_config(Id=site.distribution_id)
        off = config["DistributionConfig"] | {"Enabled": False}
        etag = site.account.cloudfront.update_distribution(
            Id=site.distribution_id, IfMatch=config["ETag"], DistributionConfig=off
        )["ETag"]
        machine.lab.advance(2000)
        site.account.cloudfront.delete_distribution(Id=site.distribution_id, IfMatch=etag)
        return None

    with boundaries(Boundaries(), fail=refuse):
        machine.finish(run)
    assert gone
    assert (run.state, run.failure["code"], site.vpc_origins()) == (
        Run.State.UNDONE,
        "cancelled",
        [],
    )
