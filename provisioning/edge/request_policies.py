"""Custom origin request policies: which headers one lets through.

It reads only; managed policies have the same id everywhere and need no call.
"""

from __future__ import annotations

from typing import Any, cast

from provisioning.edge.errors import EdgeError, calling
from provisioning.edge.session import Aws


def headers_of(aws: Aws, policy_id: str) -> tuple[str, frozenset[str]] | None:
    """AWS's behavior word (none, whitelist, allViewer, …) and the header names in lower case; None when there is no
    such policy.
    """
    try:
        with calling("GetOriginRequestPolicy"):
            answer = aws.cloudfront_read.get_origin_request_policy(Id=policy_id)
    except EdgeError as error:
        if error.is_absent:
            return None
        raise
    headers = cast("Any", answer)["OriginRequestPolicy"]["OriginRequestPolicyConfig"]["HeadersConfig"]
    names = (headers.get("Headers") or {}).get("Items") or ()
    return str(headers["HeaderBehavior"]), frozenset(str(name).lower() for name in names)
