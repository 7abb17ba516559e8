"""What an endpoint's settings say that its usual check asks, sends and awaits."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from checks.diagnosis.app_recognition import recognize_app
from checks.diagnosis.transcript_rules import diagnose
from checks.probe.prober import probe
from checks.protocol.handshake_options import parse_handshake_options
from checks.protocol.script import Hold, parse_script
from checks.protocol.transcript import HandshakeRequest, Transcript
from checks.usual_check import (
    UsualCheckSummary,
    custom_script,
    opening,
    own_protocol,
    usual_check_faults,
    usual_script,
    usual_target,
)
from provisioning.facts.path_patterns import matches
from provisioning.spec.app_kinds import APP_KINDS, PLAIN, AppKind, kind_of_paths
from provisioning.spec.client_profiles import CLIENTS, ClientProfile
from provisioning.spec.parsing import SpecError, derive_settings
from tests.checks.origins import HOST, ask, network_to, origin, says
from tests.checks.seen import answered, live
from tests.provisioning.examples import spec

NAME = "d111111abcdef8.cloudfront.net"


@pytest.mark.parametrize("kind", APP_KINDS.values(), ids=APP_KINDS)
def test_each_kind_gives_a_check_that_can_be_made(kind: AppKind) -> None:
    made = spec(app_kind=kind.key, path_patterns=["/app", "/app/*"])
    assert usual_check_faults(made) == {}
    assert any(matches(pattern, made.handshake_path) for pattern in made.path_patterns)
    assert made.check_path.endswith(kind.path)
    assert made.subprotocols == kind.subprotocols
    assert made.check_script == kind.script
    assert ("POST" in made.allowed_methods) is kind.http_api
    assert usual_target(made, NAME).url == f"wss://{NAME}{made.check_path}"
    assert kind.source.startswith("https://")
    assert kind.about.endswith(".")


@pytest.mark.parametrize(
    ("path_patterns", "key", "path"),
    [
        (["/ws/chat"], PLAIN, "/ws/chat"),
        (["/socket.io/*"], "socketio", "/socket.io/?EIO=4&transport=websocket"),
        (["/api/socket.io", "/api/socket.io/*"], "socketio",
         "/api/socket.io/?EIO=4&transport=websocket"),
        (["/engine.io/"], "engineio", "/engine.io/?EIO=4&transport=websocket"),
        (["/live/websocket"], "liveview", "/live/websocket?vsn=2.0.0"),
        (["/cable"], "action-cable", "/cable"),
        (["/_stcore/*"], "streamlit", "/_stcore/stream"),
        (["/api/kernels/*/channels"], "jupyter", "/api/kernels/x/channels"),
        (["/livechat"], PLAIN, "/livechat"),
        (["/recable/socket"], PLAIN, "/recable/socket"),
    ],
)  # fmt: skip
def test_a_usual_path_tells_the_kind_and_what_to_ask(
    path_patterns: list[str], key: str, path: str
) -> None:
    made = spec(path_patterns=path_patterns)
    assert (made.app_kind, made.check_path) == (key, path)
    assert kind_of_paths(tuple(path_patterns)).key == key


@pytest.mark.parametrize(
    ("kind", "pattern", "wanted", "use"),
    [
        ("socketio", "/socket.io", "/socket.io/", "/socket.io/*"),
        ("engineio", "/engine.io", "/engine.io/", "/engine.io/*"),
        ("sockjs", "/echo", "/echo/000/edgecheck/websocket", "/echo/*"),
        ("phoenix", "/socket", "/socket/websocket", "/socket/*"),
        ("streamlit", "/dash", "/dash/_stcore/stream", "/dash/*"),
    ],
)
def test_a_path_that_no_client_of_the_kind_requests_is_refused_with_the_one_to_use(
    kind: str, pattern: str, wanted: str, use: str
) -> None:
    with pytest.raises(SpecError) as refused:
        spec(app_kind=kind, path_patterns=[pattern])
    [error] = refused.value.errors
    assert (error.field, error.code) == ("path_patterns", "not_matched")
    assert f"clients request {wanted}, which {pattern} does not match. Use {use}," in error.message
    assert spec(app_kind=kind, path_patterns=[use]).handshake_path == wanted
    # A client can be told to use another path; then the check is told, too.
    own = f"{pattern}?EIO=4&transport=websocket"
    assert spec(app_kind=kind, path_patterns=[pattern], check_path=own).check_path == own


@pytest.mark.parametrize(
    ("kind", "pattern", "usual", "only_for"),
    [
        ("socketio", "/chat", "/socket.io/*", "/chat"),
        ("socketio2", "/chat", "/socket.io/*", "/chat"),
        ("engineio", "/realtime", "/engine.io/*", "/realtime"),
    ],
)
def test_a_namespace_is_not_taken_for_a_path(
    kind: str, pattern: str, usual: str, only_for: str
) -> None:
    with pytest.raises(SpecError) as refused:
        spec(app_kind=kind, path_patterns=[pattern])
    [error] = refused.value.errors
    assert error.message.startswith(f"The path is {usual} unless your server sets the path option.")
    told = f"Use {usual}, or {pattern}/* only if your server's path option is {only_for}."
    assert error.message.endswith(told)
    assert ("A namespace such as /chat is not a path." in error.message) == ("socketio" in kind)
    for everything in ("/", "/*"):
        with pytest.raises(SpecError) as refused:
            spec(app_kind=kind, path_patterns=[everything])
        assert [one.code for one in refused.value.errors] == ["catch_all"]
        assert f"for example {usual}." in str(refused.value)
    # The path may be the server's own all the same; then the reason says what that takes.
    for path, doubted in (("/chat/*", True), (usual, False)):
        derived = derive_settings({"app_kind": kind, "path_patterns": [path]})
        reason = next(one.reason for one in derived if one.field == "check_path")
        assert (f"The path is {usual} unless" in reason) is doubted


def test_a_plain_check_sends_the_app_no_message() -> None:
    script = usual_script(spec())
    assert (script.message, script.ping, script.steps) == ("", True, (Hold(3.0),))
    assert usual_script(spec(stay_open_seconds=0)).steps == ()
    summary = UsualCheckSummary.of(spec().to_dict())
    assert (summary.sends, summary.awaits, summary.seconds) == ((), (), 3)


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
def test_a_check_sends_the_header_lines_of_its_client(client: ClientProfile) -> None:
    made = spec(check_client=client.key, check_headers="user-agent: mine/1")
    sent: list[HandshakeRequest] = []

    async def story() -> None:
        async with origin(says(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")) as here:
            for target in (
                usual_target(spec(check_client=client.key), HOST),
                usual_target(made, HOST),
            ):
                plain = replace(target, url=target.url.replace("wss:", "ws:"))
                seen = await ask(here, target=plain)
                assert seen.request
                sent.append(seen.request)

    asyncio.run(story())
    lines = [(line.name, line.value) for line in sent[0].headers]
    assert [line for line in lines if line in client.headers] == list(client.headers)
    assert (sent[0].origin is not None) is client.sends_origin
    agents = [line.value for line in sent[1].headers if line.name.lower() == "user-agent"]
    assert agents == ["mine/1"], "what a person gives wins"


def test_a_firewall_that_wants_a_user_agent_lets_the_usual_check_in() -> None:
    async def guarded(connection: ServerConnection) -> None:
        await connection.wait_closed()

    def rule(connection: ServerConnection, request: Request) -> Response | None:
        if "User-Agent" in request.headers:
            return None
        return connection.respond(403, "no User-Agent")

    async def story(client: str) -> Transcript:
        async with serve(guarded, "127.0.0.1", 0, process_request=rule) as server:
            network = network_to(server.sockets[0].getsockname()[1])
            target = usual_target(spec(check_client=client), HOST)
            plain = replace(target, url=target.url.replace("wss:", "ws:"))
            return await probe(plain, network=network)

    assert asyncio.run(story("browser")).live
    assert not asyncio.run(story("node")).live


def test_a_check_says_what_was_asked_for() -> None:
    made = spec(
        check_path="/ws/chat/room?id=1",
        check_headers="X-Tenant: demo",
        check_script="send hi {nonce}\nexpect text {nonce} within 2",
        subprotocols=["chat.v2"],
        stay_open_seconds=10,
    )
    target = usual_target(made, NAME)
    assert target.url.endswith("/ws/chat/room?id=1")
    assert target.headers == (("X-Tenant", "demo"),)
    assert target.subprotocols == ("chat.v2",)
    assert usual_script(made).steps == (*parse_script(made.check_script), Hold(10.0))
    summary = UsualCheckSummary.of(made.to_dict())
    assert summary.sends == ("send hi {nonce}",)
    assert summary.awaits == ("expect text {nonce} within 2",)
    assert summary.headers == ("X-Tenant",)


@pytest.mark.parametrize(
    ("changes", "field", "advice"),
    [
        ({"check_script": "shout hi"}, "check_script", "write one of send"),
        ({"check_headers": "Host: evil.example"}, "check_headers", "Host"),
        ({"check_headers": "Authorization: Bearer abc"}, "check_headers", "Secret"),
        ({"check_path": "/ws/chat?access_token=abc"}, "check_path", "Secret"),
        (
            {"app_kind": "socketio", "stay_open_seconds": 45},
            "stay_open_seconds",
            "add the message send 40",
        ),
        (
            {"app_kind": "home-assistant", "stay_open_seconds": 10},
            "stay_open_seconds",
            "fewer than 10 seconds",
        ),
    ],
)
def test_what_no_check_may_have_is_said_at_its_setting(
    changes: dict[str, Any], field: str, advice: str
) -> None:
    faults = usual_check_faults(spec(**changes))
    assert list(faults) == [field]
    assert advice in faults[field]
    assert usual_check_faults(spec()) == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"app_kind": "socketio", "stay_open_seconds": 44},
        {"app_kind": "socketio", "stay_open_seconds": 60, "check_script": "send 40"},
        {"app_kind": "socketio2", "stay_open_seconds": 60},
        {"app_kind": "phoenix", "stay_open_seconds": 60},
    ],
)
def test_a_client_that_joins_or_leaves_in_time_may_stay(changes: dict[str, Any]) -> None:
    assert usual_check_faults(spec(**changes)) == {}


@pytest.mark.parametrize(
    ("kind", "seconds", "heartbeat"),
    [
        ("plain", 60, ""),
        ("socketio", 3, "send 3 after each message that matches ^2$"),
        ("socketcluster", 3, "send an empty message after each message that matches ^$"),
        ("signalr", 3, ""),
        ("signalr", 20, 'send {"type":6}{0x1e} every 15 s'),
        ("mqtt", 60, "send-binary c0 00 every 30 s"),
        ("stomp", 60, ""),
    ],
)
def test_a_heartbeat_is_said_if_it_can_be_due(kind: str, seconds: int, heartbeat: str) -> None:
    made = spec(app_kind=kind, stay_open_seconds=seconds)
    summary = UsualCheckSummary.of(made.to_dict())
    assert str(summary.heartbeat or "") == heartbeat


def test_a_script_of_its_own_gets_the_heartbeat_unless_it_sends_it() -> None:
    made = spec(app_kind="socketio")
    own = parse_handshake_options({"script": "hold 60"}, url=f"wss://{NAME}/")
    assert custom_script(own, made).heartbeat == usual_script(made).heartbeat is not None
    itself = parse_handshake_options({"script": "expect text 2\nsend 3"}, url=f"wss://{NAME}/")
    assert custom_script(itself, made).heartbeat is None


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ('{"code":0,"message":"Transport unknown"}', "socketio"),
        ("No Connection with that ID", "signalr"),
        ("Welcome to SockJS!\n", "sockjs"),
        ("404 page not found", None),
        ("", None),
    ],
)
def test_an_app_is_recognized_by_its_refusal(body: str, key: str | None) -> None:
    seen = answered("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n", body=body)
    kind = recognize_app([live(), seen])
    assert (kind and kind.key) == key


@pytest.mark.parametrize(
    ("key", "path_patterns", "code"),
    [
        (
            "socketio",
            ["/socket.io/*"],
            # The check proves this transport only.
            'io("https://d111111abcdef8.cloudfront.net", '
            '{ path: "/socket.io/", transports: ["websocket"] })',
        ),
        (
            "phoenix",
            ["/socket/websocket"],
            'new Socket("wss://d111111abcdef8.cloudfront.net/socket")',
        ),
        ("plain", ["/ws/chat"], ""),
    ],
)
def test_the_kinds_own_client_is_told_how_to_connect(
    key: str, path_patterns: list[str], code: str
) -> None:
    made = spec(app_kind=key, path_patterns=path_patterns)
    assert APP_KINDS[key].client_code(NAME, made.check_path) == code


@pytest.mark.parametrize(
    ("key", "first", "typed"),
    [
        ("plain", "ping", True),
        ("echo", "hello", True),
        ("greeting", "listen", True),
        ("tornado", "ping", True),
        ("socketio", "listen", False),
        ("action-cable", "listen", False),
        ("graphql-transport-ws", "ping", False),
        ("mqtt", "ping", False),
    ],
)
def test_a_person_is_told_to_send_nothing_that_the_app_would_choke_on(
    key: str, first: str, typed: bool
) -> None:
    assert opening(spec(app_kind=key)) == first
    assert (own_protocol(APP_KINDS[key]) == "") == typed


OPEN_PACKET = b'0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000}'


@pytest.mark.parametrize(
    ("kind", "messages", "live"),
    [
        ("socketio", (OPEN_PACKET, b"40"), False),
        ("socketio2", (OPEN_PACKET, b"40"), True),
        # Socket.IO 3 has no maxPayload in its open packet either.
        ("socketio", (OPEN_PACKET,), True),
    ],
)
def test_a_socket_io_2_server_is_not_live_for_clients_of_version_4(
    kind: str, messages: tuple[bytes, ...], live: bool
) -> None:
    made = spec(app_kind=kind, path_patterns=["/socket.io/*"])

    async def greet(socket: ServerConnection) -> None:
        for message in messages:
            await socket.send(message.decode())
        await socket.wait_closed()

    async def story() -> Transcript:
        async with serve(greet, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            target = replace(usual_target(made, HOST), url=f"ws://{HOST}{made.check_path}")
            return await probe(target, network=network_to(port), script=usual_script(made))

    seen = asyncio.run(story())
    assert seen.live is live
    first = diagnose(seen)[0]
    if not live:
        assert first.code == "WSE-SOCKETIO"
        assert "kind of app to Socket.IO 2" in first.fix
        found = recognize_app([seen], kind)
        assert found is not None
        assert found.key == "socketio2", "the page offers to check it as that"


def test_a_message_of_ones_own_may_be_answered_by_what_is_foreign_otherwise() -> None:
    kind = APP_KINDS["socketio"]
    own = spec(app_kind="socketio", path_patterns=["/socket.io/*"])
    assert usual_script(own).never is kind.never is not None
    joins = replace(own, check_script=kind.script + "\nsend 40")
    assert usual_script(joins).never is None
