"""Endpoints that were there before the portal: read back, adopted without a write, changed,
removed; and whatever else the distribution has stays as it was.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.drift import reports
from provisioning.engine.decide import EntryKind
from provisioning.export.reading import Patience, export_endpoint
from provisioning.facts.distribution import Behavior, DistributionFacts, EdgeFunction, Origin
from provisioning.facts.forwarding import Forwarding, Selection
from provisioning.facts.guards import carried_over
from provisioning.facts.names import Arn, DistributionId
from provisioning.facts.path_patterns import position_for
from provisioning.models import DriftFinding, Endpoint, Run, VpcOrigin
from provisioning.plan.behaviors import desired_behavior, desired_origin
from provisioning.plan.distribution_config import with_endpoint
from provisioning.plan.items import KEEP, Unplannable
from provisioning.plan.read_back import candidates, settings_of
from provisioning.plan.vpc_origin import desired_vpc_origin
from provisioning.spec.derivation import METHOD_SETS
from provisioning.spec.endpoint_spec import EndpointSpec
from tests.lab.account import behavior, listed, vpc_origin
from tests.provisioning.adoptions import asked_for
from tests.provisioning.examples import ACCOUNT, KEY, OWNER, TARGET_FACTS, spec
from tests.provisioning.machine import Boundaries, Machine, Site, boundaries

PUBLIC = {"TargetOriginId": "web", "ViewerProtocolPolicy": "allow-all"}
DNS = TARGET_FACTS.dns_name


def facts_of(entry: dict[str, Any]) -> Behavior:
    """A cache behavior of a configuration as provisioning.aws.distributions reads it."""
    return Behavior(
        entry["PathPattern"],
        entry["TargetOriginId"],
        entry["ViewerProtocolPolicy"],
        entry["CachePolicyId"],
        entry["OriginRequestPolicyId"],
        ",".join(entry["AllowedMethods"]["Items"]),
        tuple(
            EdgeFunction(one["EventType"], Arn(one["FunctionARN"]))
            for one in entry["FunctionAssociations"].get("Items", ())
        ),
        key_groups=tuple(entry["TrustedKeyGroups"].get("Items", ())),
        response_headers_policy_id=entry.get("ResponseHeadersPolicyId", ""),
        realtime_log_config_arn=entry.get("RealtimeLogConfigArn", ""),
    )


SPECS = st.builds(
    lambda **changes: spec(**changes),
    path_patterns=st.lists(
        st.from_regex(r"\A/ws/[a-z]{1,8}(/\*)?\Z"), min_size=1, max_size=5, unique=True
    ),
    origin_protocol=st.sampled_from(["http-only", "https-only", "match-viewer"]),
    http_port=st.sampled_from([80, 8080, 1024, 65535]),
    https_port=st.sampled_from([443, 8443]),
    forward_host=st.booleans(),
    origin_domain=st.sampled_from(["", "chat.internal.example.com", "a.example.org"]),
    viewer_protocol_policy=st.sampled_from(["https-only", "redirect-to-https"]),
    allowed_methods=st.sampled_from(METHOD_SETS),
    read_timeout=st.integers(1, 120),
    keepalive_timeout=st.integers(1, 120),
    carry_over=st.lists(
        st.sampled_from(["functions", "key-groups", "response-headers-policy", "realtime-logs"]),
        unique=True,
    ),
)
GUARDED = Behavior(
    "*",
    "web",
    "https-only",
    "cache",
    "",
    "GET,HEAD",
    (EdgeFunction("viewer-request", Arn("arn:aws:cloudfront::111122223333:function/sign-in")),),
    key_groups=("kg-1",),
    response_headers_policy_id="rhp-1",
    realtime_log_config_arn="arn:aws:cloudfront::111122223333:realtime-log-config/all",
)


@given(wanted=SPECS)
def test_what_the_portal_builds_is_read_back_as_the_same_settings(wanted: EndpointSpec) -> None:
    origin = desired_origin(wanted, DNS, KEY, OWNER)
    built = [
        desired_behavior(wanted, pattern, KEY, OWNER) | carried_over(GUARDED, wanted.carry_over)
        for pattern in wanted.path_patterns
    ]
    config, changed = with_endpoint(
        {"Origins": listed({"Id": "web"}), "CacheBehaviors": listed()}, origin, built, position_for
    )
    assert changed
    entries = config["CacheBehaviors"]["Items"]
    read = settings_of(
        config["Origins"]["Items"][1],
        [facts_of(one) for one in entries],
        desired_vpc_origin(wanted, OWNER),
        domain_name=DNS,
        policies={},
    )
    again = wanted.to_dict() | read
    assert sorted(again.pop("path_patterns")) == sorted(wanted.path_patterns)
    assert again.pop("origin_id") == origin["Id"]
    expected = wanted.to_dict()
    assert again == {name: expected[name] for name in again}


PRIVATE = {"Arn": spec().target_arn, "HTTPPort": 80, "HTTPSPort": 443} | {
    "OriginProtocolPolicy": "http-only"
}


def read(
    *,
    origin: dict[str, Any] | None = None,
    held: str = "",
    default: str = "web",
    patterns: tuple[str, ...] = ("/ws",),
    entry: dict[str, Any] | None = None,
    private: dict[str, Any] | None = PRIVATE,
    groups: tuple[str, ...] = (),
    functions: tuple[EdgeFunction, ...] = (),
) -> Any:
    """The one candidate of a small distribution."""
    shown = {"id": "app", "domain_name": "app.internal.example.com", "vpc_origin_id": "vo_1"}
    facts = DistributionFacts(
        id=DistributionId("E1A2B3C4D5E6F7"),
        domain_name="d1.cloudfront.net",
        enabled=True,
        status="Deployed",
        comment="",
        aliases=(),
        behaviors=tuple(
            Behavior(one, "app", "allow-all", "c", "p", "GET,HEAD", functions) for one in patterns
        ),
        default_behavior=replace(GUARDED, target_origin_id=default, functions=()),
        origins=(Origin(**shown | (origin or {})), Origin("web", "web.example.com", "")),
    )
    timeouts = {"OriginReadTimeout": 30, "OriginKeepaliveTimeout": 5}
    config = {
        "Origins": listed(
            {"Id": "app", "DomainName": "app.internal.example.com", "VpcOriginConfig": timeouts}
        ),
        "OriginGroups": listed(
            *({"Id": one, "Members": listed({"OriginId": "app"})} for one in groups)
        ),
        "CacheBehaviors": listed(
            *(
                {"PathPattern": one, "TargetOriginId": "app", "CachePolicyId": "c"} | (entry or {})
                for one in patterns
            )
        ),
    }
    (found,) = candidates(
        facts,
        config,
        {"vo_1": private} if private else {},
        account_id=ACCOUNT,
        holders={"app": held} if held else {},
        domain_names={},
        policies={"p": Forwarding(Selection("whitelist", frozenset({"host"})))},
    )
    return found


def test_what_can_be_adopted_is_described_by_the_nearest_settings() -> None:
    found = read()
    assert found.adoptable
    assert found.path_patterns == ("/ws",)
    settings = dict(found.settings)
    assert settings["viewer_protocol_policy"] == "redirect-to-https", "never allow-all"
    assert settings["forward_host"] is True
    assert settings["origin_domain"] == "app.internal.example.com"
    assert (settings["origin_id"], settings["vpc_origin_id"]) == ("app", "vo_1")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"held": "chat"}, "it is endpoint chat"),
        ({"origin": {"vpc_origin_id": ""}}, "not to a VPC origin"),
        ({"origin": {"owner_account": "222233334444"}}, "belongs to account 222233334444"),
        ({"private": None}, "does not exist in account"),
        ({"private": PRIVATE | {"Arn": "arn:aws:s3:::x"}}, "no load balancer or instance"),
        ({"default": "app"}, "default behavior leads to the same"),
        ({"groups": ("both",)}, "Origin group both"),
        ({"patterns": tuple(f"/{n}" for n in range(6))}, "at most 5 paths"),
        ({"origin": {"path": "/prod"}}, "adds /prod before"),
        ({"entry": {"CachePolicyId": ""}}, "legacy cache settings"),
        ({"functions": (EdgeFunction("origin-request", Arn("a"), True),)}, "origin-request"),
        ({"patterns": ("/*",)}, "every request"),
        ({"private": PRIVATE | {"HTTPPort": 81}}, "1024 to 65535"),
        (
            {"private": PRIVATE | {"Arn": spec().target_arn.replace(ACCOUNT, "222233334444")}},
            "another account",
        ),
    ],
)
def test_what_cannot_be_adopted_says_why(changes: dict[str, Any], why: str) -> None:
    found = read(**changes)
    assert not found.adoptable
    assert why in found.obstacle
    assert not found.settings


def by_hand(site: Site, **origin: Any) -> str:
    """What a person made in the console: a VPC origin, an origin and two behaviors, with settings
    that the portal would not choose. Gives the VPC origin's ID.
    """
    site.account.target = site.target
    aws_id = site.account.deployed_vpc_origin("by-hand")
    reply = site.account.cloudfront.get_distribution_config(Id=site.distribution_id)
    config = reply["DistributionConfig"]
    (target,) = site.account.elbv2.describe_load_balancers()["LoadBalancers"]
    made = vpc_origin("chat-app", aws_id) | {"DomainName": target["DNSName"]} | origin
    methods = {"AllowedMethods": listed("GET", "HEAD") | {"CachedMethods": listed("GET", "HEAD")}}
    config["Origins"] = listed(*config["Origins"]["Items"], made)
    config["CacheBehaviors"] = listed(
        behavior("web", "/static/*"),
        behavior("chat-app", "/live") | methods | {"ViewerProtocolPolicy": "allow-all"},
        behavior("chat-app", "/live/*") | methods | {"ViewerProtocolPolicy": "allow-all"},
    )
    site.account.cloudfront.update_distribution(
        Id=site.distribution_id, IfMatch=reply["ETag"], DistributionConfig=config
    )
    site.machine.step(1200)
    return aws_id


def adopted(machine: Machine, site: Site, aws_id: str) -> Run:
    endpoint, wanted = asked_for(site, aws_id)
    run = site.begin(endpoint, site.planned("adopt", endpoint, wanted))
    machine.finish(run)
    assert run.state == Run.State.DONE, run.failure
    run.endpoint.refresh_from_db()
    return run


def drift(machine: Machine, site: Site) -> list[str]:
    machine.step(60)
    made = reports.request_report(site.row, by="max", now=machine.now)
    reports.make_report(made.pk, clock=machine.clock)
    made.refresh_from_db()
    assert made.troubles == []
    return [str(one) for one in DriftFinding.objects.open()]


def rest(site: Site) -> dict[str, Any]:
    """The configuration without what is the endpoint's."""
    config = site.config()
    origins = [one for one in config.pop("Origins")["Items"] if one["Id"] != "chat-app"]
    entries = [
        one
        for one in config.pop("CacheBehaviors").get("Items", ())
        if one["TargetOriginId"] != "chat-app"
    ]
    return config | {"origins": origins, "entries": entries}


