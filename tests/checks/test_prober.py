"""Probes against real sockets on loopback: good origins, odd ones, and names that lead astray.

Every test asserts that the probe ended within its limits; nothing here leaves this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID, NameOID
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request
from websockets.typing import Subprotocol

from checks.diagnosis.transcript_rules import diagnose
from checks.probe import prober
from checks.probe.prober import ProbeNetwork, probe, probe_blocking
from checks.probe.tls import tls_context, tls_facts
from checks.protocol.address_guard import parse_networks
from checks.protocol.connect_to import parse_connect_to
from checks.protocol.handshake_options import ProbeTarget
from checks.protocol.script import Script, parse_script
from checks.protocol.transcript import Phase, Reason, Transcript
from tests.checks import origins
from tests.checks.origins import (
    ASK,
    HOST,
    QUICK,
    Authority,
    Behave,
    ask,
    ends_within,
    network_to,
    opens_and_says,
    origin,
    says,
)

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)


async def echo(connection: ServerConnection) -> None:
    await connection.send('{"type":"welcome"}')
    async for message in connection:
        await connection.send(message)


# --- a good origin
# ------------------------------------------------------------------------------


@pytest.mark.parametrize("secure", [False, True])
def test_a_good_endpoint_is_live_with_every_phase_timed(
    secure: bool, authority: Authority, good_tls: ssl.SSLContext
) -> None:
    async def story() -> Transcript:
        async with serve(echo, "127.0.0.1", 0, ssl=good_tls if secure else None) as server:
            port = server.sockets[0].getsockname()[1]
            url = f"{'wss' if secure else 'ws'}://{HOST}/ws"
            network = network_to(port, authority)
            return await probe(ProbeTarget(url), network=network, script=Script.echo())

    seen = run(story())
    assert seen.live, seen.failures
    assert diagnose(seen)[0].code == "WSE-LIVE"
    timing = seen.timing
    for phase in ("tcp", "first_byte", "upgrade", "first_frame", "echo", "ping", "close", "total"):
        assert getattr(timing, phase) is not None, phase
    assert (timing.tls is not None) is secure
    assert timing.dns is None, "the connect-to rule names an address, so nothing was looked up"
    assert seen.route is not None
    assert (seen.route.host, seen.route.connected) == (HOST, "127.0.0.1")
    assert [(frame.direction, frame.opcode) for frame in seen.frames] == [
        ("received", "text"),
        ("sent", "text"),
        ("received", "text"),
        ("sent", "ping"),
        ("received", "pong"),
        ("sent", "close"),
        ("received", "close"),
    ]
    assert seen.close is not None
    assert (seen.close.code, seen.close.clean, seen.close.by) == (1000, True, "us")


@pytest.mark.parametrize(
    "step", ["expect text welcome", 'expect json $.type == "welcome"', "expect regex ^.{2}type"]
)
def test_a_greeting_that_comes_before_the_pong_is_what_the_script_expects(step: str) -> None:
    async def story(wanted: str) -> Transcript:
        async with serve(echo, "127.0.0.1", 0) as server:
            network = network_to(server.sockets[0].getsockname()[1])
            script = Script(steps=parse_script(wanted))
            return await probe(ProbeTarget(f"ws://{HOST}/ws"), network=network, script=script)

    seen = run(story(f"{step} within 5"))
    assert seen.live, seen.failures
    received = [frame.opcode for frame in seen.frames if frame.direction == "received"]
    assert received == ["text", "pong", "close"], "the greeting came first"
    other = run(story("expect text something else within 0.05"))
    assert [failure.reason for failure in other.failures] == [Reason.UNEXPECTED]


@pytest.mark.parametrize(
    ("messages", "ok"),
    [
        ([b"\x20\x02\x00\x00"], True),
        ([b"\x20\x02\x00\x00more"], True),
        ([b"\x20", b"\x02", b"\x00", b"\x00"], True),
        ([b"before", b"\x20\x02", b"\x00\x00"], True),
        ([b"\x20", b"\x20\x02", b"\x00\x00"], True),
        ([b"\x20\x02", b"between", b"\x00\x00"], False),
        ([b"\x20\x02\x00\x05"], False),
        ([b"\x20", b"\x02", b"\x00", b"\x05"], False),
    ],
)
def test_expected_bytes_may_come_in_several_messages(messages: list[bytes], ok: bool) -> None:
    """MQTT 3.1.1, 6.0.0-2: a packet need not be one message. A broker on Node sends each byte
    alone.
    """

    async def says_bytes(connection: ServerConnection) -> None:
        for message in messages:
            await connection.send(message)
        await connection.wait_closed()

    async def story() -> Transcript:
        async with serve(says_bytes, "127.0.0.1", 0) as server:
            network = network_to(server.sockets[0].getsockname()[1])
            script = Script(steps=parse_script("expect binary 20 02 00 00 within 0.1"))
            return await probe(ProbeTarget(f"ws://{HOST}/ws"), network=network, script=script)

    assert run(story()).live is ok


def test_the_websockets_server_saw_the_same_handshake() -> None:
    requests: list[Request] = []
    closes: list[int | None] = []

    def note(_: ServerConnection, request: Request) -> None:
        requests.append(request)

    async def handler(connection: ServerConnection) -> None:
        assert connection.response is not None
        responses.append(list(connection.response.headers.raw_items()))
        chosen.append(connection.subprotocol)
        await echo(connection)
        closes.append(connection.close_code)

    responses: list[list[tuple[str, str]]] = []
    chosen: list[str | None] = []

    async def story() -> Transcript:
        names = [Subprotocol("json"), Subprotocol("chat")]
        async with serve(
            handler, "127.0.0.1", 0, process_request=note, subprotocols=names
        ) as server:
            target = ProbeTarget(
                f"ws://{HOST}/ws?room=1",
                headers=(("X-Room", "blue"), ("Cookie", "id=1")),
                subprotocols=("chat", "xml"),
                origin=f"https://{HOST}",
            )
            seen = await probe(
                target, network=network_to(server.sockets[0].getsockname()[1]), script=ASK
            )
            await asyncio.sleep(0.02)
            return seen

    seen = run(story())
    assert seen.request is not None
    assert seen.response is not None
    assert requests[0].path == "/ws?room=1"
    assert requests[0].headers["Cookie"] == "id=1"
    assert [
        (name, "id=<masked-1-characters>" if name == "Cookie" else value)
        for name, value in requests[0].headers.raw_items()
    ] == [(line.name, line.value) for line in seen.request.headers]
    assert responses[0] == [(line.name, line.value) for line in seen.response.headers]
    assert chosen == ["chat"] == [seen.response.get("sec-websocket-protocol")]
    assert closes == [1000]


def test_tls_speaks_http_1_1_only_and_names_the_urls_host(authority: Authority) -> None:
    context = authority.server(HOST, "*.example.com")
    asked_for: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: asked_for.append(name)

    async def story() -> Transcript:
        async with serve(echo, "127.0.0.1", 0, ssl=context) as server:
            network = network_to(server.sockets[0].getsockname()[1], authority)
            return await probe(
                ProbeTarget(f"wss://{HOST}/ws"), network=network, script=Script.handshake_only()
            )

    seen = run(story())
    assert seen.live, seen.failures
    assert asked_for == [HOST]
    assert seen.tls is not None
    assert (seen.tls.alpn, seen.tls.trusted, seen.tls.version) == ("http/1.1", True, "TLSv1.3")
    assert seen.tls.certificate is not None
    assert seen.tls.certificate.names == (HOST, "*.example.com")
    assert seen.tls.certificate.issuer == "CN=Test CA"
    assert seen.tls.certificate.not_after.endswith("Z")
    assert not seen.tls.certificate.self_signed


def test_a_greeting_in_the_same_packet_as_the_101_is_heard() -> None:
    async def story() -> Transcript:
        async with origin(opens_and_says(b"\x81\x07welcome\x88\x02\x03\xe9")) as here:
            return await ask(here)

    seen = run(story())
    assert seen.timing.first_frame is not None
    assert seen.failure is not None
    assert (seen.failure.phase, seen.failure.reason) == (Phase.ECHO, Reason.CLOSED_BY_PEER)
    assert seen.close is not None
    assert (seen.close.code, seen.close.by) == (1001, "peer")


def test_a_probe_without_an_event_loop() -> None:
    seen = probe_blocking(
        ProbeTarget(f"ws://{HOST}/"), network=network_to(origins.free_port()), limits=QUICK
    )
    assert seen.failure is not None
    assert (seen.failure.phase, seen.failure.reason) == (Phase.TCP, Reason.CONNECT_REFUSED)


def test_many_at_once_share_one_context(authority: Authority, good_tls: ssl.SSLContext) -> None:
    async def story() -> list[Transcript]:
        async with serve(echo, "127.0.0.1", 0, ssl=good_tls) as server:
            network = network_to(server.sockets[0].getsockname()[1], authority)
            target = ProbeTarget(f"wss://{HOST}/ws")
            return await asyncio.gather(*(probe(target, network=network) for _ in range(20)))

    transcripts = run(story())
    assert all(seen.live for seen in transcripts)
    assert len({seen.nonce for seen in transcripts}) == 20
    assert len({seen.request.key for seen in transcripts if seen.request}) == 20
    assert tls_context(str(authority.file)) is tls_context(str(authority.file))


# --- what the other side does (the table of hostile origins has a file of its own)
# -----------------------------------


def test_a_peer_that_breaks_the_rules_is_told_with_the_right_code() -> None:
    told: list[int] = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await origins.accept(reader, writer)
        writer.write(b"\x82\x7f" + struct.pack("!Q", 1 << 62))
        frame = await reader.readexactly(8)
        told.append(
            struct.unpack("!H", bytes(a ^ b for a, b in zip(frame[6:8], frame[2:4], strict=True)))[
                0
            ]
        )

    async def story() -> Transcript:
        async with origin(behave) as here:
            return await ask(here)

    seen = run(story())
    assert told == [1009]
    assert seen.close is not None
    assert not seen.close.clean


UNSUPPORTED = b"Content-Length: 28\r\n\r\nUnsupported protocol version"


@pytest.mark.parametrize(
    ("pieces", "verdict", "says"),
    [
        ([b"HTTP/1.1 400 Bad Request\r\n" + UNSUPPORTED], "WSE-SOCKETIO", "Unsupported protocol"),
        ([b"HTTP/1.1 40", b"0 Bad Request\r\n", UNSUPPORTED], "WSE-SOCKETIO", "Unsupported pro"),
        ([b"HTTP/1.1 401 Unauthorized\r\n\r\nno session"], "WSE-401-AUTH", "no session"),
        (
            [b"HTTP/1.1 404 Not Found\r\nContent-Length: 14\r\n\r\n404: Not Found"],
            "WSE-404-PATH",
            "404: Not Found",
        ),
        ([b"\x81\x02hi", b"HTTP/1.1 403 Origin not allowed\r\n\r\n"], "WSE-403-ORIGIN", "Origin"),
        ([b"HTTP/1.1 is no head\r\n\r\n"], "WSE-FRAME", "an HTTP response came after the 101"),
        ([b"HTTP/1.1 400 Bad"], "WSE-FRAME", "an HTTP response came after the 101"),
    ],
)
def test_a_refusal_that_comes_after_the_101_is_read_as_one(
    pieces: list[bytes], verdict: str, says: str
) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await origins.accept(reader, writer)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)

    async def story() -> Transcript:
        async with origin(behave) as here:
            return await ask(here, script=Script(first_frame_s=1.0))

    seen = run(story())
    assert seen.upgraded
    assert not seen.live
    first = diagnose(seen)[0]
    assert first.code == verdict, first
    assert says in " ".join(first.evidence)
    assert (seen.late is None) is (verdict == "WSE-FRAME")
    assert Transcript.from_dict(seen.to_dict()) == seen.masked()


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> tuple[Transcript, int]:
        async with origin(origins.silent) as trap, serve(echo, "127.0.0.1", 0) as server:
            for name in (
                "HTTP_PROXY",
                "HTTPS_PROXY",
                "ALL_PROXY",
                "http_proxy",
                "https_proxy",
                "all_proxy",
            ):
                monkeypatch.setenv(name, f"http://127.0.0.1:{trap.port}")
            network = network_to(server.sockets[0].getsockname()[1])
            return await probe(
                ProbeTarget(f"ws://{HOST}/ws"), network=network, script=ASK
            ), trap.begun

    seen, caught = run(story())
    assert seen.live, seen.failures
    assert caught == 0


def test_no_echo_is_followed_by_ping_and_close_all_the_same() -> None:
    async def deaf(connection: ServerConnection) -> None:
        try:
            async for _ in connection:
                await connection.send("thanks")
        except ConnectionClosed:
            pass

    async def story() -> Transcript:
        async with serve(deaf, "127.0.0.1", 0) as server:
            network = network_to(server.sockets[0].getsockname()[1])
            return await probe(
                ProbeTarget(f"ws://{HOST}/ws"), network=network, script=ASK, limits=QUICK
            )

    seen = run(story())
    assert [failure.reason for failure in seen.failures] == [Reason.NO_ECHO]
    assert seen.upgraded
    assert seen.timing.ping is not None
    assert seen.timing.close is not None
    assert diagnose(seen)[0].code == "WSE-NOECHO"


def test_a_refusal_keeps_what_tells_its_author() -> None:
    answer = (
        b"HTTP/1.1 502 Bad Gateway\r\nServer: CloudFront\r\nX-Cache: Error from "
        b"cloudfront\r\nX-Amz-Cf-Id: abc==\r\n"
    )

    async def story() -> Transcript:
        async with origin(says(answer + b"Content-Length: 13\r\n\r\n<h1>no</h1>\r\n")) as here:
            return await ask(here)

    seen = run(story())
    assert seen.body == "<h1>no</h1>\r\n"
    assert seen.edge_request_id == "abc=="
    assert diagnose(seen)[0].code.startswith("WSE-502")


# --- the way there
# ------------------------------------------------------------------------------


def stub(
    *answers: Sequence[str] | OSError,
) -> tuple[Callable[[str, int], Awaitable[Sequence[str]]], list[str]]:
    """A resolver that gives these answers in turn and remembers what it was asked."""
    asked: list[str] = []

    async def resolve(host: str, _port: int) -> Sequence[str]:
        answer = answers[len(asked)]
        asked.append(host)
        if isinstance(answer, OSError):
            raise answer
        return answer

    return resolve, asked


@pytest.fixture
def contacted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every address a probe would connect to; none is really contacted."""
    addresses: list[str] = []

    async def refuse(address: str, _port: int, _seconds: float) -> socket.socket:
        addresses.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(prober, "connect_tcp", refuse)
    return addresses


