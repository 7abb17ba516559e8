"""Servers of products that neither PyPI nor npm has at a bearable size, written from the documents
of their protocols.

Only what a client meets in the first seconds: the handshake, the first messages, the heartbeat, the
refusals.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from aiohttp import WSMsgType, web

from tests.app_kinds.servers import KERNEL, TOKEN

RECORD_END = "\x1e"
"""SignalR ends each message with it."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(routes: Mapping[str, Handler], server: str | None = None) -> web.Application:
    """An aiohttp application of handlers by path, which signs as `server`: "" for a product that
    does not sign, None for aiohttp.
    """
    app = web.Application()
    for path, handler in routes.items():
        app.router.add_route("*", path, handler)

    async def sign(_: web.Request, response: web.StreamResponse) -> None:
        if server is not None:
            response.headers.pop("Server", None)
        if server:
            response.headers["Server"] = server

    app.on_response_prepare.append(sign)
    return app


def same_origin(request: web.Request) -> bool:
    """The Origin, if there is one, is a page of the host that was asked."""
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.host


async def opened(request: web.Request, *subprotocols: str, **more: Any) -> web.WebSocketResponse:
    """The answer 101."""
    socket = web.WebSocketResponse(protocols=subprotocols, **more)
    await socket.prepare(request)
    return socket


def bearer_of(request: web.Request) -> str:
    """The token of the Authorization header."""
    return request.headers.get("Authorization", "").removeprefix("Bearer ")


async def heard(socket: web.WebSocketResponse, seconds: float | None = None) -> str | None:
    """The next text message; None if the client has gone. Raises TimeoutError."""
    message = await socket.receive(seconds)
    return str(message.data) if message.type is WSMsgType.TEXT else None


async def heard_within(socket: web.WebSocketResponse, seconds: float) -> str | None:
    """The same; a client that is silent for longer is closed."""
    try:
        return await heard(socket, seconds)
    except TimeoutError:
        await socket.close()
        return None


# --- SignalR: HubProtocol.md and TransportProtocols.md of dotnet/aspnetcore


async def signalr(
    request: web.Request, silence: float = 30, *, authorize: bool = False
) -> web.StreamResponse:
    """A hub with the method Echo, for clients that skip negotiation and for those that do not. It
    closes after so many seconds of `silence`; with `authorize` it wants a token.
    """
    if request.path.endswith("/negotiate"):
        return web.json_response(
            {
                "negotiateVersion": 1,
                "connectionId": "one",
                "connectionToken": "one",
                "availableTransports": [
                    {"transport": "WebSockets", "transferFormats": ["Text", "Binary"]}
                ],
            }
        )
    if authorize and TOKEN not in (bearer_of(request), request.query.get("access_token")):
        return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})
    if request.query.get("id", "one") != "one":
        return web.Response(status=404, text="No Connection with that ID")
    if request.headers.get("Upgrade", "").lower() != "websocket":
        return web.Response(status=400, text="Connection ID required")
    socket = await opened(request)
    asked: str | None = ""
    while asked is not None and RECORD_END not in asked:
        asked = await heard_within(socket, 15)
    if asked is None:
        return socket
    wanted = json.loads(asked.partition(RECORD_END)[0])
    if wanted.get("protocol") != "json":
        error = f"The protocol '{wanted.get('protocol')}' is not supported."
        await socket.send_str(json.dumps({"error": error}) + RECORD_END)
        await socket.close()
        return socket
    await socket.send_str("{}" + RECORD_END)
    while (said := await heard_within(socket, silence)) is not None:
        for record in filter(None, said.split(RECORD_END)):
            message = json.loads(record)
            if message["type"] == 1:
                answer = {
                    "type": 3,
                    "invocationId": message["invocationId"],
                    "result": message["arguments"][0],
                }
                await socket.send_str(json.dumps(answer) + RECORD_END)
            elif message["type"] == 6:
                await socket.send_str('{"type":6}' + RECORD_END)
    return socket


# --- Phoenix Channels: "Writing a Channels Client" of the Phoenix guides


async def phoenix(request: web.Request, silence: float = 60) -> web.StreamResponse:
    """A socket with channels `room:*`; `check_origin` and `timeout` as by default."""
    if not same_origin(request):
        return web.Response(status=403)
    socket = await opened(request)
    while (said := await heard_within(socket, silence)) is not None:
        joined, number, topic, event, payload = json.loads(said)
        fits = event == "heartbeat" or topic.startswith(("room:", "lv:"))
        status = "ok" if fits else "error"
        response = payload if event == "echo" else {} if fits else {"reason": "unmatched topic"}
        reply = {"status": status, "response": response}
        await socket.send_str(json.dumps([joined, number, topic, "phx_reply", reply]))
    return socket