def test_what_was_made_by_hand_is_adopted_changed_and_removed(machine: Machine) -> None:
    site = machine.site(open_to_cloudfront=True)
    before = site.config()
    aws_id = by_hand(site)
    as_made, others = site.config(), rest(site)
    watch = Boundaries()
    with boundaries(watch):
        run = adopted(machine, site, aws_id)
    assert not [one for one in watch.passed if "before write" not in one and "Update" in one]
    assert {item["action"] for item in run.plan_data["items"]} == {KEEP}
    assert site.config() == as_made, "nothing was written"
    endpoint = run.endpoint
    assert (endpoint.state, endpoint.origin_id) == (Endpoint.State.DEPLOYED, "chat-app")
    assert VpcOrigin.objects.get(users=endpoint).aws_id == aws_id
    assert drift(machine, site) == []
    exported = export_endpoint(endpoint, Patience(20.0))
    assert exported.name == "live"
    other, wanted = endpoint_like(site, run)
    with pytest.raises(Unplannable, match="it is endpoint live"):
        site.planned("adopt", other, wanted)
    changed = site.change(run, read_timeout=45)
    kinds = {(i["resource"], i["action"]) for i in changed.plan_data["items"]}
    assert ("origin", "update") in kinds
    machine.finish(changed)
    assert changed.state == Run.State.DONE, changed.failure
    assert rest(site) == others
    (own,) = [one for one in site.config()["Origins"]["Items"] if one["Id"] == "chat-app"]
    assert own["VpcOriginConfig"]["OriginReadTimeout"] == 45
    policies = {
        one["PathPattern"]: one["ViewerProtocolPolicy"]
        for one in site.config()["CacheBehaviors"]["Items"]
    }
    assert policies["/live"] == policies["/live/*"] == "redirect-to-https"
    assert drift(machine, site) == []
    removal = site.remove(changed)
    gone = {(i["resource"], i["action"]) for i in removal.plan_data["items"]}
    assert gone == {
        ("behavior", "delete"),
        ("origin", "delete"),
        ("ingress-rule", "keep"),
        ("vpc-origin", "delete"),
    }
    machine.finish(removal)
    assert removal.state == Run.State.DONE, removal.failure
    assert site.vpc_origins() == []
    assert site.config() | {"CacheBehaviors": before["CacheBehaviors"]} == before
    assert rest(site) == others


