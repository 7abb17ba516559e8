"""The portal's further probes through the lab's edge: what they say of the way is what the way
really does.
"""

from __future__ import annotations

import asyncio

import pytest

from checks.aws_view import AwsView
from checks.diagnosis.idle_timeout import usual_timeouts
from checks.diagnosis.probe_kinds import ProbeKind
from checks.probe.kinds import ProbeContext, make_report
from checks.probe.limits import Limits
from checks.probe.probe_request import ProbeRequest
from checks.probe.prober import ProbeNetwork
from checks.protocol.address_guard import parse_networks
from checks.protocol.connect_to import parse_connect_to
from checks.protocol.handshake_options import ProbeTarget

from .stage import Stage


def target(name: str, path: str = "/ws/chat") -> ProbeTarget:
    host = f"{name}.cloudfront.net"
    return ProbeTarget(f"wss://{host}{path}", subprotocols=("chat.v1",), origin=f"https://{host}")


@pytest.fixture
def around(stage: Stage) -> ProbeContext:
    network = ProbeNetwork(
        connect_to=parse_connect_to(f"*.cloudfront.net:443:127.0.0.1:{stage.tls_port}"),
        ca_file=str(stage.authority),
        allowed_networks=parse_networks("127.0.0.1/32"),
    )
    return ProbeContext(network, Limits())


def test_the_journey_shows_what_the_edge_and_the_balancer_add(around: ProbeContext) -> None:
    told = asyncio.run(
        make_report(ProbeRequest(ProbeKind.JOURNEY, path="/ws/headers"), target("dchat"), around)
    )
    assert told.ok, told
    rows = dict(told.rows)
    lines = {title.lower(): cells for title, cells in rows.items()}
    assert lines["sec-websocket-key"][2].text == "as sent"
    for added in ("via", "x-amz-cf-id", "x-forwarded-for", "x-amzn-trace-id"):
        assert lines[added][1].text == "added", added


def test_a_crowd_of_the_chat_hears_each_other(around: ProbeContext) -> None:
    told = asyncio.run(make_report(ProbeRequest(ProbeKind.BROADCAST, 4), target("dchat"), around))
    assert told.headline == "All 4 clients heard each other."


def test_subprotocol_and_compression_survive_the_way(around: ProbeContext) -> None:
    told = asyncio.run(make_report(ProbeRequest(ProbeKind.NEGOTIATION), target("dchat"), around))
    assert told.ok, told
    assert [cell.text for cell in dict(told.rows)["Subprotocol agreed"]] == [
        "none",
        "chat.v1",
        "none",
        "chat.v1",
    ]


def test_a_plain_get_and_an_upgrade_part_where_only_one_passes(around: ProbeContext) -> None:
    told = asyncio.run(make_report(ProbeRequest(ProbeKind.PLAIN_GET), target("dchat"), around))
    assert told.headline.startswith(
        "The WebSocket opens; a plain GET of the same address is answered with 426"
    )


def test_the_idle_meter_names_the_load_balancer(around: ProbeContext) -> None:
    # Six of AWS's seconds are one here.
    view = AwsView(idle_timeouts=usual_timeouts(alb=18, pace=6))
    held = ProbeContext(around.network, around.limits, view)
    told = asyncio.run(make_report(ProbeRequest(ProbeKind.IDLE, 6), target("dmetered"), held))
    assert told.code == "WSE-IDLE-ALB", told
    assert "in both directions" in told.headline
    assert "Send a heartbeat every 1.2 s, from the server" in told.lines[0]
