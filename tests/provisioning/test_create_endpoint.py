"""The saga *create endpoint* against the lab's AWS: built as approved, or not at all. The crash
matrix tells what happens when workers die.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from provisioning import actions, run_conditions
from provisioning.models import Event, JournalEntry, Run, Watch
from provisioning.progress import progress
from tests.lab.account import behavior, custom_origin, listed
from tests.lab.test_sharing import accepted, ram, with_origin
from tests.provisioning.machine import LEASE_SECONDS, Boundaries, Machine, Site, boundaries

WRITES_OF_A_CREATE = ["CreateVpcOrigin", "AuthorizeSecurityGroupIngress", "UpdateDistribution"]


def refusal(operation: str, code: str = "InvalidArgument", status: int = 400) -> ClientError:
    reply = {
        "Error": {"Code": code, "Message": "Refused for the test"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(reply, operation)  # type: ignore[arg-type]


def run_to_the_end(
    machine: Machine, site: Site, run: Run, watch: Boundaries, **given: object
) -> None:
    """Turn by turn."""
    with boundaries(watch, **given):  # type: ignore[arg-type]
        machine.finish(run)


def test_an_endpoint_is_built_and_the_worker_never_waits(machine: Machine) -> None:
    site = machine.site()
    run = site.start()
    watch = Boundaries()
    run_to_the_end(machine, site, run, watch)
    site.assert_built(run)
    writes = [
        label.removeprefix("before ") for label in watch.passed if label.startswith("before ")
    ]
    assert [w for w in writes if w not in ("write", "release")] == WRITES_OF_A_CREATE
    assert [step.state for step in progress(run, machine.now).steps] == ["done"] * 4


def test_a_request_that_is_lost_is_sent_again(machine: Machine) -> None:
    """What becomes of a lost reply, the crash matrix tells."""
    site = machine.site()
    run = site.start()
    lost: list[str] = []

    def lose(operation: str) -> Exception | None:
        if operation in lost:
            return None
        lost.append(operation)
        return ReadTimeoutError(endpoint_url="https://cloudfront.amazonaws.com")

    run_to_the_end(machine, site, run, Boundaries(), fail=lose)
    assert lost == WRITES_OF_A_CREATE
    site.assert_built(run)
    assert Event.objects.filter(stream_id=run.stream, kind="step.retry").count() == len(lost)


def test_throttled_again_and_again_it_waits_and_succeeds(machine: Machine) -> None:
    site = machine.site()
    run = site.start()
    left = [5]

    def throttle(name: str) -> Exception | None:
        left[0] -= 1
        return refusal(name, "Throttling") if left[0] >= 0 else None

    run_to_the_end(machine, site, run, Boundaries(), fail=throttle)
    site.assert_built(run)
    retries = JournalEntry.objects.filter(run=run, kind="retry")
    assert sum(entry.times for entry in retries) >= 5


def test_endpoints_on_one_target_share_the_vpc_origin_and_one_write(machine: Machine) -> None:
    site = machine.site()
    runs = [site.start(path_patterns=[f"/ws/{name}"]) for name in ("one", "two", "three")]
    watch = Boundaries()
    with boundaries(watch):
        machine.finish(*runs)
    site.assert_built(*runs)
    assert watch.passed.count("before CreateVpcOrigin") == 1
    assert watch.passed.count("before UpdateDistribution") <= 2


def test_undoing_one_of_two_leaves_the_other_its_vpc_origin(machine: Machine) -> None:
    site = machine.site()
    kept, given_up = (
        site.start(path_patterns=["/ws/kept"]),
        site.start(path_patterns=["/ws/given-up"]),
    )
    machine.turn()
    assert actions.cancel_run(given_up, reason="No longer wanted.", now=machine.now)
    machine.finish(kept, given_up)
    assert given_up.state == Run.State.UNDONE
    site.assert_built(kept)


def sign_in(site: Site) -> dict[str, Any]:
    """Let the distribution's default behavior require a sign-in. Returns the association."""
    function = f"arn:aws:cloudfront::{site.account.number}:function/sign-in"
    association = listed({"FunctionARN": function, "EventType": "viewer-request"})
    reply = site.account.cloudfront.get_distribution_config(Id=site.distribution_id)
    reply["DistributionConfig"]["DefaultCacheBehavior"]["FunctionAssociations"] = association
    site.account.cloudfront.update_distribution(
        Id=site.distribution_id,
        IfMatch=reply["ETag"],
        DistributionConfig=reply["DistributionConfig"],
    )
    return association


