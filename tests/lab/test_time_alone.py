"""Time alone brings the edge a new version: the service without a process, on a clock that the test moves."""

from __future__ import annotations

import json
from pathlib import Path

from lab.aws import service_network
from lab.aws.cloudfront.model import NAMESPACE
from lab.aws.cloudfront.service import CloudFront
from lab.aws.database import LabDatabase
from lab.aws.edge_state import EdgeState
from lab.aws.moto_world import MotoWorld
from lab.aws.settings import LabSettings
from lab.clock import LabClock
from lab.config import DEFAULT_QUOTAS
from lab.faults.aws import Aws
from lab.faults.keeper import Faults
from tests.lab.account import CACHING_DISABLED

SIGNED = {"authorization": "AWS4-HMAC-SHA256 Credential=lab/20261121/us-east-1/cloudfront/aws4_request"}
CONFIG = (
    f'<DistributionConfig xmlns="{NAMESPACE}"><CallerReference>r</CallerReference><Comment/><Enabled>true</Enabled>'
    "<Origins><Quantity>1</Quantity><Items><Origin><Id>web</Id><DomainName>web.example.com</DomainName>"
    "<CustomOriginConfig><HTTPPort>80</HTTPPort><HTTPSPort>443</HTTPSPort>"
    "<OriginProtocolPolicy>http-only</OriginProtocolPolicy></CustomOriginConfig></Origin></Items></Origins>"
    "<DefaultCacheBehavior><TargetOriginId>web</TargetOriginId><ViewerProtocolPolicy>allow-all</ViewerProtocolPolicy>"
    f"<CachePolicyId>{CACHING_DISABLED}</CachePolicyId></DefaultCacheBehavior></DistributionConfig>"
)


def test_a_deployment_that_ends_is_a_new_version(tmp_path: Path) -> None:
    real = 1_000_000.0
    clock = LabClock(45, read_real=lambda: real)
    database = LabDatabase(tmp_path / "aws.sqlite3")
    world = MotoWorld(database, clock.now)
    service_network.register(world)
    cloudfront = CloudFront(world, database, clock, LabSettings(database, world.lock, DEFAULT_QUOTAS))
    faults = Faults(Aws("http://127.0.0.1:1"), cloudfront, database, clock)
    state = EdgeState(world, cloudfront, clock, database, faults)
    reply = cloudfront.handle("POST", "/2020-05-31/distribution", "", SIGNED, CONFIG.encode())
    assert reply.status == 201, reply.body
    first = state.version()
    assert state.document(first) is None
    real += 2
    assert state.document(first) is None, "90 seconds of lab time are not enough"
    real += 6
    document = state.document(first)
    assert document is not None
    shown = json.loads(document)
    assert shown["version"] > first
    assert shown["distributions"][0]["status"] == "Deployed"
    assert shown["distributions"][0]["config"]["CallerReference"] == "r"
    real += 3600
    assert state.document(shown["version"]) is None, "then nothing changes any more"
    database.close()
