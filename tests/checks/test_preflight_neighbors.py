"""What others do to an endpoint: origins that CloudFront refuses, multi-tenant distributions,
targets that were replaced, and controllers that take a security group's rule away.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from checks.preflight import Level, PreflightResult
from provisioning.facts.distribution import DistributionFacts, Origin
from provisioning.facts.group_managers import GroupManager, Tool, manager_of
from provisioning.facts.names import OWNER_TAG, origin_id
from provisioning.facts.snapshot import Gap, Snapshot
from provisioning.plan.items import Unplannable
from provisioning.plan.path_ownership import PathClaim, PathRights
from provisioning.plan.planner import make_plan
from tests.checks.test_preflight import ingress, judged, seen
from tests.provisioning.examples import (
    DISTRIBUTION,
    KEY,
    OWNER,
    TARGET,
    TARGET_FACTS,
    behavior,
    snapshot,
    spec,
)

PARTNER = Origin("partner-api", "partner.internal", "vo_theirs", owner_account="444455556666")


def on(distribution: DistributionFacts, **facts: Any) -> Snapshot:
    return replace(seen(), distribution=distribution, **facts)


def one(found: dict[str, list[PreflightResult]], code: str) -> PreflightResult:
    (result,) = found[code]
    return result


# --- origins that CloudFront refuses


def with_partner(origin: Origin = PARTNER, **facts: Any) -> Snapshot:
    shared = replace(
        DISTRIBUTION,
        origins=(*DISTRIBUTION.origins, origin),
        behaviors=(behavior("/partner/*", origin.id),),
    )
    return on(shared, **facts)


@pytest.mark.parametrize(
    ("origin", "named"),
    [
        (PARTNER, ("/partner/*", "444455556666", "vo_theirs", "no longer shared")),
        (replace(PARTNER, owner_account=""), ("/partner/*", "vo_theirs", "no longer exists")),
        (replace(PARTNER, id="spare"), ("/partner/*", "spare")),
    ],
)
def test_an_origin_that_keeps_every_update_out_is_named_before_approval(
    origin: Origin, named: tuple[str, ...]
) -> None:
    result = one(judged({}, with_partner(origin, unusable_origins=(origin.id,))), "PF-OTHER-ORIGIN")
    assert result.level is Level.BLOCK
    for word in named:
        assert word in result.seen
    assert result.fix is not None
    assert "again" not in result.fix.console or "share" in result.fix.console
    assert "Start" not in result.fix.console


def test_a_shared_origin_in_use_is_no_obstacle_and_what_was_not_read_is_not_known() -> None:
    assert one(judged({}, with_partner()), "PF-OTHER-ORIGIN").level is Level.PASS
    gap = Gap("unusable_origins", "GetVpcOrigin: refused (AccessDenied).")
    result = one(judged({}, with_partner(gaps=(gap,))), "PF-OTHER-ORIGIN")
    assert result.level is Level.UNKNOWN


def test_ones_own_origin_is_not_somebody_elses() -> None:
    ours = replace(PARTNER, id=origin_id(OWNER, KEY), owner_account="")
    found = judged({}, with_partner(ours, unusable_origins=(ours.id,)), origin_id=ours.id)
    assert one(found, "PF-OTHER-ORIGIN").level is Level.PASS


def test_an_approval_covers_that_the_other_origins_were_fine() -> None:
    def digest(**facts: Any) -> str:
        return make_plan(
            spec(), snapshot(**facts), endpoint_key=KEY, owner=OWNER, rights=PathRights("team")
        ).digest

    assert digest() != digest(unusable_origins=("partner-api",))
    assert digest() != digest(distribution={"connection_mode": "tenant-only"})


# --- multi-tenant distributions


def test_a_multi_tenant_distribution_is_refused_with_its_reason() -> None:
    result = one(
        judged({}, on(replace(DISTRIBUTION, connection_mode="tenant-only"))), "PF-DISTRIBUTION"
    )
    assert result.level is Level.BLOCK
    assert "multi-tenant" in result.seen
    assert "no address of its own" in result.why
    for mode in ("direct", ""):
        fine = one(judged({}, on(replace(DISTRIBUTION, connection_mode=mode))), "PF-DISTRIBUTION")
        assert fine.level is Level.PASS


# --- targets that were replaced


@pytest.mark.parametrize(
    ("kind", "state", "offered", "words"),
    [
        ("instance", "stopped", "start-instances", "Start instance"),
        ("instance", "stopping", "start-instances", "When it has stopped"),
        ("instance", "terminated", "describe-instances", "cannot be started again"),
        ("instance", "shutting-down", "describe-instances", "cannot be started again"),
        ("instance", "pending", "instance-running", "Wait until"),
        ("application", "provisioning", "load-balancer-available", "Wait until"),
        ("network", "failed", "describe-load-balancers", "created again"),
    ],
)
def test_a_target_that_is_not_active_gets_the_advice_of_its_state(
    kind: str, state: str, offered: str, words: str
) -> None:
    result = one(judged({}, seen({"kind": kind, "state": state})), "PF-STATE")
    assert result.fix is not None
    assert offered in result.fix.cli
    assert words in result.fix.console
    assert ("start-instances" in result.fix.cli) == (offered == "start-instances")


def test_a_load_balancer_that_was_created_again_is_recognized_by_its_name() -> None:
    again = TARGET.replace("50dc6c495c0c9188", "1111111111111111")
    gone = replace(seen(), target=None, target_successor=again)
    result = one(judged({}, gone), "PF-TARGET")
    assert result.level is Level.BLOCK
    assert again in result.seen
    assert "created again" in result.why
    with pytest.raises(Unplannable) as refused:
        make_plan(spec(), gone, endpoint_key=KEY, owner=OWNER, rights=PathRights("team"))
    assert again in str(refused.value)
    for arn, word in ((TARGET, "deleted"), (INSTANCE, "terminated")):
        absent = one(judged({"target_arn": arn}, replace(seen(), target=None)), "PF-TARGET")
        assert word in absent.why
        assert "created again" not in absent.why


INSTANCE = "arn:aws:ec2:us-east-1:111122223333:instance/i-0123456789abcdef0"


@pytest.mark.parametrize(
    ("claims", "words", "never"),
    [
        ((), "ask the distribution's owner", "your team"),
        (
            (PathClaim("/ws/chat", "team", "old-chat", "web"),),
            "your team's own endpoint old-chat",
            "ask",
        ),
        (
            (PathClaim("/ws/chat", "sales", "crm", "web"),),
            "endpoint crm of team sales",
            "your team",
        ),
    ],
)
def test_whose_a_taken_path_is_decides_whom_to_ask(
    claims: tuple[PathClaim, ...], words: str, never: str
) -> None:
    taken = replace(DISTRIBUTION, behaviors=(behavior("/ws/chat"),))
    rights = PathRights("team", claims)
    found = judged({"path_patterns": ["/ws/chat"]}, on(taken), rights=rights)
    fix = one(found, "PF-PATH-TAKEN").fix
    with pytest.raises(Unplannable) as refused:
        make_plan(spec(), on(taken), endpoint_key=KEY, owner=OWNER, rights=rights)
    assert fix is not None
    for text in (fix.console, str(refused.value)):
        assert words in text
        assert never not in text


# --- controllers


CLUSTER = {"elbv2.k8s.aws/cluster": "prod"}
TAGS: list[tuple[dict[str, str], Tool | None, str]] = [
    (CLUSTER, Tool.LOAD_BALANCER_CONTROLLER, "prod"),
    (CLUSTER | {"ingress.k8s.aws/stack": "web/chat"}, Tool.INGRESS, "web/chat in prod"),
    ({"ingress.k8s.aws/resource": "ManagedLBSecurityGroup"}, Tool.INGRESS, "ManagedLB"),
    (CLUSTER | {"service.k8s.aws/stack": "web/nlb"}, Tool.SERVICE, "web/nlb in prod"),
    ({"kubernetes.io/cluster/prod": "owned"}, Tool.CLOUD_PROVIDER, "prod"),
    ({"kubernetes.io/cluster/prod": "shared"}, None, ""),
    ({"aws:cloudformation:stack-name": "chat-net"}, Tool.CLOUDFORMATION, "chat-net"),
    ({"ManagedBy": "Terraform"}, Tool.TERRAFORM, ""),
    ({"terraform": "true"}, Tool.TERRAFORM, ""),
    ({"ManagedBy": "hand"}, None, ""),
    ({"Name": "terraform-state"}, None, ""),
    ({}, None, ""),
]


@pytest.mark.parametrize(("tags", "tool", "name"), TAGS)
def test_a_groups_tags_tell_who_manages_it(
    tags: dict[str, str], tool: Tool | None, name: str
) -> None:
    found = manager_of(tags)
    assert (found.tool if found else None) is tool
    assert found is None or name in found.name


def test_of_several_tools_the_one_that_compares_most_often_counts() -> None:
    both = {"aws:cloudformation:stack-name": "eks", "ingress.k8s.aws/stack": "web/chat"}
    assert manager_of(both) == GroupManager(Tool.INGRESS, "web/chat", "ingress.k8s.aws/stack")


def managed(tags: dict[str, str], **target: Any) -> PreflightResult:
    group = TARGET_FACTS.security_groups[0]
    facts = {"ingress": (), "group_tags": ((group, tuple(tags.items())),)} | target
    return one(judged({}, seen(facts)), "PF-GROUP-MANAGED")


@pytest.mark.parametrize(
    ("tags", "annotation"),
    [
        (
            CLUSTER | {"ingress.k8s.aws/stack": "web/chat"},
            "alb.ingress.kubernetes.io/security-groups",
        ),
        (
            {"service.k8s.aws/stack": "web/nlb"},
            "service.beta.kubernetes.io/aws-load-balancer-security-groups",
        ),
        (CLUSTER, "alb.ingress.kubernetes.io/security-groups"),
    ],
)
def test_a_controllers_group_is_warned_of_with_the_annotation_that_lets_the_rule_stay(
    tags: dict[str, str], annotation: str
) -> None:
    result = managed(tags)
    assert result.level is Level.WARN
    assert "removes those" in result.why
    assert result.fix is not None
    assert annotation in result.fix.console


def test_a_tool_that_only_compares_when_someone_deploys_is_warned_of_as_that() -> None:
    for tags, where in (
        ({"aws:cloudformation:stack-name": "net"}, "AWS::EC2::SecurityGroupIngress"),
        ({"managed-by": "terraform"}, "ingress blocks"),
    ):
        result = managed(tags)
        assert result.level is Level.WARN
        assert "next deployment" in result.why
        assert result.fix is not None
        assert where in result.fix.console


def test_a_rule_that_the_controller_made_itself_is_no_concern() -> None:
    by_controller = ingress("prefix-list", "pl-1")
    assert managed(CLUSTER, ingress=(by_controller,)).level is Level.PASS
    by_portal = replace(ingress("group", "sg-service"), owner=OWNER)
    assert managed(CLUSTER, ingress=(by_portal,)).level is Level.WARN
    assert managed({"Name": "chat", OWNER_TAG: "x"}).level is Level.PASS


def test_tags_that_were_not_read_are_not_known() -> None:
    assert one(judged({}, seen({"group_tags": None})), "PF-GROUP-MANAGED").level is Level.UNKNOWN
