"""Many requests of every kind, approved at once on one distribution. A write starts a deployment of
several minutes for everyone, so they must go out in few, and nobody may lose by that.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from unittest import mock

import pytest

from provisioning import actions
from provisioning.engine.decide import Direction, EntryKind
from provisioning.facts.snapshot import Snapshot
from provisioning.models import AwsAccount, Endpoint, Event, Run, VpcOrigin
from provisioning.plan.plan import REMOVE
from provisioning.planning import snapshot_for_plan
from provisioning.spec.endpoint_spec import EndpointSpec
from tests.lab.account import behavior
from tests.provisioning import machine as machine_module
from tests.provisioning.machine import Machine, Site, boundaries

SECONDS_BETWEEN = 1.0
"""At 5 CloudFront calls a second, one worker's turn after the other comes about so far apart."""
MOST_WRITES = 10
WEEK = 7 * 86400


@dataclass
class Writes:
    """Counts the portal's updates of the distribution; before the first one, lets a third party be
    faster.
    """

    third_party: Callable[[], None]
    sent: int = 0
    interfered: list[int] = field(default_factory=list)

    def __call__(self, label: str) -> None:
        if label != "before UpdateDistribution":
            return
        self.sent += 1
        if not self.interfered:
            self.interfered.append(self.sent)
            self.third_party()
            self.sent -= 1  # its own


def other_target(site: Site) -> str:
    """ARN of a second load balancer, in the same subnets and security group."""
    elbv2 = site.account.elbv2
    first = elbv2.describe_load_balancers(LoadBalancerArns=[site.target])["LoadBalancers"][0]
    made: str = elbv2.create_load_balancer(
        Name="int-other",
        Subnets=[zone["SubnetId"] for zone in first["AvailabilityZones"]],
        SecurityGroups=[site.group],
        Scheme="internal",
        Type="application",
    )["LoadBalancers"][0]["LoadBalancerArn"]
    group = elbv2.describe_target_groups()["TargetGroups"][0]["TargetGroupArn"]
    forward = [{"Type": "forward", "TargetGroupArn": group}]
    elbv2.create_listener(LoadBalancerArn=made, Protocol="HTTP", Port=80, DefaultActions=forward)
    return made


def interfere(site: Site) -> None:
    """Somebody else adds a behavior of their own and edits the comment."""
    reply = site.account.cloudfront.get_distribution_config(Id=site.distribution_id)
    config = reply["DistributionConfig"]
    items = config["CacheBehaviors"].get("Items", [])
    items.insert(0, behavior("web", "/theirs"))
    config["CacheBehaviors"] = {"Quantity": len(items), "Items": items}
    config["Comment"] = "edited by somebody else"
    site.account.cloudfront.update_distribution(
        Id=site.distribution_id, IfMatch=reply["ETag"], DistributionConfig=config
    )


@contextmanager
def one_look() -> Iterator[None]:
    """What is planned meanwhile is planned from one snapshot of each target: nothing changes."""
    look = snapshot_for_plan
    seen: dict[tuple[str, str], Snapshot] = {}

    def looked(account: AwsAccount, action: str, spec: EndpointSpec) -> Snapshot:
        key = (REMOVE if action == REMOVE else spec.target_arn, spec.distribution_id)
        if key not in seen:
            seen[key] = look(account, action, spec)
        return seen[key]

    with mock.patch.object(machine_module, "snapshot_for_plan", looked):
        yield


def existing(machine: Machine, site: Site, paths: list[str]) -> list[Run]:
    """Endpoints that were built earlier. That their plans still applied is written down."""
    with one_look():
        runs = [site.start(path_patterns=[path]) for path in paths]
    for run in runs:
        ready = {"kind": EntryKind.READY, "direction": Direction.FORWARD}
        moment = {"at": machine.now, "since": machine.now}
        run.entries.create(seq=1, step="approved-plan", **ready, **moment)
    machine.finish(*runs)
    return runs


