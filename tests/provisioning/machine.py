"""A run under a magnifying glass: real rows, the real saga, the lab's AWS, one worker's turn at a
time, stepped time.

A worker can be killed at any numbered boundary: before or after each write to AWS, before or after
each transaction of the runner. Killing is a BaseException that nothing handles, as nothing handles
SIGKILL.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

from botocore.client import BaseClient

from provisioning import actions, poller, runner
from provisioning.facts.step_times import StepTime
from provisioning.models import AwsAccount, Endpoint, Event, IngressRule, Run, VpcOrigin
from provisioning.planning import plan_from, snapshot_for_plan
from provisioning.sagas import SAGAS
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.parsing import complete_answers, parse_spec, read_spec
from provisioning.step_times import CREATE_ENDPOINT, resource_times
from tests.lab.account import Account, Lab

LEASE_SECONDS = 60.0
OWNED = {"Key": "edge-portal:owner", "Value": "edge-portal"}
WRITES = ("Create", "Update", "Delete", "Authorize", "Revoke")
_numbers = itertools.count(1)


class Killed(BaseException):
    """The worker is gone, here and now."""


def usual_of(account: AwsAccount) -> dict[str, StepTime]:
    """How long AWS usually takes, as the sweep's task finds it."""
    return resource_times(account, SAGAS[CREATE_ENDPOINT].steps)


@dataclass
class Boundaries:
    """Numbers every boundary that is passed; dies at the chosen number."""

    die_at: int | None = None
    passed: list[str] = field(default_factory=list)

    def __call__(self, label: str) -> None:
        self.passed.append(label)
        if self.die_at == len(self.passed):
            raise Killed(label)


@contextmanager
def boundaries(
    watch: Boundaries, *, fail: Callable[[str], Exception | None] = lambda _: None
) -> Iterator[None]:
    """Watch every write of this process to AWS and every transaction of the runner. `fail` may
    refuse a call.
    """
    call, write, release = BaseClient._make_api_call, runner.Lease.write, runner.Lease.release  # type: ignore[attr-defined]

    def watched_call(self: Any, operation: str, parameters: Any) -> Any:
        if not operation.startswith(WRITES):
            return call(self, operation, parameters)
        watch(f"before {operation}")
        error = fail(operation)
        if error is not None:
            raise error
        reply = call(self, operation, parameters)
        watch(f"after {operation}")
        return reply

    def watched(method: Any) -> Any:
        def transaction(self: Any, *args: Any, **kwargs: Any) -> None:
            watch(f"before {method.__name__}")
            method(self, *args, **kwargs)
            watch(f"after {method.__name__}")

        return transaction

    with (
        mock.patch.object(BaseClient, "_make_api_call", watched_call),
        mock.patch.object(runner.Lease, "write", watched(write)),
        mock.patch.object(runner.Lease, "release", watched(release)),
    ):
        yield


