"""Clients at the edge: four who hear each other, one who says nothing, and the terminal tool that
people really use.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests import npm
from tests.journeys.conftest import IDLE_SECONDS_OF_AWS, LiveEndpoint, Product
from tests.journeys.portal_clients import in_own_loop
from tests.journeys.until import until

EXPECTED_SECONDS = 60


def test_four_clients_see_each_others_broadcast(
    product: Product, live_endpoint: LiveEndpoint
) -> None:
    async def meet() -> list[list[dict[str, Any]]]:
        async with AsyncExitStack() as all_of_them:
            clients = [
                await all_of_them.enter_async_context(joined(product, live_endpoint))
                for _ in range(4)
            ]
            welcomes = [await heard(client) for client in clients]
            assert [welcome["type"] for welcome in welcomes] == ["welcome"] * 4
            assert [welcome["clientCount"] for welcome in welcomes] == [1, 2, 3, 4]
            names = [welcome["id"] for welcome in welcomes]
            assert len(set(names)) == 4
            for number, client in enumerate(clients):
                await client.send(f"hello from {number}")
                said = [await heard(each) for each in clients]
                echoes = [message["type"] for message in said]
                assert echoes == ["echo" if place == number else "broadcast" for place in range(4)]
                assert {(message["from"], message["message"]) for message in said} == {
                    (names[number], f"hello from {number}")
                }
        return []

    in_own_loop(meet)


def test_the_app_sees_what_the_edge_adds_and_nothing_reaches_it_without_tls(
    product: Product, live_endpoint: LiveEndpoint
) -> None:
    async def visit() -> str:
        async with joined(product, live_endpoint, path="/ws/headers") as client:
            welcome = await heard(client)
            return str(welcome["id"])

    name = in_own_loop(visit)
    seen = until(lambda: connected_as(product, name), "the app's log line of this client")
    headers = seen["headers"]
    assert headers["host"] == live_endpoint.host
    assert "cloudfront.net (CloudFront)" in headers["via"]
    assert headers["x-amz-cf-id"]
    assert any(
        address.strip().startswith("130.176.") for address in headers["x-forwarded-for"].split(",")
    )
    assert headers["sec-websocket-version"] == "13"

    async def without_tls() -> int:
        address = f"ws://{live_endpoint.host}{live_endpoint.path}"
        with pytest.raises(InvalidStatus) as refusal:
            async with connect(
                address, host="127.0.0.1", port=product.stack.ports.edge, proxy=None
            ):
                pass
        return refusal.value.response.status_code

    assert in_own_loop(without_tls) == 403


def test_a_silent_client_is_cut_without_a_word_when_the_load_balancers_idle_time_is_over(
    product: Product, live_endpoint: LiveEndpoint
) -> None:
    idle = live_endpoint.idle_seconds

    async def two_of_them() -> tuple[int | None, float, str, list[dict[str, Any]]]:
        began = time.monotonic()
        async with (
            joined(product, live_endpoint) as silent,
            joined(product, live_endpoint) as talking,
        ):
            heartbeat = asyncio.create_task(keep_pinging(talking, idle / 8))
            code = await outlived(silent, idle + EXPECTED_SECONDS)
            lasted = time.monotonic() - began
            heartbeat.cancel()
            await talking.send("still here")
            assert silent.response is not None
            request_id = silent.response.headers["x-amz-cf-id"]
            return code, lasted, request_id, [await heard(talking), await heard(talking)]

    code, lasted, request_id, said = in_own_loop(two_of_them)
    assert code == 1006
    # Counted from before the first byte, it lasted at least as long as the timeout. The log row
    # says which timeout was over: a busy machine cannot change that.
    assert lasted >= idle
    row = until(lambda: product.log_row(request_id), "the silent client's log row")
    assert row["lab-cut-by"] == (
        f"the idle timeout of ALB int-chat, {IDLE_SECONDS_OF_AWS} s (lab: {idle:g} s)"
    )
    assert [(message["type"], message.get("message")) for message in said] == [
        ("welcome", None),
        ("echo", "still here"),
    ]


def test_wscat_gets_welcome_and_echo_if_it_trusts_the_edge(
    product: Product, live_endpoint: LiveEndpoint
) -> None:
    wscat = str(npm.installed() / "node_modules" / ".bin" / "wscat")
    host, port = live_endpoint.edge
    address = f"wss://{host}:{port}{live_endpoint.path}"
    talk = ["--host", live_endpoint.host, "-c", address, "-x", "hi there", "-w", "1"]

    said = output_of([wscat, "--ca", str(product.ca_file), *talk])
    assert '"type":"welcome"' in said
    assert '"type":"echo"' in said
    assert "hi there" in said

    refused = output_of([wscat, *talk])
    assert "welcome" not in refused
    assert "certificate" in refused


def output_of(command: list[str]) -> str:
    """All a terminal tool prints while somebody sits in front of it: its standard input stays
    open.
    """
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as tool:
        assert tool.stdout is not None
        watchdog = threading.Timer(EXPECTED_SECONDS, tool.kill)
        watchdog.start()
        try:
            return tool.stdout.read()
        finally:
            watchdog.cancel()
            tool.kill()


@asynccontextmanager
async def joined(
    product: Product, endpoint: LiveEndpoint, path: str | None = None
) -> AsyncIterator[ClientConnection]:
    """A client of the endpoint, with TLS checked, that sends no pings of its own accord."""
    host, port = endpoint.edge
    tls = ssl.create_default_context(cafile=str(product.ca_file))
    address = f"wss://{endpoint.host}{path or endpoint.path}"
    async with connect(
        address, host=host, port=port, ssl=tls, ping_interval=None, proxy=None
    ) as client:
        yield client


async def heard(client: ClientConnection) -> dict[str, Any]:
    """The next message."""
    message: dict[str, Any] = json.loads(await asyncio.wait_for(client.recv(), EXPECTED_SECONDS))
    return message


async def keep_pinging(client: ClientConnection, seconds: float) -> None:
    """A heartbeat, as an app that stays connected has one."""
    while True:
        await asyncio.sleep(seconds)
        await (await client.ping())


async def outlived(client: ClientConnection, seconds: float) -> int | None:
    """Say nothing until the connection ends; the close code."""
    try:
        async with asyncio.timeout(seconds):
            async for _ in client:
                pass
    except ConnectionClosed:
        pass
    return client.close_code


def connected_as(product: Product, name: str) -> dict[str, Any] | None:
    """The app's log line of a client that connected."""
    return next(
        (
            line
            for line in app_log(product)
            if line.get("id") == name and line["msg"] == "ws connected"
        ),
        None,
    )


def app_log(product: Product) -> Iterator[dict[str, Any]]:
    """What the chat app logged: JSON lines."""
    for line in product.stack.log("apps").read_text().splitlines():
        if line.startswith("{"):
            yield json.loads(line)
