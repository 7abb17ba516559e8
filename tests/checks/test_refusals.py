"""Every cause of the benchmark's table over a real socket: the first verdict is right, nothing
wrong is certain, and what tells nothing is said to be not known; with a look at AWS and without.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from bench.refusals import CAUSES, CannedOrigin, Cause, serving
from checks.aws_view import AwsView
from checks.diagnosis.evidence import Observations
from checks.investigate import Investigation, investigate
from checks.probe.limits import Limits
from checks.probe.prober import ProbeNetwork, probe_blocking
from checks.protocol.address_guard import parse_networks
from checks.protocol.connect_to import at_same_address, parse_connect_to
from checks.protocol.handshake_options import ProbeTarget
from checks.protocol.script import Script
from checks.protocol.transcript import Transcript
from tests.checks.test_ranking import ALL_PASS, served

HOST, ALIAS = "d111.cloudfront.net", "chat.example.com"
TALK = Script(first_frame_s=0.3, message="", ping=True, ping_s=0.5)
QUICK = Limits(total_s=3.0, body_s=0.3, close_s=0.3)
GOAL = 0.95


@dataclass
class Lane:
    """The canned origin, and how a probe reaches it."""

    origin: CannedOrigin
    port: int

    def explain(self, cause: Cause, *, looked: bool) -> Investigation:
        """One check of a cause, as the portal makes it."""
        self.origin.cause = cause
        target = ProbeTarget(f"ws://{HOST}/ws", origin=f"https://{HOST}")
        network = ProbeNetwork(
            connect_to=parse_connect_to(f"{HOST}::127.0.0.1:{self.port}"),
            allowed_networks=parse_networks("127.0.0.1/32"),
        )

        def probe(
            asked: ProbeTarget, script: Script, network: ProbeNetwork = network
        ) -> Transcript:
            return probe_blocking(asked, network=network, script=script, limits=QUICK)

        def as_host(name: str) -> Transcript:
            rule = at_same_address(network.connect_to, target.url, name)
            there = replace(network, connect_to=(rule, *network.connect_to))
            url = target.url.replace(HOST, name)
            return probe(replace(target, url=url, origin=f"https://{name}"), TALK, there)

        view = AwsView(
            behavior=served(viewer_protocol_policy="allow-all"),
            preflight=ALL_PASS,
            vpc_origin_status="Deployed",
        )
        return investigate(
            Observations(probe(target, TALK), origin_tls=False),
            target=target,
            probe=lambda asked: probe(asked, Script.handshake_only()),
            repeat=lambda asked: probe(asked, TALK),
            as_host=as_host,
            look=lambda: view if looked else AwsView(),
            routes={},
        )


@pytest.fixture(scope="module")
def lane() -> Iterator[Lane]:
    """The canned origin, as CloudFront would pass its answers on."""
    origin = CannedOrigin(CAUSES[0], alias=ALIAS, signed=True)
    with serving(origin) as port:
        yield Lane(origin, port)


@pytest.mark.parametrize("looked", [True, False], ids=["with AWS", "without AWS"])
@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.name)
def test_the_first_verdict_is_the_causes_own_and_nothing_else_is_certain(
    lane: Lane, cause: Cause, looked: bool
) -> None:
    told = lane.explain(cause, looked=looked).conclusion
    right = cause.right(looked=looked)
    assert told.first.code == right, [(one.code, one.certainty) for one in told.diagnoses]
    sure = [one.code for one in told.diagnoses if one.certainty == "high"]
    assert set(sure) <= {right}
    if cause.body.strip():
        assert any("says: “" in line for line in told.first.evidence[:1]), told.first.evidence


def test_there_are_enough_causes_and_none_twice() -> None:
    assert len(CAUSES) >= 120
    assert len({cause.name for cause in CAUSES}) == len(CAUSES)