@dataclass
class Machine:
    """The portal's provisioning at work on accounts of the lab."""

    lab: Lab
    now: datetime = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)

    def site(self, *, open_to_cloudfront: bool = False) -> Site:
        """A fresh account with a distribution and an internal load balancer with a listener on
        80.
        """
        account = self.lab.account()
        network = account.vpc()
        target = account.balancer(network)
        group = account.elbv2.create_target_group(
            Name="app", Protocol="HTTP", Port=80, VpcId=network.vpc, TargetType="ip"
        )["TargetGroups"][0]["TargetGroupArn"]
        account.elbv2.create_listener(
            LoadBalancerArn=target,
            Protocol="HTTP",
            Port=80,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
        )
        if open_to_cloudfront:
            everybody = {
                "IpProtocol": "tcp",
                "FromPort": 80,
                "ToPort": 80,
                "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
            }
            account.ec2.authorize_security_group_ingress(
                GroupId=network.group, IpPermissions=[everybody]
            )
        made = account.create_distribution()["Distribution"]
        self.lab.advance()
        row = AwsAccount.objects.create(
            account_id=account.number,
            name="Site",
            role_arn=f"arn:aws:iam::{account.number}:role/edge-portal",
        )
        return Site(self, account, row, target, made["Id"], network.group)

    def clock(self) -> datetime:
        self.now += timedelta(microseconds=10)
        return self.now

    def step(self, seconds: float) -> None:
        """Time goes on, here and in the lab."""
        self.now += timedelta(seconds=seconds)
        self.lab.advance(seconds)

    def turn(self) -> bool:
        """One worker attends to everything that is due. False when nothing was."""
        due = list(Run.objects.due(self.now).order_by("due_at").values_list("pk", flat=True))
        for run_id in due:
            self.attend(run_id)
        self.sweep()
        return bool(due)

    def attend(self, run_id: int) -> None:
        """One worker's turn at one run, if it is due."""
        lease = runner.claim(run_id, holder="worker", now=self.clock(), seconds=LEASE_SECONDS)
        if lease is not None:
            runner.advance(lease, SAGAS[lease.run.saga], clock=self.clock, pace=1)

    def sweep(self) -> None:
        """The sweeps that are due."""
        for account in list(AwsAccount.objects.due_for_sweep(self.now)):
            claimed = poller.claim_sweep(account.pk, self.now, seconds=15)
            assert claimed is not None
            poller.sweep(claimed, clock=self.clock, seconds=15, usual=usual_of(claimed))

    def finish(self, *runs: Run, most: int = 400) -> None:
        """Turn after turn, until these runs are over."""
        for _ in range(most):
            busy = self.turn()
            for run in runs:
                run.refresh_from_db()
            if all(run.over for run in runs):
                return
            if not busy:
                self.step(120)
        raise AssertionError(f"never over: {[(run.state, run.journal()[-1:]) for run in runs]}")

    def until(self, run: Run, step: str, kind: str = "ready", *, most: int = 200) -> None:
        """Turn after turn, until the run's journal says this of a step, going forward."""
        for _ in range(most):
            if run.entries.filter(step=step, kind=kind, direction="forward").exists():
                return
            if not self.turn():
                self.step(200)
        raise AssertionError(f"never {kind}: {step}")