# --- Action Cable: the protocol's page at AnyCable


async def action_cable(request: web.Request) -> web.StreamResponse:
    """A cable with the channel EchoChannel."""
    if not same_origin(request):
        return web.Response(status=404, text="Page not found")
    socket = await opened(request, "actioncable-v1-json", "actioncable-unsupported")
    await socket.send_json({"type": "welcome"})

    async def beat() -> None:
        with suppress(ConnectionError):
            while not socket.closed:
                await asyncio.sleep(3)
                await socket.send_json({"type": "ping", "message": 1})

    beating = asyncio.create_task(beat())
    try:
        while (said := await heard(socket)) is not None:
            command = json.loads(said)
            known = "EchoChannel" in command["identifier"]
            kind = "confirm_subscription" if known else "reject_subscription"
            await socket.send_json({"identifier": command["identifier"], "type": kind})
    finally:
        beating.cancel()
    return socket


# --- Centrifugo: "Client protocol" of centrifugal.dev


async def centrifugo(
    request: web.Request, *, anonymous: bool = False, every: float = 25, patience: float = 8
) -> web.StreamResponse:
    """Demands a token, as by default, or lets in `anonymous` clients, as the option
    `allow_anonymous_connect_without_token` does. Pings, and closes a client that does not answer.
    """
    if not same_origin(request):
        return web.Response(status=403)
    socket = await opened(request)
    ponged = asyncio.Event()

    async def beat() -> None:
        while True:
            await asyncio.sleep(every)
            ponged.clear()
            await socket.send_json({})
            try:
                async with asyncio.timeout(patience):
                    await ponged.wait()
            except TimeoutError:
                await socket.close(code=3012, message=b"no pong")

    beating: asyncio.Task[None] | None = None
    try:
        while (said := await heard(socket)) is not None:
            try:
                commands = [json.loads(line) for line in said.splitlines() if line]
            except ValueError:
                await socket.close(code=3501, message=b"bad request")
                return socket
            for command in commands:
                if command == {}:
                    ponged.set()
                if "connect" not in command:
                    continue
                if not anonymous and not command["connect"].get("token"):
                    await socket.close(code=3501, message=b"bad request")
                    return socket
                connected = {"client": "42717627", "version": "6.5.0", "ping": 25, "pong": True}
                await socket.send_json({"id": command["id"], "connect": connected})
                beating = asyncio.create_task(beat())
    finally:
        if beating is not None:
            beating.cancel()
    return socket


# --- Home Assistant: "WebSocket API" of developers.home-assistant.io


async def home_assistant(request: web.Request, patience: float = 10) -> web.StreamResponse:
    """Asks for a token first, and waits so many seconds for it."""
    socket = await opened(request, heartbeat=55)
    await socket.send_json({"type": "auth_required", "ha_version": "2026.11.0"})
    said = await heard_within(socket, patience)
    if said is not None:
        await socket.send_json({"type": "auth_invalid", "message": "Invalid access token"})
        await socket.close()
    return socket


# --- Gradio 3: gradio/routes.py and queueing.py of 3.50


async def gradio(request: web.Request) -> web.StreamResponse:
    """The queue of an interface."""
    socket = await opened(request)
    await socket.send_json({"msg": "send_hash"})
    if await heard(socket) is not None:
        await socket.send_json({"msg": "estimation", "rank": 0, "queue_size": 1})
    return socket


# --- Streamlit: streamlit/web/server of 1.67; installed it is over 500 MB


async def streamlit(request: web.Request) -> web.StreamResponse:
    """The stream of an app; it says nothing before a browser asks to run the script. Any other path
    is the page.
    """
    if request.path != "/_stcore/stream":
        return web.Response(
            text="<!doctype html><title>Streamlit</title>", content_type="text/html"
        )
    if not same_origin(request):
        return web.Response(status=403)
    socket = await opened(request, "streamlit", heartbeat=20)
    await heard(socket)
    return socket


# --- websockify in front of a VNC server: RFC 6143, 7.1.1


async def novnc(request: web.Request, *, target: bool = True) -> web.StreamResponse:
    """The VNC server's version line, unless its `target` cannot be reached."""
    if request.headers.get("Upgrade", "").lower() != "websocket":
        return web.Response(status=405, text="Method Not Allowed")
    socket = await opened(request, "binary")
    if not target:
        await socket.close(code=1011, message=b"Failed to connect to downstream server")
        return socket
    await socket.send_bytes(b"RFB 003.008\n")
    await socket.receive()
    return socket


