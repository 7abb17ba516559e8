"""The 2026 seed's story: a viewer at CloudFront's edge, a chat server behind an internal load
balancer.
"""

from __future__ import annotations

import contextlib
import json
import time

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from .stage import Stage, wait_until


@pytest.mark.rule(
    "websocket/no-switch",
    "websocket/vpc-origins",
    "websocket/get-suffices",
    "vpc-origin/prefix-list-admits",
)
def test_a_client_is_welcomed_and_hears_its_echo(stage: Stage) -> None:
    with stage.websocket("dchat") as client:
        welcome = client.recv()
        assert welcome["type"] == "welcome"
        assert welcome["clientCount"] >= 1
        client.send("こんにちは")
        assert client.recv() == {"type": "echo", "from": welcome["id"], "message": "こんにちは"}


def test_four_clients_see_each_others_broadcasts(stage: Stage) -> None:
    with contextlib.ExitStack() as together:
        clients = [together.enter_context(stage.websocket("dchat")) for _ in range(4)]
        ids = [client.recv()["id"] for client in clients]
        clients[0].send("元気ですか?")
        heard = [client.recv() for client in clients]
    assert [message["type"] for message in heard] == ["echo", "broadcast", "broadcast", "broadcast"]
    assert {message["from"] for message in heard} == {ids[0]}


@pytest.mark.rule("websocket/headers-at-the-app", "vpc-origin/source-address")
def test_the_app_sees_the_headers_that_the_seed_logged(stage: Stage) -> None:
    with stage.websocket(
        "dchat", origin="https://dchat.cloudfront.net", user_agent_header="a browser"
    ) as client:
        id = client.recv()["id"]
    seen = stage.chat.wait_for_entry(
        lambda entry: entry["msg"] == "ws connected" and entry["id"] == id
    )
    headers = seen["headers"]
    assert headers["host"] == "dchat.cloudfront.net"
    assert headers["upgrade"] == "websocket"
    assert headers["connection"] == "upgrade"
    assert headers["sec-websocket-version"] == "13"
    assert headers["sec-websocket-extensions"] == "permessage-deflate; client_max_window_bits"
    assert headers["origin"] == "https://dchat.cloudfront.net"
    assert headers["user-agent"] == "a browser"
    assert headers["via"].endswith(".cloudfront.net (CloudFront)")
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-forwarded-port"] == "80"
    viewer, edge = headers["x-forwarded-for"].split(", ")
    assert viewer == "127.0.0.1"
    assert edge.startswith("130.176.")
    assert headers["x-amzn-trace-id"].startswith("Root=1-")
    assert len(headers["x-amz-cf-id"]) == 56


def test_the_app_tells_over_http_and_websocket_which_headers_arrived(stage: Stage) -> None:
    sent = {"X-Mine": "a", "Cookie": "a=1; session=2"}
    page = json.loads(stage.request("dlist", path="/ws/headers?room=a&secret=b", headers=sent)[2])
    with stage.websocket("dlist", "/ws/headers?room=a&secret=b", additional_headers=sent) as client:
        assert client.recv()["type"] == "welcome"
        message = client.recv()
    for told in (page, message):
        assert told["path"] == "/ws/headers?room=a"
        arrived = {name.lower(): value for name, value in told["headers"]}
        assert "x-mine" not in arrived
        assert arrived["cookie"] == "session=2"
        assert arrived["via"].endswith("(CloudFront)")
    assert message["type"] == "headers"
    names = [[name for name, _ in told["headers"]] for told in (page, message)]
    assert ["Upgrade" in each for each in names] == [False, True]


@pytest.mark.rule("answer/cloudfronts-headers")
def test_the_handshake_carries_cloudfronts_own_headers(stage: Stage) -> None:
    with stage.websocket("dchat") as client:
        assert client.response.status_code == 101
        assert client.response.headers["x-cache"] == "Miss from cloudfront"
        assert client.response.headers["x-amz-cf-pop"]


@pytest.mark.rule(
    "log/websocket-is-miss", "log/written-at-close", "log/protocol", "log/totals", "log/request-id"
)
def test_the_log_line_is_written_when_the_socket_closes(stage: Stage) -> None:
    with stage.websocket("dchat", "/ws/logged?room=1") as client:
        client.recv()
        id = client.response.headers["x-amz-cf-id"]
        assert all(entry.get("x-edge-request-id") != id for entry in stage.edge.entries())
    line = stage.edge.wait_for_entry(lambda entry: entry["x-edge-request-id"] == id)
    assert line["sc-status"] == "101"
    assert line["cs-protocol"] == "wss"
    assert line["x-edge-result-type"] == "Miss"
    assert line["cs-uri-stem"] == "/ws/logged"
    assert line["cache-behavior-path-pattern"] == "/ws/*"
    assert line["sc-bytes"] > 100 < line["cs-bytes"]