@pytest.mark.parametrize("carried", [True, False])
def test_a_guard_of_the_current_behavior_is_carried_over_if_that_was_approved(
    machine: Machine, *, carried: bool
) -> None:
    site = machine.site()
    association = sign_in(site)
    run = site.start(carry_over="functions" if carried else "")
    run_to_the_end(machine, site, run, Boundaries())
    site.assert_built(run)
    made = site.config()["CacheBehaviors"]["Items"]
    assert [one["FunctionAssociations"] for one in made] == [
        association if carried else {"Quantity": 0}
    ] * 2


def test_a_guard_that_is_attached_after_the_approval_voids_it(machine: Machine) -> None:
    site = machine.site()
    run = site.start()
    sign_in(site)
    run_to_the_end(machine, site, run, Boundaries())
    assert run.failure["code"] == "plan_stale"
    assert "viewer-request function sign-in" in run.failure["reason"]
    site.assert_clean(run)


def verified_origin(site: Site, **header: str) -> None:
    """Give the distribution an origin on the same load balancer that sends a secret header."""
    balancers = site.account.elbv2.describe_load_balancers(LoadBalancerArns=[site.target])
    origin = custom_origin("alb") | {
        "DomainName": balancers["LoadBalancers"][0]["DNSName"],
        "CustomHeaders": listed({"HeaderName": "X-Origin-Verify", "HeaderValue": "s3cret"})
        if header.get("value", "s3cret")
        else {"Quantity": 0},
    }
    reply = site.account.cloudfront.get_distribution_config(Id=site.distribution_id)
    config = reply["DistributionConfig"]
    others = [one for one in config["Origins"]["Items"] if one["Id"] != "alb"]
    config["Origins"] = listed(*others, origin)
    site.account.cloudfront.update_distribution(
        Id=site.distribution_id, IfMatch=reply["ETag"], DistributionConfig=config
    )


def test_a_secret_header_is_copied_inside_the_distribution_and_stands_nowhere_else(
    machine: Machine,
) -> None:
    site = machine.site()
    verified_origin(site)
    run = site.start(carry_over="origin-headers")
    run_to_the_end(machine, site, run, Boundaries())
    assert run.state == Run.State.DONE
    made = next(
        one for one in site.config()["Origins"]["Items"] if one["Id"].startswith("edge-portal-")
    )
    assert made["CustomHeaders"] == listed(
        {"HeaderName": "X-Origin-Verify", "HeaderValue": "s3cret"}
    )
    stored = [run.plan_data, *Event.objects.values(), *JournalEntry.objects.values()]
    stored += Watch.objects.values()
    assert "s3cret" not in str(stored)


def test_a_secret_header_that_is_gone_when_the_plan_is_applied_is_named(machine: Machine) -> None:
    site = machine.site()
    verified_origin(site)
    run = site.start(carry_over="origin-headers")

    def take_it_away(name: str) -> Exception | None:
        if name == "CreateVpcOrigin":
            verified_origin(site, value="")
        return None

    run_to_the_end(machine, site, run, Boundaries(), fail=take_it_away)
    assert run.state == Run.State.UNDONE
    assert run.failure["code"] == "headers_gone"
    assert "X-Origin-Verify" in run.failure["reason"]


def share_a_neighbor(machine: Machine, site: Site) -> Callable[[], None]:
    """Add an origin that is another account's VPC origin. Returns what ends the sharing."""
    partner = machine.lab.account()
    origin_id = partner.deployed_vpc_origin()
    arn = f"arn:aws:cloudfront::{partner.number}:vpcorigin/{origin_id}"
    shared = accepted(partner, site.account, arn)
    reply = site.account.cloudfront.get_distribution_config(Id=site.distribution_id)
    config = reply["DistributionConfig"] | with_origin(origin_id, partner.number)
    site.account.cloudfront.update_distribution(
        Id=site.distribution_id, IfMatch=reply["ETag"], DistributionConfig=config
    )

    def end() -> None:
        ram(partner).disassociate_resource_share(resourceShareArn=shared, resourceArns=[arn])

    return end