def lead_to_the_end(machine: Machine, runs: list[Run], *, most: int = 300) -> None:
    """One worker takes what is due, one run after the other; time goes on with each."""
    for _ in range(most):
        due = list(Run.objects.due(machine.now).order_by("due_at").values_list("pk", flat=True))
        for run_id in due:
            machine.step(SECONDS_BETWEEN)
            machine.attend(run_id)
        machine.sweep()
        if not Run.objects.active().filter(pk__in=[run.pk for run in runs]).exists():
            return
        if not due:
            machine.step(60)
    raise AssertionError([(run.saga, run.state, run.journal()[-1:]) for run in runs])


@pytest.mark.parametrize("each", [4, pytest.param(10, marks=pytest.mark.slow)])
def test_requests_of_every_kind_go_out_in_few_writes(machine: Machine, each: int) -> None:
    site = machine.site()
    target = other_target(site)
    kinds = ("changed", "moved", "removed", "restored")
    paths = [f"/ws/{kind}-{number}" for kind in kinds for number in range(each)]
    before = existing(machine, site, paths)
    built = {kind: before[each * n : each * (n + 1)] for n, kind in enumerate(kinds)}
    with one_look():
        away = [site.remove(run, grace_seconds=WEEK) for run in built["restored"]]
    machine.until(away[-1], "grace", "working")
    machine.step(3600)

    with one_look():
        new = [site.plan(path_patterns=[f"/ws/created-{number}"]) for number in range(each)]
        runs = {
            "created": [site.begin(*plan) for plan in new],
            "changed": [
                site.change(run, path_patterns=[*run.spec.path_patterns, f"/ws/more-{number}"])
                for number, run in enumerate(built["changed"])
            ],
            "moved": [site.change(run, target_arn=target) for run in built["moved"]],
            "removed": [site.remove(run) for run in built["removed"]],
            "restored": away,
        }
    for run in away:
        assert actions.cancel_run(run, reason="Still needed.", now=machine.now)

    every = list(itertools.chain(*runs.values()))
    watch = Writes(lambda: interfere(site))
    with boundaries(watch):  # type: ignore[arg-type]
        lead_to_the_end(machine, every)
    print("WRITES", watch.sent)
    assert watch.interfered
    assert watch.sent <= MOST_WRITES, "each starts a deployment for all"

    for run in every:
        run.refresh_from_db()
        run.endpoint.refresh_from_db()
        assert (run.lease_until, run.watch_id, run.failure.get("code", "cancelled")) == (
            None,
            None,
            "cancelled",
        )
        told = list(Event.objects.filter(stream_id=run.stream).order_by("seq"))
        assert [event.seq for event in told] == list(range(1, len(told) + 1))
        once = [event for event in told if event.kind != "step.waiting"]
        said = Counter((event.kind, event.step, event.text) for event in once)
        assert [event for event, times in said.items() if times > 1] == []
    ends = {kind: {(run.state, run.endpoint.state) for run in of} for kind, of in runs.items()}
    done, deployed = Run.State.DONE, Endpoint.State.DEPLOYED
    assert ends == {
        "created": {(done, deployed)},
        "changed": {(done, deployed)},
        "moved": {(done, deployed)},
        "removed": {(done, Endpoint.State.ABSENT)},
        "restored": {(Run.State.UNDONE, deployed)},
    }
    there = [run for kind, of in runs.items() if kind != "removed" for run in of]
    leads = {
        pattern: f"edge-portal-{run.endpoint.key}"
        for run in there
        for pattern in run.endpoint.spec.path_patterns
    }
    assert site.behaviors() == leads | {"/theirs": "web"}
    assert site.config()["Comment"] == "edited by somebody else"
    assert sorted(site.origins()) == sorted({"web", *leads.values()})
    used = {
        origin["Id"]: origin["VpcOriginConfig"]["VpcOriginId"]
        for origin in site.config()["Origins"]["Items"]
        if "VpcOriginConfig" in origin
    }
    arns = {one["Id"]: one["OriginEndpointArn"] for one in site.vpc_origins()}
    assert sorted(arns.values()) == sorted([site.target, target])
    for run in there:
        ours = used[f"edge-portal-{run.endpoint.key}"]
        assert arns[ours] == run.endpoint.spec.target_arn
        [row] = VpcOrigin.objects.filter(users=run.endpoint)
        assert row.aws_id == ours
    assert len(site.rules_of_ours()) == 1
