"""What AWS has, compared with what was approved: by example, and after others changed an account of
the lab.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from provisioning.aws import distributions
from provisioning.aws.errors import OVER_BUDGET, AwsError
from provisioning.drift import reports
from provisioning.drift.acceptance import Found, Inexpressible, accepted_settings
from provisioning.drift.comparison import (
    Applied,
    Code,
    Difference,
    compare_distribution,
    compare_rules,
    compare_vpc_origin,
    named_as_ours,
    orphan_origins,
)
from provisioning.facts.names import ALL_VIEWER_EXCEPT_HOST, Arn, SecurityGroupId, VpcOriginId
from provisioning.facts.network import SecurityGroupRule
from provisioning.facts.snapshot import VpcOriginFacts
from provisioning.models import DriftFinding, DriftReport, Endpoint, Event, Run
from provisioning.plan.behaviors import desired_behavior, desired_origin
from provisioning.plan.items import Unplannable
from provisioning.plan.vpc_origin import desired_vpc_origin
from tests.lab.account import listed
from tests.provisioning.examples import KEY, OWNER, TARGET, spec
from tests.provisioning.machine import OWNED, Boundaries, Machine, Site, boundaries

SPEC = spec(path_patterns=["/ws/chat"])
OWN = f"{OWNER}-{KEY}"
ORIGIN = desired_origin(SPEC, "internal-int-chat-1.us-east-1.elb.amazonaws.com", KEY, OWNER)
ORIGIN["VpcOriginConfig"] |= {"VpcOriginId": "vo_1"}
BEHAVIOR = desired_behavior(SPEC, "/ws/chat", KEY, OWNER)
RULE = ("sg-1", 80, "sg-service")
APPLIED = Applied(
    endpoint=KEY,
    distribution_id="E1",
    origin=ORIGIN,
    behaviors=(BEHAVIOR,),
    vpc_origin_id="vo_1",
    vpc_origin=desired_vpc_origin(SPEC, OWNER),
    region="us-east-1",
    rules=(RULE,),
    agreed=frozenset({"/ws/?hat to web"}),
)


def config(
    *,
    origin: dict[str, Any] | None = None,
    behavior: dict[str, Any] | None = None,
    before: tuple[dict[str, Any], ...] = (),
    gone: tuple[str, ...] = (),
) -> dict[str, Any]:
    """A DistributionConfig as built, with changes of others."""
    origins = [{"Id": "web"}] + [ORIGIN | (origin or {})] * ("origin" not in gone)
    entries = [*before] + [BEHAVIOR | (behavior or {})] * ("behavior" not in gone)
    return {"Origins": listed(*origins), "CacheBehaviors": listed(*entries)}


def other(pattern: str, to: str = "web") -> dict[str, Any]:
    return {"PathPattern": pattern, "TargetOriginId": to}


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (config(), []),
        (config(behavior={"Compress": False, "DefaultTTL": 5}), []),
        (None, ["Distribution E1 is missing"]),
        (config(gone=("origin",)), [f"Origin {OWN} is missing"]),
        (config(gone=("behavior",)), ["Behavior /ws/chat is missing"]),
        (
            config(behavior={"PathPattern": "/ws/talk"}),
            ["Behavior /ws/chat: PathPattern was approved as /ws/chat and is now /ws/talk"],
        ),
        (
            config(behavior={"TargetOriginId": "web"}),
            [f"Behavior /ws/chat: TargetOriginId was approved as {OWN} and is now web"],
        ),
        (
            config(behavior={"AllowedMethods": listed("HEAD", "GET", "OPTIONS")}),
            [
                "Behavior /ws/chat: AllowedMethods was approved as GET, HEAD and is now HEAD, GET, "
                "OPTIONS"
            ],
        ),
        (
            config(origin={"VpcOriginConfig": ORIGIN["VpcOriginConfig"] | {"VpcOriginId": "vo_2"}}),
            [
                f"Origin {OWN}: VpcOriginConfig.VpcOriginId was approved as vo_1 and is now vo_2",
            ],
        ),
        (
            config(
                origin={"CustomHeaders": listed({"HeaderName": "X-Key", "HeaderValue": "s3cret"})}
            ),
            [f"Origin {OWN}: CustomHeaders was approved as nothing and is now X-Key"],
        ),
        (
            config(before=(other("/ws/*"), other("/ws/?hat"), other("/api/*"))),
            [
                "Behavior /ws/chat: its place was approved as first for its paths and is now after "
                "/ws/* to web"
            ],
        ),
    ],
)
def test_a_distribution_is_compared_with_what_was_approved(
    seen: dict[str, Any] | None, said: list[str]
) -> None:
    assert [str(one) for one in compare_distribution(APPLIED, seen)] == said


def test_a_vpc_origin_is_compared_too() -> None:
    wanted = desired_vpc_origin(SPEC, OWNER)
    assert not list(compare_vpc_origin(APPLIED, wanted))
    (gone,) = compare_vpc_origin(APPLIED, None)
    assert str(gone) == "VPC origin vo_1 is missing"
    (changed,) = compare_vpc_origin(APPLIED, wanted | {"HTTPPort": 8080})
    assert (changed.setting, changed.approved, changed.seen) == ("HTTPPort", "80", "8080")


@pytest.mark.parametrize(
    ("source", "protocol", "ports", "missing"),
    [
        ("sg-service", "tcp", (80, 80), False),
        ("sg-service", "tcp", (1, 1024), False),
        ("sg-service", "-1", (-1, -1), False),
        ("sg-service", "tcp", (443, 443), True),
        ("sg-other", "tcp", (80, 80), True),
    ],
)
def test_a_rule_that_another_one_replaces_is_not_missed(
    source: str, protocol: str, ports: tuple[int, int], missing: bool
) -> None:
    rule = SecurityGroupRule(SecurityGroupId("sg-1"), "sgr-9", protocol, *ports, "group", source)
    found = [str(one) for one in compare_rules(APPLIED, [rule])]
    assert found == ["Security group rule sg-1: TCP 80 from sg-service is missing"] * missing


def test_what_carries_our_name_and_belongs_to_nobody_is_an_orphan() -> None:
    def orphans(known: set[str], **changes: Any) -> list[str]:
        found = orphan_origins("E1", config(**changes), owner=OWNER, known=known)
        return [str(one) for one in found]

    assert orphans({OWN}) == []
    (led,) = orphans(set())
    assert led.endswith("(in E1, with the behaviors /ws/chat)")
    assert orphans(set(), gone=("behavior",))[0].endswith("(in E1, without behaviors)")
    named = [
        VpcOriginFacts(VpcOriginId(str(number)), name, Arn(TARGET), "Deployed")
        for number, name in enumerate([f"{OWNER}-{'a' * 16}", f"{OWNER}-{'b' * 16}", "by-hand"])
    ]
    (one,) = named_as_ours(named, owner=OWNER, known={f"{OWNER}-{'b' * 16}"})
    assert one.name.endswith("a")


@pytest.fixture
def built(machine: Machine) -> tuple[Site, Run]:
    site = machine.site()
    run = site.start()
    machine.finish(run)
    assert run.state == Run.State.DONE
    return site, run


def report(machine: Machine, site: Site) -> set[str]:
    """A report now; gives the open findings, without their names in AWS."""
    machine.step(60)
    made = reports.request_report(site.row, by="max", now=machine.now)
    reports.make_report(made.pk, clock=machine.clock)
    made.refresh_from_db()
    assert made.finished_at is not None
    assert made.troubles == []
    return {f"{one.code} {one.resource}" for one in DriftFinding.objects.open()}


def change(site: Site, **changes: Any) -> None:
    reply = site.account.cloudfront.get_distribution_config(Id=site.distribution_id)
    site.account.cloudfront.update_distribution(
        Id=site.distribution_id,
        IfMatch=reply["ETag"],
        DistributionConfig=reply["DistributionConfig"] | changes,
    )


def test_what_others_change_is_found_told_once_and_over_when_it_is_put_back(
    machine: Machine, built: tuple[Site, Run]
) -> None:
    site, run = built
    assert report(machine, site) == set()
    used = {one.resource: (one.used, one.quota) for one in site.row.quotas.all()}
    assert used == {
        "vpc-origins": (1, 25),
        "behaviors": (2, 75),
        "origins": (2, 100),
        "rules": (1, 60),
    }
    as_built = site.config()
    (rule,) = site.rules_of_ours()
    site.account.ec2.revoke_security_group_ingress(
        GroupId=site.group, SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]]
    )
    first, *_ = as_built["CacheBehaviors"]["Items"]
    change(site, CacheBehaviors=listed(first | {"ViewerProtocolPolicy": "allow-all"}))
    found = {"changed behavior", "missing behavior", "missing ingress-rule"}
    for _ in range(2):
        assert report(machine, site) == found
    (told,) = Event.objects.filter(kind="endpoint.drift_found")
    assert (told.stream_id, told.level) == (run.stream, "warning")
    assert "ViewerProtocolPolicy was approved as" in told.text
    assert not site.rules_of_ours(), "nothing is repaired"
    change(site, CacheBehaviors=as_built["CacheBehaviors"])
    assert report(machine, site) == {"missing ingress-rule"}
    assert not Event.objects.filter(kind="endpoint.drift_over").exists()
    site.account.ec2.authorize_security_group_ingress(
        GroupId=site.group,
        IpPermissions=[
            {
                "IpProtocol": "tcp",
                "FromPort": 80,
                "ToPort": 80,
                "UserIdGroupPairs": [{"GroupId": rule["ReferencedGroupInfo"]["GroupId"]}],
            }
        ],
    )
    assert report(machine, site) == set()
    assert Event.objects.filter(kind="endpoint.drift_over").count() == 1


def test_what_a_lost_endpoint_left_is_an_orphan_and_nobody_elses_is(
    machine: Machine, built: tuple[Site, Run]
) -> None:
    site, run = built
    site.account.cloudfront.create_vpc_origin(
        VpcOriginEndpointConfig={
            "Name": "edge-portal-" + "c" * 16,
            "Arn": site.target,
            "HTTPPort": 8081,
            "HTTPSPort": 443,
            "OriginProtocolPolicy": "http-only",
        },
        Tags={"Items": [OWNED]},
    )
    assert report(machine, site) == {"orphan vpc-origin"}
    Endpoint.objects.update(state=Endpoint.State.ABSENT)
    run.endpoint.vpc_origins.all().delete()
    run.endpoint.ingress_rules.all().delete()
    assert report(machine, site) == {"orphan vpc-origin", "orphan origin", "orphan ingress-rule"}
    assert DriftFinding.objects.open().filter(resource="vpc-origin").count() == 2
    assert not DriftFinding.objects.exclude(endpoint=None).exists()


def test_what_aws_does_not_show_resolves_nothing(
    machine: Machine, built: tuple[Site, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, _ = built
    change(site, CacheBehaviors=listed())
    assert report(machine, site) == {"missing behavior"}

    def fails(code: str) -> None:
        def read(*_: object) -> None:
            raise AwsError("GetDistribution", code, "No.")

        monkeypatch.setattr(distributions, "read", read)

    made = reports.request_report(site.row, by="max", now=machine.now)
    fails(OVER_BUDGET)
    reports.make_report(made.pk, clock=machine.clock)
    made.refresh_from_db()
    assert made.finished_at is None
    assert made.due_at > machine.now
    assert reports.request_report(site.row, by="olga", now=machine.now) == made
    machine.step(60)
    fails("AccessDenied")
    reports.make_report(made.pk, clock=machine.clock)
    made.refresh_from_db()
    assert made.finished_at is not None
    assert [one.split(":")[0] for one in made.troubles] == [f"distribution {site.distribution_id}"]
    assert DriftFinding.objects.open().count() == 2


def test_what_was_agreed_to_counts_only_as_long_as_it_stays_so(
    machine: Machine, built: tuple[Site, Run]
) -> None:
    site, _ = built
    ours = site.config()["CacheBehaviors"]["Items"]

    def policy(word: str) -> DriftFinding:
        change(site, CacheBehaviors=listed(*(one | {"ViewerProtocolPolicy": word} for one in ours)))
        report(machine, site)
        found = DriftFinding.objects.open().filter(subject="/ws/chat").get()
        assert found.seen == word
        return found

    found = policy("allow-all")
    until = machine.now + timedelta(days=7)
    DriftFinding.objects.filter(pk=found.pk).update(ignored_until=until, ignored_by="olga")
    assert policy("allow-all").ignored_until == until
    assert found in DriftFinding.objects.ignored(machine.now)
    assert found not in DriftFinding.objects.to_resolve(machine.now)
    later = policy("redirect-to-https")
    assert (later.pk, later.ignored_until, later.ignored_by) == (found.pk, None, "")


def test_reports_are_requested_once_an_hour_and_after_runs_where_endpoints_are(
    machine: Machine, built: tuple[Site, Run], settings: Any
) -> None:
    site, run = built
    settings.DRIFT_EVERY_MINUTES = 60
    assert reports.request_due_reports(machine.now) == 1
    assert reports.request_due_reports(machine.now) == 0, "it is under way"
    ((pk, _),) = reports.due_reports(machine.now)
    reports.make_report(pk, clock=machine.clock)
    assert reports.due_reports(machine.now) == []
    assert reports.request_due_reports(machine.now + timedelta(minutes=59)) == 0
    assert reports.request_due_reports(machine.now + timedelta(minutes=61)) == 1
    overtaken = DriftReport.objects.get(finished_at=None)
    Run.objects.filter(pk=run.pk).update(finished_at=overtaken.requested_at + timedelta(seconds=1))
    soon = overtaken.requested_at + reports.BETWEEN_RUNS
    assert reports.request_due_reports(soon) == 0, "it is under way"
    DriftReport.objects.update(finished_at=soon)
    assert reports.request_due_reports(soon - timedelta(seconds=1)) == 0
    assert reports.request_due_reports(soon) == 1, "a run ended after the last one was requested"
    settings.DRIFT_EVERY_MINUTES = 0
    DriftReport.objects.all().delete()
    assert reports.request_due_reports(machine.now) == 0
    assert site.row.drift_findings.count() == 0


def test_a_difference_is_a_sentence() -> None:
    assert str(Difference(Code.MISSING, "origin", "o", "s")) == "Origin o is missing"


def seen(
    resource: str, setting: str, seen: str, approved: str = "x", code: str = "changed"
) -> Found:
    return Found(code, resource, "/ws/chat", setting, approved, seen)


@pytest.mark.parametrize(
    ("found", "settings"),
    [
        ((seen("origin", "VpcOriginConfig.OriginReadTimeout", "45"),), {"read_timeout": 45}),
        (
            (seen("origin", "DomainName", "chat.example.com"),),
            {"origin_domain": "chat.example.com"},
        ),
        (
            (seen("behavior", "AllowedMethods", "HEAD, OPTIONS, GET"),),
            {"allowed_methods": "GET,HEAD,OPTIONS"},
        ),
        (
            (seen("behavior", "OriginRequestPolicyId", ALL_VIEWER_EXCEPT_HOST),),
            {"forward_host": False},
        ),
        (
            (seen("behavior", "ViewerProtocolPolicy", "redirect-to-https"),) * 2,
            {"viewer_protocol_policy": "redirect-to-https"},
        ),
        ((seen("behavior", "PathPattern", "/ws/talk"),), {"path_patterns": ("/ws/talk",)}),
        (
            (
                seen("behavior", "TrustedKeyGroups", "kg-1", approved="nothing"),
                seen("behavior", "FunctionAssociations", "arn, viewer-request", approved="nothing"),
            ),
            {"carry_over": ("functions", "key-groups")},
        ),
    ],
)
def test_what_a_setting_says_can_be_accepted(
    found: tuple[Found, ...], settings: dict[str, Any]
) -> None:
    assert accepted_settings(found, SPEC) == settings


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ((seen("behavior", "ViewerProtocolPolicy", "allow-all"),), "without TLS"),
        ((seen("behavior", "TrustedKeyGroups", "nothing", approved="kg-1"),), "guards this path"),
        ((seen("behavior", "FunctionAssociations", "b", approved="a"),), "guards this path"),
        ((seen("behavior", "CachePolicyId", "658327ea"),), "caches nothing"),
        ((seen("behavior", "OriginRequestPolicyId", "88a5eaf4"),), "drop headers"),
        ((seen("origin", "CustomHeaders", "X-Key"),), "values of headers"),
        ((seen("origin", "VpcOriginConfig.OriginReadTimeout", "900"),), "from 1 to 120"),
        ((seen("origin", "ConnectionAttempts", "1"),), "No setting of an endpoint"),
        ((seen("behavior", "its place", "after /ws/* to web"),), "Other behaviors"),
        ((seen("behavior", "", "", code="missing"),), "only a setting"),
        ((seen("vpc-origin", "HTTPPort", "8080"),), "only a setting"),
        (
            (
                seen("behavior", "ViewerProtocolPolicy", "redirect-to-https"),
                seen("behavior", "ViewerProtocolPolicy", "https-only"),
            ),
            "differ from each other",
        ),
    ],
)
def test_what_no_setting_says_or_opens_a_guard_is_refused_in_words(
    found: tuple[Found, ...], why: str
) -> None:
    with pytest.raises(Inexpressible, match=why):
        accepted_settings(found, SPEC)


def test_what_somebody_changed_on_purpose_becomes_what_is_approved(
    machine: Machine, built: tuple[Site, Run]
) -> None:
    """The run writes nothing, other drift stays drift, and a later change starts from it."""
    site, run = built
    config = site.config()
    (origin,) = [one for one in config["Origins"]["Items"] if one["Id"] != "web"]
    timeouts = origin["VpcOriginConfig"] | {"OriginReadTimeout": 45}
    moved = origin | {"VpcOriginConfig": timeouts, "ConnectionAttempts": 1}
    first, second = config["CacheBehaviors"]["Items"]
    methods = first["AllowedMethods"] | listed("GET", "HEAD", "OPTIONS")
    change(
        site,
        Origins=listed(
            *(moved if one["Id"] == origin["Id"] else one for one in config["Origins"]["Items"])
        ),
        CacheBehaviors=listed(
            first | {"PathPattern": "/ws/talk", "AllowedMethods": methods},
            second | {"AllowedMethods": methods},
        ),
    )
    assert report(machine, site) == {"changed origin", "changed behavior"}
    found = [
        Found(one.code, one.resource, one.subject, one.setting, one.approved, one.seen)
        for one in DriftFinding.objects.open().exclude(setting="ConnectionAttempts")
    ]
    changes = accepted_settings(found, run.spec)
    assert changes == {
        "read_timeout": 45,
        "allowed_methods": "GET,HEAD,OPTIONS",
        "path_patterns": ("/ws/talk", "/ws/chat/*"),
    }
    with pytest.raises(Unplannable, match="does not have this VpcOriginConfig"):
        site.accept(run, **changes | {"read_timeout": 46})
    by_hand = site.config()
    accepted = site.accept(run, **changes)
    watch = Boundaries()
    with boundaries(watch):
        machine.finish(accepted)
    assert accepted.state == Run.State.DONE
    assert not [one for one in watch.passed if "Distribution" in one or "Vpc" in one]
    assert site.config() == by_hand
    assert report(machine, site) == {"changed origin"}, "nobody accepted the attempts"
    (left,) = DriftFinding.objects.open()
    assert left.setting == "ConnectionAttempts"
    run.endpoint.refresh_from_db()
    assert run.endpoint.spec.path_patterns == ("/ws/talk", "/ws/chat/*")
    later = site.change(accepted, read_timeout=50)
    machine.finish(later)
    assert later.state == Run.State.DONE
    assert sorted(site.behaviors()) == ["/ws/chat/*", "/ws/talk"]
    assert report(machine, site) == set()


def test_what_aws_has_is_accepted_only_while_it_has_it(
    machine: Machine, built: tuple[Site, Run]
) -> None:
    site, run = built
    ours = site.config()["CacheBehaviors"]["Items"]

    def policy(word: str) -> None:
        change(site, CacheBehaviors=listed(*(one | {"ViewerProtocolPolicy": word} for one in ours)))

    policy("redirect-to-https")
    accepted = site.accept(run, viewer_protocol_policy="redirect-to-https")
    policy("allow-all")
    machine.finish(accepted)
    assert (accepted.state, accepted.failure["code"]) == (Run.State.UNDONE, "plan_stale")
    run.endpoint.refresh_from_db()
    assert run.endpoint.spec.viewer_protocol_policy == "https-only"
    assert site.config()["CacheBehaviors"]["Items"][0]["ViewerProtocolPolicy"] == "allow-all"