def probed(network: ProbeNetwork, url: str = f"wss://{HOST}/ws") -> Transcript:
    return run(probe(ProbeTarget(url), network=network, limits=QUICK))


def test_a_name_is_resolved_once_and_what_was_judged_is_connected(contacted: list[str]) -> None:
    resolve, asked = stub(["8.8.8.8"], ["127.0.0.1"])
    seen = probed(ProbeNetwork(resolve=resolve))
    assert asked == [HOST]
    assert contacted == ["8.8.8.8"]
    assert seen.failure is not None
    assert seen.failure.reason is Reason.CONNECT_REFUSED


@pytest.mark.parametrize(
    "answers",
    [
        ["127.0.0.1"],
        ["8.8.8.8", "10.0.0.1"],
        ["169.254.169.254"],
        ["::1"],
        ["8.8.8.8", "::ffff:127.0.0.1"],
        ["64:ff9b::a9fe:a9fe"],
        ["fd00:ec2::254"],
        [],
        ["not an address"],
    ],
)
def test_an_answer_that_is_not_public_refuses_the_name(
    answers: list[str], contacted: list[str]
) -> None:
    resolve, _ = stub(answers)
    seen = probed(ProbeNetwork(resolve=resolve))
    assert seen.failure is not None
    assert (seen.failure.phase, seen.failure.reason) == (Phase.GUARD, Reason.ADDRESS_REFUSED)
    assert contacted == []
    assert diagnose(seen)[0].code == "WSE-GUARD"


