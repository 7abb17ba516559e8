"""Every cause of the benchmark's table over a real socket: the first verdict is right, nothing
wrong is certain, and what tells nothing is said to be not known; with a look at AWS and without.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from bench.refusals import CAUSES, CannedOrigin, Cause, serving
from checks.aws_view import AwsView
from checks.diagnosis.evidence import Observations
from checks.investigate import Investigation, investigate
from checks.preflight.behavior_match import BehaviorMatch
from checks.probe.limits import Limits
from checks.probe.prober import ProbeNetwork, probe_blocking
from checks.protocol.address_guard import parse_networks
from checks.protocol.connect_to import at_same_address, parse_connect_to
from checks.protocol.handshake_options import ProbeTarget
from checks.protocol.script import Script, parse_script
from checks.protocol.transcript import Transcript
from tests.checks.test_ranking import ALL_PASS, HEALTHY, served

HOST, ALIAS = "d111.cloudfront.net", "chat.example.com"
TALK = Script.of_steps(parse_script("hold 0.3"))
QUICK = Limits(total_s=3.0, body_s=0.3, close_s=0.3)
GOAL = 0.95


FORWARDING = served(viewer_protocol_policy="allow-all")
INTERNAL = "internal-chat.elb.example"
KEEPS_HOST = replace(
    FORWARDING,
    origin_domain=INTERNAL,
    parts=tuple(
        replace(one, forwarded=False) if one.name == "Host" else one for one in FORWARDING.parts
    ),
)


@dataclass
class Lane:
    """The canned origin, and how a probe reaches it."""

    origin: CannedOrigin
    port: int
    seen: dict[tuple[Cause, ProbeTarget, Script, ProbeNetwork, bool], Transcript] = field(
        default_factory=dict
    )

    def explain(
        self, cause: Cause, *, looked: bool, behavior: BehaviorMatch = FORWARDING
    ) -> Investigation:
        """One check of a cause, as the portal makes it."""
        self.origin.cause = cause
        target = ProbeTarget(f"ws://{HOST}/ws", origin=f"https://{HOST}")
        network = ProbeNetwork(
            connect_to=parse_connect_to(f"{HOST}::127.0.0.1:{self.port}"),
            allowed_networks=parse_networks("127.0.0.1/32"),
        )

        def probe(
            asked: ProbeTarget,
            script: Script,
            network: ProbeNetwork = network,
            *,
            again: bool = False,
        ) -> Transcript:
            # A cause answers always the same: judged with AWS and without, it is asked once.
            key = (cause, asked, script, network, again)
            if key not in self.seen:
                self.seen[key] = probe_blocking(asked, network=network, script=script, limits=QUICK)
            return self.seen[key]

        def as_host(name: str) -> Transcript:
            rule = at_same_address(network.connect_to, target.url, name)
            there = replace(network, connect_to=(rule, *network.connect_to))
            url = target.url.replace(HOST, name)
            return probe(replace(target, url=url, origin=f"https://{name}"), TALK, there)

        view = AwsView(
            behavior=behavior,
            preflight=(*ALL_PASS, HEALTHY),
            vpc_origin_status="Deployed",
        )
        return investigate(
            Observations(probe(target, TALK), origin_tls=False),
            target=target,
            probe=lambda asked: probe(asked, Script.handshake_only()),
            repeat=lambda asked: probe(asked, TALK, again=True),
            as_host=as_host,
            look=lambda: view if looked else AwsView(),
            routes={},
        )


@pytest.fixture(scope="module")
def lane() -> Iterator[Lane]:
    """The canned origin, as CloudFront would pass its answers on."""
    origin = CannedOrigin(CAUSES[0], alias=ALIAS, host=INTERNAL, signed=True)
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


@pytest.mark.parametrize(
    "refusal",
    [
        Cause("tornado", "", status="403 No", body="Cross origin websockets not allowed"),
        Cause(
            "gorilla",
            "",
            status="403 Forbidden",
            headers=("Sec-Websocket-Version: 13", "Content-Type: text/plain"),
            body="Forbidden\n",
        ),
        Cause("python-socketio", "", status="400 BAD REQUEST", body='"Not an accepted origin."'),
        Cause("action-cable", "", status="404 Not Found", body="Page not found"),
        Cause("closes", "", messages=("Invalid origin!",), close=1008),
    ],
    ids=lambda cause: cause.name,
)
def test_an_app_that_compares_origin_with_host_is_told_apart_from_one_with_a_list(
    lane: Lane, refusal: Cause
) -> None:
    compares = replace(refusal, opens="origin as host")
    told = lane.explain(compares, looked=True, behavior=KEEPS_HOST).conclusion
    assert (told.first.code, told.first.certainty) == ("WSE-ORIGIN-HOST", "high")
    assert any(INTERNAL in line for line in told.first.evidence)
    listed = lane.explain(refusal, looked=True, behavior=KEEPS_HOST).conclusion
    assert listed.first.code == "WSE-403-ORIGIN"
    assert any("does not forward the viewer's Host" in line for line in listed.first.evidence)


def test_there_are_enough_causes_and_none_twice() -> None:
    assert len(CAUSES) >= 120
    assert len({cause.name for cause in CAUSES}) == len(CAUSES)