@dataclass
class Site:
    """One account: what is asked for there, and what is really there."""

    machine: Machine
    account: Account
    row: AwsAccount
    target: str
    distribution_id: str
    group: str

    def spec(self, **changes: Any) -> EndpointSpec:
        answers = {
            "name": f"chat-{next(_numbers)}",
            "account_id": self.account.number,
            "distribution_id": self.distribution_id,
            "target_arn": self.target,
            "path_patterns": ["/ws/chat", "/ws/chat/*"],
        }
        return parse_spec(complete_answers(answers | changes))

    def start(self, **changes: Any) -> Run:
        """Plan and start a run, as an approval does."""
        return self.begin(*self.plan(**changes))

    def plan(self, **changes: Any) -> tuple[Endpoint, dict[str, Any]]:
        """What is approved: an endpoint and its plan."""
        spec = self.spec(**changes)
        endpoint = Endpoint.objects.create(
            account=self.row,
            owner="team",
            name=spec.name,
            spec_data=spec.to_dict(),
            created_at=self.machine.now,
            state=Endpoint.State.ABSENT,
        )
        return endpoint, self.planned("create", endpoint, spec)

    def begin(self, endpoint: Endpoint, plan_data: dict[str, Any]) -> Run:
        """Start the run that applies this plan."""
        return actions.start_create(
            endpoint=endpoint,
            endpoint_id=endpoint.pk,
            owner="team",
            plan_data=plan_data,
            stream=f"test:{endpoint.pk}",
            now=self.machine.now,
        )

    def change(self, run: Run, **changes: Any) -> Run:
        """Plan and start a change of what this run built, as an approval does."""
        applied = run.endpoint.applied_plan()
        assert applied is not None
        spec = read_spec(applied["spec"] | changes)
        plan = self.planned("change", run.endpoint, spec)
        started = actions.start_change(
            run.endpoint, plan, stream=f"test:change:{next(_numbers)}", now=self.machine.now
        )
        assert started is not None
        return started

    def accept(self, run: Run, **changes: Any) -> Run:
        """Plan and start the acceptance of what AWS has, as an approval does."""
        run.endpoint.refresh_from_db()
        spec = replace(run.endpoint.spec, **changes)
        plan = self.planned("accept", run.endpoint, spec)
        started = actions.start_acceptance(
            run.endpoint, plan, stream=f"test:accept:{next(_numbers)}", now=self.machine.now
        )
        assert started is not None
        return started

    def remove(self, run: Run, *, grace_seconds: int = 0) -> Run:
        """Plan and start the removal of what this run built, as an approval does."""
        run.endpoint.refresh_from_db()
        plan = self.planned("remove", run.endpoint, run.endpoint.spec, grace_seconds=grace_seconds)
        started = actions.start_removal(
            run.endpoint, plan, stream=f"test:remove:{next(_numbers)}", now=self.machine.now
        )
        assert started is not None
        return started

    def planned(
        self, action: str, endpoint: Endpoint, spec: EndpointSpec, *, grace_seconds: int = 0
    ) -> dict[str, Any]:
        """The plan of an action on an endpoint."""
        snapshot = snapshot_for_plan(self.row, action, spec)
        return plan_from(
            snapshot,
            self.row,
            action,
            spec,
            team="team",
            endpoint_id=endpoint.pk,
            grace_seconds=grace_seconds,
        ).to_dict()

    def vpc_origins(self) -> list[dict[str, Any]]:
        listed = self.account.cloudfront.list_vpc_origins()["VpcOriginList"]
        return list(listed.get("Items", []))

    def config(self) -> dict[str, Any]:
        reply = self.account.cloudfront.get_distribution_config(Id=self.distribution_id)
        return dict(reply["DistributionConfig"])

    def behaviors(self) -> dict[str, str]:
        """Path pattern → target origin id."""
        listed = self.config()["CacheBehaviors"].get("Items", [])
        return {behavior["PathPattern"]: behavior["TargetOriginId"] for behavior in listed}

    def origins(self) -> list[str]:
        return [origin["Id"] for origin in self.config()["Origins"]["Items"]]

    def rules_of_ours(self) -> list[dict[str, Any]]:
        found = self.account.ec2.describe_security_group_rules(
            Filters=[{"Name": "group-id", "Values": [self.group]}]
        )["SecurityGroupRules"]
        return [r for r in found if not r["IsEgress"] and OWNED in r.get("Tags", [])]

    def assert_built(self, *runs: Run) -> None:
        """Exactly one VPC origin, one origin and the behaviors of each endpoint, one rule; our rows
        agree.
        """
        assert [run.state for run in runs] == [Run.State.DONE] * len(runs)
        assert len(self.vpc_origins()) == 1
        ours = [f"edge-portal-{run.endpoint.key}" for run in runs]
        assert sorted(self.origins()) == sorted(["web", *ours])
        wanted = {
            pattern: f"edge-portal-{run.endpoint.key}"
            for run in runs
            for pattern in run.spec.path_patterns
        }
        assert self.behaviors() == wanted
        assert len(self.rules_of_ours()) == 1
        assert VpcOrigin.objects.get(account=self.row).aws_id == self.vpc_origins()[0]["Id"]
        for run in runs:
            self.assert_told_once(run)
            run.endpoint.refresh_from_db()
            assert run.endpoint.state == Endpoint.State.DEPLOYED
            assert run.lease_until is None

    def assert_clean(self, run: Run, state: str = Run.State.UNDONE) -> None:
        """No trace in AWS nor in our rows."""
        assert run.state == state
        assert self.vpc_origins() == []
        assert self.origins() == ["web"]
        assert self.behaviors() == {}
        assert self.rules_of_ours() == []
        assert not VpcOrigin.objects.filter(account=self.row, users__isnull=False).exists()
        assert not IngressRule.objects.filter(account=self.row).exists()
        self.assert_told_once(run)
        run.endpoint.refresh_from_db()
        assert run.endpoint.state == Endpoint.State.ABSENT

    def assert_told_once(self, run: Run) -> None:
        """Events are numbered without gaps, and the end was told exactly once."""
        told = list(Event.objects.filter(stream_id=run.stream).order_by("seq"))
        assert [event.seq for event in told] == list(range(1, len(told) + 1))
        assert sum(event.kind in ("run.done", "run.undone", "run.stuck") for event in told) == 1