def test_a_connect_to_rule_does_not_pass_by_the_guard(contacted: list[str]) -> None:
    rules = parse_connect_to(f"{HOST}:443:127.0.0.1:8002")
    refused = probed(ProbeNetwork(connect_to=rules))
    assert refused.failure is not None
    assert refused.failure.reason is Reason.ADDRESS_REFUSED
    assert contacted == []
    probed(ProbeNetwork(connect_to=rules, allowed_networks=parse_networks("127.0.0.1/32")))
    assert contacted == ["127.0.0.1"]


@pytest.mark.parametrize(
    "url",
    [
        "wss://127.0.0.1/ws",
        "wss://2130706433/",
        "wss://good.example\\@127.0.0.1/",
        "wss://good.example/\r\nX: y",
        "wss://①②⑦.⓪.⓪.①/",
        "https://d111.cloudfront.net/",
        "wss://d111.cloudfront.net:6379/",
    ],
)
def test_a_url_that_is_refused_asks_nobody(url: str, contacted: list[str]) -> None:
    resolve, asked = stub()
    seen = probed(ProbeNetwork(resolve=resolve), url)
    assert seen.failure is not None
    assert (seen.failure.phase, seen.failure.reason) == (Phase.URL, Reason.BAD_URL)
    assert (asked, contacted) == ([], [])
    assert Transcript.from_dict(seen.to_dict()).failures == seen.failures