def endpoint_like(site: Site, run: Run) -> tuple[Endpoint, EndpointSpec]:
    wanted = replace(run.spec, name="second")
    return (
        Endpoint.objects.create(
            account=site.row,
            owner="team",
            name="second",
            spec_data=wanted.to_dict(),
            created_at=site.machine.now,
            state=Endpoint.State.ABSENT,
        ),
        wanted,
    )


def test_another_target_gets_a_vpc_origin_of_the_portals_own(machine: Machine) -> None:
    """What the adopted one was used for besides stays, and so does it."""
    site = machine.site(open_to_cloudfront=True)
    aws_id = by_hand(site)
    second = site.account.create_distribution()["Distribution"]
    reply = site.account.cloudfront.get_distribution_config(Id=second["Id"])
    config = reply["DistributionConfig"]
    config["Origins"] = listed(*config["Origins"]["Items"], vpc_origin("other", aws_id))
    site.account.cloudfront.update_distribution(
        Id=second["Id"], IfMatch=reply["ETag"], DistributionConfig=config
    )
    machine.step(1200)
    run = adopted(machine, site, aws_id)
    removal = site.planned("remove", run.endpoint, run.spec)
    (kept,) = [one for one in removal["items"] if one["resource"] == "vpc-origin"]
    assert (kept["action"], kept["note"]) == (
        "keep",
        "It stays: 1 other distribution(s) use it.",
    )
    changed = site.change(run, https_port=8443)
    assert changed.spec.vpc_origin_id == ""
    machine.finish(changed)
    assert changed.state == Run.State.DONE, changed.failure
    names = {one["Name"] for one in site.vpc_origins()}
    assert len(names) == 2
    assert "by-hand" in names
    assert not VpcOrigin.objects.get(aws_id=aws_id).users.exists()
    assert drift(machine, site) == []


