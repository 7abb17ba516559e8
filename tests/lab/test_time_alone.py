"""Time alone creates a new version for the edge: the service without a process, on a clock that the
test advances.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.aws.cloudfront.protocol.service_model import NAMESPACE
from lab.aws.cloudfront.service import CloudFront
from lab.aws.database import LabDatabase
from lab.aws.edge_state.document import EDGE_AWAY_SECONDS, EdgeState
from lab.aws.moto_backend import MotoBackend
from lab.aws.resources import vpc_origin_network
from lab.aws.settings import LabSettings
from lab.clock import LabClock
from lab.config import DEFAULT_QUOTAS
from lab.faults.aws_clients import AwsClients
from lab.faults.manager import FaultManager
from tests.lab.account import CACHING_DISABLED
from tests.lab.stepped_clock import SteppedClock

SIGNED = {
    "authorization": "AWS4-HMAC-SHA256 Credential=lab/20261121/us-east-1/cloudfront/aws4_request"
}
CONFIG = (
    "<DistributionConfig "
    f'xmlns="{NAMESPACE}"><CallerReference>r</CallerReference><Comment/><Enabled>true</Enabled>'
    "<Origins><Quantity>1</Quantity><Items><Origin><Id>web</Id><DomainName>web.example.com</DomainName>"
    "<CustomOriginConfig><HTTPPort>80</HTTPPort><HTTPSPort>443</HTTPSPort>"
    "<OriginProtocolPolicy>http-only</OriginProtocolPolicy></CustomOriginConfig></Origin></Items></Origins>"
    "<DefaultCacheBehavior><TargetOriginId>web</TargetOriginId><ViewerProtocolPolicy>allow-all</ViewerProtocolPolicy>"
    f"<CachePolicyId>{CACHING_DISABLED}</CachePolicyId></DefaultCacheBehavior></DistributionConfig>"
)


@pytest.fixture
def time() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def edge_polls() -> SteppedClock:
    """The clock by which the lab knows whether an edge still polls."""
    return SteppedClock()


@pytest.fixture
def lab(
    tmp_path: Path, time: SteppedClock, edge_polls: SteppedClock
) -> Iterator[tuple[CloudFront, EdgeState]]:
    """The service and the edge's document, at 45 times real time, with a new distribution."""
    clock = LabClock(45, read_real=time)
    database = LabDatabase(tmp_path / "aws.sqlite3")
    moto = MotoBackend(database, clock.now)
    for kind, change in vpc_origin_network.CHANGES.items():
        moto.register(kind, change)
    cloudfront = CloudFront(moto, database, clock, LabSettings(database, moto.lock, DEFAULT_QUOTAS))
    faults = FaultManager(AwsClients("http://127.0.0.1:1"), cloudfront, database, clock)
    state = EdgeState(moto, cloudfront, clock, database, faults, read_monotonic=edge_polls)
    reply = cloudfront.handle("POST", "/2020-05-31/distribution", "", SIGNED, CONFIG.encode())
    assert reply.status == 201, reply.body
    yield cloudfront, state
    database.close()


def status(cloudfront: CloudFront) -> str:
    """The distribution's status in ListDistributions."""
    listed = cloudfront.handle("GET", "/2020-05-31/distribution", "", SIGNED, b"").body.decode()
    return listed.partition("<Status>")[2].partition("</Status>")[0]


def test_a_deployment_that_ends_is_a_new_version(
    lab: tuple[CloudFront, EdgeState], time: SteppedClock
) -> None:
    _, state = lab
    first = state.version()
    assert state.document(first) is None
    time.now += 2
    assert state.document(first) is None, "90 seconds of lab time are not enough"
    time.now += 6
    document = state.document(first)
    assert document is not None
    shown = json.loads(document)
    assert shown["version"] > first
    assert shown["distributions"][0]["status"] == "Deployed"
    assert shown["distributions"][0]["config"]["CallerReference"] == "r"
    time.now += 3600
    assert state.document(shown["version"]) is None, "then nothing changes any more"


def test_it_is_deployed_when_the_edge_has_been_heard_to_know_it(
    lab: tuple[CloudFront, EdgeState], time: SteppedClock
) -> None:
    cloudfront, state = lab
    first = state.version()
    assert state.document(first, follows=True) is None
    time.now += 10
    assert status(cloudfront) == "InProgress", "the edge still serves by what it knew before"
    document = state.document(first, follows=True)
    assert document is not None
    assert status(cloudfront) == "InProgress", "it has been told, but has not taken it over"
    assert state.document(json.loads(document)["version"], follows=True) is None
    assert status(cloudfront) == "Deployed"
    # An edge that restarts knows nothing yet; what was Deployed stays so.
    assert state.document(None, follows=True) is not None
    assert status(cloudfront) == "Deployed"


def test_where_no_edge_follows_time_alone_deploys(
    lab: tuple[CloudFront, EdgeState], time: SteppedClock
) -> None:
    cloudfront, state = lab
    state.document(state.version())
    time.now += 10
    assert status(cloudfront) == "Deployed", "whoever only looks is no edge"


def test_an_edge_that_is_gone_keeps_nobody_waiting(
    lab: tuple[CloudFront, EdgeState], time: SteppedClock, edge_polls: SteppedClock
) -> None:
    cloudfront, state = lab
    state.document(state.version(), follows=True)
    time.now += 10
    edge_polls.now += EDGE_AWAY_SECONDS
    assert status(cloudfront) == "InProgress"
    edge_polls.now += 1
    assert status(cloudfront) == "Deployed"