def test_a_header_that_is_refused_is_a_finding_not_an_error() -> None:
    target = ProbeTarget(f"wss://{HOST}/", headers=(("X-Evil", "a\r\nb"),))
    seen = run(probe(target, network=ProbeNetwork(), limits=QUICK))
    assert seen.failure is not None
    assert seen.failure.reason is Reason.BAD_REQUEST


def test_a_name_that_does_not_exist_and_a_resolver_that_hangs() -> None:
    resolve, _ = stub(socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
    unknown = probed(ProbeNetwork(resolve=resolve))
    assert unknown.failure is not None
    assert unknown.failure.reason is Reason.DNS_FAILURE
    assert HOST in unknown.failure.detail

    async def hang(_host: str, _port: int) -> Sequence[str]:
        await asyncio.sleep(60)
        return []

    with ends_within(QUICK.dns_s):
        hung = probed(ProbeNetwork(resolve=hang))
    assert hung.failure is not None
    assert hung.failure.reason is Reason.DNS_TIMEOUT


def test_a_lookup_that_hangs_holds_up_neither_the_probe_nor_the_end_of_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over = threading.Event()

    def hang(*_: object, **__: object) -> list[object]:
        over.wait(60)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    hung = probed(ProbeNetwork())
    assert hung.failure is not None
    assert hung.failure.reason is Reason.DNS_TIMEOUT
    waiting = [thread for thread in threading.enumerate() if thread.name == f"probe-dns {HOST}"]
    assert [thread.daemon for thread in waiting] == [True], (
        "Python waits at its end for threads that are no daemons"
    )
    over.set()
    for thread in waiting:
        thread.join()


def test_the_second_address_is_tried_when_the_first_refuses() -> None:
    async def story() -> Transcript:
        async with serve(echo, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            resolve, _ = stub(["127.0.0.2", "127.0.0.1"])
            network = ProbeNetwork(
                connect_to=parse_connect_to(f"{HOST}::origin.test:{port}"),
                allowed_networks=(origins.LOOPBACK,),
                resolve=resolve,
            )
            return await probe(ProbeTarget(f"ws://{HOST}/"), network=network, script=ASK)

    seen = run(story())
    assert seen.live, seen.failures
    assert seen.timing.dns is not None
    assert seen.route is not None
    assert [(attempt.address, attempt.outcome) for attempt in seen.route.attempts] == [
        ("127.0.0.2", "connect_refused"),
        ("127.0.0.1", "connected"),
    ]
    assert seen.route.override == f"{HOST}::origin.test:{network_port(seen)}"


def network_port(seen: Transcript) -> int:
    assert seen.route is not None
    return seen.route.connect_port


def test_a_connection_that_is_reset_as_it_is_made_is_no_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def reset(*_: object) -> socket.socket:
        raise ConnectionResetError

    monkeypatch.setattr(prober, "connect_tcp", reset)
    seen = probed(network_to(9))
    assert seen.failure is not None
    assert (seen.failure.phase, seen.failure.reason) == (Phase.TCP, Reason.RESET)
    assert diagnose(seen)[0].code == "WSE-RESET"


def test_an_address_that_drops_packets_is_a_connect_timeout() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        try:
            for sock in waiting:
                sock.setblocking(False)
                sock.connect_ex(("127.0.0.1", port))
            with ends_within(QUICK.connect_s):
                seen = run(
                    probe(ProbeTarget(f"ws://{HOST}/"), network=network_to(port), limits=QUICK)
                )
        finally:
            for sock in waiting:
                sock.close()
    assert seen.failure is not None
    assert seen.failure.reason is Reason.CONNECT_TIMEOUT


# --- TLS
# ------------------------------------------------------------------------------


def tls_failure(context: ssl.SSLContext, authority: Authority) -> Transcript:
    async def story() -> Transcript:
        async with origin(origins.silent, tls=context, authority=authority) as here:
            return await ask(here)

    return run(story())


@pytest.mark.parametrize(
    ("names", "options", "reason", "verdict"),
    [
        (("other.example",), {}, Reason.TLS_NAME_MISMATCH, "WSE-TLS-NAME"),
        (
            (HOST,),
            {"since": -9 * origins.DAY, "until": -origins.DAY},
            Reason.TLS_EXPIRED,
            "WSE-TLS-EXPIRED",
        ),
        (
            (HOST,),
            {"since": origins.DAY, "until": 9 * origins.DAY},
            Reason.TLS_NOT_YET_VALID,
            "WSE-TLS-EXPIRED",
        ),
        ((HOST,), {"own": True}, Reason.TLS_SELF_SIGNED, "WSE-TLS-SELFSIGNED"),
    ],
)
def test_a_certificate_that_is_not_trusted_is_named_and_shown(
    names: tuple[str, ...],
    options: dict[str, Any],
    reason: Reason,
    verdict: str,
    authority: Authority,
) -> None:
    seen = tls_failure(authority.server(*names, **options), authority)
    assert seen.failure is not None
    assert (seen.failure.phase, seen.failure.reason) == (Phase.TLS, reason)
    assert seen.tls is not None
    assert not seen.tls.trusted
    assert seen.tls.certificate is not None
    assert seen.tls.certificate.names == names
    assert seen.response is None
    assert diagnose(seen)[0].code == verdict


def test_a_certificate_of_an_unknown_authority(authority: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "Nobody's CA")
    seen = tls_failure(stranger.server(HOST), authority)
    assert seen.failure is not None
    assert seen.failure.reason is Reason.TLS_UNKNOWN_CA
    assert seen.tls is not None
    assert seen.tls.certificate is not None
    assert seen.tls.certificate.issuer == "CN=Nobody's CA"


X400, EDI_PARTY = bytes.fromhex("a3023000"), bytes.fromhex("a506a1040c026162")
"""Kinds of a subject alternative name (RFC 5280 4.2.1.6) that nobody uses, and that no library
reads.
"""


@pytest.mark.parametrize("odd", [b"", X400, EDI_PARTY], ids=["none", "x400Address", "ediPartyName"])
def test_a_certificate_with_a_name_that_cannot_be_read_ends_no_probe(
    odd: bytes, authority: Authority
) -> None:
    names = bytes((0x82, len(HOST))) + HOST.encode() + odd
    listed = bytes((0x30, len(names))) + names
    for own, trusted in ((True, False), (False, True)):
        seen = tls_failure(authority.server(HOST, own=own, listed=listed), authority)
        assert seen.tls is not None
        assert seen.tls.trusted is trusted
        assert (seen.tls.certificate is None) is bool(odd), "not known, where it cannot be read"
        assert seen.failure is not None
        assert seen.failure.reason is (
            Reason.UPGRADE_TIMEOUT if trusted else Reason.TLS_SELF_SIGNED
        )


def flawed(flaw: str) -> bytes:
    """A certificate in DER that can be taken apart, and one of whose fields makes no sense."""
    added = {
        "a name that is given twice": (
            ExtensionOID.ISSUER_ALTERNATIVE_NAME,
            bytes.fromhex("3003820161"),
        ),
        "a feature of TLS that is none": (ExtensionOID.TLS_FEATURE, bytes.fromhex("3003020163")),
    }.get(flaw)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "\x00bits")])
    builder = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    )
    builder = (
        builder.serial_number(1)
        .not_valid_before(origins.NOW)
        .not_valid_after(origins.NOW + origins.DAY)
    )
    builder = builder.add_extension(
        x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False
    )
    if added:
        builder = builder.add_extension(x509.UnrecognizedExtension(*added), critical=False)
    der = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    match flaw:
        case "a version that is none":
            return der.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020109"), 1)
        case "a common name of bits":
            return der.replace(b"\x0c\x05\x00bits", b"\x03\x05\x00bits")
        case _:
            # The other extension becomes a second one of the subject's names.
            return der.replace(bytes.fromhex("551d12"), bytes.fromhex("551d11"))


