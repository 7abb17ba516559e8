"""Custom origin request policies: what one passes on to the origin.

It reads only; managed policies have the same id everywhere and need no call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from provisioning.aws.errors import AwsError, calling
from provisioning.aws.session import Aws
from provisioning.facts.forwarding import Forwarding, Selection


def read(aws: Aws, policy_id: str) -> Forwarding | None:
    """What the policy passes on; None when there is no such policy."""
    try:
        with calling("GetOriginRequestPolicy"):
            answer = aws.cloudfront_read.get_origin_request_policy(Id=policy_id)
    except AwsError as error:
        if error.is_absent:
            return None
        raise
    config = cast("Any", answer)["OriginRequestPolicy"]["OriginRequestPolicyConfig"]
    headers, cookies, strings = (
        config["HeadersConfig"],
        config["CookiesConfig"],
        config["QueryStringsConfig"],
    )
    listed = Selection(
        str(headers["HeaderBehavior"]),
        frozenset(name.lower() for name in _names(headers, "Headers")),
    )
    return Forwarding(
        listed,
        Selection(str(cookies["CookieBehavior"]), _names(cookies, "Cookies")),
        Selection(str(strings["QueryStringBehavior"]), _names(strings, "QueryStrings")),
    )


def _names(part: Mapping[str, Any], key: str) -> frozenset[str]:
    """AWS leaves Items out when there are none."""
    return frozenset(str(name) for name in (part.get(key) or {}).get("Items") or ())
