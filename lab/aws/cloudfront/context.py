"""What every operation works with: caller, time, entities, ETags, pages of a list."""

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
"""AWS does not document the length of an ETag: anything that looks like one counts as stale."""


@dataclass(frozen=True)
class Context:
    """One call. `now` is lab time, which ends deployments; `real_time` is what AWS's replies
    show. `edges_at` is the lab time up to which the edge knows everything. `change_account` makes a
    named, journaled change in the rest of the account (MotoBackend.change).
    """

    change_account: Callable[[str, dict[str, Any]], dict[str, Any]]
    store: CloudFrontStore
    quotas: Mapping[str, int]
    account: str
    now: float
    real_time: float
    edges_at: float


# One entry of a module's OPERATIONS.
Operation: TypeAlias = Callable[[Context, Call], Values]


def new_id(prefix: str, length: int, alphabet: str = _CAPITALS) -> str:
    """A random id in CloudFront's style."""
    return prefix + "".join(secrets.choice(alphabet) for _ in range(length))


def new_etag() -> str:
    """A new ETag."""
    return new_id("E", 13)


def check_if_match(given: str | None, current: str) -> None:
    """Refuse a write that is not based on the current ETag.

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
    """One page of a list, ordered by id; a marker is the last id of the previous page.

    :raises CloudFrontError: InvalidArgument if MaxItems is not a positive number.
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
    """The same page without Marker and IsTruncated, which policy lists lack."""
    return {name: value for name, value in listed.items() if name not in ("Marker", "IsTruncated")}
