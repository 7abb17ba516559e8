"""The saga *remove endpoint* against the lab's AWS: nothing of ours is left, nobody else loses
anything, and until the grace period is over everything can be restored.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from provisioning import actions
from provisioning.models import Endpoint, Run, VpcOrigin
from provisioning.plan.items import Unplannable
from provisioning.progress import progress
from tests.lab.account import behavior
from tests.provisioning.machine import Boundaries, Machine, Site
from tests.provisioning.test_create_endpoint import run_to_the_end

WRITES_OF_A_REMOVAL = ["UpdateDistribution", "RevokeSecurityGroupIngress", "DeleteVpcOrigin"]
WEEK = 7 * 86400


def built(machine: Machine, site: Site, **changes: object) -> Run:
    run = site.start(**changes)
    machine.finish(run)
    assert run.state == Run.State.DONE
    return run


def out_of_service(machine: Machine, site: Site, run: Run) -> Run:
    """The run that removes it, in its grace period."""
    removal = site.remove(run, grace_seconds=WEEK)
    machine.until(removal, "grace", "working")
    return removal


def test_a_removed_endpoint_leaves_nothing_and_its_name_and_vpc_origin_are_free(
    machine: Machine,
) -> None:
    site = machine.site()
    run = built(machine, site)
    removal = site.remove(run)
    assert [(i["resource"], i["action"]) for i in removal.plan_data["items"]] == [
        ("behavior", "delete"),
        ("behavior", "delete"),
        ("origin", "delete"),
        ("ingress-rule", "delete"),
        ("vpc-origin", "delete"),
    ]
    watch = Boundaries()
    run_to_the_end(machine, site, removal, watch)
    site.assert_clean(removal, Run.State.DONE)
    writes = [label.removeprefix("before ") for label in watch.passed if "before" in label]
    assert [w for w in writes if w not in ("write", "release")] == WRITES_OF_A_REMOVAL
    assert [step.state for step in progress(removal, machine.now).steps] == ["done"] * 5

    again = built(machine, site, name=run.endpoint.name)
    site.assert_built(again)


def test_in_the_grace_period_it_is_out_of_service_and_waits_without_asking_aws(
    machine: Machine,
) -> None:
    site = machine.site()
    run = built(machine, site)
    removal = out_of_service(machine, site, run)
    assert site.behaviors() == {}
    assert len(site.vpc_origins()) == 1, "a VPC origin takes a quarter of an hour to create again"
    assert len(site.rules_of_ours()) == 1
    run.endpoint.refresh_from_db()
    assert run.endpoint.state == Endpoint.State.RETIRED

    removal.refresh_from_db()
    assert removal.due_at > machine.now + timedelta(days=6), "no worker looks before that"
    assert not type(site.row).objects.with_waiting_runs().exists(), "no sweep is made for it"

    machine.step(WEEK)
    machine.finish(removal)
    site.assert_clean(removal, Run.State.DONE)


def test_in_the_grace_period_it_can_be_restored_as_it_was(machine: Machine) -> None:
    site = machine.site()
    run = built(machine, site)
    config = site.config()
    removal = out_of_service(machine, site, run)
    assert actions.cancel_run(removal, reason="Still needed.", now=machine.now)
    machine.finish(removal)
    assert removal.state == Run.State.UNDONE
    site.assert_built(run)
    assert {**site.config(), "CallerReference": ""} == {**config, "CallerReference": ""}
    again = site.remove(run, grace_seconds=60)
    machine.until(again, "grace")
    assert not actions.cancel_run(again, reason="Too late.", now=machine.now)
    machine.finish(again)
    site.assert_clean(again, Run.State.DONE)


def test_a_vpc_origin_that_somebody_deleted_meanwhile_is_created_again_on_restore(
    machine: Machine,
) -> None:
    site = machine.site()
    run = built(machine, site)
    removal = out_of_service(machine, site, run)
    found = site.vpc_origins()[0]["Id"]
    etag = site.account.cloudfront.get_vpc_origin(Id=found)["ETag"]
    site.account.cloudfront.delete_vpc_origin(Id=found, IfMatch=etag)
    machine.step(3600)
    assert site.vpc_origins() == []
    assert actions.cancel_run(removal, reason="Still needed.", now=machine.now)
    machine.finish(removal)
    site.assert_built(run)


def test_what_others_use_stays(machine: Machine) -> None:
    site = machine.site()
    first = built(machine, site)
    second = built(machine, site, path_patterns=["/ws/other"])
    removal = site.remove(first)
    kept = [i["action"] for i in removal.plan_data["items"] if i["shared"]]
    assert kept == ["keep", "keep"]
    machine.finish(removal)
    assert removal.state == Run.State.DONE
    site.assert_built(second)


def test_a_sharer_that_came_or_went_after_the_approval_does_not_void_it(machine: Machine) -> None:
    site = machine.site()
    first = built(machine, site)
    removal = site.remove(first)
    second = built(machine, site, path_patterns=["/ws/other"])
    machine.finish(removal)
    assert removal.state == Run.State.DONE
    site.assert_built(second)


def test_a_behavior_that_others_led_to_our_origin_is_not_cut_off(machine: Machine) -> None:
    site = machine.site()
    run = built(machine, site)
    config = site.config()
    entry = behavior(f"edge-portal-{run.endpoint.key}", "/ws/mine")
    items = [*config["CacheBehaviors"]["Items"], entry]
    config["CacheBehaviors"] = {"Quantity": len(items), "Items": items}
    cloudfront = site.account.cloudfront
    etag = cloudfront.get_distribution_config(Id=site.distribution_id)["ETag"]
    cloudfront.update_distribution(Id=site.distribution_id, IfMatch=etag, DistributionConfig=config)
    with pytest.raises(Unplannable, match="/ws/mine use the portal's origin"):
        site.remove(run)


def test_what_is_gone_already_is_no_obstacle(machine: Machine) -> None:
    site = machine.site()
    run = built(machine, site)
    account, cloudfront = site.account, site.account.cloudfront
    config = site.config()
    config["CacheBehaviors"] = {"Quantity": 0}
    config["Origins"] = {"Quantity": 1, "Items": [config["Origins"]["Items"][0]]}
    config["Enabled"] = False
    etag = cloudfront.get_distribution_config(Id=site.distribution_id)["ETag"]
    cloudfront.update_distribution(Id=site.distribution_id, IfMatch=etag, DistributionConfig=config)
    machine.step(3600)
    etag = cloudfront.get_distribution_config(Id=site.distribution_id)["ETag"]
    cloudfront.delete_distribution(Id=site.distribution_id, IfMatch=etag)
    rule = site.rules_of_ours()[0]["SecurityGroupRuleId"]
    account.ec2.revoke_security_group_ingress(GroupId=site.group, SecurityGroupRuleIds=[rule])
    (origin,) = site.vpc_origins()
    etag = cloudfront.get_vpc_origin(Id=origin["Id"])["ETag"]
    cloudfront.delete_vpc_origin(Id=origin["Id"], IfMatch=etag)
    machine.step(3600)
    removal = site.remove(run)
    machine.finish(removal)
    assert removal.state == Run.State.DONE
    assert site.vpc_origins() == []
    assert not VpcOrigin.objects.filter(account=site.row, users__isnull=False).exists()
    assert Endpoint.objects.get(pk=run.endpoint_id).state == Endpoint.State.ABSENT


def test_an_endpoint_with_a_run_under_way_gets_no_second_one(machine: Machine) -> None:
    site = machine.site()
    run = built(machine, site)
    plan = site.planned("remove", run.endpoint, run.endpoint.spec)
    assert actions.start_removal(run.endpoint, plan, stream="test:1", now=machine.now)
    assert actions.start_removal(run.endpoint, plan, stream="test:2", now=machine.now) is None
    assert actions.start_change(run.endpoint, plan, stream="test:3", now=machine.now) is None