@pytest.mark.rule("timeout/alb-idle", "timeout/cut-without-close-frame")
def test_a_silent_client_is_cut_without_a_close_frame(stage: Stage) -> None:
    started = time.monotonic()
    with stage.websocket("dsilent") as client:
        client.recv()
        with pytest.raises(ConnectionClosedError) as closed:
            client.recv()
        assert closed.value.rcvd is None
        assert client.connection.close_code == 1006
    assert time.monotonic() - started > 0.9


def test_a_heartbeat_resets_the_idle_timeout_of_every_hop(stage: Stage) -> None:
    """That a reset timeout does not fire is shown with a stepped clock, in test_tunnel.py."""
    with stage.websocket("dbeating", "/ws/chat?heartbeat=0.3") as client:
        client.recv()

        def reset_hops() -> set[str]:
            """The hops whose last byte came at least as late as the first ping."""
            return {
                entry["hop"]
                for entry in stage.open_sockets()
                if entry["hop"] in ("CloudFront", "ALB beating")
                and entry["open_seconds"] - entry["quiet_seconds"] > 0.2
            }

        wait_until(lambda: "ALB beating" in reset_hops())
        wait_until(lambda: "CloudFront" in reset_hops())
        client.send("still here")
        assert client.recv()["message"] == "still here"


@pytest.mark.rule("websocket/bytes-unchanged")
def test_large_and_binary_messages_pass_unchanged(stage: Stage) -> None:
    large = "x" * (1024 * 1024)
    with stage.websocket("dchat", max_size=None) as client:
        client.recv()
        client.send(large)
        assert client.recv()["message"] == large
        client.send(b"\xff\x00bytes")
        assert client.recv()["message"] == "\ufffd\x00bytes"


def test_a_burst_in_both_directions_arrives_whole_and_in_order(stage: Stage) -> None:
    with stage.websocket("dchat") as client:
        client.recv()
        for number in range(500):
            client.send(f"{number} " + "y" * 2000)
        heard = [client.recv()["message"] for _ in range(500)]
    assert [int(message.split()[0]) for message in heard] == list(range(500))


@pytest.mark.rule("websocket/bytes-unchanged")
def test_close_codes_travel_both_ways(stage: Stage) -> None:
    with stage.websocket("dchat") as client:
        id = client.recv()["id"]
        client.close(4001, "enough")
    assert (client.connection.close_code, client.connection.close_reason) == (4001, "enough")
    closed = stage.chat.wait_for_entry(
        lambda entry: entry["msg"] == "ws closed" and entry["id"] == id
    )
    assert (closed["code"], closed["reason"]) == (4001, "enough")


@pytest.mark.rule("websocket/key-and-version", "policy/nothing-without-policy")
def test_without_an_origin_request_policy_the_app_never_sees_the_key(stage: Stage) -> None:
    with pytest.raises(InvalidStatus) as refused, stage.websocket("dnopolicy"):
        pass
    assert refused.value.response.status_code in (400, 426)
    assert refused.value.response.headers["x-cache"] == "Error from cloudfront"
    status, _, _ = stage.request("dnopolicy")
    assert status == 200


@pytest.mark.rule("websocket/listed-headers-suffice", "policy/listed-headers")
def test_a_policy_that_lists_the_socket_headers_is_enough(stage: Stage) -> None:
    with stage.websocket(
        "dlist", "/ws/chat?room=a&secret=b", additional_headers={"Cookie": "a=1; session=2"}
    ) as client:
        id = client.recv()["id"]
    seen = stage.chat.wait_for_entry(
        lambda entry: entry["msg"] == "ws connected" and entry["id"] == id
    )
    assert seen["url"] == "/ws/chat?room=a"
    assert seen["headers"]["cookie"] == "session=2"
    assert seen["headers"]["host"] == "internal-int.elb.amazonaws.com"
    assert seen["headers"]["user-agent"] == "Amazon CloudFront"
    assert seen["headers"]["cloudfront-forwarded-proto"] == "https"


@pytest.mark.rule("policy/except-host")
def test_all_viewer_except_host_connects_with_the_origins_name(stage: Stage) -> None:
    with stage.websocket("dexcept") as client:
        id = client.recv()["id"]
    seen = stage.chat.wait_for_entry(
        lambda entry: entry["msg"] == "ws connected" and entry["id"] == id
    )
    assert seen["headers"]["host"] == "internal-int.elb.amazonaws.com"


@pytest.mark.rule("balancer/nlb-passes-tcp")
def test_a_network_load_balancer_passes_the_socket_too(stage: Stage) -> None:
    with stage.websocket("dnlb") as client:
        assert client.recv()["type"] == "welcome"