def test_a_neighbor_that_is_no_longer_shared_voids_the_approval(machine: Machine) -> None:
    site = machine.site()
    end_sharing = share_a_neighbor(machine, site)
    run = site.start(path_patterns=["/chat"])
    end_sharing()
    machine.finish(run)
    assert run.failure["code"] == "plan_stale"
    assert "unusable origins: was nothing, is now shared" in run.failure["reason"]


@pytest.mark.parametrize("ends", [True, False])
def test_a_neighbor_that_keeps_the_update_out_is_named_when_it_happens(
    machine: Machine, *, ends: bool
) -> None:
    site = machine.site()
    end_sharing = share_a_neighbor(machine, site)
    run = site.start(path_patterns=["/chat"])

    def end_it(name: str) -> Exception | None:
        if ends and name == "UpdateDistribution":
            end_sharing()
        return None

    run_to_the_end(machine, site, run, Boundaries(), fail=end_it)
    assert run.state == (Run.State.UNDONE if ends else Run.State.DONE)
    if ends:
        assert run.failure["code"] == "other_origin_unusable"
        for word in ("shared (/ws/*)", "of account", "AWS RAM"):
            assert word in str(run.failure)
        assert "Start the run again" not in str(run.failure)


def test_a_plan_that_no_longer_holds_is_not_applied(machine: Machine) -> None:
    site = machine.site()
    run = site.start()
    everybody = {
        "IpProtocol": "tcp",
        "FromPort": 80,
        "ToPort": 80,
        "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
    }
    site.account.ec2.authorize_security_group_ingress(GroupId=site.group, IpPermissions=[everybody])
    watch = Boundaries()
    run_to_the_end(machine, site, run, watch)
    assert run.failure["code"] == "plan_stale"
    assert "Security group" in run.failure["reason"]
    assert not [label for label in watch.passed if "VpcOrigin" in label or "Distribution" in label]
    site.assert_clean(run)


def test_a_run_stops_at_once_when_cloudfront_is_kept_out_between_approval_and_apply(
    machine: Machine,
) -> None:
    """The preflight would block: the approval is void, and planning again asks the preflight
    again.
    """
    site = machine.site()
    run = site.start()
    site.account.ec2.modify_vpc_block_public_access_options(
        InternetGatewayBlockMode="block-bidirectional"
    )
    watch = Boundaries()
    run_to_the_end(machine, site, run, watch)
    assert run.failure["code"] == "plan_stale"
    assert "block public access: was off, is now block-bidirectional" in run.failure["reason"]
    assert not [label for label in watch.passed if "VpcOrigin" in label or "Distribution" in label]
    site.assert_clean(run)


