"""Web ACLs of scope CLOUDFRONT in an account's AWS WAF."""

from __future__ import annotations

import re

from moto.wafv2.exceptions import WAFNonexistentItemException
from moto.wafv2.models import wafv2_backends

from lab.firewall_statements import not_imitated

_WEB_ACL_ARN = re.compile(r"arn:aws:wafv2:us-east-1:(\d{12}):global/webacl/[\w-]+/[\w-]+")


def statements_not_imitated(account: str, web_acl_id: str) -> list[str]:
    """What in a web ACL's rules nothing in the lab evaluates, sorted."""
    acl = wafv2_backends[account]["global"].get_web_acl(web_acl_id, None, None)
    return sorted({name for rule in acl.rules for name in not_imitated(rule.statement)})


def has_web_acl(account: str, web_acl_id: str) -> bool:
    """True if the account has a web ACL of scope CLOUDFRONT with that ARN. Ids of AWS WAF Classic
    are unknown.
    """
    found = _WEB_ACL_ARN.fullmatch(web_acl_id)
    if found is None or found.group(1) != account:
        return False
    try:
        wafv2_backends[account]["global"].get_web_acl(web_acl_id, None, None)
    except WAFNonexistentItemException:
        return False
    return True
