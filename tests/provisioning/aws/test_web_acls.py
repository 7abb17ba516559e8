"""The web ACL of a distribution, as the portal's role reads it."""

from __future__ import annotations

from typing import Any

import pytest

from provisioning.aws import web_acls
from provisioning.aws.errors import AwsError
from provisioning.aws.session import Aws
from provisioning.aws.snapshot import take_snapshot
from tests.lab.account import Account
from tests.provisioning.aws.test_preflight_seen import OWNER, POLICY, give_role

VISIBLE = {
    "SampledRequestsEnabled": False,
    "CloudWatchMetricsEnabled": False,
    "MetricName": "m",
}


def rule(name: str, priority: int, **more: Any) -> dict[str, Any]:
    statement = {
        "ByteMatchStatement": {
            "SearchString": b"/admin",
            "FieldToMatch": {"UriPath": {}},
            "PositionalConstraint": "STARTS_WITH",
            "TextTransformations": [{"Priority": 0, "Type": "NONE"}],
        }
    }
    given = {"Statement": statement, "Action": {"Block": {}}} | more
    return {"Name": name, "Priority": priority, "VisibilityConfig": VISIBLE, **given}


def test_rules_come_in_their_order_and_what_may_not_be_read_is_a_gap(
    account: Account, aws: Aws
) -> None:
    core = {"VendorName": "AWS", "Name": "AWSManagedRulesCommonRuleSet"}
    group = {
        "Name": "first",
        "Priority": 1,
        "VisibilityConfig": VISIBLE,
        "Statement": {"ManagedRuleGroupStatement": core},
        "OverrideAction": {"None": {}},
    }
    made = account.client("wafv2").create_web_acl(
        Name="shield",
        Scope="CLOUDFRONT",
        DefaultAction={"Allow": {}},
        VisibilityConfig=VISIBLE,
        Rules=[rule("second", 5), group],
    )["Summary"]
    distribution = account.create_distribution(WebACLId=made["ARN"])["Distribution"]["Id"]
    give_role(account)

    def seen() -> Any:
        return take_snapshot(aws, target_arn="", distribution_id=distribution, owner=OWNER)

    acl = seen().web_acl
    assert (acl.name, acl.default_action) == ("shield", "Allow")
    assert [(one.name, one.action) for one in acl.rules] == [
        ("first", "rule group"),
        ("second", "Block"),
    ]
    assert [(one.name, str(applies)) for one, applies in acl.rules_by_path("/ws/*")] == [
        ("second", "none")
    ]
    give_role(account, [one for one in POLICY["Statement"] if one["Sid"] != "LookAtWebAcls"])
    (gap,) = seen().gaps
    assert (gap.what, "wafv2:GetWebACL" in gap.reason) == ("web_acl", True)


def test_a_web_acl_of_waf_classic_is_not_known(aws: Aws) -> None:
    with pytest.raises(AwsError, match="AWS WAF Classic"):
        web_acls.read(aws, "473e64fd-f30b-4765-81a0-62ad96dd167a")