# --- Hasura: graphql-transport-ws, with what hasura/graphql-engine says and when


async def hasura(
    request: web.Request, silence: float | None = None, *, secret: bool = False
) -> web.StreamResponse:
    """Pings before it acknowledges. With `silence` it closes a client that answers no ping, with
    `secret` one that does not name the admin secret.
    """
    socket = await opened(request, "graphql-transport-ws", "graphql-ws")
    ping = {"type": "ping", "payload": {"message": "keepalive"}}
    await socket.send_json(ping)
    while (said := await heard_within(socket, silence or 60)) is not None:
        if silence and json.loads(said)["type"] == "pong":
            await asyncio.sleep(silence / 2)
            await socket.send_json(ping)
        message = json.loads(said)
        if message["type"] != "connection_init":
            continue
        given = message.get("payload", {}).get("headers", {}).get("x-hasura-admin-secret")
        if secret and given != TOKEN:
            why = b"x-hasura-admin-secret/x-hasura-access-key required, but not found"
            await socket.close(code=4400, message=why)
            return socket
        await socket.send_json({"type": "connection_ack"})
    return socket


# --- Jupyter Server: services/kernels/websocket.py and base/handlers.py


async def jupyter(request: web.Request) -> web.StreamResponse:
    """The channels of a kernel; `allow_origin` as by default."""

    def refused(status: int, words: str) -> web.Response:
        page = f"<!DOCTYPE HTML><html><body><h1>{status} : {words}</h1></body></html>"
        return web.Response(status=status, text=page, content_type="text/html")

    if not same_origin(request):
        return web.Response(status=403, text="Cross origin websockets not allowed")
    given = request.headers.get("Authorization", "").removeprefix("token ")
    if TOKEN not in (given, request.query.get("token")):
        return refused(403, "Forbidden")
    if request.match_info["kernel"] != KERNEL:
        return refused(404, f"Kernel does not exist: {request.match_info['kernel']}")
    return await stays(await opened(request, "v1.kernel.websocket.jupyter.org", heartbeat=30))


# --- code-server: src/node/http.ts and routes/errors.ts


async def code_server(request: web.Request) -> web.StreamResponse:
    """A workbench, which hears nothing before the client's own protocol begins."""
    if not same_origin(request):
        return web.Response(status=403, reason="Forbidden")
    if request.cookies.get("code-server-session") != TOKEN:
        return web.Response(status=401, reason="Unauthorized")
    return await stays(await opened(request))


# --- n8n: packages/cli/src/push/index.ts; it opens the WebSocket before it looks


async def n8n(request: web.Request) -> web.StreamResponse:
    """The push connection of the editor."""
    socket = await opened(request, heartbeat=60)
    if request.cookies.get("n8n-auth") != TOKEN:
        # A close frame without a code, which aiohttp cannot write.
        assert request.transport is not None
        request.transport.write(b"\x88\x00")
        return await stays(socket)
    refusal = ""
    if "pushRef" not in request.query:
        refusal = 'The query parameter "pushRef" is missing!'
    elif not same_origin(request):
        refusal = "Invalid origin!"
    if refusal:
        await socket.send_str(refusal)
        await socket.close(code=1008)
        return socket
    return await stays(socket)


# --- the plain servers of languages that are not here: what their libraries refuse, and how


async def gorilla(request: web.Request) -> web.StreamResponse:
    """Go with gorilla/websocket (server.go); http.NotFound elsewhere."""
    headers = {"X-Content-Type-Options": "nosniff"}
    if not request.path.endswith("/ws"):
        return web.Response(status=404, text="404 page not found\n", headers=headers)
    if not same_origin(request):
        headers["Sec-Websocket-Version"] = "13"
        return web.Response(status=403, text="Forbidden\n", headers=headers)
    return await stays(await opened(request))


async def coder(request: web.Request) -> web.StreamResponse:
    """Go with coder/websocket (accept.go)."""
    if not same_origin(request):
        origin = request.headers["Origin"].partition("//")[2]
        words = f'request Origin "{origin}" is not authorized for Host "{request.host}"\n'
        return web.Response(status=403, text=words)
    return await stays(await opened(request))