@pytest.mark.parametrize("reason", ["Ana is no longer active.", ""])
def test_a_run_whose_condition_is_not_met_writes_nothing(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    monkeypatch.setattr(run_conditions, "_conditions", [])
    run_conditions.register_condition(lambda run: reason)
    site = machine.site()
    run = site.start()
    watch = Boundaries()
    run_to_the_end(machine, site, run, watch)
    written = [label for label in watch.passed if "VpcOrigin" in label or "Distribution" in label]
    if reason:
        assert (run.failure["code"], run.failure["reason"]) == ("not_entitled", reason)
        assert not written
        site.assert_clean(run)
    else:
        assert written
        assert run.state == Run.State.DONE


def test_a_vpc_origin_of_the_same_name_that_is_not_ours_is_left_alone(machine: Machine) -> None:
    site = machine.site()
    run = site.start()
    name = run.plan_data["items"][0]["after"]["Name"]
    site.account.create_vpc_origin(name, Arn=site.target)
    machine.finish(run)
    assert run.state == Run.State.UNDONE
    assert [origin["Name"] for origin in site.vpc_origins()] == [name]
    assert site.origins() == ["web"]


def test_somebody_elses_change_between_read_and_write_is_not_lost(machine: Machine) -> None:
    site = machine.site(open_to_cloudfront=True)
    run = site.start()
    edited: list[str] = []

    class Rival(Boundaries):
        def __call__(self, label: str) -> None:
            if label == "before UpdateDistribution" and not edited:
                edited.append(label)
                reply = site.account.cloudfront.get_distribution_config(Id=site.distribution_id)
                config = reply["DistributionConfig"] | {"Comment": "edited by somebody else"}
                site.account.cloudfront.update_distribution(
                    Id=site.distribution_id, IfMatch=reply["ETag"], DistributionConfig=config
                )

    run_to_the_end(machine, site, run, Rival())
    assert edited
    assert site.config()["Comment"] == "edited by somebody else"
    assert run.state == Run.State.DONE
    assert set(site.behaviors()) == {"/ws/chat", "/ws/chat/*"}


@pytest.mark.parametrize(
    ("theirs", "end", "code"),
    [
        ("/ws/*", Run.State.UNDONE, "path_contested"),
        ("/*/chat", Run.State.UNDONE, "path_contested"),
        ("/ws/chat/admin", Run.State.DONE, ""),
        ("/images/*", Run.State.DONE, ""),
    ],
)
def test_a_behavior_that_came_while_the_vpc_origin_was_built_loses_nothing(
    machine: Machine, theirs: str, end: str, code: str
) -> None:
    site = machine.site(open_to_cloudfront=True)
    run = site.start()
    machine.until(run, "vpc-origin")
    reply = site.account.cloudfront.get_distribution_config(Id=site.distribution_id)
    added = behavior("web", theirs)
    site.account.cloudfront.update_distribution(
        Id=site.distribution_id,
        IfMatch=reply["ETag"],
        DistributionConfig=reply["DistributionConfig"] | {"CacheBehaviors": listed(added)},
    )
    machine.finish(run)
    assert run.state == end
    assert run.failure.get("code", "") == code
    assert site.behaviors()[theirs] == "web"
    assert len(site.behaviors()) == (1 if code else 3)


def test_deleting_every_event_changes_no_decision(machine: Machine) -> None:
    site = machine.site()
    run = site.start()
    while not run.over:
        if not machine.turn():
            machine.step(200)
        Event.objects.exclude(kind__startswith="run.").delete()
        run.refresh_from_db()
    assert run.state == Run.State.DONE
    assert len(site.vpc_origins()) == 1


def test_a_worker_that_lost_its_lease_writes_nothing(machine: Machine) -> None:
    from provisioning import runner
    from provisioning.engine.turn import LeaseLost
    from provisioning.sagas import SAGAS

    site = machine.site()
    run = site.start()
    zombie = runner.claim(run.pk, holder="zombie", now=machine.clock(), seconds=LEASE_SECONDS)
    assert zombie is not None
    assert runner.claim(run.pk, holder="thief", now=machine.clock(), seconds=LEASE_SECONDS) is None
    machine.step(LEASE_SECONDS + 1)
    owner = runner.claim(run.pk, holder="owner", now=machine.clock(), seconds=LEASE_SECONDS)
    assert owner is not None
    with pytest.raises(LeaseLost):
        runner.advance(zombie, SAGAS[run.saga], clock=machine.clock, pace=1)
    assert not run.entries.exists()
    runner.advance(owner, SAGAS[run.saga], clock=machine.clock, pace=1)
    assert run.entries.exists()


def test_a_thousand_looks_cost_no_more_calls_than_one(machine: Machine) -> None:
    """While runs wait, AWS is asked by the sweep alone, however many they are."""
    site = machine.site(open_to_cloudfront=True)
    runs = [site.start(path_patterns=[f"/ws/{number}"]) for number in range(12)]
    while machine.turn():
        pass
    assert (
        Run.objects.filter(pk__in=[run.pk for run in runs], state=Run.State.WAITING).count() == 12
    )
    calls = machine.lab.get("/_lab/calls")["total"]
    machine.now += timedelta(seconds=121)
    machine.turn()
    assert machine.lab.get("/_lab/calls")["total"] - calls <= 2
    assert Watch.objects.filter(account=site.row, waiters__isnull=False).distinct().count() == 1
