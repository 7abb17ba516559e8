"""Tags of distributions and VPC origins."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from lab.aws.cloudfront.context import Context, Operation
from lab.aws.cloudfront.entities.lifecycle import Distribution, VpcOrigin
from lab.aws.cloudfront.protocol.errors import CloudFrontError, invalid
from lab.aws.cloudfront.protocol.rest_xml import Call, Values

MAX_TAGS = 50
_TEXT = re.compile(r"[\w\s.:/=+\-@]*")
_ARN = re.compile(r"arn:aws:cloudfront::(\d{12}):(distribution|vpcorigin)/([^/]+)")


def tag_resource(context: Context, call: Call) -> Values:
    """TagResource: add or replace tags."""
    entity = _resource(context, call.parameters["Resource"])
    _save(context, entity, merged(entity.tags, call.parameters["Tags"]))
    return {}


def untag_resource(context: Context, call: Call) -> Values:
    """UntagResource: remove tags; unknown keys are ignored."""
    entity = _resource(context, call.parameters["Resource"])
    keys = set(call.parameters["TagKeys"].get("Items", []))
    _save(context, entity, {key: value for key, value in entity.tags.items() if key not in keys})
    return {}


def list_tags_for_resource(context: Context, call: Call) -> Values:
    """ListTagsForResource."""
    entity = _resource(context, call.parameters["Resource"])
    return {
        "Tags": {
            "Items": [{"Key": key, "Value": value} for key, value in sorted(entity.tags.items())]
        }
    }


def merged(old: dict[str, str], given: Values) -> dict[str, str]:
    """Old tags with the given ones, which replace old ones.

    :raises CloudFrontError: InvalidTagging.
    """
    new: dict[str, str] = {}
    for tag in given.get("Items", []):
        key, value = tag["Key"], tag.get("Value", "")
        if not 1 <= len(key) <= 128 or not _TEXT.fullmatch(key) or key.lower().startswith("aws:"):
            raise CloudFrontError("InvalidTagging", f"The tag key {key!r} is not valid.")
        if len(value) > 256 or not _TEXT.fullmatch(value):
            raise CloudFrontError("InvalidTagging", f"The value of the tag {key!r} is not valid.")
        if key in new:
            raise CloudFrontError("InvalidTagging", f"The tag key {key!r} is given twice.")
        new[key] = value
    both = {**old, **new}
    if len(both) > MAX_TAGS:
        raise CloudFrontError("InvalidTagging", f"A resource can have at most {MAX_TAGS} tags.")
    return both


def _resource(context: Context, arn: str) -> Distribution | VpcOrigin:
    found = _ARN.fullmatch(arn)
    if found is None:
        raise invalid(f"Invalid ARN: {arn}")
    account, kind, entity_id = found.groups()
    entity: Distribution | VpcOrigin | None
    if kind == "distribution":
        entity = context.store.distributions.get(entity_id)
    else:
        entity = context.store.vpc_origins.get(entity_id)
    if account != context.account or entity is None or entity.account != context.account:
        raise CloudFrontError(
            "NoSuchResource", f"A resource that was specified is not valid: {arn}"
        )
    return entity


def _save(context: Context, entity: Distribution | VpcOrigin, tags: dict[str, str]) -> None:
    if isinstance(entity, Distribution):
        context.store.put_distribution(dataclasses.replace(entity, tags=tags))
    else:
        context.store.vpc_origins.put(dataclasses.replace(entity, tags=tags))


OPERATIONS: Mapping[str, Operation] = {
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
    "ListTagsForResource": list_tags_for_resource,
}
