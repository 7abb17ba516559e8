"""The saga *change endpoint* against the lab's AWS: one endpoint before, one afterwards; AWS's
refusal to update a VPC origin in use is answered with a replacement.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from provisioning import actions
from provisioning.models import IngressRule, Run, VpcOrigin
from provisioning.plan.items import Unplannable
from tests.lab.account import behavior
from tests.provisioning.machine import Boundaries, Machine, Site
from tests.provisioning.test_create_endpoint import run_to_the_end
from tests.provisioning.test_remove_endpoint import built


def changes_of(run: Run) -> list[tuple[str, str]]:
    return [
        (item["resource"], item["action"])
        for item in run.plan_data["items"]
        if item["action"] not in ("keep", "reuse")
    ]


def other_port(site: Site) -> dict[str, Any]:
    """Settings that need another VPC origin and another rule: the app moved to another port."""
    group = site.account.elbv2.describe_target_groups()["TargetGroups"][0]["TargetGroupArn"]
    listeners = site.account.elbv2.describe_listeners(LoadBalancerArn=site.target)["Listeners"]
    if all(listener["Port"] != 8080 for listener in listeners):
        site.account.elbv2.create_listener(
            LoadBalancerArn=site.target,
            Protocol="HTTP",
            Port=8080,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
        )
    return {"http_port": 8080}


def assert_leads_to(site: Site, run: Run, port: int) -> None:
    """One VPC origin, one rule, one origin, the behaviors of the present settings, and rows that
    say the same.
    """
    run.endpoint.refresh_from_db()
    spec = run.endpoint.spec
    assert (spec.http_port, len(site.vpc_origins())) == (port, 1)
    found = site.vpc_origins()[0]
    ours = f"edge-portal-{run.endpoint.key}"
    origin = next(one for one in site.config()["Origins"]["Items"] if one["Id"] == ours)
    assert origin["VpcOriginConfig"]["VpcOriginId"] == found["Id"]
    assert site.origins() == ["web", ours]
    assert site.behaviors() == dict.fromkeys(spec.path_patterns, ours)
    rules = [(rule["FromPort"], rule["ToPort"]) for rule in site.rules_of_ours()]
    assert rules == [(port, port)]
    used = VpcOrigin.objects.filter(account=site.row, users=run.endpoint)
    assert [row.aws_id for row in used] == [found["Id"]]
    assert [row.port for row in IngressRule.objects.filter(account=site.row)] == [port]
    assert not site.row.watches.filter(waiters__isnull=False).exists()


def test_a_path_is_changed_in_one_write_and_others_keep_theirs(machine: Machine) -> None:
    site = machine.site()
    run = built(machine, site)
    before = site.config()["CacheBehaviors"]["Items"]
    changed = site.change(run, path_patterns=["/ws/chat", "/ws/v2"], read_timeout=50)
    assert changes_of(changed) == [
        ("origin", "update"),
        ("behavior", "create"),
        ("behavior", "delete"),
    ]
    watch = Boundaries()
    run_to_the_end(machine, site, changed, watch)
    assert [one for one in watch.passed if "before Update" in one] == ["before UpdateDistribution"]
    assert not [one for one in watch.passed if "VpcOrigin" in one or "Ingress" in one]
    assert_leads_to(site, run, 80)
    assert list(site.behaviors()) == ["/ws/chat", "/ws/v2"]
    kept = next(b for b in before if b["PathPattern"] == "/ws/chat")
    assert kept in site.config()["CacheBehaviors"]["Items"]
    timeout = site.config()["Origins"]["Items"][1]["VpcOriginConfig"]["OriginReadTimeout"]
    assert timeout == 50


def test_another_port_gets_another_vpc_origin_before_the_old_one_goes(machine: Machine) -> None:
    site = machine.site()
    run = built(machine, site)
    old = site.vpc_origins()[0]["Id"]
    changed = site.change(run, **other_port(site))
    assert changes_of(changed) == [
        ("vpc-origin", "create"),
        ("ingress-rule", "create"),
        ("origin", "update"),
        ("ingress-rule", "delete"),
        ("vpc-origin", "delete"),
    ]
    machine.until(changed, "vpc-origin", "working")
    assert len(site.vpc_origins()) == 2, "the old one serves until the switch is deployed"
    assert site.config()["Origins"]["Items"][1]["VpcOriginConfig"]["VpcOriginId"] == old
    machine.finish(changed)
    assert changed.state == Run.State.DONE
    assert_leads_to(site, run, 8080)
    assert site.vpc_origins()[0]["Id"] != old


def test_cancelled_before_the_switch_is_deployed_it_goes_back_and_afterwards_it_cannot(
    machine: Machine,
) -> None:
    site = machine.site()
    run = built(machine, site)
    config = site.config()
    changed = site.change(run, **other_port(site))
    machine.until(changed, "behaviors", "working")
    assert actions.cancel_run(changed, reason="Ana cancelled it.", now=machine.now)
    machine.finish(changed)
    assert changed.state == Run.State.UNDONE
    assert_leads_to(site, run, 80)
    assert site.config()["Origins"] == config["Origins"]
    assert site.config()["CacheBehaviors"] == config["CacheBehaviors"]

    again = site.change(run, http_port=8080)
    machine.until(again, "behaviors")
    assert not actions.cancel_run(again, reason="Too late.", now=machine.now)
    machine.finish(again)
    assert_leads_to(site, run, 8080)


def test_a_vpc_origin_that_others_use_stays_and_one_that_exists_is_shared(
    machine: Machine,
) -> None:
    site = machine.site()
    run = built(machine, site)
    beside = built(machine, site, path_patterns=["/ws/other"])
    changed = site.change(run, **other_port(site))
    machine.finish(changed)
    assert len(site.vpc_origins()) == 2
    follows = site.change(beside, http_port=8080)
    assert ("vpc-origin", "create") not in changes_of(follows)
    machine.finish(follows)
    assert len(site.vpc_origins()) == 1
    assert set(site.behaviors()) == {"/ws/chat", "/ws/chat/*", "/ws/other"}


def test_endpoints_that_are_built_changed_and_removed_at_once_go_out_in_one_write(
    machine: Machine,
) -> None:
    site = machine.site()
    gone = built(machine, site)
    stays = built(machine, site, path_patterns=["/ws/b"])
    versions = site.account.cloudfront.get_distribution_config(Id=site.distribution_id)["ETag"]
    new = site.start(path_patterns=["/ws/c"])
    changed = site.change(stays, path_patterns=["/ws/b2"])
    removed = site.remove(gone)
    watch = Boundaries()
    run_to_the_end(machine, site, new, watch)
    machine.finish(new, changed, removed)
    assert [run.state for run in (new, changed, removed)] == [Run.State.DONE] * 3
    assert sorted(site.behaviors()) == ["/ws/b2", "/ws/c"]
    writes = [label for label in watch.passed if label == "before UpdateDistribution"]
    assert len(writes) <= 2, "the removal leaves, the others arrive"
    assert versions


def test_a_change_that_changes_nothing_is_no_plan(machine: Machine) -> None:
    site = machine.site()
    run = built(machine, site)
    with pytest.raises(Unplannable, match="AWS has these settings already"):
        site.change(run)


def edited(site: Site, edit: Callable[[dict[str, Any]], None]) -> None:
    """Somebody changes the distribution by hand."""
    cloudfront, config = site.account.cloudfront, site.config()
    edit(config)
    etag = cloudfront.get_distribution_config(Id=site.distribution_id)["ETag"]
    cloudfront.update_distribution(Id=site.distribution_id, IfMatch=etag, DistributionConfig=config)


def loosen(config: dict[str, Any]) -> None:
    config["CacheBehaviors"]["Items"][0]["ViewerProtocolPolicy"] = "allow-all"


def drop_all(config: dict[str, Any]) -> None:
    config["CacheBehaviors"] = {"Quantity": 0}
    config["Origins"] = {"Quantity": 1, "Items": config["Origins"]["Items"][:1]}


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (loosen, [("behavior", "update")]),
        (drop_all, [("origin", "create"), ("behavior", "create"), ("behavior", "create")]),
    ],
)
def test_what_somebody_changed_by_hand_is_put_back_by_a_change_without_new_settings(
    machine: Machine,
    edit: Callable[[dict[str, Any]], None],
    expected: list[tuple[str, str]],
) -> None:
    site = machine.site()
    run = built(machine, site)
    config = site.config()
    edited(site, edit)
    machine.step(3600)
    restored = site.change(run)
    assert changes_of(restored) == expected
    machine.finish(restored)
    assert restored.state == Run.State.DONE
    assert site.config()["CacheBehaviors"] == config["CacheBehaviors"]
    assert site.config()["Origins"] == config["Origins"]


def test_a_path_that_somebody_else_has_is_refused_as_in_a_creation(machine: Machine) -> None:
    site = machine.site()
    run = built(machine, site)
    config = site.config()
    items = [*config["CacheBehaviors"]["Items"], behavior("web", "/ws/taken")]
    config["CacheBehaviors"] = {"Quantity": len(items), "Items": items}
    cloudfront = site.account.cloudfront
    etag = cloudfront.get_distribution_config(Id=site.distribution_id)["ETag"]
    cloudfront.update_distribution(Id=site.distribution_id, IfMatch=etag, DistributionConfig=config)
    with pytest.raises(Unplannable, match="already has a behavior for /ws/taken"):
        site.change(run, path_patterns=["/ws/taken"])


def test_an_endpoint_that_was_changed_after_the_plan_voids_its_approval(machine: Machine) -> None:
    site = machine.site()
    run = built(machine, site)
    stale = site.planned("remove", run.endpoint, run.endpoint.spec)
    machine.finish(site.change(run, path_patterns=["/ws/v2"]))
    run.endpoint.refresh_from_db()
    removal = actions.start_removal(run.endpoint, stale, stream="test:stale", now=machine.now)
    assert removal is not None
    machine.finish(removal)
    assert (removal.state, removal.failure["code"]) == (Run.State.UNDONE, "plan_stale")
    assert list(site.behaviors()) == ["/ws/v2"]
