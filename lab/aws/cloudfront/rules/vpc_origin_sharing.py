"""Who may use a VPC origin: its owner, and accounts that AWS RAM or a resource policy allows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from lab.aws.cloudfront.context import Context
from lab.aws.cloudfront.entities.lifecycle import VpcOrigin
from lab.aws.moto_patches.resource_shares import shared_with

_ACCOUNT = re.compile(r"(?:arn:aws:iam::)?(\d{12})(?::root)?")


def may_use(context: Context, origin: VpcOrigin) -> bool:
    """True for the owner, and for accounts that the VPC origin is shared with."""
    if origin.account == context.account or shared_with(
        origin.arn, origin.account, context.account
    ):
        return True
    policy = context.store.resource_policies.get(origin.arn)
    return policy is not None and context.account in _allowed_accounts(policy.document)


def _allowed_accounts(document: str) -> set[str]:
    return {
        found.group(1)
        for text in _allowed_principals(document)
        if (found := _ACCOUNT.fullmatch(text))
    }


def _allowed_principals(document: str) -> Iterator[str]:
    for statement in listed(json.loads(document)["Statement"]):
        principal = statement.get("Principal")
        if statement["Effect"] == "Allow" and isinstance(principal, dict):
            yield from (text for text in listed(principal.get("AWS")) if isinstance(text, str))


def listed(value: Any) -> list[Any]:
    """A JSON value that AWS allows to be one item or a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
