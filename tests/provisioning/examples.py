"""Example values that several tests of provisioning share: a spec, a target, a distribution, a
snapshot.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from provisioning.facts.distribution import Behavior, DistributionFacts, Origin
from provisioning.facts.load_balancer import Listener
from provisioning.facts.names import Arn, DistributionId, SecurityGroupId
from provisioning.facts.network import SecurityGroupRule
from provisioning.facts.snapshot import Snapshot
from provisioning.facts.target import TargetFacts
from provisioning.plan.path_ownership import PathRights
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.parsing import complete_answers, parse_spec

ACCOUNT = "111122223333"
OWNER = "edge-portal"
RIGHTS = PathRights("chat")
KEY = "0123456789ab"
TARGET = Arn(
    f"arn:aws:elasticloadbalancing:us-east-1:{ACCOUNT}:loadbalancer/app/int-chat/50dc6c495c0c9188"
)

ANSWERS: dict[str, Any] = {
    "name": "team-chat",
    "account_id": ACCOUNT,
    "distribution_id": "E1A2B3C4D5E6F7",
    "target_arn": TARGET,
    "path_patterns": ["/ws/chat", "/ws/chat/*"],
}


def spec(**changes: Any) -> EndpointSpec:
    """A valid spec with some fields changed."""
    return parse_spec(complete_answers(ANSWERS | changes))


def rule(
    source_kind: str = "prefix-list", source: str = "pl-1", port: int = 80
) -> SecurityGroupRule:
    """An ingress rule for one TCP port."""
    return SecurityGroupRule(
        SecurityGroupId("sg-1"), "sgr-1", "tcp", port, port, source_kind, source
    )


TARGET_FACTS = TargetFacts(
    arn=TARGET,
    kind="application",
    name="int-chat",
    dns_name="internal-int-chat-1.us-east-1.elb.amazonaws.com",
    scheme="internal",
    state="active",
    vpc_id="vpc-1",
    security_groups=(SecurityGroupId("sg-1"),),
    listeners=(Listener(80, "HTTP", "forward"),),
    ingress=(rule(),),
    origin_facing_prefix_list="pl-1",
    service_group_id="sg-service",
)


def behavior(pattern: str, origin: str = "web") -> Behavior:
    """Somebody else's behavior."""
    return Behavior(pattern, origin, "redirect-to-https", "cache", "", "GET,HEAD")


DISTRIBUTION = DistributionFacts(
    id=DistributionId("E1A2B3C4D5E6F7"),
    domain_name="d111111abcdef8.cloudfront.net",
    enabled=True,
    status="Deployed",
    comment="Chat front door",
    aliases=(),
    behaviors=(),
    default_behavior=behavior("*"),
    origins=(Origin("web", "web.example.com", ""),),
)

SNAPSHOT = Snapshot(target=TARGET_FACTS, distribution=DISTRIBUTION)


def snapshot(
    target: dict[str, Any] | None = None, distribution: dict[str, Any] | None = None, **changes: Any
) -> Snapshot:
    """The snapshot with some facts changed."""
    return replace(
        SNAPSHOT,
        target=replace(TARGET_FACTS, **(target or {})),
        distribution=replace(DISTRIBUTION, **(distribution or {})),
        **changes,
    )
