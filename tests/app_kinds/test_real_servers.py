"""Every kind of app against a real server, asked directly: what the table says a check asks, sends,
hears and is refused with.

All are asked at the same time, once, since most of a check is waiting.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from checks.diagnosis.app_recognition import recognize_app
from checks.diagnosis.transcript_rules import diagnose
from checks.protocol.script import Script
from checks.protocol.transcript import Transcript
from provisioning.spec.app_kinds import APP_KINDS, kind_of_paths
from tests.app_kinds.asking import APP, ask
from tests.app_kinds.servers import KERNEL, TOKEN, AppServers


@dataclass(frozen=True)
class Case:
    """A server, as what it is asked, and the settings that differ from those of the kind."""

    server: str
    kind: str
    pattern: str
    settings: Any = field(default_factory=dict)

    def __str__(self) -> str:
        settings = "-".join(f"{name}={value}" for name, value in self.settings.items())
        return f"{self.server}-as-{self.kind}-{self.pattern}{settings and '-'}{settings}"


IN_A_KERNEL = {
    "check_path": f"/api/kernels/{KERNEL}/channels",
    "check_headers": "Authorization: token ${secret:APP_TOKEN}",
    "subprotocols": ["v1.kernel.websocket.jupyter.org"],
}
SESSION = "Cookie: {}=${{secret:APP_TOKEN}}"
LIVE = (
    Case("silent", "plain", "/ws"),
    Case("closes-after-5-s", "plain", "/ws"),
    Case("ws", "echo", "/ws"),
    Case("websockets", "echo", "/ws"),
    Case("home-assistant", "greeting", "/api/websocket"),
    Case("socket.io", "socketio", "/socket.io/*"),
    Case("socket.io", "socketio", "/socket.io/"),
    Case("python-socketio", "socketio", "/socket.io/*"),
    Case("socket.io-2", "socketio2", "/socket.io/*"),
    Case("engine.io", "engineio", "/engine.io/*"),
    Case("sockjs", "sockjs", "/sockjs/*"),
    Case("signalr", "signalr", "/chat"),
    Case("signalr", "signalr", "/chat*"),
    Case("socketcluster-server", "socketcluster", "/socketcluster/*"),
    Case("graphql-ws", "graphql-transport-ws", "/graphql"),
    Case("subscriptions-transport-ws", "graphql-ws", "/subscriptions"),
    Case("stomp-broker-js", "stomp", "/stomp"),
    Case("aedes", "mqtt", "/mqtt"),
    Case("autobahn", "wamp", "/ws"),
    Case("phoenix", "phoenix", "/socket/*"),
    Case("phoenix", "phoenix", "/socket/websocket"),
    Case("phoenix", "liveview", "/live/*"),
    Case("action-cable", "action-cable", "/cable"),
    Case("daphne", "django-channels", "/ws/chat/"),
    Case("fastapi", "asgi", "/ws"),
    Case("aiohttp", "asgi", "/ws"),
    Case("tornado", "tornado", "/ws"),
    Case("ws", "node-ws", "/ws"),
    Case("streamlit", "streamlit", "/_stcore/*"),
    Case("novnc", "novnc", "/websockify"),
    Case("home-assistant", "home-assistant", "/api/websocket"),
    Case("hasura", "hasura", "/v1/graphql"),
    Case("centrifugo", "centrifugo", "/connection/*"),
    Case("gradio", "gradio", "/queue/join"),
    Case("gorilla", "go", "/ws"),
    Case("coder", "go", "/ws"),
    Case("spring", "jvm", "/ws"),
    Case("kestrel", "dotnet", "/ws"),
    Case("jupyter", "jupyter", "/api/kernels/*/channels", IN_A_KERNEL),
    Case(
        "code-server",
        "code-server",
        "/code/*",
        {"check_headers": SESSION.format("code-server-session")},
    ),
    Case("n8n", "n8n", "/rest/*", {"check_headers": SESSION.format("n8n-auth")}),
    Case(
        "signalr-authorize",
        "signalr",
        "/chat",
        {"check_path": "/chat?access_token=${secret:APP_TOKEN}"},
    ),
)
"""Each kind as its documentation has it."""


@dataclass(frozen=True)
class Misfit:
    """A server asked as what it is not: the status, how the connection ended (or the body of the
    refusal begins), the kind that is recognized and the first verdict of that one handshake.
    """

    case: Case
    status: int
    words: str
    recognized: str
    verdict: str
    origin: str = f"http://{APP}"

    def __str__(self) -> str:
        return f"{self.case}{'' if APP in self.origin else '-other-origin'}"


STOPPED_KERNEL = IN_A_KERNEL | {"check_path": "/api/kernels/none/channels"}
FOREIGN = "https://elsewhere.example"
MISFITS = (
    Misfit(
        Case("socket.io", "plain", "/socket.io/*"),
        400,
        "Transport unknown",
        "socketio",
        "WSE-SOCKETIO",
    ),
    # It writes its refusal, an HTTP response, into the WebSocket that it has opened.
    Misfit(
        Case("socket.io", "socketio2", "/socket.io/*"),
        400,
        "Unsupported pro",
        "socketio",
        "WSE-SOCKETIO",
    ),
    Misfit(
        Case("engine.io", "socketio2", "/engine.io/*"),
        400,
        "Unsupported pro",
        "socketio",
        "WSE-SOCKETIO",
    ),
    Misfit(Case("python-socketio", "socketio2", "/socket.io/*"), 403, "", "", "WSE-SOCKETIO"),
    Misfit(
        Case("socket.io-2", "plain", "/socket.io/*"),
        400,
        "Transport unknown",
        "socketio",
        "WSE-SOCKETIO",
    ),
    Misfit(
        Case("engine.io", "plain", "/engine.io/*"),
        400,
        "Transport unknown",
        "socketio",
        "WSE-SOCKETIO",
    ),
    Misfit(
        Case("socket.io-allow-request", "socketio", "/socket.io/*"),
        400,
        "not on the list",
        "",
        "WSE-403-APP",
    ),
    Misfit(
        Case("socket.io-allow-origin", "socketio", "/socket.io/*"),
        400,
        "origin not allowed",
        "",
        "WSE-403-ORIGIN",
    ),
    Misfit(
        Case("socket.io-polling-only", "socketio", "/socket.io/*"),
        400,
        '{"code":0,"message":"Transport unknown"}',
        "",
        "WSE-WS-OFF",
    ),
    # It opens for a client of version 4, and then says what only version 2 says.
    Misfit(Case("socket.io-2", "socketio", "/socket.io/*"), 101, "", "socketio2", "WSE-SOCKETIO"),
    Misfit(Case("python-socketio", "plain", "/socket.io/*"), 403, "", "", "WSE-SOCKETIO"),
    Misfit(
        Case("sockjs", "plain", "/sockjs"), 200, "Welcome to SockJS!", "sockjs", "WSE-200-NOUPGRADE"
    ),
    Misfit(Case("sockjs", "plain", "/sockjs/x/y"), 404, "", "", "WSE-404-PATH"),
    Misfit(
        Case("graphql-ws", "plain", "/graphql"),
        101,
        "4406 Subprotocol not acceptable",
        "graphql-transport-ws",
        "WSE-SUBPROTOCOL",
    ),
    Misfit(
        Case("graphql-ws", "graphql-ws", "/graphql"),
        101,
        "4406 ",
        "graphql-transport-ws",
        "WSE-SUBPROTOCOL",
    ),
    Misfit(
        Case("graphql-ws-token", "graphql-transport-ws", "/graphql"),
        101,
        "4403 Forbidden",
        "",
        "WSE-401-AUTH",
    ),
    Misfit(
        Case("subscriptions-transport-ws", "plain", "/subscriptions"),
        101,
        "1002",
        "",
        "WSE-SUBPROTOCOL",
    ),
    Misfit(Case("aedes-login", "mqtt", "/mqtt"), 101, "1006", "", "WSE-401-AUTH"),
    Misfit(Case("autobahn", "plain", "/ws"), 400, "", "wamp", "WSE-SUBPROTOCOL"),
    Misfit(
        Case("centrifugo-token", "centrifugo", "/connection/*"),
        101,
        "3501 bad request",
        "",
        "WSE-FIRST-MESSAGE",
    ),
    Misfit(
        Case("centrifugo-token", "stomp", "/connection/websocket"),
        101,
        "3501 ",
        "centrifugo",
        "WSE-FIRST-MESSAGE",
    ),
    Misfit(Case("signalr", "echo", "/chat"), 101, "", "", "WSE-SCRIPT"),
    Misfit(
        Case("home-assistant", "action-cable", "/api/websocket"),
        101,
        "",
        "home-assistant",
        "WSE-SCRIPT",
    ),
    Misfit(
        Case("action-cable", "home-assistant", "/cable", {"check_path": "/cable"}),
        101,
        "",
        "action-cable",
        "WSE-SCRIPT",
    ),
    Misfit(Case("phoenix", "phoenix", "/socket/*"), 403, "", "", "WSE-403-APP", FOREIGN),
    Misfit(
        Case("action-cable", "action-cable", "/cable"),
        404,
        "Page not found",
        "",
        "WSE-403-ORIGIN",
        FOREIGN,
    ),
    Misfit(Case("streamlit", "streamlit", "/_stcore/*"), 403, "", "", "WSE-403-APP", FOREIGN),
    Misfit(
        Case("tornado", "tornado", "/ws"),
        403,
        "Cross origin websockets not",
        "",
        "WSE-403-ORIGIN",
        FOREIGN,
    ),
    Misfit(
        Case("daphne", "django-channels", "/ws/chat/"), 403, "", "", "WSE-403-UNACCEPTED", FOREIGN
    ),
    Misfit(Case("daphne", "django-channels", "/ws/members/"), 403, "", "", "WSE-403-UNACCEPTED"),
    Misfit(Case("daphne", "django-channels", "/ws/nowhere/"), 500, "", "", "WSE-500-APP"),
    Misfit(Case("fastapi", "asgi", "/nowhere"), 403, "", "", "WSE-403-UNACCEPTED"),
    Misfit(Case("aiohttp", "asgi", "/nowhere"), 404, "404: Not Found", "", "WSE-404-PATH"),
    Misfit(Case("tornado", "tornado", "/nowhere"), 404, "", "", "WSE-404-PATH"),
    Misfit(Case("ws", "node-ws", "/nowhere"), 400, "", "", "WSE-404-PATH"),
    Misfit(Case("gorilla", "go", "/ws"), 403, "Forbidden", "", "WSE-403-ORIGIN", FOREIGN),
    Misfit(Case("gorilla", "go", "/nowhere"), 404, "404 page not found", "", "WSE-PROXY-ROUTE"),
    Misfit(
        Case("coder", "go", "/ws"),
        403,
        'request Origin "elsewhere.example"',
        "",
        "WSE-403-ORIGIN",
        FOREIGN,
    ),
    Misfit(Case("spring", "jvm", "/ws"), 403, "", "", "WSE-403-ORIGIN", FOREIGN),
    Misfit(Case("spring", "jvm", "/nowhere"), 404, '{"timestamp"', "", "WSE-404-PATH"),
    Misfit(Case("kestrel", "dotnet", "/ws"), 403, "", "", "WSE-403-APP", FOREIGN),
    Misfit(Case("kestrel", "dotnet", "/nowhere"), 404, "", "", "WSE-404-PATH"),
    Misfit(Case("ws-verify-client", "node-ws", "/ws"), 401, "Unauthorized", "", "WSE-401-AUTH"),
    Misfit(
        Case("jupyter", "jupyter", "/api/kernels/*/channels"),
        403,
        "<!DOCTYPE HTML>",
        "",
        "WSE-403-APP",
    ),
    Misfit(
        Case("jupyter", "jupyter", "/api/kernels/*/channels", STOPPED_KERNEL),
        404,
        "<!DOC",
        "",
        "WSE-404-PATH",
    ),
    Misfit(
        Case("jupyter", "jupyter", "/api/kernels/*/channels"),
        403,
        "Cross origin",
        "",
        "WSE-403-ORIGIN",
        FOREIGN,
    ),
    Misfit(Case("code-server", "code-server", "/code/*"), 401, "", "", "WSE-401-AUTH"),
    Misfit(Case("code-server", "code-server", "/code/*"), 403, "", "", "WSE-403-APP", FOREIGN),
    Misfit(Case("n8n", "n8n", "/rest/*"), 101, "1005", "", "WSE-401-AUTH"),
    Misfit(
        Case("n8n", "n8n", "/rest/*", LIVE[-2].settings), 101, "1008", "", "WSE-403-ORIGIN", FOREIGN
    ),
    Misfit(Case("n8n", "plain", "/rest/push", LIVE[-2].settings), 101, "1008", "", "WSE-CLOSED"),
    Misfit(Case("signalr-authorize", "signalr", "/chat"), 401, "", "", "WSE-401-AUTH"),
    Misfit(
        Case("novnc-without-target", "novnc", "/websockify"),
        101,
        "1011 Failed to",
        "",
        "WSE-PROXY-UPSTREAM",
    ),
    Misfit(
        Case("hasura-secret", "hasura", "/v1/graphql"), 101, "4400 x-hasura", "", "WSE-401-AUTH"
    ),
    Misfit(Case("streamlit", "plain", "/app"), 200, "<!doctype html>", "streamlit", "WSE-200-SPA"),
    Misfit(Case("silent", "echo", "/ws"), 101, "", "", "WSE-SCRIPT"),
    Misfit(Case("silent", "greeting", "/ws"), 101, "", "", "WSE-SCRIPT"),
    Misfit(
        Case("first-message-first", "plain", "/ws"), 101, "4000 name a room first", "", "WSE-CLOSED"
    ),
    Misfit(Case("token", "plain", "/ws"), 401, '{"error": "invalid token"}', "", "WSE-401-AUTH"),
    Misfit(
        Case("closes-after-5-s", "plain", "/ws", {"stay_open_seconds": 10}),
        101,
        "4008 say something",
        "",
        "WSE-CLOSED",
    ),
)

IN_A_ROOM: dict[str, Any] = {
    "check_script": 'send {"room":"check"}\nexpect json $.joined == "check"',
    "stay_open_seconds": 1,
}
Answers = dict[object, Transcript]


@pytest.fixture(scope="module")
def answers(servers: AppServers) -> Answers:
    """What each server answered; without Node, those of npm are missing."""
    ports: dict[str, int] = {}
    for name in {case.server for case in (*LIVE, *(misfit.case for misfit in MISFITS))}:
        try:
            ports[name] = servers.start(name)
        except pytest.skip.Exception:
            continue

    async def all_at_once() -> Answers:
        asked: dict[object, Any] = {}
        for case in LIVE:
            if case.server in ports:
                asked[str(case)] = ask(
                    ports[case.server],
                    case.kind,
                    case.pattern,
                    secrets={"APP_TOKEN": TOKEN},
                    **case.settings,
                )
        for one in MISFITS:
            case = one.case
            if case.server in ports:
                asked[str(one), "misfit"] = ask(
                    ports[case.server],
                    case.kind,
                    case.pattern,
                    origin=one.origin,
                    secrets={"APP_TOKEN": TOKEN},
                    **case.settings,
                )
        found = await asyncio.gather(*asked.values())
        return dict(zip(asked, found, strict=True))

    return asyncio.run(all_at_once())


def answer(answers: Answers, asked: object) -> Transcript:
    """One of them; skips the test if its server is not here."""
    if asked not in answers:
        pytest.skip("this server comes from npm, which is not here")
    return answers[asked]


@pytest.mark.parametrize("case", LIVE, ids=str)
def test_a_real_server_is_live(answers: Answers, case: Case) -> None:
    seen = answer(answers, str(case))
    assert seen.live, (seen.failures, seen.body, seen.frames)
    assert diagnose(seen)[0].code == "WSE-LIVE"
    if APP_KINDS[case.kind].group != "Any server":
        assert recognize_app([seen], case.kind) is None, "it is not taken for another kind"


def test_every_kind_is_tried() -> None:
    assert {case.kind for case in LIVE} == set(APP_KINDS)


@pytest.mark.parametrize("misfit", MISFITS, ids=str)
def test_what_does_not_fit_is_not_live_and_says_what_it_is(
    answers: Answers, misfit: Misfit
) -> None:
    seen = answer(answers, (str(misfit), "misfit"))
    assert not seen.live
    assert seen.answer is not None
    closed = seen.close if seen.close and seen.close.by != "us" else None
    words = f"{closed.code} {closed.reason}" if closed else seen.body
    assert (seen.answer.status, words[: len(misfit.words)]) == (misfit.status, misfit.words)
    kind = recognize_app([seen], misfit.case.kind)
    assert (kind.key if kind else "") == misfit.recognized
    assert diagnose(seen)[0].code == misfit.verdict


@pytest.mark.parametrize(
    ("case", "verdict", "says"),
    [
        (Case("socket.io", "socketio2", "/socket.io/*"), "WSE-SOCKETIO", "allowEIO3"),
        (Case("engine.io", "socketio2", "/engine.io/*"), "WSE-SOCKETIO", "EIO=4"),
        (Case("python-socketio", "socketio2", "/socket.io/*"), "WSE-SOCKETIO", "EIO=4"),
        (Case("python-socketio", "plain", "/socket.io/*"), "WSE-SOCKETIO", "?EIO=4&transport="),
        (Case("socket.io-2", "socketio", "/socket.io/*"), "WSE-SOCKETIO", "to Socket.IO 2,"),
        (Case("socket.io-polling-only", "socketio", "/socket.io/*"), "WSE-WS-OFF", "transports"),
        (
            Case("socket.io-allow-origin", "socketio", "/socket.io/*"),
            "WSE-403-ORIGIN",
            "the Origin of your own page",
        ),
        (Case("autobahn", "plain", "/ws"), "WSE-SUBPROTOCOL", "wamp.2.json"),
    ],
    ids=str,
)
def test_a_refusal_names_what_to_change(
    answers: Answers, case: Case, verdict: str, says: str
) -> None:
    first = diagnose(answer(answers, (str(case), "misfit")))[0]
    assert first.code == verdict, first
    assert says in first.fix


@pytest.mark.parametrize(
    ("path", "kind"),
    [(path, kind.key) for kind in APP_KINDS.values() for path in kind.in_paths],
)
def test_the_form_proposes_the_kind_of_a_usual_path(path: str, kind: str) -> None:
    assert kind_of_paths((path,)).key == kind
    assert kind_of_paths(("/other", f"/app{path}/*")).key == kind
    assert kind_of_paths(("/other",)).key == "plain"


# --- heartbeats, at servers that wait a second or two for them: a busy machine answers in time, too


AT_ONCE = 0.1
"""Seconds between heartbeats here."""
KEEP_ALIVE_1_S = """
send-binary 10 0c 00 04 4d 51 54 54 04 02 00 01 00 00
expect binary 20 02 00 00 within 5
"""
HEARTBEATS = (
    Case("socket.io-impatient", "socketio", "/socket.io/*", {"stay_open_seconds": 4}),
    Case("socket.io-2-impatient", "socketio2", "/socket.io/*", {"stay_open_seconds": 4}),
    Case("engine.io-impatient", "engineio", "/engine.io/*", {"stay_open_seconds": 4}),
    Case("signalr-impatient", "signalr", "/chat", {"stay_open_seconds": 4}),
    Case("socketcluster-server-impatient", "socketcluster", "/socketcluster/*",
         {"stay_open_seconds": 4}),
    Case("phoenix-impatient", "phoenix", "/socket/*", {"stay_open_seconds": 4}),
    Case("phoenix-impatient", "liveview", "/socket/websocket", {"stay_open_seconds": 4}),
    Case("centrifugo-impatient", "centrifugo", "/connection/*", {"stay_open_seconds": 4}),
    Case("hasura-impatient", "hasura", "/v1/graphql", {"stay_open_seconds": 4}),
    Case("hasura-impatient", "graphql-transport-ws", "/v1/graphql", {"stay_open_seconds": 4}),
    Case("aedes", "mqtt", "/mqtt", {"stay_open_seconds": 2, "check_script": KEEP_ALIVE_1_S}),
)  # fmt: skip
JOINED = "expect regex ^0 within 5\nsend 40"


def hurried(script: Script) -> Script:
    """A heartbeat that is due sooner."""
    beat = script.heartbeat
    if beat is None or not beat.every:
        return script
    return replace(script, heartbeat=replace(beat, every=AT_ONCE))


def without_heartbeat(script: Script) -> Script:
    """The check as if it knew of none."""
    return replace(script, heartbeat=None)


@pytest.fixture(scope="module")
def kept(servers: AppServers) -> dict[str, tuple[Transcript, Transcript]]:
    """With and without a heartbeat."""
    ports: dict[str, int] = {}
    for case in HEARTBEATS:
        try:
            ports[case.server] = servers.start(case.server)
        except pytest.skip.Exception:
            continue

    async def both(case: Case) -> tuple[Transcript, Transcript]:
        port, more = ports[case.server], case.settings
        if case.kind == "socketio":
            # Its server waits as long for a namespace as for a heartbeat.
            more = more | {"check_script": JOINED}
        with_it, without = await asyncio.gather(
            ask(port, case.kind, case.pattern, alter=hurried, **more),
            ask(port, case.kind, case.pattern, alter=without_heartbeat, **more),
        )
        return with_it, without

    async def all_at_once() -> dict[str, tuple[Transcript, Transcript]]:
        here = [case for case in HEARTBEATS if case.server in ports]
        return dict(zip(map(str, here), await asyncio.gather(*map(both, here)), strict=True))

    return asyncio.run(all_at_once())


@pytest.mark.parametrize("case", HEARTBEATS, ids=str)
def test_a_heartbeat_keeps_the_connection_and_its_lack_ends_it(
    kept: dict[str, tuple[Transcript, Transcript]], case: Case
) -> None:
    if str(case) not in kept:
        pytest.skip("this server comes from npm, which is not here")
    with_it, without = kept[str(case)]
    assert with_it.live, (with_it.failures, with_it.frames)
    assert not without.live, without.frames


def test_every_kind_with_a_heartbeat_of_its_own_is_tried() -> None:
    assert {case.kind for case in HEARTBEATS} == {
        kind.key for kind in APP_KINDS.values() if kind.beat is not None
    }


def test_a_client_that_must_join_is_closed_unless_it_does(servers: AppServers) -> None:
    home = servers.start("home-assistant-impatient")
    silent = asyncio.run(ask(home, "home-assistant", "/api/websocket", stay_open_seconds=4))
    assert not silent.live
    port = servers.start("socket.io-impatient")

    async def both() -> tuple[Transcript, Transcript]:
        silent, joined = await asyncio.gather(
            ask(port, "socketio", "/socket.io/*", stay_open_seconds=4),
            ask(port, "socketio", "/socket.io/*", stay_open_seconds=4, check_script=JOINED),
        )
        return silent, joined

    outside, inside = asyncio.run(both())
    assert not outside.live
    assert inside.live, inside.failures


# --- the four that nobody's protocol describes


def test_one_that_closes_after_five_seconds_is_told_so(answers: Answers) -> None:
    case = Case("closes-after-5-s", "plain", "/ws", {"stay_open_seconds": 10})
    seen = answer(answers, (str(case), "misfit"))
    first = diagnose(seen)[0]
    assert first.code == "WSE-CLOSED"
    told = " | ".join(first.evidence)
    assert "4008 say something" in told
    lasted = re.search(r"it closed ([0-9.]+) s after the handshake", told)
    assert lasted is not None, told
    assert 4.5 < float(lasted[1]) < 10
    assert answer(answers, str(Case("closes-after-5-s", "plain", "/ws"))).live, "3 s by default"


def test_one_that_needs_a_first_message_is_live_with_one(servers: AppServers) -> None:
    port = servers.start("first-message-first")
    assert asyncio.run(ask(port, "plain", "/ws", **IN_A_ROOM)).live
    other = IN_A_ROOM | {"check_script": 'send {"room":"x"}\nexpect json $.joined == "y" within 1'}
    assert not asyncio.run(ask(port, "plain", "/ws", **other)).live


@pytest.mark.parametrize(
    "settings",
    [
        {"check_headers": "Authorization: Bearer ${secret:APP_TOKEN}"},
        {"check_path": "/ws?token=${secret:APP_TOKEN}"},
    ],
)
def test_one_that_wants_a_token_is_live_with_a_stored_secret(
    servers: AppServers, settings: dict[str, Any]
) -> None:
    port, settings = servers.start("token"), settings | {"stay_open_seconds": 1}
    seen = asyncio.run(ask(port, "plain", "/ws", secrets={"APP_TOKEN": TOKEN}, **settings))
    assert seen.live, seen.failures
    assert TOKEN not in str(seen.to_dict())
    wrong = asyncio.run(ask(port, "plain", "/ws", secrets={"APP_TOKEN": "0ld" + TOKEN}, **settings))
    assert wrong.response is not None
    assert wrong.response.status == 401
    assert diagnose(wrong)[0].code == "WSE-401-AUTH"