def test_an_adoption_stops_where_aws_has_changed_and_leaves_no_rows(machine: Machine) -> None:
    site = machine.site(open_to_cloudfront=True)
    aws_id = by_hand(site)
    endpoint, wanted = asked_for(site, aws_id)
    plan = site.planned("adopt", endpoint, wanted)
    reply = site.account.cloudfront.get_distribution_config(Id=site.distribution_id)
    entries = reply["DistributionConfig"]["CacheBehaviors"]["Items"]
    entries[1]["ViewerProtocolPolicy"] = "https-only"
    site.account.cloudfront.update_distribution(
        Id=site.distribution_id,
        IfMatch=reply["ETag"],
        DistributionConfig=reply["DistributionConfig"],
    )
    run = site.begin(endpoint, plan)
    machine.finish(run)
    assert (run.state, run.failure["code"]) == (Run.State.UNDONE, "plan_stale")
    assert run.entries.filter(kind=EntryKind.REFUSED).exists()
    endpoint.refresh_from_db()
    assert endpoint.state == Endpoint.State.ABSENT
    assert not VpcOrigin.objects.filter(users=endpoint).exists()


def test_headers_whose_values_nobody_gave_keep_an_origin_from_being_adopted(
    machine: Machine,
) -> None:
    site = machine.site(open_to_cloudfront=True)
    proof = listed({"HeaderName": "X-Origin-Proof", "HeaderValue": "by-hand"})
    aws_id = by_hand(site, CustomHeaders=proof)
    endpoint, wanted = asked_for(site, aws_id)
    with pytest.raises(Unplannable, match="sends the header X-Origin-Proof"):
        site.planned("adopt", endpoint, wanted)
    other = replace(wanted, origin_headers="X-Origin-Proof: another")
    with pytest.raises(Unplannable, match="another value of X-Origin-Proof"):
        site.planned("adopt", endpoint, other)
    same = replace(wanted, origin_headers="X-Origin-Proof: by-hand")
    plan = site.planned("adopt", endpoint, same)
    assert "by-hand" not in str([i for i in plan["items"] if i["resource"] == "origin"])
    Endpoint.objects.filter(pk=endpoint.pk).update(spec_data=same.to_dict())
    run = site.begin(endpoint, plan)
    machine.finish(run)
    assert run.state == Run.State.DONE
    assert drift(machine, site) == []
