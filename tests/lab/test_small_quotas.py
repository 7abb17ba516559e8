"""Quotas that would take hundreds of calls to reach: the service without a process, with quotas of two."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from moto.wafv2.models import wafv2_backends

from lab.aws.cloudfront.service import CloudFront
from lab.aws.database import LabDatabase
from lab.aws.moto_world import MotoWorld
from lab.clock import LabClock
from lab.config import DEFAULT_QUOTAS
from tests.lab.account import CACHING_DISABLED, REGION, behavior, configuration, custom_origin, listed, refused

ACCOUNT = "123456789012"
QUOTAS = {
    **DEFAULT_QUOTAS,
    "distributions": 3,
    "distributions_per_policy": 2,
    "distributions_per_web_acl": 2,
    "origin_groups": 2,
}


class _Body(io.BytesIO):
    def stream(self) -> Iterator[bytes]:
        yield self.getvalue()


@pytest.fixture
def cloudfront(tmp_path: Path) -> Iterator[Any]:
    """A boto3 client whose requests are answered in this process."""
    database = LabDatabase(tmp_path / "aws.sqlite3")
    clock = LabClock(0)
    service = CloudFront(MotoWorld(database, clock.now), database, clock, QUOTAS)

    def answer(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        path, _, query = request.url.removeprefix("http://lab").partition("?")
        headers = {
            name.lower(): text.decode() if isinstance(text, bytes) else text for name, text in request.headers.items()
        }
        reply = service.handle(request.method, path, query, headers, request.body or b"")
        return AWSResponse(request.url, reply.status, dict(reply.headers), _Body(reply.body))

    client = boto3.client(
        "cloudfront",
        endpoint_url="http://lab",
        region_name=REGION,
        aws_access_key_id="lab",
        aws_secret_access_key="lab",
    )
    client.meta.events.register("before-send.cloudfront", answer)
    yield client
    database.close()


def create(cloudfront: Any, **changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = cloudfront.create_distribution(DistributionConfig=configuration(**changes))
    return made


@pytest.mark.rule("quota/distributions")
def test_distributions_staging_ones_included(cloudfront: Any) -> None:
    made = [create(cloudfront) for _ in range(3)]
    with refused("TooManyDistributions", 400):
        create(cloudfront)
    with refused("TooManyDistributions", 400):
        cloudfront.copy_distribution(
            PrimaryDistributionId=made[0]["Distribution"]["Id"],
            IfMatch=made[0]["ETag"],
            Staging=True,
            CallerReference="copy",
        )


@pytest.mark.rule("quota/distributions-per-policy")
def test_distributions_of_a_policy_of_ones_own(cloudfront: Any) -> None:
    config = {"Name": "mine", "MinTTL": 0}
    policy = cloudfront.create_cache_policy(CachePolicyConfig=config)["CachePolicy"]["Id"]
    mine = {**behavior("web"), "CachePolicyId": policy}
    first = create(cloudfront, DefaultCacheBehavior=mine)
    create(cloudfront, CacheBehaviors=listed({**mine, "PathPattern": "/ws"}))
    with refused("TooManyDistributionsAssociatedToCachePolicy", 400):
        create(cloudfront, DefaultCacheBehavior=mine)
    # Those that have it may be changed, and AWS's own policies have no such limit.
    cloudfront.update_distribution(
        Id=first["Distribution"]["Id"],
        IfMatch=first["ETag"],
        DistributionConfig=first["Distribution"]["DistributionConfig"],
    )
    assert (
        create(cloudfront)["Distribution"]["DistributionConfig"]["DefaultCacheBehavior"]["CachePolicyId"]
        == CACHING_DISABLED
    )


@pytest.mark.rule("quota/web-acl-associations")
def test_distributions_of_a_web_acl(cloudfront: Any) -> None:
    unset = ("association_config", "captcha_config", "challenge_config", "custom_response_bodies", "token_domains")
    acl = wafv2_backends[ACCOUNT]["global"].create_web_acl(
        name="quota",
        visibility_config={},
        default_action={"Allow": {}},
        scope="CLOUDFRONT",
        description="",
        tags=[],
        rules=[],
        **dict.fromkeys(unset),
    )
    for _ in range(2):
        create(cloudfront, WebACLId=acl.arn)
    third = create(cloudfront)
    with refused("EntityLimitExceeded", 400):
        cloudfront.associate_distribution_web_acl(
            Id=third["Distribution"]["Id"], WebACLArn=acl.arn, IfMatch=third["ETag"]
        )


def test_origin_groups(cloudfront: Any) -> None:
    members = listed({"OriginId": "web"}, {"OriginId": "spare"})
    groups = [
        {"Id": name, "FailoverCriteria": {"StatusCodes": listed(502)}, "Members": members} for name in ("a", "b", "c")
    ]
    origins = listed(custom_origin("web"), custom_origin("spare"))
    with refused("TooManyOriginGroupsPerDistribution", 400):
        create(cloudfront, Origins=origins, OriginGroups=listed(*groups))
    create(cloudfront, Origins=origins, OriginGroups=listed(*groups[:2]))
