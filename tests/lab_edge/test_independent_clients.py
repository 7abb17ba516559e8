"""Clients that others wrote, through the edge: echo, a mebibyte, pings, fragments, compression,
close codes, bytes.
"""

from __future__ import annotations

import hashlib
import json
import random
import select
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from lab.apps import rfc6455
from tests import npm

from .stage import PATIENCE, Stage, wait_until

MEBIBYTE = 1 << 20
LARGE_HASH = hashlib.sha256(b"x" * MEBIBYTE).hexdigest()
FRAGMENTS = ["one, ", "two, ", "three"]


@pytest.fixture(scope="module")
def node_modules() -> Path:
    return npm.installed()


@pytest.mark.rule(
    "websocket/bytes-unchanged",
    "websocket/one-to-one",
    "websocket/compression",
    "websocket/subprotocol",
)
@pytest.mark.parametrize(
    ("name", "extensions", "protocol"),
    [("dchat", "permessage-deflate", "chat.v1"), ("dbare", "", "")],
)
def test_nodes_ws_says_and_hears_everything(
    stage: Stage, node_modules: Path, name: str, extensions: str, protocol: str
) -> None:
    """`dchat` forwards all headers; `dbare` Key and Version alone, so that nothing else can be
    agreed on.
    """
    asked = {
        "url": f"wss://localhost:{stage.tls_port}/ws/node?heartbeat=0.05",
        "host": f"{name}.cloudfront.net",
        "ca": str(stage.authority),
        "deflate": True,
        "protocol": protocol,
        "large": MEBIBYTE,
        "fragments": FRAGMENTS,
        # dbare forwards no query string, so its app is not asked for one.
        "heartbeat": name == "dchat",
    }
    script = Path(__file__).parent / "clients" / "talk.cjs"
    ran = subprocess.run(
        ["node", str(script), str(node_modules), json.dumps(asked)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    told = json.loads(ran.stdout)
    assert (told.pop("pings") > 0) == asked["heartbeat"]
    assert told == {
        "extensions": told["extensions"],
        "protocol": protocol,
        "welcome": "welcome",
        "echo": "héllo",
        "large": LARGE_HASH,
        "pong": "still there?",
        "fragments": "one, two, three",
        "closed": [4001, "enough"],
    }
    assert told["extensions"].startswith(extensions)
    assert bool(told["extensions"]) == bool(extensions)
    closed = stage.chat.wait_for_entry(
        lambda entry: entry["msg"] == "ws closed" and entry["code"] == 4001
    )
    assert closed["reason"] == "enough"


def test_wscat_says_and_hears_what_a_person_types(stage: Stage, node_modules: Path) -> None:
    address = f"wss://localhost:{stage.tls_port}/ws/wscat"
    command = [
        str(node_modules / "node_modules" / ".bin" / "wscat"),
        "--host",
        "dchat.cloudfront.net",
    ]
    command += ["--ca", str(stage.authority), "-s", "chat.v1", "--slash", "-P", "-c", address]
    lines: list[str] = []
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as tool:
        assert tool.stdin is not None
        assert tool.stdout is not None
        watchdog = threading.Timer(PATIENCE, tool.kill)
        watchdog.start()

        def read() -> None:
            assert tool.stdout is not None
            lines.extend(tool.stdout)

        def answered(answer: str) -> bool:
            return any(answer in line for line in lines) or tool.poll() is not None

        reader = threading.Thread(target=read)
        reader.start()
        for answer, typed in (
            ('"type":"welcome"', "hello"),
            ('"message":"hello"', "y" * MEBIBYTE),
            (f'"message":"{"y" * MEBIBYTE}"', "/ping"),
            ("Received pong", "/close 4002 bye"),
        ):
            wait_until(partial(answered, answer))
            tool.stdin.write(f"{typed}\n")
            tool.stdin.flush()
        reader.join()
        watchdog.cancel()
    closed = stage.chat.wait_for_entry(
        lambda entry: entry["msg"] == "ws closed" and entry["code"] == 4002
    )
    assert closed["reason"] == "bye"


@pytest.mark.parametrize("name", ["dchat", "dbare"])
def test_websockets_says_and_hears_everything(stage: Stage, name: str) -> None:
    with stage.websocket(name, "/ws/python", subprotocols=["chat.v1"], max_size=None) as client:
        agreed = [str(extension.name) for extension in client.connection.protocol.extensions]
        assert (agreed, client.connection.subprotocol) == (
            (["permessage-deflate"], "chat.v1") if name == "dchat" else ([], None)
        )
        id = client.recv()["id"]
        client.send("x" * MEBIBYTE)
        assert client.recv()["message"] == "x" * MEBIBYTE
        client.call(client.connection.send(part for part in FRAGMENTS))
        assert client.recv()["message"] == "one, two, three"
        client.ping()
        client.close(4003, "done")
    closed = stage.chat.wait_for_entry(
        lambda entry: entry["msg"] == "ws closed" and entry["id"] == id
    )
    assert (closed["code"], closed["reason"]) == (4003, "done")


@pytest.fixture(scope="module")
def page(chromium: str, stage: Stage) -> Iterator[Page]:
    """A page of the chat app's, in a Chromium that knows no other way than the edge's."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_context(ignore_https_errors=True).new_page()
        page.goto(f"https://dchat.edge.localhost:{stage.tls_port}/")
        yield page
        browser.close()


IN_THE_BROWSER = """
async ([host, path, protocols, size, code]) => {
  const told = {};
  const socket = new WebSocket(`wss://${host}${path}`, protocols);
  socket.binaryType = 'arraybuffer';
  const heard = [], waiting = [];
  const next = () => new Promise((done) => {
    if (heard.length) done(heard.shift()); else waiting.push(done);
  });
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    if (waiting.length) waiting.shift()(message); else heard.push(message);
  };
  const closed = new Promise((done) => {
    socket.onclose = (event) => done([event.code, event.reason]);
  });
  await new Promise((done) => { socket.onopen = done; closed.then(done); });
  told.extensions = socket.extensions;
  told.protocol = socket.protocol;
  if (code) {
    told.id = (await next()).id;
    socket.send('x'.repeat(size));
    told.large = (await next()).message === 'x'.repeat(size);
    socket.send(new Uint8Array(size).fill(97));
    told.binary = (await next()).message === 'a'.repeat(size);
    socket.close(code, 'page left');
  }
  told.closed = await closed;
  return told;
}
"""


@pytest.mark.browser
@pytest.mark.rule("websocket/compression", "websocket/subprotocol")
@pytest.mark.parametrize(
    ("name", "protocols", "extensions"),
    [("dchat", ["chat.v1"], "permessage-deflate"), ("dbare", [], "")],
)
def test_chromium_says_and_hears_everything(
    stage: Stage, page: Page, name: str, protocols: list[str], extensions: str
) -> None:
    host = f"{name}.edge.localhost:{stage.tls_port}"
    told = page.evaluate(IN_THE_BROWSER, [host, "/ws/page", protocols, MEBIBYTE, 4004])
    assert (told["large"], told["binary"]) == (True, True)
    assert told["extensions"].partition(";")[0] == extensions
    assert (told["protocol"], told["closed"]) == ("".join(protocols), [4004, "page left"])
    closed = stage.chat.wait_for_entry(
        lambda entry: entry["msg"] == "ws closed" and entry["id"] == told["id"]
    )
    assert (closed["code"], closed["reason"]) == (4004, "page left")


@pytest.mark.browser
@pytest.mark.rule("websocket/subprotocol")
def test_chromium_gives_up_when_its_subprotocol_did_not_reach_the_app(
    stage: Stage, page: Page
) -> None:
    told = page.evaluate(
        IN_THE_BROWSER, [f"dbare.edge.localhost:{stage.tls_port}", "/ws", ["chat.v1"], 0, 0]
    )
    assert told["closed"] == [1006, ""]


@pytest.mark.browser
@pytest.mark.rule("websocket/one-to-one")
def test_chromium_hears_the_apps_close_code_and_answers_its_ping(stage: Stage, page: Page) -> None:
    told = page.evaluate(
        IN_THE_BROWSER, [f"dapps.edge.localhost:{stage.tls_port}", "/closes/ws?code=4005", [], 0, 0]
    )
    assert told["closed"] == [4005, "the app says so"]
    stage.recorder.to_end.add("/page")
    stage.recorder.to_say["/page"] = rfc6455.frame(rfc6455.PING, b"alive?") + rfc6455.close(4006)
    told = page.evaluate(
        IN_THE_BROWSER, [f"drecord.edge.localhost:{stage.tls_port}", "/page", [], 0, 0]
    )
    assert told["closed"][0] == 4006
    frames = unmasked_frames(stage.recorder.heard["/page"])
    assert frames == [(rfc6455.PONG, b"alive?"), (rfc6455.CLOSE, (4006).to_bytes(2, "big"))]


@pytest.mark.rule(
    "websocket/bytes-unchanged", "balancer/nlb-passes-tcp", "vpc-origin/http-1-1-to-origin"
)
@pytest.mark.parametrize("name", ["drecord", "drecordnlb"])
def test_every_byte_arrives_as_it_was_sent(stage: Stage, name: str) -> None:
    """Frames with every length form, mask and payload, then bytes that are no frames at all, in
    pieces of any size.
    """
    chance = random.Random(6455)  # noqa: S311
    sent = b"".join(
        rfc6455.frame(
            chance.choice((1, 2, 9, 10)),
            chance.randbytes(size),
            mask=chance.randbytes(4),
            rsv=chance.randrange(8),
        )
        for size in (0, 1, 125, 126, 127, 65535, 65536, MEBIBYTE)
    ) + chance.randbytes(100_000)
    said = chance.randbytes(300_000)
    stage.recorder.to_say[f"/{name}"] = said
    with stage.raw(f"{name}.cloudfront.net") as raw:
        raw.sendall(
            f"GET /{name} HTTP/1.1\r\nHost: {name}.cloudfront.net\r\nConnection: "
            "Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Key: Rnhou3qbnI2nVKLvsTWapg==\r\nSec-WebSocket-Version: "
            "13\r\n\r\n".encode()
        )
        received = both_ways(raw, sent, lambda: chance.randrange(1, 100_000), len(said))
        wait_until(lambda: len(stage.recorder.heard.get(f"/{name}", b"")) >= len(sent))
    assert stage.recorder.heads[f"/{name}"].startswith(f"GET /{name} HTTP/1.1\r\n".encode())
    assert stage.recorder.heard[f"/{name}"] == sent
    assert received.partition(b"\r\n\r\n")[2] == said


def both_ways(raw: socket.socket, sent: bytes, next_size: Callable[[], int], size: int) -> bytes:
    """Send all in pieces, and meanwhile hear the answer to the handshake and so many bytes after
    it. By one thread: two must not use one TLS connection at once.
    """
    raw.setblocking(False)
    heard = bytearray()
    unsent, piece = memoryview(sent), memoryview(b"")
    while unsent or len(heard) - heard.find(b"\r\n\r\n") - 4 < size:
        piece = piece or unsent[: next_size()]
        moved = False
        with suppress(ssl.SSLWantReadError):
            got = raw.recv(65536)
            if not got:
                break
            heard += got
            moved = True
        if piece:
            with suppress(ssl.SSLWantWriteError):
                done = raw.send(piece)
                piece, unsent = piece[done:], unsent[done:]
                moved = True
        if not moved:
            assert any(select.select([raw], [raw] if piece else [], [], 10)), (
                "neither heard nor taken for ten seconds"
            )
    return bytes(heard)


def unmasked_frames(wire: bytes) -> list[tuple[int, bytes]]:
    """Opcode and payload of each short frame that a client sent."""
    frames: list[tuple[int, Any]] = []
    while wire:
        size = wire[1] & 0x7F
        assert size < 126
        frames.append((wire[0] & 0x0F, rfc6455.masked(wire[6 : 6 + size], wire[2:6])))
        wire = wire[6 + size :]
    return frames
