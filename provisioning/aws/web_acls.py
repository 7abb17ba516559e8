"""The web ACL of a distribution. It reads only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from provisioning.aws.errors import AwsError, calling
from provisioning.aws.session import Aws
from provisioning.facts.web_acl import WebAcl, WebAclRule

_ARN = re.compile(r"arn:[\w-]+:wafv2:([\w-]+):\d{12}:global/webacl/([^/]+)/([^/]+)")


def read(aws: Aws, web_acl_id: str) -> WebAcl | None:
    """The web ACL with its rules; None if there is none. One of AWS WAF Classic, whose id is no
    ARN, has no path rules that could be read.
    """
    found = _ARN.fullmatch(web_acl_id)
    if found is None:
        raise AwsError(
            "GetWebACL",
            "Classic",
            f"{web_acl_id} is a web ACL of AWS WAF Classic.",
            transient=False,
        )
    region, name, acl_id = found.groups()
    try:
        with calling("GetWebACL"):
            answer = aws.waf_read(region).get_web_acl(Name=name, Scope="CLOUDFRONT", Id=acl_id)
    except AwsError as error:
        if error.is_absent:
            return None
        raise
    acl: Any = answer["WebACL"]
    rules = sorted(acl.get("Rules", ()), key=lambda one: int(one["Priority"]))
    return WebAcl(
        web_acl_id,
        name,
        next(iter(acl["DefaultAction"]), "Allow"),
        tuple(WebAclRule(one["Name"], _action(one), one["Statement"]) for one in rules),
    )


def _action(rule: Mapping[str, Any]) -> str:
    """What the rule does: of a rule group, Count if all of it only counts, else what it says."""
    if action := rule.get("Action"):
        return str(next(iter(action), ""))
    return "Count" if "Count" in rule.get("OverrideAction", {}) else "rule group"
