"""What an operation works with: the caller, the moment, the entities, and the few rules all
operations share.
"""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from lab.aws.cloudfront.entities.store import CloudFrontStore
from lab.aws.cloudfront.protocol.errors import CloudFrontError, invalid
from lab.aws.cloudfront.protocol.rest_xml import Call, Values

Item = TypeVar("Item")

_CAPITALS = string.ascii_uppercase + string.digits
_ETAG = re.compile(r"E[A-Z0-9]{2,31}")
"""AWS does not say how long a version may be: what looks like one and is not the current one counts
as stale.
"""


@dataclass(frozen=True)
class Context:
    """One call. `now` is lab time, which ends deployments; `wall` is real time, which AWS's replies
    show. `edges_at` is the lab time up to which the edge knows everything. `change_account` makes a
    named, journaled change in the rest of the account (MotoBackend.change).
    """

    change_account: Callable[[str, dict[str, Any]], dict[str, Any]]
    store: CloudFrontStore
    quotas: Mapping[str, int]
    account: str
    now: float
    wall: float
    edges_at: float


# One entry of a module's OPERATIONS: what an operation of that name does.
Operation: TypeAlias = Callable[[Context, Call], Values]


def new_id(prefix: str, length: int, alphabet: str = _CAPITALS) -> str:
    """A random id in CloudFront's style."""
    return prefix + "".join(secrets.choice(alphabet) for _ in range(length))


def new_etag() -> str:
    """A fresh version of an entity."""
    return new_id("E", 13)


def check_if_match(given: str | None, current: str) -> None:
    """Refuse a write that is not based on the current version.

    :raises CloudFrontError: InvalidIfMatchVersion (missing or malformed), PreconditionFailed
    (stale).
    """
    if given is None or not _ETAG.fullmatch(given):
        raise CloudFrontError(
            "InvalidIfMatchVersion",
            "The If-Match version is missing or not valid for the resource.",
        )
    if given != current:
        raise CloudFrontError(
            "PreconditionFailed",
            "The request failed because it didn't meet the preconditions in one or more "
            "request-header fields.",
        )


def page(
    context: Context,
    entities: Iterable[Item],
    parameters: Values,
    identify: Callable[[Item], str],
    show: Callable[[Item], Any],
) -> Values:
    """One page of a list, ordered by id; a marker is the last id of the page before.

    :raises CloudFrontError: InvalidArgument for a MaxItems that is no positive number.
    """
    marker = str(parameters.get("Marker", ""))
    limit = context.quotas["page_size"]
    text = str(parameters.get("MaxItems", limit)).strip()
    if not (text.isascii() and text.isdecimal()) or len(text) > 9 or int(text) < 1:
        raise invalid(f"The value {text!r} of MaxItems is not valid.")
    size = min(int(text), limit)
    rest = sorted((entity for entity in entities if identify(entity) > marker), key=identify)
    shown = rest[:size]
    truncated = len(rest) > size
    listed: Values = {
        "Marker": marker,
        "MaxItems": size,
        "IsTruncated": truncated,
        "Quantity": len(shown),
    }
    if truncated:
        listed["NextMarker"] = identify(shown[-1])
    if shown:
        listed["Items"] = [show(entity) for entity in shown]
    return listed


def policy_page(listed: Values) -> Values:
    """The same page for the policy lists, whose shape has neither Marker nor IsTruncated."""
    return {name: value for name, value in listed.items() if name not in ("Marker", "IsTruncated")}
