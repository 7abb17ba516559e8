"""Head starts: the VPC origin is there when the run begins, and gone if the request is not."""

from __future__ import annotations

from datetime import timedelta

from provisioning import head_starts
from provisioning.models import Event, HeadStart, Run, VpcOrigin
from provisioning.spec.endpoint_spec import EndpointSpec
from tests.provisioning.machine import Boundaries, Killed, Machine, Site, boundaries

STREAM = "test:head-start"


def begun(site: Site, spec: EndpointSpec) -> HeadStart:
    for _ in range(2):
        head_starts.begin(site.account.number, spec, stream=STREAM, now=site.machine.now)
    return HeadStart.objects.get()


def worked(machine: Machine, *, most: int = 40) -> None:
    """What workers do until no head start has anything due for an hour."""
    for _ in range(most):
        soon = machine.now + timedelta(hours=1)
        head_start = HeadStart.objects.filter(due_at__lte=soon).first()
        if head_start is None:
            return
        head_starts.work(head_start.pk, clock=machine.clock)
        machine.step(80)
    raise AssertionError(f"never over: {list(HeadStart.objects.values())}")


def told() -> list[str]:
    kinds = Event.objects.filter(stream_id=STREAM).order_by("seq").values_list("kind", flat=True)
    return list(kinds)


def test_the_run_finds_the_vpc_origin_in_place_and_removes_it_with_the_endpoint(
    machine: Machine,
) -> None:
    site = machine.site()
    endpoint, plan = site.plan()
    head_start = begun(site, site.spec())
    worked(machine)
    [made] = site.vpc_origins()
    assert made["Status"] == "Deployed"
    assert (site.behaviors(), site.rules_of_ours()) == ({}, []), "nothing is opened"
    assert told() == ["head_start.begun", "head_start.ready"]

    run = site.begin(endpoint, plan)
    machine.finish(run)
    site.assert_built(run)
    assert [one["Id"] for one in site.vpc_origins()] == [made["Id"]]
    waits = Event.objects.filter(stream_id=run.stream, step="vpc-origin", kind="step.waiting")
    assert not waits.exists(), "the run does not wait for it"

    head_starts.release(head_start, reason="", now=machine.now)
    machine.step(60)
    worked(machine)
    assert not HeadStart.objects.exists()
    assert len(site.vpc_origins()) == 1, "the endpoint uses it"
    removal = site.remove(run)
    machine.finish(removal)
    assert site.vpc_origins() == []


def test_one_that_is_released_deletes_what_it_created(machine: Machine) -> None:
    site = machine.site()
    head_start = begun(site, site.spec())
    head_starts.work(head_start.pk, clock=machine.clock)
    assert len(site.vpc_origins()) == 1
    head_starts.release(head_start, reason="the request was rejected.", now=machine.now)
    head_starts.work(head_start.pk, clock=machine.clock)
    assert len(site.vpc_origins()) == 1, "a write may still be in flight"
    machine.step(60)
    worked(machine)
    assert site.vpc_origins() == []
    assert not HeadStart.objects.exists()
    assert not VpcOrigin.objects.filter(users__isnull=False).exists()
    assert told() == ["head_start.begun", "head_start.released"]


def test_an_endpoint_that_is_removed_leaves_the_vpc_origin_to_a_head_start(
    machine: Machine,
) -> None:
    site = machine.site()
    run = site.start()
    machine.finish(run)
    begun(site, site.spec())
    worked(machine)
    machine.finish(site.remove(run))
    assert len(site.vpc_origins()) == 1
    head_starts.release(HeadStart.objects.get(), reason="", now=machine.now)
    machine.step(60)
    worked(machine)
    assert site.vpc_origins() == []


def test_a_worker_that_dies_anywhere_leaves_one_vpc_origin_or_none(machine: Machine) -> None:
    site = machine.site()
    spec = site.spec()
    for place in range(1, 12):
        head_start = begun(site, spec)
        watch = Boundaries(die_at=place)
        try:
            with boundaries(watch):
                worked(machine)
        except Killed:
            machine.step(120)
            worked(machine)
        assert len(site.vpc_origins()) == 1
        head_starts.release(head_start, reason="", now=machine.now)
        machine.step(60)
        watch = Boundaries(die_at=place)
        try:
            with boundaries(watch):
                worked(machine)
        except Killed:
            machine.step(120)
            worked(machine)
        assert site.vpc_origins() == []
        assert not HeadStart.objects.exists()
    assert not Run.objects.exists()


def test_what_aws_refuses_is_told_once_and_tried_again_later(machine: Machine) -> None:
    site = machine.site()
    spec = site.spec()
    site.account.cloudfront.create_vpc_origin(
        VpcOriginEndpointConfig={
            "Name": f"edge-portal-{spec.vpc_origin_key}",
            "Arn": site.target,
            "HTTPPort": 80,
            "HTTPSPort": 443,
            "OriginProtocolPolicy": "http-only",
        }
    )
    head_start = begun(site, spec)
    for _ in range(3):
        head_starts.work(head_start.pk, clock=machine.clock)
        machine.step(1900)
    assert told() == ["head_start.begun", "head_start.failed"]
    head_starts.release(head_start, reason="", now=machine.now)
    machine.step(60)
    worked(machine)
    assert len(site.vpc_origins()) == 1, "it is not ours"
    assert not HeadStart.objects.exists()