async def spring(request: web.Request) -> web.StreamResponse:
    """Spring (OriginHandshakeInterceptor) in Boot, whose error page is JSON."""
    vary = {"Vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}
    if not request.path.endswith("/ws"):
        error = {"timestamp": "2026-11-30T16:00:00.000+00:00", "status": 404}
        return web.json_response(
            error | {"error": "Not Found", "path": request.path}, status=404, headers=vary
        )
    if not same_origin(request):
        return web.Response(status=403, headers=vary)
    return await stays(await opened(request))


async def kestrel(request: web.Request) -> web.StreamResponse:
    """ASP.NET Core (WebSocketMiddleware)."""
    if not request.path.endswith("/ws"):
        return web.Response(status=404)
    if not same_origin(request):
        return web.Response(status=403)
    return await stays(await opened(request))


# --- servers of nobody's protocol


async def stays(socket: web.WebSocketResponse) -> web.StreamResponse:
    """Open until the client goes; it says nothing."""
    while await heard(socket) is not None:
        pass
    return socket


async def silent(request: web.Request) -> web.StreamResponse:
    """Opens, and says nothing."""
    return await stays(await opened(request))


async def closes_after_5_s(request: web.Request) -> web.StreamResponse:
    """Closes a connection that was silent for five seconds."""
    socket = await opened(request)
    try:
        await socket.receive(5)
    except TimeoutError:
        await socket.close(code=4008, message=b"say something")
    return socket


async def first_message_first(request: web.Request) -> web.StreamResponse:
    """Closes a client that has not named its room within two seconds, and answers one that has."""
    socket = await opened(request)
    try:
        said = await heard(socket, 2)
    except TimeoutError:
        await socket.close(code=4000, message=b"name a room first")
        return socket
    await socket.send_json({"joined": json.loads(said or "{}").get("room")})
    await socket.receive()
    return socket


async def token(request: web.Request) -> web.StreamResponse:
    """Wants a bearer token, in the Authorization header or in the query."""
    if TOKEN not in (bearer_of(request), request.query.get("token")):
        challenge = {"WWW-Authenticate": "Bearer"}
        return web.json_response({"error": "invalid token"}, status=401, headers=challenge)
    return await silent(request)


ANYWHERE = "/{path:.*}"
WRITTEN: Mapping[str, Mapping[str, Handler]] = {
    "signalr": {"/chat": signalr, "/chat/negotiate": signalr},
    "phoenix": {"/socket/websocket": phoenix, "/live/websocket": phoenix},
    "liveview": {"/live/websocket": phoenix},
    "greeting": {ANYWHERE: home_assistant},
    "action-cable": {"/cable": action_cable},
    "centrifugo": {"/connection/websocket": partial(centrifugo, anonymous=True)},
    "centrifugo-token": {"/connection/websocket": centrifugo},
    "home-assistant": {"/api/websocket": home_assistant},
    "gradio": {"/queue/join": gradio},
    "streamlit": {ANYWHERE: streamlit},
    "novnc": {"/websockify": novnc},
    "hasura": {"/v1/graphql": hasura},
    "jupyter": {"/api/kernels/{kernel}/channels": jupyter},
    "code-server": {ANYWHERE: code_server},
    "n8n": {"/rest/push": n8n},
    "gorilla": {ANYWHERE: gorilla},
    "coder": {ANYWHERE: coder},
    "spring": {ANYWHERE: spring},
    "kestrel": {ANYWHERE: kestrel},
    "signalr-authorize": {"/chat": partial(signalr, authorize=True)},
    "novnc-without-target": {"/websockify": partial(novnc, target=False)},
    "hasura-secret": {"/v1/graphql": partial(hasura, secret=True)},
    "silent": {ANYWHERE: silent},
    "closes-after-5-s": {ANYWHERE: closes_after_5_s},
    "first-message-first": {ANYWHERE: first_message_first},
    "token": {ANYWHERE: token},
    "signalr-impatient": {"/chat": partial(signalr, silence=1.5)},
    "phoenix-impatient": {"/socket/websocket": partial(phoenix, silence=1.5)},
    "centrifugo-impatient": {
        "/connection/websocket": partial(centrifugo, anonymous=True, every=0.1, patience=1.5)
    },
    "home-assistant-impatient": {"/api/websocket": partial(home_assistant, patience=1.5)},
    "hasura-impatient": {"/v1/graphql": partial(hasura, silence=1.5)},
}
"""The handlers by server and path."""
SIGNED: Mapping[str, str] = {
    "signalr": "Kestrel",
    "signalr-authorize": "Kestrel",
    "kestrel": "Kestrel",
    "phoenix": "Cowboy",
    "liveview": "Cowboy",
    "streamlit": "TornadoServer/6.5.2",
    "jupyter": "TornadoServer/6.5.2",
    "novnc": "WebSockify Python/3.12.3",
}
"""The Server header of those that send one; Home Assistant is aiohttp itself."""
