"""VPC origins of an account: list, read, create, delete, and whose they are.

It decides nothing: a create is sent once, and only `provisioning.steps.vpc_origin` sends it, after
it has looked. It never updates a VPC origin, because AWS refuses that while a distribution uses it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from provisioning.aws.errors import AwsError, calling
from provisioning.aws.session import Aws
from provisioning.aws.tags import of_resource as tags_of
from provisioning.facts.distribution import Origin
from provisioning.facts.names import OWNER_TAG, Arn, VpcOriginId
from provisioning.facts.snapshot import VpcOriginFacts

DEPLOYED, DEPLOYING = "Deployed", "Deploying"


@dataclass(frozen=True)
class VpcOriginRecord:
    """A VPC origin as AWS answered: its facts, the ETag that a delete needs, and its
    VpcOriginEndpointConfig.
    """

    facts: VpcOriginFacts
    etag: str
    config: Mapping[str, Any]


def arn(account_id: str, vpc_origin_id: str) -> Arn:
    """The ARN that tags hang on."""
    return Arn(f"arn:aws:cloudfront::{account_id}:vpcorigin/{vpc_origin_id}")


def list_all(aws: Aws) -> tuple[VpcOriginFacts, ...]:
    """Every VPC origin of the account; `ours` is not known (None)."""
    return tuple(_facts(item, item["OriginEndpointArn"]) for item in _summaries(aws))


def find(aws: Aws, name: str) -> VpcOriginFacts | None:
    """The VPC origin of this name; names are unique in an account. `ours` is not known (None)."""
    return next((origin for origin in list_all(aws) if origin.name == name), None)


def read(aws: Aws, vpc_origin_id: str) -> VpcOriginRecord | None:
    """The VPC origin, or None when it does not exist (any more)."""
    try:
        with calling("GetVpcOrigin"):
            answer = aws.cloudfront_read.get_vpc_origin(Id=vpc_origin_id)
    except AwsError as error:
        if error.is_absent:
            return None
        raise
    return _record(cast("Mapping[str, Any]", answer))


def unusable(
    aws: Aws, origins: Iterable[Origin], own: Iterable[str] | None = None
) -> tuple[Origin, ...]:
    """Those of a distribution's origins whose VPC origin does not exist or is no longer shared with
    the account. `own` are the IDs of the account's VPC origins, if they are known already.
    """
    known = {one.id for one in list_all(aws)} if own is None else set(own)
    asked = [one for one in origins if one.vpc_origin_id and one.vpc_origin_id not in known]
    return tuple(one for one in asked if read(aws, one.vpc_origin_id) is None)


def owner_of(aws: Aws, vpc_origin_arn: str) -> str:
    """The value of the owner tag; empty when there is none, or when the VPC origin is gone."""
    return tags_of(aws, vpc_origin_arn).get(OWNER_TAG, "")


def distributions_of(aws: Aws, vpc_origin_id: str) -> int:
    """How many distributions use it."""
    count, marker = 0, ""
    while True:
        with calling("ListDistributionsByVpcOriginId"):
            found = aws.cloudfront_read.list_distributions_by_vpc_origin_id(
                VpcOriginId=vpc_origin_id, **({"Marker": marker} if marker else {})
            )["DistributionIdList"]
        count += len(found.get("Items", ()))
        following = found.get("NextMarker", "")
        if not found["IsTruncated"] or not following or following == marker:
            return count
        marker = following


def create(aws: Aws, config: Mapping[str, Any], tags: Mapping[str, str]) -> VpcOriginRecord:
    """Send one CreateVpcOrigin. When it raises without an answer, the VPC origin may exist
    nevertheless.
    """
    items = [{"Key": key, "Value": value} for key, value in tags.items()]
    with calling("CreateVpcOrigin"):
        answer = aws.cloudfront_write.create_vpc_origin(
            VpcOriginEndpointConfig=cast("Any", dict(config)), Tags=cast("Any", {"Items": items})
        )
    return _record(cast("Mapping[str, Any]", answer))


def delete(aws: Aws, vpc_origin_id: str, etag: str) -> None:
    """Send one DeleteVpcOrigin; AWS goes on for minutes. That it is gone already is success."""
    try:
        with calling("DeleteVpcOrigin"):
            aws.cloudfront_write.delete_vpc_origin(Id=vpc_origin_id, IfMatch=etag)
    except AwsError as error:
        if not error.is_absent:
            raise


def _summaries(aws: Aws) -> Iterator[Mapping[str, Any]]:
    """botocore has no paginator for this list."""
    marker = ""
    while True:
        with calling("ListVpcOrigins"):
            page = aws.cloudfront_read.list_vpc_origins(**({"Marker": marker} if marker else {}))[
                "VpcOriginList"
            ]
        yield from cast("Any", page.get("Items", ()))
        following = page.get("NextMarker", "")
        if not page["IsTruncated"] or not following or following == marker:
            return
        marker = following


def _record(answer: Mapping[str, Any]) -> VpcOriginRecord:
    found = answer["VpcOrigin"]
    config = found["VpcOriginEndpointConfig"]
    return VpcOriginRecord(
        _facts(found | {"Name": config["Name"]}, config["Arn"]), answer.get("ETag", ""), config
    )


def _facts(found: Mapping[str, Any], target_arn: str) -> VpcOriginFacts:
    return VpcOriginFacts(VpcOriginId(found["Id"]), found["Name"], Arn(target_arn), found["Status"])