@pytest.mark.parametrize(
    "flaw",
    [
        "",
        "a version that is none",
        "a name that is given twice",
        "a feature of TLS that is none",
        "a common name of bits",
    ],
)
def test_a_certificate_that_makes_no_sense_is_not_known(flaw: str) -> None:
    class Shown:
        """As much of a finished TLS handshake as is asked for."""

        def getpeercert(self, binary_form: bool) -> bytes:
            return flawed(flaw)

        def cipher(self) -> None: ...
        def version(self) -> None: ...
        def selected_alpn_protocol(self) -> None: ...

    facts = tls_facts(cast("ssl.SSLSocket", Shown()), HOST, trusted=False)
    assert (facts.certificate is None) is bool(flaw)


async def answers_http_to_anything(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await reader.read(10)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


async def ends_at_once(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def listens_and_ends(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(64 * 1024)
    writer.close()


async def listens_and_resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(10)
    origins.reset(writer)


@pytest.mark.parametrize(
    ("behave", "reasons"),
    [
        (answers_http_to_anything, {Reason.TLS_PROTOCOL}),
        (origins.silent, {Reason.TLS_TIMEOUT}),
        (ends_at_once, {Reason.CLOSED_EARLY, Reason.RESET}),
        (listens_and_ends, {Reason.CLOSED_EARLY}),
        (listens_and_resets, {Reason.RESET}),
    ],
)
def test_what_does_not_speak_tls(
    behave: Behave, reasons: set[Reason], authority: Authority
) -> None:
    async def story() -> Transcript:
        async with origin(behave, authority=authority) as here:
            here.url = f"wss://{HOST}/"
            return await ask(here)

    seen = run(story())
    assert seen.failure is not None
    assert seen.failure.phase is Phase.TLS
    assert seen.failure.reason in reasons, seen.failure


def test_a_server_that_wants_a_certificate_of_ours_is_told_by_its_alert(
    authority: Authority,
) -> None:
    """In TLS 1.3 the alert comes after our side of the handshake is done (RFC 8446 4.4.2.4)."""
    demanding = authority.server(HOST)
    demanding.verify_mode = ssl.CERT_REQUIRED
    demanding.load_verify_locations(authority.file)

    async def demands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """asyncio's own server ends the connection without the alert that OpenSSL has written."""
        heard, said = ssl.MemoryBIO(), ssl.MemoryBIO()
        secured = demanding.wrap_bio(heard, said, server_side=True)
        while not reader.at_eof():
            with contextlib.suppress(ssl.SSLError):
                secured.do_handshake()
            writer.write(said.read())
            heard.write(await reader.read(64 * 1024))

    async def story() -> Transcript:
        async with origin(demands, authority=authority) as here:
            here.url = f"wss://{HOST}/"
            return await ask(here)

    seen = run(story())
    assert seen.failure is not None
    assert (seen.failure.phase, seen.failure.reason) == (Phase.TLS, Reason.TLS_PROTOCOL)
    assert "CERTIFICATE_REQUIRED" in seen.failure.detail
    assert diagnose(seen)[0].code == "WSE-TLS-PROTOCOL"


def test_plain_http_on_a_tls_port_is_seen_from_the_other_side(
    authority: Authority, good_tls: ssl.SSLContext
) -> None:
    async def story() -> Transcript:
        async with origin(origins.silent, tls=good_tls, authority=authority) as here:
            here.url = f"ws://{HOST}/"
            return await ask(here)

    seen = run(story())
    assert seen.failure is not None
    assert seen.failure.reason in {Reason.NOT_HTTP, Reason.CLOSED_EARLY, Reason.RESET}


def test_a_ca_file_that_cannot_be_read_is_the_portals_own_fault(tmp_path: Path) -> None:
    network = replace(network_to(1), ca_file=str(tmp_path / "missing.pem"))
    seen = run(probe(ProbeTarget(f"wss://{HOST}/"), network=network, limits=QUICK))
    assert seen.failure is not None
    assert seen.failure.reason is Reason.PROBE_ERROR
    assert diagnose(seen)[0].code == "WSE-PROBE"


def test_a_ca_file_that_changes_is_read_again(authority: Authority, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(authority.file.read_bytes())
    before = tls_context(str(file))
    other = Authority(tmp_path, "Second CA")
    file.write_bytes(other.file.read_bytes())
    later = time.time_ns() + 10**9
    os.utime(file, ns=(later, later))
    assert tls_context(str(file)) is not before
